"""A device's last minutes as a row of blocks: flapping is seen, not read. Pure.

Each cell is a share of the time. Its height is how much of that the device was present, and every
departure in it takes a notch off, so that one which comes back at once shows as well. Cells lie on
multiples of their length, so that they do not change by the mere passing of time.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from ..timeline import Span

MINUTES: Final = 12
"""What a strip shows, whatever its width: a number that many widths divide."""

BLOCKS: Final = "▁▂▃▄▅▆▇"
"""By height. The full block is not among them: strips below one another would become one."""
AWAY: Final = " "
UNSEEN: Final = "·"
"""Nobody knows: before this program looked, or while it could not."""
DOUBTFUL: Final = "░"
"""Nobody knows, but it was there before: it may have been there still."""

NOTCH: Final = 2
"""Blocks that a departure costs."""
MOST_SPANS: Final = 2_000
"""A device that flaps all the time must not cost more than this to draw."""

Blind: TypeAlias = Sequence[tuple[float, float]]
"""Times in which departures went unheard, by our clock; one that has no end yet ends at `inf`."""


def strip(
    spans: Sequence[Span], blind: Blind, *, now: float, ahead: float = 0.0, cells: int = MINUTES
) -> str:
    """The last minutes of whoever has a name, oldest first.

    Args:
        spans: Its registrations, oldest first; their times are the registry's.
        blind: When nobody could know.
        now: By our clock.
        ahead: How far the registry's clock is ahead of ours.
        cells: How many to show.
    """
    size = MINUTES * 60 / cells
    start = (math.floor(now / size) - cells + 1) * size
    bars = [_Cell(start + number * size, size, now, blind) for number in range(cells)]
    for span in _recent(spans, start + ahead):
        begin, end = span.start - ahead, math.inf if span.end is None else span.end - ahead
        # In floats first: a registry that lies may name a time that is no number of cells.
        first = math.floor(min(max((begin - start) / size, 0), cells))
        last = math.floor(min(max((end - start) / size, -1), cells - 1))
        for bar in bars[first : last + 1]:
            bar.add(begin, end, exact=span.exact)
    return "".join(bar.block() for bar in bars)


class _Cell:
    def __init__(self, start: float, size: float, now: float, blind: Blind) -> None:
        self._start = start
        self._whole = start + size
        self._end = min(self._whole, now)
        middle = (self._start + self._end) / 2
        self._blind_until = max(
            (end for begin, end in blind if begin <= middle < end), default=-math.inf
        )
        self._touched = self._sure = False
        self._present = 0.0
        self._departures = 0

    def add(self, start: float, end: float, *, exact: bool) -> None:
        """Somebody was there from one time to another, which reaches into this cell."""
        self._touched = True
        # Whoever is still there when it can be seen again was there in between.
        self._sure |= exact and self._blind_until < math.inf
        self._present += max(0.0, min(end, self._end) - max(start, self._start))
        self._departures += self._start <= end < self._whole

    def block(self) -> str:
        if self._blind_until > -math.inf and not self._sure:
            return DOUBTFUL if self._touched else UNSEEN
        if not self._touched:
            return AWAY
        length = self._end - self._start
        share = self._present / length if length > 0 else 1.0
        # Only who was there all the time, give or take a rounding, is as high as can be.
        highest = len(BLOCKS)
        height = highest if share > 1 - 1e-9 else min(highest - 1, math.ceil(share * highest))
        return BLOCKS[max(1, height - NOTCH * self._departures) - 1]


def _recent(spans: Sequence[Span], start: float) -> Iterator[Span]:
    """Those that may reach into the strip, newest first."""
    for span in islice(reversed(spans), MOST_SPANS):
        if span.end is not None and span.end < start:
            return
        yield span
