"""Bytes to records and back: the one place that knows what the protocol looks like on the wire.

Requests and replies are one frame, `{"event": NAME, "payload": {...}}`. Messages of the event
stream are two, `[topic, body]`. Decoding is strict about what a field may hold and indifferent
to fields it does not know: of a `Register` it takes no text that does not print, as everybody will
look at it, while replies and events are read as they are. Whatever the bytes, the only exception
is `MessageError`.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from . import messages, records, shapes
from .checks import check_finite, check_text
from .errors import MessageError
from .making import maker
from .protocol import MAX_REQUEST_BYTES, ErrorCode, Reason, ReplyName
from .shapes import Body, Envelope, EventsPayload, Named
from .text import printable

T = TypeVar("T")

# Compiled, what is final here is found without a look into a dict.
_Register: Final = messages.Register
_EventsReply: Final = messages.EventsReply
_Added: Final = records.Added
_Removed: Final = records.Removed
_Body: Final = shapes.Body
_Named: Final = shapes.Named
_REQUESTS: Final = shapes.REQUESTS
_REPLIES: Final = shapes.REPLIES
_TOPICS: Final = shapes.TOPICS
_encode: Final = shapes.encode
_decode_request: Final = shapes.whole_requests.decode
_decode_reply: Final = shapes.whole_replies.decode
_decode_body: Final = shapes.bodies.decode

_new_added: Final = maker(records.Added)
_new_removed: Final = maker(records.Removed)

_ACKS: Final = [
    (ack, _encode(Named(ReplyName.ACK.value, ack)))
    for ack in (messages.RENEWED, messages.LEFT, messages.NOT_RENEWED, messages.NOT_LEFT)
]
"""What devices are answered all the time; other registries may write it in other ways."""

_ACKS_READ: Final = {frame: ack for ack, frame in _ACKS}

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
    if type(request) is _Register and not _surely_prints(request):
        check_text(request)
    try:
        if type(request) is _Register:
            check_finite(request)
        return _encode(_Named(name, request))
    except (TypeError, ValueError, OverflowError) as error:
        why = f"{name} cannot be written as JSON: {error}"
        raise MessageError(ErrorCode.INVALID, why, name) from None


def decode_request(frames: Sequence[bytes]) -> messages.Request:
    """Read a request.

    Raises:
        MessageError: It is none; the error carries what the `ERROR` reply has to say.
    """
    frame = _only(frames)
    if len(frame) > MAX_REQUEST_BYTES:
        raise MessageError(
            ErrorCode.TOO_LARGE,
            f"the request has {len(frame)} bytes; {MAX_REQUEST_BYTES} is the most",
        )
    try:
        request: messages.Request = _decode_request(frame.decode()).payload
    except (ValueError, RecursionError):  # of msgspec's and of UTF-8's errors, too
        request = _request_in_steps(frame)
    if type(request) is _Register and not _prints(request):
        check_text(request)
    return request


def _request_in_steps(frame: bytes) -> messages.Request:
    """First the envelope, then the request: tells what is wrong, and which request it was.

    Also of one by a name that is not known.
    """
    envelope = _open(frame)
    decoder = shapes.requests.get(envelope.event)
    if decoder is None:
        return messages.UnknownRequest(envelope.event)
    request: messages.Request = _decode(
        decoder, envelope.payload, ErrorCode.INVALID, envelope.event
    )
    return request


def _prints(request: messages.Register) -> bool:
    """Whether all its text does, found out fast. Its fields have the types that they should."""
    text = request.device_type + request.addr + request.name
    if not text.isprintable() or not (request.instance is None or request.instance.isprintable()):
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
    except (AttributeError, TypeError):  # the latter where this is compiled, at the least
        return False


def encode_reply(reply: messages.Reply) -> bytes:
    """The one frame that carries a reply."""
    for ack, frame in _ACKS:
        if reply is ack:
            return frame
    payload: object = reply
    if type(reply) is _EventsReply:
        payload = {
            "epoch": reply.epoch,
            "seq": reply.seq,
            "events": [_body(event) for event in reply.events],
        }
    return _encode(_Named(_REPLIES[type(reply)], payload))


def decode_reply(frames: Sequence[bytes]) -> messages.Reply:
    """Read a reply.

    Raises:
        MessageError: It is none.
    """
    frame = _only(frames)
    if (ack := _ACKS_READ.get(frame)) is not None:
        return ack
    try:
        reply = _decode_reply(frame.decode()).payload
    except (ValueError, RecursionError):  # of msgspec's and of UTF-8's errors, too
        reply = _reply_in_steps(frame)
    if type(reply) is EventsPayload:
        events = tuple(_event(body) for body in reply.events)
        return messages.EventsReply(reply.epoch, reply.seq, events)
    return reply  # type: ignore[no-any-return]  # the table's values are the other replies


def _reply_in_steps(frame: bytes) -> object:
    """First the envelope, then the reply: tells what is wrong, and which reply it was."""
    envelope = _open(frame)
    decoder = shapes.replies.get(envelope.event)
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
        body = _decode_body(frame.decode())
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


def _message_in_steps(frames: Sequence[bytes]) -> tuple[bytes, Body]:
    """The same, step by step: tells what is wrong."""
    if len(frames) != 2:
        raise MessageError(
            ErrorCode.MALFORMED, f"expected two frames, topic and body, got {len(frames)}"
        )
    return frames[0], _decode(shapes.bodies, _text(frames[1]), ErrorCode.INVALID, None)


def _body(message: records.StreamMessage) -> Body:
    if type(message) is _Added:
        return _Body("added", message.epoch, message.seq, message.time, message.device)
    if type(message) is _Removed:
        return _Body(
            "removed", message.epoch, message.seq, message.time, message.device, message.reason
        )
    return _Body(message.topic.value, message.epoch, message.seq, message.time)


def _event(body: Body) -> records.Event:
    event, device = body.event, body.device
    if device is None:
        raise MessageError(ErrorCode.INVALID, f"{event!r} without a device")
    if event == "added":
        if device.revision != body.seq:
            raise MessageError(ErrorCode.INVALID, "an added device's revision is not the seq")
        return _new_added(body.epoch, body.seq, body.time, device)
    if event == "removed" and body.reason is not None:
        return _new_removed(body.epoch, body.seq, body.time, device, _reason(body.reason))
    raise MessageError(ErrorCode.INVALID, f"{event!r} is no event, or lacks its reason")


def _reason(reason: str) -> Reason:
    try:
        return Reason(reason)
    except ValueError:  # a newer registry's; better an unknown reason than a lost event
        return Reason.UNKNOWN


# --- shared ----------------------------------------------------------------------------------


def _only(frames: Sequence[bytes]) -> bytes:
    if len(frames) != 1:
        raise MessageError(ErrorCode.MALFORMED, f"expected one frame, got {len(frames)}")
    return frames[0]


def _open(frame: bytes) -> Envelope:
    return _decode(shapes.envelopes, _text(frame), ErrorCode.MALFORMED, None)


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
