"""What a mirror has yet to hand out: events, in order, and between them how sure the view is.

`devices` and `cursor` are those of the events handed out so far, not of what is still queued: so
whoever folds the events has exactly that picture, at every single event (P4).

The queue is bounded: once it is `full`, the mirror takes no more events, and fetches what it then
misses when half of it has been read. In memory that is one queue and the difference of one
resync, however long nobody reads.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ..events.protocol import Origin
from ..events.records import Cursor, Device, Event, Live, Record, Stale
from .snapshot import Arrivals, arrivals, fold

MAX_WAITING: Final = 10_000
"""Events that wait for a reader who is slow."""


class Outbox:
    """A queue of events, and the view that those handed out lead to.

    Args:
        device_type: Only devices of this type are of interest; None is all of them.
        existing: Whether to hand out the devices that are there at the beginning.
        limit: Events that may wait; after a resync, as many more than its difference.

    Attributes:
        devices: The devices present, by name, after the events handed out: live, read-only.
    """

    def __init__(
        self, *, device_type: str | None = None, existing: bool = True, limit: int = MAX_WAITING
    ) -> None:
        self._place: Cursor | Event | None = None  # a cursor is made when somebody asks for it
        self._devices: dict[str, Device] = {}
        self.devices: Mapping[str, Device] = MappingProxyType(self._devices)
        self._device_type = device_type
        self._existing = existing
        self._limit = self._allowed = limit
        # What to hand out, if anything, and the cursor to move to with it, if it is no event.
        self._queue: deque[tuple[Record | Arrivals | None, Cursor | None]] = deque()
        self._more = 0  # how many will have followed when the one `Arrivals` in there is used up

    @property
    def cursor(self) -> Cursor | None:
        """The place in the event stream after the events handed out; None before any."""
        place = self._place
        return place.cursor if isinstance(place, Event) else place

    def __len__(self) -> int:
        return len(self._queue) + self._more

    @property
    def size(self) -> int:
        """How many devices and events there are here, handed out and waiting."""
        return len(self._devices) + len(self._queue) + self._more

    @property
    def full(self) -> bool:
        """Whether no more events should be put in."""
        return len(self._queue) + self._more >= self._allowed

    @property
    def has_room(self) -> bool:
        """Whether enough has been read to go on, after it was full."""
        return len(self) <= self._allowed // 2

    def wants(self, device: Device) -> bool:
        """Whether a device is of interest."""
        return self._device_type is None or device.device_type == self._device_type

    def known(self) -> dict[str, Device]:
        """The devices, by name, once everything queued will have been handed out."""
        devices = dict(self._devices)
        for record, _ in self._queue:
            if isinstance(record, Arrivals):
                devices.update((device.name, device) for device in record.devices)
            elif isinstance(record, Event):
                fold(devices, record)
        return devices

    # --- in -----------------------------------------------------------------------------------

    def restore(self, devices: Iterable[Device], cursor: Cursor) -> None:
        """Begin with what an earlier watcher has handed out already."""
        self._devices.update((device.name, device) for device in devices if self.wants(device))
        self._place = cursor

    def put(self, event: Event) -> None:
        """Queue an event, if it is of interest; it leads to its cursor in any case."""
        if self._device_type is None or self.wants(event.device):
            self._queue.append((event, None))
        else:
            self._move(event.cursor)

    def put_first(self, devices: Sequence[Device], cursor: Cursor, origin: Origin) -> None:
        """Queue the devices that are there at the beginning; they lead to `cursor`. Done once."""
        wanted = list(filter(self.wants, devices))
        # Whoever resumes after the last of these, and wants others, is to be told of the others.
        all_told = not wanted or wanted[-1] is devices[-1]
        last = cursor if all_told else Cursor(cursor.epoch, cursor.seq, wanted[-1].revision)
        first = arrivals(wanted, last, origin)
        if first:
            self._more = len(first) - 1
            self._queue.append((first, None))
        self.put_difference((), cursor)

    def put_difference(self, events: Iterable[Event], cursor: Cursor) -> None:
        """Queue what a snapshot has brought, however much; it leads to `cursor`."""
        for event in events:
            self.put(event)
        self._move(cursor)
        self._allowed = len(self) + self._limit

    def mark(self, record: Live | Stale) -> None:
        """Queue a word on the view, unless it is back to where it was when last spoken of."""
        queue = self._queue
        if isinstance(record, Stale) and queue and isinstance(queue[-1][0], Stale):
            queue[-1] = (record, queue[-1][1])
        elif isinstance(record, Live) and self._was_live_at(record.cursor) and not record.resynced:
            queue.pop()
        else:
            queue.append((record, None))

    def _was_live_at(self, cursor: Cursor) -> bool:
        """Whether `Live` with this cursor, and then `Stale`, are the last that wait."""
        if len(self._queue) < 2 or not isinstance(self._queue[-1][0], Stale):
            return False
        before = self._queue[-2][0]
        return isinstance(before, Live) and before.cursor == cursor

    def _move(self, cursor: Cursor) -> None:
        if not self._queue:
            self._place = cursor
        elif isinstance(self._queue[-1][0], Event | Arrivals):
            self._queue.append((None, cursor))
        else:
            self._queue.append((self._queue.pop()[0], cursor))

    # --- out ----------------------------------------------------------------------------------

    def next(self) -> Record | None:
        """Hand out the next event, or word on the view; None if there is none for now."""
        while self._queue:
            record, cursor = self._queue.popleft()
            if isinstance(record, Arrivals):
                if not self._existing and record.origin is Origin.SNAPSHOT:
                    # All at once: nobody sees them come.
                    self._devices.update((device.name, device) for device in record.devices)
                    self._more = 0
                    continue
                if self._more:
                    self._more -= 1
                    self._queue.appendleft((record, None))
                record = next(record)
            if isinstance(record, Event):
                self._place = record
                fold(self._devices, record)
                if not self._existing and record.origin is Origin.SNAPSHOT:
                    continue
            elif cursor is not None:
                self._place = cursor
            if record is not None:
                return record
        self._allowed = self._limit
        return None
