"""Log lines about strangers, so few that nobody can fill a disk with them. Pure."""

import math
from collections import OrderedDict
from typing import Final

import attrs

INTERVAL: Final = 10.0
"""Seconds between two lines about the same thing."""

MAX_KEPT: Final = 1_000
"""Things that are told apart; of more than that, the one that was quiet longest is forgotten."""

MAX_LINES: Final = 30
"""Lines in an `INTERVAL`, about all things together: whoever makes a new key for each connection is
somebody else each time."""


@attrs.define
class _Count:
    next_line: float
    untold: int = 0


class Tally:
    """Counts what happens, by key, and says when that is worth a line. Times are in seconds."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._lines = 0
        self._lines_until = -math.inf

    def note(self, key: str, now: float) -> int:
        """Note that something has happened.

        Returns:
            How often it has, since the last line about it: the first time at once, and then every
            `INTERVAL`. 0 if it is not time for a line, or there were too many already.
        """
        count = self._counts.setdefault(key, _Count(now))
        self._counts.move_to_end(key)
        if len(self._counts) > MAX_KEPT:
            self._counts.popitem(last=False)
        count.untold += 1
        if now >= self._lines_until:
            self._lines, self._lines_until = 0, now + INTERVAL
        if now < count.next_line or self._lines >= MAX_LINES:
            return 0
        self._lines += 1
        times, count.untold, count.next_line = count.untold, 0, now + INTERVAL
        return times
