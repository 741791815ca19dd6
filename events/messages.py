"""Every request and reply, typed. `codec` turns them into bytes and back.

Field names are the wire's. The limits stand in the types (`msgspec.Meta`), where the decoder
checks them at no cost and names the field that broke one. A uuid is a device's secret: it is
left out of every `repr`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import attrs
from msgspec import UNSET, Meta, UnsetType

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


@attrs.frozen
class Register:
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
    instance: Identifier | None = attrs.field(default=None, repr=False)
    metadata: Metadata | None = None
    displace: bool = True


@attrs.frozen
class Unregister:
    """A device leaves."""

    uuid: Identifier = attrs.field(repr=False)


@attrs.frozen
class CheckAlive:
    """A device renews its lease: it now ends `alive_timeout` seconds from now."""

    uuid: Identifier = attrs.field(repr=False)
    alive_timeout: Lease = DEFAULT_LEASE


@attrs.frozen
class Info:
    """Who are you, and where are you at?"""


@attrs.frozen
class Snapshot:
    """The devices present with a revision greater than `after`, in order of revision."""

    after: Seq | None = None
    limit: Limit = MAX_PAGE


@attrs.frozen
class Replay:
    """The events of `epoch` that followed number `after`."""

    epoch: Identifier
    after: Seq
    limit: Limit = MAX_PAGE


@attrs.frozen
class UnknownRequest:
    """A well-formed request by a name that this version does not know."""

    req_event: str


Request: TypeAlias = Register | Unregister | CheckAlive | Info | Snapshot | Replay | UnknownRequest


@attrs.frozen
class RegisterAck:
    """The registration. An older registry leaves out what has a default here."""

    name: str
    uuid: str = attrs.field(repr=False)
    epoch: str | None = None
    seq: int | None = None
    alive_timeout: float | None = None


@attrs.frozen
class Ack:
    """The answer to UNREGISTER and CHECK_ALIVE; `success` is False for an unknown uuid."""

    req_event: str
    success: bool


@attrs.frozen
class Unsupported:
    """This registry knows no such request."""

    req_event: str


@attrs.frozen
class InfoReply:
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


@attrs.frozen
class SnapshotReply:
    """One page of devices. `next` is what to ask `after` for the next page, None on the last."""

    epoch: str
    seq: Seq
    devices: Sequence[Device]
    next: Seq | None


@attrs.frozen
class EventsReply:
    """Events in order, without a hole. There are more when the last one's seq is below `seq`."""

    epoch: str
    seq: Seq
    events: Sequence[Event]


@attrs.frozen
class CompactedReply:
    """The events asked for are gone; `oldest` is the first number that is still there."""

    epoch: str
    seq: Seq
    oldest: Seq


@attrs.frozen
class ErrorReply:
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
