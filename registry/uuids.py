"""The secrets of registrations."""

from collections.abc import Iterator
from os import urandom
from typing import Final

_DRAWN_TOGETHER: Final = 64


def random_uuids() -> Iterator[str]:
    """UUIDs of version 4, without end, as `uuid.uuid4` makes them.

    To ask the system for random bytes takes longer than all the rest, so it is asked for those of
    many at a time.
    """
    while True:
        drawn = urandom(16 * _DRAWN_TOGETHER).hex()
        for start in range(0, len(drawn), 32):
            bits = drawn[start : start + 32]
            variant = "89ab"[int(bits[16], 16) % 4]
            yield f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{variant}{bits[17:20]}-{bits[20:]}"
