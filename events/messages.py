"""Every request and reply, typed. `codec` turns them into bytes and back.

Field names are the wire's. The limits stand in the types (`msgspec.Meta`), where the decoder
checks them at no cost and names the field that broke one. A uuid is a device's secret: it is
left out of every `repr`.

These are msgspec's own structs, and no records of attrs as all others are: a registry makes two for
every request, and to read and make one of these takes a third of the time.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from .protocol import (
    DEFAULT_LEASE,
    MAX_ADDR,
    MAX_ID,
    MAX_INTEGER,
    MAX_LEASE,
    MAX_METADATA,
    MAX_METADATA_KEY,
    MAX_METADATA_VALUE,
    MAX_NAME,
    MAX_PAGE,
    MAX_TICK_INTERVAL,
    MIN_LEASE,
    MIN_TICK_INTERVAL,
    RequestName,
)
from .records import Device, Event

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Name: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME)]
Addr: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_ADDR)]
Identifier: TypeAlias = Annotated[str, Meta(max_length=MAX_ID)]
Lease: TypeAlias = Annotated[float, Meta(ge=MIN_LEASE, le=MAX_LEASE)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Metadata: TypeAlias = Annotated[
    Mapping[
        Annotated[str, Meta(max_length=MAX_METADATA_KEY)],
        Annotated[str, Meta(max_length=MAX_METADATA_VALUE)]
        | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
        | float
        | bool
        | None,
    ],
    Meta(max_length=MAX_METADATA),
]


_SECRETS: Final = frozenset({"uuid", "instance"})


class _Message(Struct, frozen=True, gc=False):  # nothing that one holds can refer back to it
    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For rich, which would show all fields otherwise, as in a traceback with locals."""
        fields = [name for name in self.__struct_fields__ if name not in _SECRETS]
        return [(name, getattr(self, name)) for name in fields]


class Register(_Message, frozen=True):
    """A device wants to be present.

    Attributes:
        overwrite: Take the name even from the device that holds it.
        alive_timeout: Length of the lease in seconds; None for the registry's default.
        instance: An id that the device drew when it started. It makes repeating this request
            harmless, and is as secret as the uuid that a repetition is answered with.
        displace: Take the place of another instance that is registered from this address. If not,
            the registry refuses with `OCCUPIED` while there is one.
    """

    device_type: Text
    addr: Addr
    name: Name
    overwrite: bool = False
    alive_timeout: Lease | None = None
    instance: Identifier | None = None
    metadata: Metadata | None = None
    displace: bool = True


class Unregister(_Message, frozen=True):
    """A device leaves."""

    uuid: Identifier


class CheckAlive(_Message, frozen=True):
    """A device renews its lease: it now ends `alive_timeout` seconds from now."""

    uuid: Identifier
    alive_timeout: Lease = DEFAULT_LEASE


class Info(_Message, frozen=True):
    """Who are you, and where are you at?"""


class Snapshot(_Message, frozen=True):
    """The devices present with a revision greater than `after`, in order of revision."""

    after: Seq | None = None
    limit: Limit = MAX_PAGE


class Replay(_Message, frozen=True):
    """The events of `epoch` that followed number `after`."""

    epoch: Identifier
    after: Seq
    limit: Limit = MAX_PAGE


class UnknownRequest(_Message, frozen=True):
    """A well-formed request by a name that this version does not know."""

    req_event: str


Request: TypeAlias = Register | Unregister | CheckAlive | Info | Snapshot | Replay | UnknownRequest


class RegisterAck(_Message, frozen=True):
    """The registration. An older registry leaves out what has a default here."""

    name: str
    uuid: str
    epoch: str | None = None
    seq: int | None = None
    alive_timeout: float | None = None


class Ack(_Message, frozen=True):
    """The answer to UNREGISTER and CHECK_ALIVE; `success` is False for an unknown uuid."""

    req_event: str
    success: bool


RENEWED: Final = Ack(RequestName.CHECK_ALIVE.value, True)
"""What nearly all requests are answered."""

NOT_RENEWED: Final = Ack(RequestName.CHECK_ALIVE.value, False)
"""There is no such registration (any more)."""

LEFT: Final = Ack(RequestName.UNREGISTER.value, True)
"""It has ended."""

NOT_LEFT: Final = Ack(RequestName.UNREGISTER.value, False)
"""There was none."""


class Unsupported(_Message, frozen=True):
    """This registry knows no such request."""

    req_event: str


class InfoReply(_Message, frozen=True):
    """What a registry says of itself.

    Attributes:
        version: Of the protocol.
        devices: How many are present.
        events_port: TCP port of the event stream, on the host that the request went to.
        events_url: Its address, where it is anywhere else; one of the two is there.
        tick_interval: Seconds between two ticks.
        uptime: Seconds since the registry started.
        history: How many past events it keeps for replay.
        refused: How often it has turned somebody away since it started: a key that it does not
            know, or a request that the key does not allow.
    """

    version: int
    epoch: str
    seq: int
    devices: int
    tick_interval: Annotated[float, Meta(ge=MIN_TICK_INTERVAL, le=MAX_TICK_INTERVAL)]
    uptime: float
    history: int
    refused: int = 0
    events_port: int | UnsetType = UNSET
    events_url: str | UnsetType = UNSET


class SnapshotReply(_Message, frozen=True):
    """One page of devices. `next` is what to ask `after` for the next page, None on the last."""

    epoch: str
    seq: Seq
    devices: Sequence[Device]
    next: Seq | None


class EventsReply(_Message, frozen=True):
    """Events in order, without a hole. There are more when the last one's seq is below `seq`."""

    epoch: str
    seq: Seq
    events: Sequence[Event]


class CompactedReply(_Message, frozen=True):
    """The events asked for are gone; `oldest` is the first number that is still there."""

    epoch: str
    seq: Seq
    oldest: Seq


class ErrorReply(_Message, frozen=True):
    """The request made no sense, or was refused. `code` is one of `protocol.ErrorCode`."""

    req_event: str | None
    code: str
    message: str


Reply: TypeAlias = (
    RegisterAck
    | Ack
    | Unsupported
    | InfoReply
    | SnapshotReply
    | EventsReply
    | CompactedReply
    | ErrorReply
)
