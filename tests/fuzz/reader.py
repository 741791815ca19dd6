"""Bytes as decisions: what a fuzzer changes in them changes what a play does next."""

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

LONGEST: Final = 1 << 16
"""Of what `frame` reads, in bytes."""


class Reader:
    """Reads decisions from the front. Where the bytes have ended, each is the first of its kind."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def has_more(self) -> bool:
        """Whether there is anything left to decide."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """So many bytes, or as many as there are."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def number(self, below: int) -> int:
        """A number from 0 on; of one byte, or of as many as it takes."""
        size = max(1, ((below - 1).bit_length() + 7) // 8)
        return int.from_bytes(self.take(size), "little") % below

    def flag(self) -> bool:
        return bool(self.number(2))

    def choose(self, choices: Sequence[T]) -> T:
        return choices[self.number(len(choices))]

    def frame(self) -> bytes:
        """Any bytes: their number, and they themselves."""
        return self.take(self.number(LONGEST))

    def text(self, below: int = 8) -> str:
        """A short text of any characters."""
        return self.take(self.number(below)).decode(errors="replace")
