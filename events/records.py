"""What is known of devices, and what happens to them: frozen records.

A registration is identified by `(epoch, revision)`, an event by `(epoch, seq)`. Records are
plain values: compare them, keep them, hand them to other threads.
"""

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import attrs

from .protocol import Origin, Reason, Topic

MetadataValue: TypeAlias = str | int | float | bool | None


@attrs.frozen
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


@attrs.frozen
class Cursor:
    """A place in the event stream: everything up to `seq` of `epoch` has been seen."""

    epoch: str
    seq: int


@attrs.frozen
class Added:
    """A device registered.

    Attributes:
        epoch: The unbroken life of the numbering that `seq` belongs to.
        seq: The event's number, equal to `device.revision`.
        time: When, in seconds since 1970, on the registry's clock.
        device: The device.
        origin: How the watcher knows. A registry only ever sends `LIVE` ones.
    """

    topic: ClassVar[Topic] = Topic.ADDED

    epoch: str
    seq: int
    time: float
    device: Device
    origin: Origin = Origin.LIVE


@attrs.frozen
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
    """

    topic: ClassVar[Topic] = Topic.REMOVED

    epoch: str
    seq: int
    time: float
    device: Device
    reason: Reason
    origin: Origin = Origin.LIVE


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
