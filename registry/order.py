"""Values in order of a number, of which most are entered in that order: devices by revision.

They are in blocks of some hundreds, beside their numbers, so that a number is found by bisection,
first the block and then the place in it, and taking it out moves no more than a block. Small blocks
that are neighbours become one: values that stay for long, among many that do not, are not spread
over blocks that are nearly empty.
"""

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BLOCK: Final = 512
"""Values in a block, at the most. One with less than a quarter of that is small."""


class InOrder(Generic[T]):
    """Values by number. Each number is 1 or more, and has one value.

    One thread at a time may use it; `values` may be called from any.

    Args:
        block: Values in a block, at the most.
    """

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._small = block // 4
        # Of each block: no number in it is lower, nor as high as the next one's; its numbers, which
        # lie close together in memory, as bisection looks at many; and its values. There is always
        # one block, and no other is empty.
        self._starts = [0]
        self._numbers: list[array[int]] = [array("q")]
        self._values: list[list[T]] = [[]]
        self._length = 0
        self._highest = 0  # that there ever was

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> list[T]:
        """All values, in order: a copy. To another thread, one may be there twice, in a row."""
        # One step to other threads, as no code in Python runs meanwhile; a comprehension is not.
        return list(chain.from_iterable(self._values))

    def put(self, number: int, value: T) -> None:
        """Enter a value under a number that has none."""
        self._length += 1
        if number > self._highest:  # as nearly always
            self._highest = number
            if len(self._values[-1]) >= self._block:
                self._insert_block(len(self._starts), array("q"), [], number)
            self._numbers[-1].append(number)
            self._values[-1].append(value)
            return
        at = self._block_of(number)
        numbers, values = self._numbers[at], self._values[at]
        index = bisect_left(numbers, number)
        numbers.insert(index, number)
        values.insert(index, value)
        if len(values) > self._block:
            half = self._block // 2
            self._insert_block(at + 1, numbers[half:], values[half:], numbers[half])
            del numbers[half:], values[half:]

    def remove(self, number: int) -> None:
        """Take out the value of a number.

        Raises:
            KeyError: It has none.
        """
        at = self._block_of(number)
        numbers = self._numbers[at]
        index = bisect_left(numbers, number)
        if index == len(numbers) or numbers[index] != number:
            raise KeyError(number)
        del numbers[index], self._values[at][index]
        self._length -= 1
        if len(numbers) < self._small:
            self._join(at - 1)
            self._join(at)

    def after(self, number: int, limit: int) -> list[T]:
        """The values with higher numbers, in order, up to a limit."""
        at = self._block_of(number)
        first = bisect_right(self._numbers[at], number)
        found = self._values[at][first : first + limit]
        while len(found) < limit and (at := at + 1) < len(self._values):
            found += self._values[at][: limit - len(found)]
        return found

    def _block_of(self, number: int) -> int:
        """Where the block is that a number is in, if it is in any."""
        return bisect_right(self._starts, number) - 1

    def _insert_block(self, at: int, numbers: "array[int]", values: list[T], start: int) -> None:
        self._starts.insert(at, start)
        self._numbers.insert(at, numbers)
        self._values.insert(at, values)

    def _join(self, at: int) -> None:
        """Make one of a block and the next, if there are both, and they fit into one."""
        if not 0 <= at < len(self._starts) - 1:
            return
        numbers, values = self._numbers[at], self._values[at]
        if len(values) + len(self._values[at + 1]) <= self._block:
            numbers += self._numbers[at + 1]
            values += self._values[at + 1]
            del self._starts[at + 1], self._numbers[at + 1], self._values[at + 1]
