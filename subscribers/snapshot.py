"""From pages fetched one after the other to the registry's devices at one moment.

The registry goes on changing between two pages. The events numbered after the first page's seq,
up to the last page's, must therefore have come over the stream meanwhile: applied in order to
the pages' devices, they give the devices at the last page's seq. Pages are sorted by revision,
so a device that registers meanwhile is on a later page, or in the events, or in both, and is
always the same one, since `(epoch, revision)` identifies a registration.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from ..events.messages import SnapshotReply
from ..events.protocol import Origin, Reason
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
        """Take in the next page; False if it does not continue the ones before."""
        cursor = Cursor(page.epoch, page.seq)
        if self.first is None:
            self.first = cursor
        elif page.epoch != self.first.epoch:
            return False
        if page.next is not None and self.after is not None and page.next <= self.after:
            return False
        self.last, self.after = cursor, page.next
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
        return [device for _, device in sorted(devices.items())]


def fold(devices: dict[str, Device], event: Event) -> None:
    """Apply an event to the devices present, by name.

    A late `removed` ends the registration that it names, never a newer one (P7).
    """
    device = event.device
    if isinstance(event, Added):
        devices[device.name] = device
    elif devices.get(device.name) == device:
        del devices[device.name]


def difference(
    known: Mapping[str, Device],
    at: Cursor | None,
    found: Iterable[Device],
    cursor: Cursor,
    time: float,
) -> Iterator[Event]:
    """The events that lead from the devices known to those found: first whoever left (P9).

    Args:
        known: The devices at `at`, by name.
        at: None if nothing is known yet.
        found: The devices at `cursor`, in order of revision.
        cursor: Where the registry is now.
        time: The registry's time when it was last heard, in seconds since 1970.
    """
    found = list(found)
    if at is not None:
        same_epoch = at.epoch == cursor.epoch
        stayed = {device.revision for device in found} if same_epoch else set()
        names = {device.name for device in found}
        addrs = {device.addr for device in found}
        gone = [device for device in known.values() if device.revision not in stayed]
        for device in sorted(gone, key=lambda device: device.revision):
            replaced = device.name in names or device.addr in addrs
            reason = Reason.REPLACED if replaced else Reason.UNKNOWN
            yield Removed(at.epoch, at.seq, time, device, reason, Origin.RESYNC)
    origin = Origin.SNAPSHOT if at is None else Origin.RESYNC
    for device in found:
        if at is None or at.epoch != cursor.epoch or device.revision > at.seq:
            yield Added(cursor.epoch, device.revision, device.registered_at, device, origin)
