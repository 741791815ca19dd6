"""One validator per promise: each reads what a watcher yielded, and knows what really happened.

They work on records alone, so that the same ones judge a simulation under a virtual clock, and
what watchers in other processes wrote down. What cannot be seen in a watcher's records (P5, P6, P8)
is in `machine`, where the clock is.
"""

import math
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Protocol

import attrs

from devicewatch.events import Added, Cursor, Device, Event, Live, Origin, Reason, Record, Removed


class BrokenPromise(AssertionError):
    """A promise was not kept. The message begins with its name: "P3"."""


def promise(name: str, kept: bool, why: object) -> None:
    """See that a promise is kept."""
    if not kept:
        raise BrokenPromise(f"{name}: {why}")


class Truth:
    """What a registry published, and who was there after each event.

    Args:
        history: How many events it keeps for replay.
    """

    def __init__(self, history: int) -> None:
        self.history = history
        self._events: dict[Cursor, Event] = {}
        self._devices: dict[Cursor, dict[str, Device]] = {}

    def publish(self, event: Event) -> None:
        """The registry has published the next event. It keeps P9 itself, or is found out here."""
        before = Cursor(event.epoch, event.seq - 1)
        devices = dict(self._devices[before]) if before.seq else {}
        device = event.device
        if isinstance(event, Added):
            promise("P9", device.name not in devices, f"two devices named {device.name!r}")
            addrs = {other.addr for other in devices.values()}
            promise("P9", device.addr not in addrs, f"two devices at {device.addr}")
            devices[device.name] = device
        else:
            promise("P7", devices.pop(device.name, None) == device, f"no such device: {device}")
        at = Cursor(event.epoch, event.seq)
        self._events[at], self._devices[at] = event, devices

    def event(self, epoch: str, seq: int) -> Event | None:
        """An event by its number."""
        return self._events.get(Cursor(epoch, seq))

    def devices(self, cursor: Cursor | None, device_type: str | None = None) -> dict[str, Device]:
        """Who was there, by name, as far as someone at this cursor has been told."""
        if cursor is None or cursor.seq == 0:
            return {}
        told = math.inf if cursor.revision is None else cursor.revision
        return {
            name: device
            for name, device in self._devices[Cursor(cursor.epoch, cursor.seq)].items()
            if device.revision <= told and device_type in (None, device.device_type)
        }


@attrs.define
class Story:
    """One watcher's records so far, in the terms that the validators need.

    Attributes:
        truth: What really happened.
        device_type: What the watcher follows; None is everything.
        place: The cursor of the latest record; None before there is any.
        between: Whether the devices are, for a moment, not those of any place.
        present: What the records add up to, by registration.
    """

    truth: Truth
    device_type: str | None = None
    place: Cursor | None = None
    between: bool = False
    present: dict[tuple[str, int], Device] = attrs.field(factory=dict)

    @property
    def devices(self) -> dict[str, Device]:
        return {device.name: device for device in self.present.values()}

    def tell(self, record: Record) -> None:
        """Add a record, once the validators have seen it."""
        if isinstance(record, Added):
            self.present[record.epoch, record.device.revision] = record.device
        elif isinstance(record, Removed):
            self.present.pop((record.epoch, record.device.revision), None)
        if isinstance(record, Added | Removed | Live):
            self.place = record.cursor
            self.between = is_between(record)


def is_between(record: Record) -> bool:
    """Whether it is one of several who left unseen: they go before the place moves on."""
    if not isinstance(record, Removed) or record.origin is not Origin.RESYNC:
        return False
    return record.cursor == Cursor(record.epoch, record.seq)


class Validator(Protocol):
    """Looks at each record, before the story has it."""

    def see(self, record: Record, story: Story) -> None: ...


class Order:
    """P1: events are yielded in seq order; never back in time within an epoch."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._epochs: list[str] = []

    def see(self, record: Record, story: Story) -> None:
        if not isinstance(record, Added | Removed):
            return
        place = story.place
        if place is not None and place.epoch == record.cursor.epoch:
            promise("P1", _rank(record.cursor) >= _rank(place), f"{record} after {place}")
        if record.origin is Origin.LIVE:
            last = self._last.get(record.epoch, 0)
            promise("P1", record.seq > last, f"{record.seq} after {last}")
            self._last[record.epoch] = record.seq
        epoch = record.cursor.epoch
        if epoch not in self._epochs:
            self._epochs.append(epoch)
        promise("P1", self._epochs[-1] == epoch, f"back in an epoch that had ended: {record}")


def _rank(cursor: Cursor) -> tuple[float, float]:
    return cursor.seq, math.inf if cursor.revision is None else cursor.revision


class Once:
    """P2: no event is yielded twice."""

    def __init__(self) -> None:
        self._seen: set[tuple[type, str, int]] = set()

    def see(self, record: Record, story: Story) -> None:
        if isinstance(record, Added | Removed):
            key = (type(record), record.epoch, record.device.revision)
            promise("P2", key not in self._seen, f"{record} once more")
            self._seen.add(key)


def _is_through(place: Cursor, story: Story) -> bool:
    """Whether all devices that were there are told; the last may be of no interest."""
    whole = Cursor(place.epoch, place.seq)
    told, there = (story.truth.devices(at, story.device_type) for at in (place, whole))
    return place.revision is None or (story.device_type is not None and told == there)


class NothingLost:
    """P3: every event is yielded while the gap fits the history, and otherwise the difference."""

    def __init__(self) -> None:
        self._whole: Cursor | None = None  # the last place that was not in the middle of a snapshot

    def see(self, record: Record, story: Story) -> None:
        if isinstance(record, Live) and record.cursor.revision is None:
            self._whole = record.cursor
        if not isinstance(record, Added | Removed):
            return
        if record.origin is Origin.LIVE and story.place is not None:
            self._no_gap(record, story.place, story)
        elif record.origin is Origin.RESYNC and self._whole is not None:
            self._justified(record, self._whole, story.truth)
        if record.cursor.revision is None and not is_between(record):
            self._whole = record.cursor

    def _no_gap(self, event: Event, place: Cursor, story: Story) -> None:
        promise("P3", place.epoch == event.epoch, f"{event} right after {place}")
        promise("P3", _is_through(place, story), f"{event} in the middle of a snapshot")
        for seq in range(place.seq + 1, event.seq):
            missed = story.truth.event(event.epoch, seq)
            wanted = missed is not None and missed.device.device_type == story.device_type
            promise("P3", story.device_type is not None and not wanted, f"{missed} was lost")

    def _justified(self, event: Event, before: Cursor, truth: Truth) -> None:
        if event.cursor.epoch == before.epoch and not is_between(event):
            gap = event.cursor.seq - before.seq
            promise("P3", gap > truth.history, f"a resync over a gap of {gap}: {event}")


class TrueView:
    """P4: the events add up to exactly the registry's devices at the cursor, always."""

    def see(self, record: Record, story: Story) -> None:
        if not isinstance(record, Added | Removed):
            return
        present = dict(story.present)
        key = (record.epoch, record.device.revision)
        if isinstance(record, Added):
            names = [device.name for device in present.values()]
            promise("P4", record.device.name not in names, f"{record.device.name!r} is there twice")
            present[key] = record.device
        else:
            promise("P4", present.pop(key, None) is not None, f"{record}, who was not there")
        if is_between(record):
            return
        devices = {device.name: device for device in present.values()}
        expected = story.truth.devices(record.cursor, story.device_type)
        promise(
            "P4", devices == expected, f"{sorted(devices)} and not {sorted(expected)}: {record}"
        )


class RightOne:
    """P7: a `removed` carries the whole device, why it left, and the registration it ends."""

    def see(self, record: Record, story: Story) -> None:
        if not isinstance(record, Added | Removed):
            return
        really = story.truth.event(record.epoch, record.device.revision)
        promise(
            "P7", really is not None and really.device == record.device, f"who is that? {record}"
        )
        if isinstance(record, Added):
            return
        mine = story.present.get((record.epoch, record.device.revision))
        promise("P7", mine == record.device, f"it ends a registration that is not there: {record}")
        if record.origin is Origin.LIVE:
            same = story.truth.event(record.epoch, record.seq) == record
            promise("P7", same, f"the registry said otherwise: {record}")
        else:
            promise("P7", record.reason in (Reason.REPLACED, Reason.UNKNOWN), f"a guess: {record}")


VALIDATORS: dict[str, Callable[[], Validator]] = {
    "P1": Order,
    "P2": Once,
    "P7": RightOne,
    "P4": TrueView,
    "P3": NothingLost,
}


class Judge:
    """Every validator, for one watcher.

    Args:
        truth: What really happened.
        device_type: What the watcher follows; None is everything.
        promises: Which promises to look at; all of them, unless a test is after one.
    """

    def __init__(
        self,
        truth: Truth,
        device_type: str | None = None,
        promises: Container[str] = tuple(VALIDATORS),
    ) -> None:
        self.story = Story(truth, device_type)
        self._promises = promises
        self._validators = [new() for name, new in VALIDATORS.items() if name in promises]

    def see(self, record: Record) -> None:
        """Judge the next record. Raises `BrokenPromise`."""
        for validator in self._validators:
            validator.see(record, self.story)
        self.story.tell(record)

    def see_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self.see(record)

    def sees(self, devices: Mapping[str, Device], cursor: Cursor | None) -> None:
        """Judge what the watcher says its devices are (P4)."""
        if "P4" not in self._promises:
            return
        promise("P4", devices == self.story.devices, f"{sorted(devices)} is not what it told")
        if not self.story.between:
            expected = self.story.truth.devices(cursor, self.story.device_type)
            promise("P4", devices == expected, f"{sorted(devices)} at {cursor}")
