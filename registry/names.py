"""Free numbers for names: which is the smallest N such that `camera-N` is not taken?

A thousand cameras may all propose "camera", and looking for a free number one by one would make
the last of them wait for a thousand steps. Instead the numbers taken are marked in bitmaps of 100,
and full bitmaps in bitmaps above them, so that a free number is found, and a number marked, in as
many steps as it has pairs of digits.

A bitmap's place is all of a name but the last two digits: `camera-1234` is number 34 of
`camera-12`, and `camera-7` is number 7 of `camera-`. So nothing has to be put together to look it
up. One `/` stands after it for each level below: `camera-12`, if it is full, is number 12 of
`camera-/`.
"""

from typing import Final

from .shards import Shards

_SIZE: Final = 100
_FULL: Final = (1 << _SIZE) - 1
_BITS: Final = {
    digits: 1 << number for number in range(_SIZE) for digits in {f"{number}", f"{number:02}"}
}
"""The bit of one digit, or of two."""

_MAX_DIGITS: Final = 9
"""Longer numbers are never handed out: there are not that many devices."""


class NumberedNames:
    """The numbers in use, by base. A name counts as numbered if it could have been made here."""

    def __init__(self) -> None:
        # By place. At level 0 a bit is a number taken; above it, a bit is a full bitmap of the
        # level below. Empty bitmaps are left out.
        self._bitmaps = Shards[int]()

    def add(self, name: str) -> None:
        """Mark a name's number, if it has one, as taken."""
        place, bit = split_number(name)
        while bit:
            bitmap = self._bitmaps.get(place, 0) | bit
            self._bitmaps[place] = bitmap
            if bitmap != _FULL:  # as nearly always
                break
            place, bit = _above(place)

    def discard(self, name: str) -> None:
        """Mark a name's number, if it has one, as free."""
        place, bit = split_number(name)
        while bit:
            before = self._bitmaps.get(place, 0)
            after = before & ~bit
            if after:
                self._bitmaps[place] = after
            elif before:
                del self._bitmaps[place]
            if before != _FULL:
                break
            place, bit = _above(place)

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
        while (bitmap := self._bitmaps.get(_place(base, 0, level), 0) | seen) == _FULL:
            level, seen = level + 1, 1
        number = _lowest_zero(bitmap)
        # Down again, to the first free number below that bit.
        for below in range(level - 1, -1, -1):
            bitmap = self._bitmaps.get(_place(base, number, below), 0)
            number = number * _SIZE + _lowest_zero(bitmap)
        return f"{base}-{number}"


def split_number(name: str) -> tuple[str, int]:
    """A name's place and its bit there: `("camera-12", 1 << 34)`; 0 where it has no number.

    `camera-07` has none: it is not what seven is written like here.
    """
    _, dash, digits = name.rpartition("-")
    if not (dash and digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return name, 0
    if digits[0] == "0" and digits != "0":
        return name, 0
    end = -1 if len(digits) == 1 else -2
    return name[:end], _BITS[name[end:]]


def _place(base: str, index: int, level: int) -> str:
    """The place of one of a base's bitmaps of a level, by its index there."""
    return f"{base}-{index or ''}{'/' * level}"


def _above(place: str) -> tuple[str, int]:
    """Where it is marked that the bitmap of a place is full, and its bit there."""
    below = place.rstrip("/")  # which ends with a digit or the dash
    base, _, digits = below.rpartition("-")
    level = len(place) - len(below) + 1
    return f"{base}-{digits[:-2]}{'/' * level}", _BITS[digits[-2:] or "0"]


def _lowest_zero(bitmap: int) -> int:
    return (~bitmap & (bitmap + 1)).bit_length() - 1
