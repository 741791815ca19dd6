"""Which rows are shown, and in which order. Pure."""

import enum
from collections.abc import Callable, Iterable
from typing import Any, assert_never

import attrs

from .board import Board, Row


class SortKey(enum.Enum):
    """What the table can be sorted by: its columns, from left to right."""

    NAME = "name"
    TYPE = "type"
    ADDRESS = "address"
    FLAPS = "flaps"
    """Whoever left most often comes first."""
    PRESENT = "present"
    """Whoever came last comes first; those who left come after those who are there."""

    def next(self) -> "SortKey":
        """The column after this one; after the last, the first."""
        keys = list(SortKey)
        return keys[(keys.index(self) + 1) % len(keys)]


@attrs.frozen
class Choice:
    """What somebody wants to see.

    Attributes:
        key: What to sort by; what is equal is in the natural order of names.
        reverse: Whether backwards.
        words: What has to occur, all of it, in name, type, address or metadata.
        left: Whether devices that left are shown.
    """

    key: SortKey = SortKey.NAME
    reverse: bool = False
    words: str = ""
    left: bool = True

    def by(self, key: SortKey) -> "Choice":
        """Sorted by a column; backwards, if it is that already."""
        if key is self.key:
            return attrs.evolve(self, reverse=not self.reverse)
        return attrs.evolve(self, key=key, reverse=False)


def arrange(board: Board, choice: Choice, now: float) -> list[Row]:
    """The rows to show, in order."""
    rows = sorted(
        matching(board.rows(left=choice.left), choice.words), key=lambda row: row.name_order
    )
    # `reverse` keeps equals as they are, so names stay in their order.
    return sorted(rows, key=_sort_key(board, choice.key, now), reverse=choice.reverse)


def matching(rows: Iterable[Row], words: str) -> Iterable[Row]:
    """Those in which all the words occur, in capitals or not."""
    wanted = words.casefold().split()
    if not wanted:
        return rows
    return (row for row in rows if all(word in row.haystack for word in wanted))


def _sort_key(board: Board, key: SortKey, now: float) -> Callable[[Row], Any]:
    match key:
        case SortKey.NAME:
            return lambda row: row.name_order
        case SortKey.TYPE:
            return lambda row: row.device_type.casefold()
        case SortKey.ADDRESS:
            return lambda row: row.addr_order
        case SortKey.FLAPS:
            return lambda row: -board.departures(row.device.name, now)
        case SortKey.PRESENT:
            return _by_arrival
        case _:
            assert_never(key)


def _by_arrival(row: Row) -> tuple[bool, float]:
    if row.left is not None:
        return True, -row.left.time
    return False, -row.device.registered_at
