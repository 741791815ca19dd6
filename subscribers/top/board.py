"""Who is there, and who left a while ago: what the table, the counts and the details show. Pure.

It folds what a watcher yields. Each registration becomes a `Row` once, with its text made harmless
and its sort key worked out, so that to sort and filter thousands of them costs little.
"""

import math
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, assert_never

import attrs

from ...events.protocol import MAX_ADDR, MAX_NAME
from ...events.records import Added, Device, Live, Record, Removed, Stale
from ...events.text import printable
from ..skew import Skew
from ..timeline import Span, Timeline
from .strip import Blind

KEEP_LEFT: Final = 12 * 60.0
"""Seconds for which a row stays after its device has left: as long as a strip shows."""
MAX_LEFT: Final = 1_000
"""Rows of devices that left, at the most."""

MAX_BLIND: Final = 100
"""Times of which nobody knows that are kept."""

_LONGEST_METADATA: Final = 1_000
"""Characters of metadata in a table's row; the details have all of it."""

_NUMBER: Final = re.compile("([0-9]+)")


@attrs.frozen(eq=False)
class Row:
    """A registration, present or not, as it is shown. Compared by identity.

    Attributes:
        device: The device.
        left: When and why it left; None while it is present.
        name: Its name, printable, as are the following.
        device_type: What it calls itself.
        addr: Where it can be reached.
        metadata: The rest, as "key=value, …".
        name_order: Puts names into natural order, cam-2 before cam-10.
        addr_order: The same for addresses.
        haystack: Where a filter looks for its words.
    """

    device: Device
    left: Removed | None
    name: str
    device_type: str
    addr: str
    metadata: str
    name_order: tuple[Any, ...]
    addr_order: tuple[Any, ...]
    haystack: str

    @classmethod
    def of(cls, device: Device, left: Removed | None = None) -> "Row":
        """The row of a device."""
        name = printable(device.name, MAX_NAME)
        kind = printable(device.device_type, MAX_NAME)
        addr = printable(device.addr, MAX_ADDR)
        entries = ", ".join(f"{key}={value}" for key, value in device.metadata.items())
        metadata = printable(entries, _LONGEST_METADATA)
        haystack = "\n".join((name, kind, addr, metadata)).casefold()
        orders = natural(name), natural(addr)
        return cls(device, left, name, kind, addr, metadata, *orders, haystack)


def natural(text: str) -> tuple[Any, ...]:
    """A sort key: numbers in a text by their value, letters whatever their case, then as it is."""
    parts = _NUMBER.split(text.casefold())
    # Text and numbers take turns, so like is compared with like. No `int`: digits may be many.
    numbers = [(len(digits := part.lstrip("0")), digits) for part in parts[1::2]]
    return (*(item for pair in zip(parts[::2], (*numbers, ()), strict=True) for item in pair), text)


class Board:
    """What there is to show. Each `add` costs O(1).

    Attributes:
        version: Rises with every change of what there is to show.
        kinds: How many devices of each type are present, by the type's name, printable.
    """

    def __init__(self) -> None:
        self.version = 0
        self.kinds: Counter[str] = Counter()
        self._skew = Skew()
        self._timeline = Timeline()
        self._present: dict[str, Row] = {}
        self._left: dict[str, Row] = {}  # whoever left last is the last
        self._blind_since: float | None = -math.inf  # None while the view is live
        self._blind: deque[tuple[float, float]] = deque(maxlen=MAX_BLIND)

    @property
    def ahead(self) -> float:
        """How far the registry's clock is ahead of ours, in seconds, as far as is known."""
        return self._skew.ahead

    @property
    def present(self) -> int:
        """How many devices are present."""
        return len(self._present)

    @property
    def left(self) -> int:
        """How many left a while ago and have not come back."""
        return len(self._left)

    @property
    def blind(self) -> Blind:
        """When nobody here could know who came and left, by our clock."""
        if self._blind_since is None:
            return self._blind
        return (*self._blind, (self._blind_since, math.inf))

    def known(self, now: float) -> float:
        """Up to when it is known who is there: until now, or until the view became stale."""
        since = self._blind_since
        return now if since is None or since == -math.inf else min(now, since)

    def spans(self, name: str) -> Sequence[Span]:
        """The registrations of a name, oldest first."""
        return self._timeline.lanes.get(name, ())

    def departures(self, name: str, now: float) -> int:
        """How often who has this name has left during the time that a strip shows."""
        return self._timeline.departures(name, now + self.ahead - KEEP_LEFT)

    def row(self, name: str) -> Row | None:
        """Who has this name, or had it last."""
        return self._present.get(name) or self._left.get(name)

    def rows(self, *, left: bool = True) -> Iterator[Row]:
        """All rows.

        Args:
            left: Whether to include those of devices that left.
        """
        yield from self._present.values()
        if left:
            yield from self._left.values()

    def add(self, record: Record, now: float) -> None:
        """Take in what a watcher has yielded."""
        self.version += 1
        self._timeline.add(record)
        self._skew.add(record, now)
        match record:
            case Added():
                self._enter(Row.of(record.device))
            case Removed():
                self._leave(record)
            case Live():
                self._see_again(record)
            case Stale():
                if self._blind_since is None:
                    self._blind_since = record.time
            case _:
                assert_never(record)

    def forget(self, now: float) -> None:
        """Let go of what is too old to be shown."""
        self._timeline.forget(now, self.ahead)
        horizon = now + self.ahead - KEEP_LEFT
        for name, row in list(self._left.items()):  # whoever left first is the first
            if self.left <= MAX_LEFT and row.left is not None and row.left.time >= horizon:
                return
            del self._left[name]
            self.version += 1

    def _enter(self, row: Row) -> None:
        name = row.device.name
        self._left.pop(name, None)
        before = self._present.get(name)
        if before is not None:  # no watcher says so, but then the counts are right all the same
            self._count(before, -1)
        self._present[name] = row
        self._count(row, 1)

    def _leave(self, removed: Removed) -> None:
        name = removed.device.name
        if (row := self._present.pop(name, None)) is not None:
            self._count(row, -1)
        self._left.pop(name, None)
        self._left[name] = Row.of(removed.device, removed)

    def _count(self, row: Row, more: int) -> None:
        self.kinds[row.device_type] += more
        if not self.kinds[row.device_type]:
            del self.kinds[row.device_type]

    def _see_again(self, live: Live) -> None:
        since, self._blind_since = self._blind_since, None
        if since == -math.inf or (live.resynced and since is not None):
            self._blind.append((since, live.time))
