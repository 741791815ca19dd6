"""Bytes to records and back: the one place that knows what the protocol looks like on the wire.

Requests and replies are one frame, `{"event": NAME, "payload": {...}}`. Messages of the event
stream are two, `[topic, body]`. Decoding is strict about what a field may hold and indifferent
to fields it does not know: of a `Register` it takes no text that does not print, as everybody will
look at it, while replies and events are read as they are. Whatever the bytes, the only exception
is `MessageError`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs
from msgspec import DecodeError, Raw, Struct, defstruct
from msgspec.json import Decoder, Encoder

from . import messages, records
from .errors import MessageError
from .protocol import MAX_REQUEST_BYTES, ErrorCode, Reason, ReplyName, RequestName
from .text import printable, unprintable

T = TypeVar("T")

_REQUESTS: Final[dict[type, str]] = {
    messages.Register: RequestName.REGISTER.value,
    messages.Unregister: RequestName.UNREGISTER.value,
    messages.CheckAlive: RequestName.CHECK_ALIVE.value,
    messages.Info: RequestName.INFO.value,
    messages.Snapshot: RequestName.SNAPSHOT.value,
    messages.Replay: RequestName.REPLAY.value,
}
_REPLIES: Final[dict[type, str]] = {
    messages.RegisterAck: ReplyName.REGISTER_ACK.value,
    messages.Ack: ReplyName.ACK.value,
    messages.Unsupported: ReplyName.UNSUPPORTED.value,
    messages.InfoReply: ReplyName.INFO.value,
    messages.SnapshotReply: ReplyName.SNAPSHOT.value,
    messages.EventsReply: ReplyName.EVENTS.value,
    messages.CompactedReply: ReplyName.COMPACTED.value,
    messages.ErrorReply: ReplyName.ERROR.value,
}
_TOPICS: Final[dict[type, bytes]] = {
    record: record.topic.encode()
    for record in (records.Added, records.Removed, records.Tick, records.Bye)
}

_TopicName: TypeAlias = Literal["added", "removed", "tick", "bye"]


class _Named(Struct, gc=False):
    """Any request or reply, to be written."""

    event: str
    payload: object


@attrs.frozen
class _Envelope:
    event: str
    payload: Raw = Raw(b"{}")  # noqa: RUF009 - immutable


class _Body(Struct, gc=False, omit_defaults=True):
    """Any message of the stream. Apart from the records: `origin` is never taken from the wire."""

    event: _TopicName
    epoch: str
    seq: messages.Seq
    time: float
    device: records.Device | None = None
    reason: str | None = None


class _EventsPayload(Struct):
    epoch: str
    seq: int
    events: list[_Body]


def _whole(payloads: Mapping[str, type]) -> Decoder[Any]:
    """Reads an envelope together with what is in it: one that may hold any of these, by name."""
    envelopes = (
        defstruct(payload.__name__, [("payload", payload)], tag_field="event", tag=name)
        for name, payload in payloads.items()
    )
    return Decoder(reduce(or_, envelopes))


_REQUESTED: Final = {name: record for record, name in _REQUESTS.items()}
_REPLIED: Final = {
    name: _EventsPayload if record is messages.EventsReply else record
    for record, name in _REPLIES.items()
}
_envelopes: Final = Decoder(_Envelope)
_bodies: Final = Decoder(_Body)
_requests: Final[dict[str, Decoder[Any]]] = {
    name: Decoder(record) for name, record in _REQUESTED.items()
}
_replies: Final[dict[str, Decoder[Any]]] = {
    name: Decoder(payload) for name, payload in _REPLIED.items()
}
_whole_requests: Final = _whole(_REQUESTED)
_whole_replies: Final = _whole(_REPLIED)
_encode: Final = Encoder().encode


# --- requests and replies ------------------------------------------------------------------


def request_name(request: messages.Request) -> str:
    """What a request is called on the wire; an `UnknownRequest` is none of ours."""
    return _REQUESTS[type(request)]


def encode_request(request: messages.Request) -> bytes:
    """The one frame that carries a request; an `UnknownRequest` has none.

    Raises:
        MessageError: It holds what JSON cannot, NaN or an object of another type; or, to register,
            characters that do not print, which no registry takes.
    """
    name = _REQUESTS[type(request)]
    if isinstance(request, messages.Register) and not _surely_prints(request):
        _check_text(request)
    try:
        if isinstance(request, messages.Register):
            _check_finite(request)
        return _encode(_Named(name, request))
    except (TypeError, ValueError, OverflowError) as error:
        why = f"{name} cannot be written as JSON: {error}"
        raise MessageError(ErrorCode.INVALID, why, name) from None


def _check_finite(request: messages.Register) -> None:
    numbers = {"alive_timeout": request.alive_timeout}
    for key, value in (numbers | dict(request.metadata) if request.metadata else numbers).items():
        if isinstance(value, float) and not math.isfinite(value):  # it would be written as null
            raise ValueError(f"{key!r} is {value}")


def decode_request(frames: Sequence[bytes]) -> messages.Request:
    """Read a request.

    Raises:
        MessageError: It is none; the error carries what the `ERROR` reply has to say.
    """
    if len(frames) == 1 and len(frames[0]) > MAX_REQUEST_BYTES:
        raise MessageError(
            ErrorCode.TOO_LARGE,
            f"the request has {len(frames[0])} bytes; {MAX_REQUEST_BYTES} is the most",
        )
    try:
        (frame,) = frames
        request: messages.Request = _whole_requests.decode(str(frame, "utf-8")).payload
    except (ValueError, RecursionError):  # of msgspec's and of UTF-8's errors, too
        request = _request_in_steps(frames)
    if type(request) is messages.Register and not _prints(request):
        _check_text(request)
    return request


def _request_in_steps(frames: Sequence[bytes]) -> messages.Request:
    """First the envelope, then the request: tells what is wrong, and which request it was.

    Also of one by a name that is not known.
    """
    envelope = _open(frames)
    decoder = _requests.get(envelope.event)
    if decoder is None:
        return messages.UnknownRequest(envelope.event)
    request: messages.Request = _decode(
        decoder, envelope.payload, ErrorCode.INVALID, envelope.event
    )
    return request


def _prints(request: messages.Register) -> bool:
    """Whether all its text does, found out fast. Its fields have the types that they should."""
    if not (
        request.device_type.isprintable()
        and request.addr.isprintable()
        and request.name.isprintable()
        and (request.instance is None or request.instance.isprintable())
    ):
        return False
    if request.metadata:
        for key, value in request.metadata.items():
            if not key.isprintable() or (isinstance(value, str) and not value.isprintable()):
                return False
    return True


def _surely_prints(request: messages.Register) -> bool:
    """Whether all its text does, where its fields may be of any type."""
    try:
        return _prints(request)
    except AttributeError:
        return False


def _check_text(request: messages.Register) -> None:
    """Refuse text that does not print, and say where it is. Fields may be of any type."""
    for field, text in _texts(request):
        found = unprintable(text) if isinstance(text, str) else None
        if found is not None:
            why = f"{field} holds {found}, which does not print"
            raise MessageError(ErrorCode.INVALID, why, RequestName.REGISTER)


def _texts(request: messages.Register) -> Iterator[tuple[str, object]]:
    yield "device_type", request.device_type
    yield "addr", request.addr
    yield "name", request.name
    yield "instance", request.instance
    metadata = request.metadata if isinstance(request.metadata, Mapping) else {}
    for key, value in metadata.items():
        yield "a key of metadata", key
        yield f"metadata {key!r}", value


def encode_reply(reply: messages.Reply) -> bytes:
    """The one frame that carries a reply."""
    payload: object = reply
    if type(reply) is messages.Ack:
        return _ack(reply.req_event, reply.success)
    if type(reply) is messages.EventsReply:
        payload = {
            "epoch": reply.epoch,
            "seq": reply.seq,
            "events": [_body(event) for event in reply.events],
        }
    return _encode(_Named(_REPLIES[type(reply)], payload))


@lru_cache(8)  # there are four that a registry gives
def _ack(req_event: str, success: bool) -> bytes:
    ack = messages.Ack(req_event, success)
    return _encode(_Named(ReplyName.ACK.value, ack))


_ACKS: Final = {
    _ack(name, success): messages.Ack(name, success)
    for name in (RequestName.UNREGISTER.value, RequestName.CHECK_ALIVE.value)
    for success in (True, False)
}
"""What devices are answered all the time; other registries may write it in other ways."""


def decode_reply(frames: Sequence[bytes]) -> messages.Reply:
    """Read a reply.

    Raises:
        MessageError: It is none.
    """
    if len(frames) == 1 and (ack := _ACKS.get(frames[0])) is not None:
        return ack
    try:
        (frame,) = frames
        reply = _whole_replies.decode(str(frame, "utf-8")).payload
    except (ValueError, RecursionError):  # of msgspec's and of UTF-8's errors, too
        reply = _reply_in_steps(frames)
    if type(reply) is _EventsPayload:
        events = tuple(_event(body) for body in reply.events)
        return messages.EventsReply(reply.epoch, reply.seq, events)
    return reply  # type: ignore[no-any-return]  # the table's values are the other replies


def _reply_in_steps(frames: Sequence[bytes]) -> object:
    """First the envelope, then the reply: tells what is wrong, and which reply it was."""
    envelope = _open(frames)
    decoder = _replies.get(envelope.event)
    if decoder is None:
        raise MessageError(
            ErrorCode.MALFORMED,
            f"there is no reply named '{printable(envelope.event, 100)}'",
            envelope.event,
        )
    return _decode(decoder, envelope.payload, ErrorCode.INVALID, envelope.event)


# --- the event stream ----------------------------------------------------------------------


def encode_event(message: records.StreamMessage) -> list[bytes]:
    """The two frames, `[topic, body]`, that publish a message."""
    return [_TOPICS[type(message)], _encode(_body(message))]


def decode_event(frames: Sequence[bytes]) -> records.StreamMessage:
    """Read a message of the event stream.

    Raises:
        MessageError: It is none.
    """
    try:
        topic, frame = frames
        body = _bodies.decode(str(frame, "utf-8"))
    except (ValueError, RecursionError):  # of msgspec's and of UTF-8's errors, too
        topic, body = _message_in_steps(frames)
    event = body.event
    if topic != event.encode():
        raise MessageError(
            ErrorCode.INVALID, f"the topic is {bytes(topic[:100])!r}, the body's is {event!r}"
        )
    if event == "tick":
        return records.Tick(body.epoch, body.seq, body.time)
    if event == "bye":
        return records.Bye(body.epoch, body.seq, body.time)
    return _event(body)


def _message_in_steps(frames: Sequence[bytes]) -> tuple[bytes, _Body]:
    """The same, step by step: tells what is wrong."""
    if len(frames) != 2:
        raise MessageError(
            ErrorCode.MALFORMED, f"expected two frames, topic and body, got {len(frames)}"
        )
    return frames[0], _decode(_bodies, _text(frames[1]), ErrorCode.INVALID, None)


def _body(message: records.StreamMessage) -> _Body:
    if type(message) is records.Added:
        return _Body("added", message.epoch, message.seq, message.time, message.device)
    if type(message) is records.Removed:
        return _Body(
            "removed", message.epoch, message.seq, message.time, message.device, message.reason
        )
    return _Body(message.topic.value, message.epoch, message.seq, message.time)


def _event(body: _Body) -> records.Event:
    event, device = body.event, body.device
    if device is None:
        raise MessageError(ErrorCode.INVALID, f"{event!r} without a device")
    if event == "added":
        if device.revision != body.seq:
            raise MessageError(ErrorCode.INVALID, "an added device's revision is not the seq")
        return records.Added(body.epoch, body.seq, body.time, device)
    if event == "removed" and body.reason is not None:
        return records.Removed(body.epoch, body.seq, body.time, device, _reason(body.reason))
    raise MessageError(ErrorCode.INVALID, f"{event!r} is no event, or lacks its reason")


def _reason(reason: str) -> Reason:
    try:
        return Reason(reason)
    except ValueError:  # a newer registry's; better an unknown reason than a lost event
        return Reason.UNKNOWN


# --- shared ----------------------------------------------------------------------------------


def _open(frames: Sequence[bytes]) -> _Envelope:
    if len(frames) != 1:
        raise MessageError(ErrorCode.MALFORMED, f"expected one frame, got {len(frames)}")
    return _decode(_envelopes, _text(frames[0]), ErrorCode.MALFORMED, None)


def _text(frame: bytes) -> str:
    # msgspec does not look inside what it skips or keeps raw; this does.
    try:
        return str(frame, "utf-8")
    except UnicodeDecodeError as error:
        raise MessageError(ErrorCode.MALFORMED, f"not UTF-8: {error}") from None


def _decode(decoder: Decoder[T], data: str | Raw, code: ErrorCode, name: str | None) -> T:
    try:
        return decoder.decode(data)
    except DecodeError as error:
        raise MessageError(code, str(error), name) from None
    except RecursionError:
        raise MessageError(code, "nested too deeply", name) from None
