"""Values in order of their numbers: beside a plain dict, and what that costs."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devicewatch.registry.order import BLOCK, InOrder


def in_order(*numbers: int) -> InOrder[str]:
    result = InOrder[str]()
    for number in numbers:
        result.put(number, str(number))
    return result


def texts(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


# --- examples -----------------------------------------------------------------------------------


def test_without_values_there_are_none() -> None:
    assert len(in_order()) == 0
    assert in_order().values == in_order().after(0, 10) == []


def test_values_come_in_order_of_their_numbers() -> None:
    values = in_order(3, 5, 4, 1)

    assert values.values == texts(1, 3, 4, 5)
    assert values.after(0, 10) == texts(1, 3, 4, 5)
    assert values.after(1, 2) == texts(3, 4)
    assert values.after(2, 2) == texts(3, 4)
    assert values.after(5, 2) == values.after(2**53, 2) == []


@pytest.mark.parametrize("number", [1, 3, 5])
def test_what_is_not_there_cannot_be_taken_out(number: int) -> None:
    values = in_order(2, 4)

    with pytest.raises(KeyError, match=str(number)):
        values.remove(number)
    assert values.values == texts(2, 4)


def test_a_value_that_was_taken_out_may_be_put_back() -> None:
    values = in_order(1, 2, 3)
    values.remove(2)
    assert values.values == texts(1, 3)

    values.put(2, "again")
    assert values.values == ["1", "again", "3"]


@pytest.mark.parametrize("number", [1, BLOCK // 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
def test_there_are_many_blocks_and_it_does_not_show(number: int) -> None:
    values = in_order(*range(1, 3 * BLOCK))
    assert values.after(BLOCK // 2, 2 * BLOCK) == texts(*range(BLOCK // 2 + 1, 5 * BLOCK // 2 + 1))

    values.remove(number)
    values.put(number, "again")
    assert values.after(number - 1, 1) == ["again"]
    assert len(values) == 3 * BLOCK - 1


# --- against a plain dict -----------------------------------------------------------------------


class OrderBesideADict(RuleBasedStateMachine):
    """Numbers rise as revisions do, and the latest change may be undone."""

    def __init__(self) -> None:
        super().__init__()
        self._values = InOrder[str](block=8)
        self._dict: dict[int, str] = {}
        self._removed: list[int] = []
        self._seq = 0

    def _put(self, number: int) -> None:
        self._dict[number] = f"{number} at {self._seq}"
        self._values.put(number, self._dict[number])

    def _remove(self, number: int) -> None:
        del self._dict[number]
        self._values.remove(number)

    @rule(number=st.integers(1, 20), gap=st.sampled_from([0, 0, 0, 1, 7]))
    def come(self, number: int, gap: int) -> None:
        for _ in range(number):
            self._seq += 1 + gap
            self._put(self._seq)
        self._removed.clear()

    @precondition(lambda self: self._dict)
    @rule(data=st.data(), share=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    def leave(self, data: st.DataObject, share: float) -> None:
        present = sorted(self._dict)
        first = data.draw(st.integers(0, len(present) - 1))
        step = data.draw(st.integers(1, 3))
        self._removed = present[first : first + 1 + int(share * len(present)) : step]
        for number in self._removed:
            self._remove(number)
        self._seq += len(self._removed)

    @rule()
    def that_is_undone(self) -> None:
        self._seq -= len(self._removed)
        while self._removed:
            self._put(self._removed.pop())

    @precondition(lambda self: self._seq)
    @rule()
    def whoever_came_last_is_undone(self) -> None:
        if self._seq in self._dict:
            self._remove(self._seq)
            self._removed.clear()
            self._seq -= 1

    @rule(number=st.integers(1, 200))
    def what_is_not_there_is_refused(self, number: int) -> None:
        if number not in self._dict:
            with pytest.raises(KeyError):
                self._values.remove(number)

    @rule(after=st.integers(0, 200), limit=st.integers(1, 30))
    def a_page_is_read(self, after: int, limit: int) -> None:
        expected = [value for number, value in sorted(self._dict.items()) if number > after]
        assert self._values.after(after, limit) == expected[:limit]

    @invariant()
    def they_are_the_same(self) -> None:
        assert len(self._values) == len(self._dict)
        assert self._values.values == [value for _, value in sorted(self._dict.items())]

    @invariant()
    def no_block_is_too_large_and_few_are_small(self) -> None:
        sizes = [len(values) for values in self._values._values]
        assert max(sizes) <= 8
        assert sizes == [len(numbers) for numbers in self._values._numbers]
        assert all(sizes) or sizes == [0]
        assert len(sizes) == len(self._values._starts) <= len(self._dict) + 2


OrderBesideADict.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
test_an_order_agrees_with_a_plain_dict = OrderBesideADict.TestCase


# --- what it costs ------------------------------------------------------------------------------


def blocks(values: InOrder[str]) -> list[int]:
    return [len(each) for each in values._values]


def test_those_who_stay_among_many_who_leave_are_not_spread_over_blocks() -> None:
    values = in_order(*range(1, 20 * BLOCK + 1))
    for number in range(1, 20 * BLOCK + 1):
        if number % 100:
            values.remove(number)

    assert values.values == texts(*range(100, 20 * BLOCK + 1, 100))
    assert len(blocks(values)) == 1


def test_nothing_is_left_of_those_who_left() -> None:
    values = in_order(*range(1, 5 * BLOCK))
    for number in range(1, 5 * BLOCK):
        values.remove(number)

    assert blocks(values) == [0]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 2_000), unique=True))
def test_numbers_may_come_in_any_order(numbers: list[int]) -> None:
    assert in_order(*numbers).values == texts(*sorted(numbers))


def test_blocks_are_full_where_values_come_in_order_and_at_least_half_where_not() -> None:
    assert blocks(in_order(*range(1, 3 * BLOCK + 2))) == [BLOCK] * 3 + [1]
    backwards = blocks(in_order(*range(3 * BLOCK, 0, -1)))
    assert all(BLOCK // 2 <= size <= BLOCK for size in backwards)


# --- for other threads --------------------------------------------------------------------------


def test_another_thread_sees_all_values_at_one_moment() -> None:
    """Blocks are joined and divided meanwhile; one value at a time is gone, and comes back."""
    there = range(1, 2 * BLOCK + 2)
    values = in_order(*there)
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(len(set(values.values)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(10):
            for number in there:
                values.remove(number)
                values.put(number, str(number))
    finally:
        done.set()
        thread.join()
    assert set(seen) <= {len(there) - 1, len(there)}
