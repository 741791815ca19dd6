"""The lines of the table: how wide each column is, and what stands in it. Pure."""

from collections.abc import Iterable
from typing import Final

import attrs
from rich.cells import cell_len

from ...events.protocol import Reason
from ...events.text import duration
from .board import Board, Row
from .lines import Line, Part, Tone, fit, fit_line
from .order import Choice, SortKey
from .strip import MINUTES, strip

FRESH: Final = 10.0
"""Seconds for which a device that came is marked as new."""

FLAPS: Final = 3
"""Departures during a strip from which on it stands out."""

UP: Final = "▲"
DOWN: Final = "▼"

_MARK: Final = 2
_PRESENT: Final = 8
_LEAST_METADATA: Final = 11
"""With the column before it, what it takes to say "unregistered 12 min"."""
_NARROW: Final = 64
"""Cells below which there is no room for strips."""
_STRIPS: Final = ((180, 60), (145, 36), (110, 24), (_NARROW, 12))
"""How long they are, by the width of the table."""

_HEADERS: Final = {
    SortKey.NAME: "NAME",
    SortKey.TYPE: "TYPE",
    SortKey.ADDRESS: "ADDRESS",
    SortKey.FLAPS: f"LAST {MINUTES} MIN",
    SortKey.PRESENT: "PRESENT",
}


@attrs.frozen
class Columns:
    """How many cells each column has; 0 for one that there is no room for."""

    width: int
    name: int
    device_type: int
    addr: int
    strip: int
    metadata: int

    @classmethod
    def fitting(cls, rows: Iterable[Row], width: int) -> "Columns":
        """What these rows need, as far as the width allows."""
        widest = [len(_HEADERS[key]) + 1 for key in (SortKey.NAME, SortKey.TYPE, SortKey.ADDRESS)]
        for row in rows:
            for column, text in enumerate((row.name, row.device_type, row.addr)):
                widest[column] = max(widest[column], cell_len(text))
        blocks = next((cells for least, cells in _STRIPS if width >= least), 0)
        room = width - _MARK - blocks - _PRESENT - 3 - (blocks > 0)
        # The widest gives way, so that one long name leaves room for everybody's metadata.
        wanted = 0 if width < _NARROW else max(_LEAST_METADATA, (width - 40) // 4)
        while sum(widest) > max(3, room - wanted - 1):
            widest[widest.index(max(widest))] -= 1
        name, device_type, addr = widest
        metadata = room - sum(widest) - 1
        if metadata < _LEAST_METADATA:
            metadata = 0
        return cls(width, name, device_type, addr, blocks, metadata)

    def places(self) -> list[tuple[SortKey, int, int]]:
        """Where the columns that one can sort by begin and end."""
        found, start = [], _MARK
        for key, size in zip(SortKey, self._sizes(), strict=True):
            if size:
                found.append((key, start, start + size))
                start += size + 1
        return found

    def at(self, x: int) -> SortKey | None:
        """The column that a cell belongs to, if one can sort by it."""
        return next((key for key, start, end in self.places() if start <= x <= end), None)

    def _sizes(self) -> tuple[int, ...]:
        return self.name, self.device_type, self.addr, self.strip, _PRESENT


def header(columns: Columns, choice: Choice) -> Line:
    """The names of the columns; an arrow shows what is sorted by, and which way."""
    parts: list[Part] = [(" " * _MARK, Tone.PLAIN)]
    for key, start, end in columns.places():
        chosen = key is choice.key
        label = _HEADERS[key] + ((DOWN if choice.reverse else UP) if chosen else "")
        text = fit(label, end - start, right=key is SortKey.PRESENT)
        parts += [(text, Tone.BOLD if chosen else Tone.PLAIN), (" ", Tone.PLAIN)]
    parts.append(("METADATA" if columns.metadata else "", Tone.PLAIN))
    return fit_line(tuple(parts), columns.width)


def line(row: Row, columns: Columns, board: Board, now: float) -> Line:
    """A row of the table."""
    there = row.left is None
    known = board.known(now) + board.ahead
    parts: list[Part] = [
        _mark(row, known),
        (fit(row.name, columns.name), Tone.NAME if there else Tone.DIM),
        _GAP,
        (fit(row.device_type, columns.device_type), Tone.PLAIN if there else Tone.DIM),
        _GAP,
        (fit(row.addr, columns.addr), Tone.PLAIN if there else Tone.DIM),
        _GAP,
    ]
    if columns.strip:
        blocks = strip(
            board.spans(row.device.name),
            board.blind,
            now=now,
            ahead=board.ahead,
            cells=columns.strip,
        )
        flaps = there and board.departures(row.device.name, now) >= FLAPS
        parts += [(blocks, Tone.ALARM if flaps else Tone.GOOD if there else Tone.DIM), _GAP]
    if row.left is None:
        present = duration(known - row.device.registered_at)
        parts += [(fit(present, _PRESENT, right=True), Tone.PLAIN), _GAP]
        parts.append((fit(row.metadata, columns.metadata), Tone.DIM))
    else:
        room = _PRESENT + (columns.metadata and columns.metadata + 1)
        parts.append((fit(departure(row, now + board.ahead, room), room), Tone.DIM))
    return fit_line(tuple(parts), columns.width)


def departure(row: Row, now: float, room: int) -> str:
    """Why and when somebody left: "expired 2 min ago"; `now` is the registry's time."""
    if row.left is None:
        return ""
    # That it is gone is all that is known.
    why = "gone" if row.left.reason is Reason.UNKNOWN else str(row.left.reason)
    since = duration(now - row.left.time)
    long = f"{why} just now" if since == "now" else f"{why} {since} ago"
    return long if len(long) <= room else f"{why} {since}"


_GAP: Final[Part] = (" ", Tone.PLAIN)


def _mark(row: Row, now: float) -> Part:
    if row.left is not None:
        return "- ", Tone.BAD
    if now - row.device.registered_at < FRESH:
        return "+ ", Tone.GOOD
    return "  ", Tone.PLAIN
