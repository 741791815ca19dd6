"""Free numbers for names: which is the smallest N such that `camera-N` is not taken?

A thousand cameras may all propose "camera", and looking for a free number one by one would make
the last of them wait for a thousand steps. Instead the numbers taken of each base are marked in
bitmaps of 64, and full bitmaps in bitmaps above them, so that a free number is found, and a
number marked, in as many steps as it has base-64 digits.
"""

from typing import Final

_BITS: Final = 64
_FULL: Final = (1 << _BITS) - 1
_MAX_DIGITS: Final = 9
"""Longer numbers are never handed out: there are not that many devices."""


class NumberedNames:
    """The numbers in use, by base. A name counts as numbered if it could have been made here."""

    def __init__(self) -> None:
        # (base, level, index) -> bitmap. At level 0 a bit is a number taken; above it, a bit is
        # a full bitmap of the level below. Empty bitmaps are left out.
        self._bitmaps: dict[tuple[str, int, int], int] = {}

    def add(self, name: str) -> None:
        """Mark a name's number, if it has one, as taken."""
        base, index = split_number(name)
        level, full = 0, index >= 0
        while full:
            index, bit = divmod(index, _BITS)
            place = base, level, index
            bitmap = self._bitmaps[place] = self._bitmaps.get(place, 0) | 1 << bit
            level, full = level + 1, bitmap == _FULL

    def discard(self, name: str) -> None:
        """Mark a name's number, if it has one, as free."""
        base, index = split_number(name)
        level, was_full = 0, index >= 0
        while was_full:
            index, bit = divmod(index, _BITS)
            place = base, level, index
            before = self._bitmaps.get(place, 0)
            after = before & ~(1 << bit)
            if after:
                self._bitmaps[place] = after
            else:
                self._bitmaps.pop(place, None)
            level, was_full = level + 1, before == _FULL

    def first_free(self, base: str, start: int) -> str:
        """The name with the smallest free number.

        Args:
            base: What comes before the dash.
            start: 0 or 1, the first number to be considered.
        """
        # Up, along the first bitmap of each level, to one with room. Above level 0, bit 0 stands
        # for the bitmap just seen, which has none left, whether or not it is marked full:
        # number 0 may be free and not wanted.
        level, seen = 0, start
        while (bitmap := self._bitmaps.get((base, level, 0), 0) | seen) == _FULL:
            level, seen = level + 1, 1
        number = _lowest_zero(bitmap)
        # Down again, to the first free number below that bit.
        for below in range(level - 1, -1, -1):
            bitmap = self._bitmaps.get((base, below, number), 0)
            number = number * _BITS + _lowest_zero(bitmap)
        return f"{base}-{number}"


def split_number(name: str) -> tuple[str, int]:
    """`"camera-7"` as `("camera", 7)`; the number is -1 where there is none.

    `camera-07` has none: it is not what seven is written like here.
    """
    base, dash, digits = name.rpartition("-")
    if not (dash and digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return name, -1
    if digits[0] == "0" and digits != "0":
        return name, -1
    return base, int(digits)


def _lowest_zero(bitmap: int) -> int:
    return (~bitmap & (bitmap + 1)).bit_length() - 1
