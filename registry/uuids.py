"""The secrets of registrations."""

from collections.abc import Iterator
from os import urandom
from typing import Final

_DRAWN_TOGETHER: Final = 256

_FORM: Final = b"xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx "
"""What a UUID of version 4 looks like: x is any digit, y is one of 8, 9, a and b (RFC 9562)."""

_DIGITS: Final = [place for place, mark in enumerate(_FORM) if mark in b"xy"]
_VARIANT: Final = _FORM.index(b"y")
_VARIANTS: Final = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)


def random_uuids() -> Iterator[str]:
    """UUIDs of version 4, without end, as `uuid.uuid4` makes them.

    To ask the system for random bytes takes longer than all the rest, so it is asked for those of
    many at a time; and these are written together, digit by digit, each one below the other.
    """
    while True:
        drawn = urandom(16 * _DRAWN_TOGETHER).hex().encode()
        lines = bytearray(_FORM * _DRAWN_TOGETHER)
        for digit, place in enumerate(_DIGITS):
            lines[place :: len(_FORM)] = drawn[digit::32]
        lines[_VARIANT :: len(_FORM)] = lines[_VARIANT :: len(_FORM)].translate(_VARIANTS)
        yield from lines.decode().split()
