"""What requests, replies and messages of the stream look like as JSON, and who reads and writes it.

For `codec`, which can be compiled without these: msgspec has code of its own for each of them.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, Final, Literal, TypeAlias

import attrs
from msgspec import Raw, Struct, defstruct
from msgspec.json import Decoder, Encoder

from . import messages, records
from .protocol import ReplyName, RequestName

REQUESTS: Final[dict[type, str]] = {
    messages.Register: RequestName.REGISTER.value,
    messages.Unregister: RequestName.UNREGISTER.value,
    messages.CheckAlive: RequestName.CHECK_ALIVE.value,
    messages.Info: RequestName.INFO.value,
    messages.Snapshot: RequestName.SNAPSHOT.value,
    messages.Replay: RequestName.REPLAY.value,
}
REPLIES: Final[dict[type, str]] = {
    messages.RegisterAck: ReplyName.REGISTER_ACK.value,
    messages.Ack: ReplyName.ACK.value,
    messages.Unsupported: ReplyName.UNSUPPORTED.value,
    messages.InfoReply: ReplyName.INFO.value,
    messages.SnapshotReply: ReplyName.SNAPSHOT.value,
    messages.EventsReply: ReplyName.EVENTS.value,
    messages.CompactedReply: ReplyName.COMPACTED.value,
    messages.ErrorReply: ReplyName.ERROR.value,
}
TOPICS: Final[dict[type, bytes]] = {
    record: record.topic.encode()
    for record in (records.Added, records.Removed, records.Tick, records.Bye)
}

_TopicName: TypeAlias = Literal["added", "removed", "tick", "bye"]


class Named(Struct, gc=False):
    """Any request or reply, to be written."""

    event: str
    payload: object


@attrs.frozen
class Envelope:
    """Any request or reply, to be read in two steps: what it is called, and then all else."""

    event: str
    payload: Raw = Raw(b"{}")  # noqa: RUF009 - immutable


class Body(Struct, gc=False, omit_defaults=True):
    """Any message of the stream. Apart from the records: `origin` is never taken from the wire."""

    event: _TopicName
    epoch: str
    seq: messages.Seq
    time: float
    device: records.Device | None = None
    reason: str | None = None


class EventsPayload(Struct):
    """What `messages.EventsReply` looks like."""

    epoch: str
    seq: int
    events: list[Body]


def _whole(payloads: Mapping[str, type]) -> Decoder[Any]:
    """Reads an envelope together with what is in it: one that may hold any of these, by name."""
    envelopes = (
        defstruct(payload.__name__, [("payload", payload)], tag_field="event", tag=name)
        for name, payload in payloads.items()
    )
    return Decoder(reduce(or_, envelopes))


_REQUESTED: Final = {name: record for record, name in REQUESTS.items()}
_REPLIED: Final = {
    name: EventsPayload if record is messages.EventsReply else record
    for record, name in REPLIES.items()
}
envelopes: Final = Decoder(Envelope)
bodies: Final = Decoder(Body)
requests: Final[dict[str, Decoder[Any]]] = {
    name: Decoder(record) for name, record in _REQUESTED.items()
}
replies: Final[dict[str, Decoder[Any]]] = {
    name: Decoder(payload) for name, payload in _REPLIED.items()
}
whole_requests: Final = _whole(_REQUESTED)
whole_replies: Final = _whole(_REPLIED)
encode: Final = Encoder().encode
