"""From pages fetched one after the other to the registry's devices at one moment.

The registry goes on changing between two pages. The events numbered after the first page's seq,
up to the last page's, must therefore have come over the stream meanwhile: applied in order to
the pages' devices, they give the devices at the last page's seq. Pages are sorted by revision,
so a device that registers meanwhile is on a later page, or in the events, or in both, and is
always the same one, since `(epoch, revision)` identifies a registration.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Self

import attrs

from ..events.messages import SnapshotReply
from ..events.protocol import MAX_DEVICES, Origin, Reason
from ..events.records import Added, Cursor, Device, Event, Removed


@attrs.define
class PagedSnapshot:
    """A snapshot under way.

    Attributes:
        first: Where the registry was at the first page; None before it.
        last: Where it was at the latest page.
        after: What the next page has to be asked for with; None for the first.
    """

    first: Cursor | None = None
    last: Cursor | None = None
    after: int | None = None
    _devices: dict[int, Device] = attrs.field(factory=dict, init=False)

    def add(self, page: SnapshotReply) -> bool:
        """Take in the next page; False if it does not continue the ones before.

        Each page must have something to say, so that a snapshot comes to an end, whoever sends it.
        """
        cursor = Cursor(page.epoch, page.seq)
        first = self.first or cursor
        before = (self.last or cursor).seq
        if page.epoch != first.epoch or page.seq < before:
            return False
        revisions = [self.after or 0, *(device.revision for device in page.devices)]
        if any(later <= earlier for earlier, later in pairwise(revisions)):
            return False
        if page.next is not None and (not page.devices or page.next != revisions[-1]):
            return False
        if len(self._devices) + len(page.devices) > MAX_DEVICES:
            return False
        self.first, self.last, self.after = first, cursor, page.next
        self._devices |= {device.revision: device for device in page.devices}
        return True

    @property
    def fetched(self) -> Cursor | None:
        """Where the registry was at the very last page; None while there are pages to come."""
        return self.last if self.after is None else None

    def complete(self, events: Iterable[Event]) -> list[Device] | None:
        """The devices at `last`, in order of revision, once the last page has been added.

        Args:
            events: Those of this epoch that came meanwhile, in order of seq.

        Returns:
            None if an event between the first and the last page is missing.
        """
        if self.first is None or self.last is None:
            return None
        devices = dict(self._devices)
        at = self.first.seq
        for event in events:
            if at < event.seq <= self.last.seq:
                if event.seq != at + 1:
                    return None
                at = event.seq
                if isinstance(event, Added):
                    devices[event.device.revision] = event.device
                else:
                    devices.pop(event.device.revision, None)
        if at != self.last.seq:
            return None
        return _in_order(devices)


def fold(devices: dict[str, Device], event: Event) -> None:
    """Apply an event to the devices present, by name.

    A late `removed` ends the registration that it names, never a newer one (P7).
    """
    device = event.device
    if isinstance(event, Added):
        devices[device.name] = device
    elif devices.get(device.name) == device:
        del devices[device.name]


def rewind(devices: Iterable[Device], events: Sequence[Event]) -> list[Device]:
    """The devices present before these events, in order of revision.

    It can be told since a `removed` carries the whole device (P7).

    Args:
        devices: Those present after the events.
        events: In order of seq, without a hole.
    """
    present = {device.revision: device for device in devices}
    for event in reversed(events):
        if isinstance(event, Added):
            present.pop(event.device.revision, None)
        else:
            present[event.device.revision] = event.device
    return _in_order(present)


def _in_order(by_revision: Mapping[int, Device]) -> list[Device]:
    return [by_revision[revision] for revision in sorted(by_revision)]


def arrivals(devices: Iterable[Device], cursor: Cursor, origin: Origin) -> "Arrivals":
    """The devices, in order of revision, as events that lead to `cursor`.

    Whoever resumes after one of them needs the rest, and then what followed `cursor`.
    """
    return Arrivals(devices, cursor, origin)


class Arrivals:
    """Each event is made when it is asked for.

    A hundred thousand that wait would be looked through again and again by Python's garbage
    collector, for longer than it takes to make them.

    Attributes:
        devices: Those that have yet to come.
        origin: That of each.
    """

    def __init__(self, devices: Iterable[Device], cursor: Cursor, origin: Origin) -> None:
        self.devices = deque(devices)
        self._cursor = cursor
        self.origin = origin

    def __len__(self) -> int:
        return len(self.devices)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Added:
        if not self.devices:
            raise StopIteration
        device, place = self.devices.popleft(), self._cursor
        if self.devices:
            place = Cursor(place.epoch, place.seq, device.revision)
        time = device.registered_at
        return Added(place.epoch, device.revision, time, device, self.origin, cursor=place)


def difference(
    known: Mapping[str, Device], at: Cursor, found: Sequence[Device], cursor: Cursor, time: float
) -> Iterator[Event]:
    """The events that lead from the devices known to those found: first whoever left (P9).

    Whoever resumes after one that left, and not the last, begins anew: what the registry has
    forgotten cannot be taken up in the middle.

    Args:
        known: The devices at `at`, by name.
        at: Where they were known.
        found: The devices at `cursor`, in order of revision.
        cursor: Where the registry is now.
        time: The registry's time when it was last heard, in seconds since 1970.
    """
    same_epoch = at.epoch == cursor.epoch
    stayed = {device.revision: device for device in found} if same_epoch else {}
    gone = [device for device in known.values() if stayed.get(device.revision) != device]
    came = [device for device in found if not same_epoch or known.get(device.name) != device]
    all_gone = attrs.evolve(cursor, revision=at.seq if same_epoch else 0) if came else cursor
    names = {device.name for device in found}
    addrs = {device.addr for device in found}
    gone.sort(key=lambda device: device.revision)
    for index, device in enumerate(gone):
        replaced = device.name in names or device.addr in addrs
        reason = Reason.REPLACED if replaced else Reason.UNKNOWN
        place = all_gone if index == len(gone) - 1 else at
        yield Removed(at.epoch, at.seq, time, device, reason, Origin.RESYNC, cursor=place)
    yield from arrivals(came, cursor, Origin.RESYNC)
