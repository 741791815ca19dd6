"""A device's last minutes as a row of blocks: flapping is seen, not read. Pure.

Each cell is a share of the time. Its height is how much of that the device was present, and every
departure in it takes a notch off, so that one which comes back at once shows as well. Cells lie on
multiples of their length, so that they do not change by the mere passing of time.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from ..timeline import Gap, Span

MINUTES: Final = 12
"""What a strip shows, whatever its width: a number that many widths divide."""

BLOCKS: Final = "▁▂▃▄▅▆▇"
"""By height. The full block is not among them: strips below one another would become one."""
AWAY: Final = " "
UNSEEN: Final = "·"
"""Nobody knows: before this program looked, or while it could not."""
DOUBTFUL: Final = "░"
"""It was there when the view became stale; it may be still."""

NOTCH: Final = 2
"""Blocks that a departure costs."""
MOST_SPANS: Final = 2_000
"""A device that flaps all the time must not cost more than this to draw."""


def strip(
    spans: Sequence[Span],
    gaps: Sequence[Gap],
    *,
    now: float,
    since: float,
    ahead: float = 0.0,
    cells: int = MINUTES,
) -> str:
    """The last minutes of whoever has a name, oldest first.

    Args:
        spans: Its registrations, oldest first; their times are the registry's.
        gaps: When the view was not live, by our clock.
        now: By our clock.
        since: From when on departures have been heard of, by our clock.
        ahead: How far the registry's clock is ahead of ours.
        cells: How many to show.
    """
    size = MINUTES * 60 / cells
    last = math.floor(now / size)
    start = (last - cells + 1) * size
    bars = [_Cell(start + number * size, size, now) for number in range(cells)]
    for span in _recent(spans, start + ahead):
        end = math.inf if span.end is None else span.end - ahead
        for bar in _between(bars, start, size, span.start - ahead, end):
            bar.add(span.start - ahead, end)
    stale_since = gaps[-1].start if gaps and gaps[-1].end is None else math.inf
    held = bool(spans) and spans[-1].end is None
    return "".join(bar.block(since, stale_since, held=held) for bar in bars)


class _Cell:
    def __init__(self, start: float, size: float, now: float) -> None:
        self._start = start
        self._whole = start + size
        self._end = min(self._whole, now)
        self._touched = False
        self._present = 0.0
        self._departures = 0

    def add(self, start: float, end: float) -> None:
        """Somebody was there from one time to another, which reaches into this cell."""
        self._touched = True
        self._present += max(0.0, min(end, self._end) - max(start, self._start))
        self._departures += self._start <= end < self._whole

    def block(self, since: float, stale_since: float, *, held: bool) -> str:
        length = self._end - self._start
        middle = self._start + length / 2
        if middle >= stale_since:
            return DOUBTFUL if held else UNSEEN
        if not self._touched:
            return UNSEEN if middle < since else AWAY
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


def _between(
    bars: Sequence[_Cell], first: float, size: float, start: float, end: float
) -> Sequence[_Cell]:
    """The cells that a time reaches into."""
    count = len(bars)
    low = min(max(math.floor((start - first) / size), 0), count)
    high = count - 1 if end >= first + count * size else math.floor((end - first) / size)
    return bars[low : high + 1]
