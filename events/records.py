"""What is known of devices, what happens to them, and how sure that is: frozen records.

A registration is identified by `(epoch, revision)`, an event by `(epoch, seq)`. Records are
plain values: compare them, keep them, hand them to other threads. There may be very many of the
devices and of what happens to them; nobody can refer to those weakly, which saves 16 bytes in each.
"""

import enum
from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

import attrs

from .protocol import Origin, Reason, Topic

MetadataValue: TypeAlias = str | int | float | bool | None


@attrs.frozen(weakref_slot=False)
class Device:
    """A device that is, or was, registered.

    Attributes:
        name: Unique among the devices present.
        device_type: What it calls itself: "camera", "arm".
        addr: Where it can be reached; unique among the devices present.
        revision: `seq` of the `added` event that brought it in.
        registered_at: When that was, in seconds since 1970, on the registry's clock.
        metadata: Whatever else it told the registry. Read it, do not change it.
    """

    name: str
    device_type: str
    addr: str
    revision: int
    registered_at: float
    metadata: Mapping[str, MetadataValue] = attrs.field(factory=dict, hash=False)

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .html import device_html  # noqa: PLC0415 - which knows devices

        return device_html(self)


@attrs.frozen
class Cursor:
    """A place in the event stream: everything up to `seq` of `epoch` has been seen.

    `str(cursor)` is a line of text to keep in a file, and `Cursor.parse` reads it.

    Attributes:
        epoch: One unbroken life of the numbering.
        seq: Number of the last event seen.
        revision: None, except while the devices that were present at `seq` are being told one by
            one, in order of revision: then only those up to this revision have been seen.
    """

    epoch: str
    seq: int
    revision: int | None = None

    def __str__(self) -> str:
        part = "" if self.revision is None else f".{self.revision}"
        return f"{self.seq}{part}/{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str(cursor)` gave.

        Raises:
            ValueError: It is something else.
        """
        numbers, slash, epoch = text.strip().partition("/")
        seq, dot, revision = numbers.partition(".")
        parts = (seq, revision) if dot else (seq,)
        if not (slash and all(part.isascii() and part.isdigit() for part in parts)):
            raise ValueError(f"{text!r} is no cursor; one looks like 42/EPOCH")
        return cls(epoch, int(seq), int(revision) if dot else None)


@attrs.frozen(weakref_slot=False)
class Added:
    """A device registered.

    Attributes:
        epoch: The unbroken life of the numbering that `seq` belongs to.
        seq: The event's number, equal to `device.revision`.
        time: When, in seconds since 1970, on the registry's clock.
        device: The device.
        origin: How the watcher knows. A registry only ever sends `LIVE` ones.
        cursor: Where to resume after this event, with nothing lost and nothing repeated. It is no
            part of what happened, and is not compared.
    """

    topic: ClassVar[Topic] = Topic.ADDED

    epoch: str
    seq: int
    time: float
    device: Device
    origin: Origin = Origin.LIVE
    _cursor: Cursor | None = attrs.field(default=None, alias="cursor", eq=False, repr=False)

    @property
    def cursor(self) -> Cursor:
        """Where to resume after this event."""
        return self._cursor or Cursor(self.epoch, self.seq)


@attrs.frozen(weakref_slot=False)
class Removed:
    """A device left.

    With origin `RESYNC` the event itself was missed. Then `reason` is `REPLACED` where its name
    or address is in other hands now, otherwise `UNKNOWN`; `(epoch, seq)` is the last place in
    the stream at which the device was known to be there; and `time` is when the registry was
    last heard before its absence was found out.

    Attributes:
        epoch: As in `Added`; with `device.revision` it names the registration that ended.
        seq: The event's number.
        time: When, in seconds since 1970, on the registry's clock.
        device: The device, in full.
        reason: Why it left.
        origin: How the watcher knows.
        cursor: Where to resume, as in `Added`.
    """

    topic: ClassVar[Topic] = Topic.REMOVED

    epoch: str
    seq: int
    time: float
    device: Device
    reason: Reason
    origin: Origin = Origin.LIVE
    _cursor: Cursor | None = attrs.field(default=None, alias="cursor", eq=False, repr=False)

    @property
    def cursor(self) -> Cursor:
        """Where to resume after this event."""
        return self._cursor or Cursor(self.epoch, self.seq)


@attrs.frozen
class Tick:
    """The registry's periodic "I am here, and I am at seq N"."""

    topic: ClassVar[Topic] = Topic.TICK

    epoch: str
    seq: int
    time: float


@attrs.frozen
class Bye:
    """The registry's last word before an orderly stop."""

    topic: ClassVar[Topic] = Topic.BYE

    epoch: str
    seq: int
    time: float


Event: TypeAlias = Added | Removed
"""What a watcher yields."""

StreamMessage: TypeAlias = Added | Removed | Tick | Bye
"""What the event stream carries."""


@attrs.frozen
class Live:
    """The view is right: all that had happened by now has been told, and what follows is news.

    Attributes:
        time: When, in seconds since 1970, on the watcher's clock.
        cursor: Where the view is.
        resynced: Whether something was missed for good since the view was last live (or since the
            cursor to resume from): then events of origin `RESYNC` have told the difference.
    """

    time: float
    cursor: Cursor
    resynced: bool = False


@attrs.frozen
class Stale:
    """The view may be out of date. It says nothing about the devices: they may all be well.

    Attributes:
        time: When, in seconds since 1970, on the watcher's clock.
        why: What is in the way, in words.
    """

    time: float
    why: str


Record: TypeAlias = Added | Removed | Live | Stale
"""What a watcher yields where it is asked for its status as well."""


class State(enum.StrEnum):
    """What a watcher's view is worth."""

    CONNECTING = "connecting"
    """It has not been live yet."""
    LIVE = "live"
    """It is right."""
    STALE = "stale"
    """It was live, and may be out of date."""
    CLOSED = "closed"
    """Nobody looks after it any more."""


@attrs.frozen
class Status:
    """What a watcher's view is worth at this moment.

    Attributes:
        state: In one word.
        since: From when on, in seconds since 1970, on the watcher's clock.
        why: What is in the way of a live view, in words; empty while it is live.
    """

    state: State
    since: float
    why: str
