"""Bytes to records and back: by the test vectors, and by whatever Hypothesis comes up with."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devicewatch.events import codec
from devicewatch.events.codec import (
    decode_event,
    decode_reply,
    decode_request,
    encode_event,
    encode_reply,
    encode_request,
)
from devicewatch.events.errors import MessageError
from devicewatch.events.messages import (
    ErrorReply,
    Register,
    Reply,
    Request,
    SnapshotReply,
    UnknownRequest,
    Unsupported,
)
from devicewatch.events.protocol import (
    MAX_REQUEST_BYTES,
    ErrorCode,
    Origin,
    Reason,
    ReplyName,
    RequestName,
    Topic,
)
from devicewatch.events.records import Added, Device, Removed, StreamMessage
from tests.events import strategies
from tests.events.vectors import Vector, explicit, load, message_of, reply_of, request_of

Decode = Callable[[Sequence[bytes]], attrs.AttrsInstance]

REQUESTS = load("requests")
REPLIES = load("replies")
EVENTS = load("events")
BAD_REQUESTS = load("bad_requests")

DEVICE = Device("left", "camera", "tcp://10.0.0.7:6001", 7, 1.5)
BODY = (
    b'{"event":"%b","epoch":"e","seq":7,"time":1.5,"device":{"name":"left","device_type":"camera",'
    b'"addr":"tcp://10.0.0.7:6001","revision":7,"registered_at":1.5}%b}'
)

decoders = pytest.mark.parametrize("decode", [decode_request, decode_reply, decode_event])


def each(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector.name)


def canonical(vectors: list[Vector]) -> list[Vector]:
    return [vector for vector in vectors if vector.canonical]


# --- the vectors -----------------------------------------------------------------------------


@each(REQUESTS)
def test_a_request_means_what_its_vector_says(vector: Vector) -> None:
    assert explicit(decode_request(vector.frames)) == explicit(request_of(vector.meaning))


@each(canonical(REQUESTS))
def test_a_request_is_written_to_the_letter(vector: Vector) -> None:
    assert [encode_request(request_of(vector.meaning))] == vector.frames


@each(REPLIES)
def test_a_reply_means_what_its_vector_says(vector: Vector) -> None:
    assert explicit(decode_reply(vector.frames)) == explicit(reply_of(vector.meaning))


@each(canonical(REPLIES))
def test_a_reply_is_written_to_the_letter(vector: Vector) -> None:
    assert [encode_reply(reply_of(vector.meaning))] == vector.frames


@each(EVENTS)
def test_a_message_of_the_stream_means_what_its_vector_says(vector: Vector) -> None:
    assert explicit(decode_event(vector.frames)) == explicit(message_of(vector.meaning))


@each(canonical(EVENTS))
def test_a_message_of_the_stream_is_written_to_the_letter(vector: Vector) -> None:
    assert encode_event(message_of(vector.meaning)) == vector.frames


@each(BAD_REQUESTS)
def test_a_bad_request_is_refused_as_its_vector_says(vector: Vector) -> None:
    with pytest.raises(MessageError) as caught:
        decode_request(vector.frames)
    assert caught.value.code == vector.code
    assert caught.value.req_event == vector.req_event
    assert str(caught.value)


def test_the_vectors_leave_no_message_out() -> None:
    def events(vectors: list[Vector]) -> set[str]:
        return {vector.meaning["event"] for vector in canonical(vectors)}

    assert events(REQUESTS) == set(RequestName)
    assert events(REPLIES) == set(ReplyName)
    assert events(EVENTS) == set(Topic)
    reasons = {vector.meaning.get("reason") for vector in canonical(EVENTS)}
    assert reasons == {*Reason, None} - {Reason.UNKNOWN}
    refusals = {
        ErrorCode.OCCUPIED,
        ErrorCode.UNAVAILABLE,
        ErrorCode.FORBIDDEN,
        ErrorCode.TOO_MANY,
        ErrorCode.TOO_FAST,
        ErrorCode.INTERNAL,
    }  # these are not about the bytes
    assert {vector.code for vector in BAD_REQUESTS} == set(ErrorCode) - refusals


@pytest.mark.parametrize("vectors", [REQUESTS, REPLIES, EVENTS, BAD_REQUESTS])
def test_every_vector_has_a_name_of_its_own(vectors: list[Vector]) -> None:
    assert len({vector.name for vector in vectors}) == len(vectors)


# --- there and back --------------------------------------------------------------------------


@given(strategies.requests)
def test_a_request_survives_the_wire(request: Request) -> None:
    frame = encode_request(request)
    assume(len(frame) <= MAX_REQUEST_BYTES)
    assert explicit(decode_request([frame])) == explicit(request)


@given(strategies.replies)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    assert explicit(decode_reply([encode_reply(reply)])) == explicit(reply)


@given(strategies.stream_messages)
def test_a_message_of_the_stream_survives_the_wire(message: StreamMessage) -> None:
    frames = encode_event(message)
    assert frames[0] == message.topic.encode()
    assert explicit(decode_event(frames)) == explicit(message)


# --- any bytes -------------------------------------------------------------------------------


@given(strategies.frame_lists("requests"))
def test_any_bytes_are_a_request_or_an_error_that_can_be_answered(frames: list[bytes]) -> None:
    try:
        request = decode_request(frames)
    except MessageError as error:
        refusal = ErrorReply(error.req_event, error.code, str(error))
        assert decode_reply([encode_reply(refusal)]) == refusal
        return
    if isinstance(request, UnknownRequest):
        answer = Unsupported(request.req_event)
        assert decode_reply([encode_reply(answer)]) == answer
    else:
        assert decode_request([encode_request(request)]) == request


@given(strategies.frame_lists("replies"))
def test_any_bytes_are_a_reply_or_an_error(frames: list[bytes]) -> None:
    try:
        reply = decode_reply(frames)
    except MessageError:
        return
    assert decode_reply([encode_reply(reply)]) == reply


@given(strategies.frame_lists("events"))
def test_any_bytes_are_a_message_of_the_stream_or_an_error(frames: list[bytes]) -> None:
    try:
        message = decode_event(frames)
    except MessageError:
        return
    assert decode_event(encode_event(message)) == message


@decoders
def test_nesting_without_end_is_an_error(decode: Decode) -> None:
    endless = b'{"a":' * 13_000
    assert len(endless) < MAX_REQUEST_BYTES
    with pytest.raises(MessageError):
        decode([endless])
    with pytest.raises(MessageError):
        decode([b"tick", endless])


# --- what a vector cannot say ----------------------------------------------------------------


def test_frames_are_counted_before_they_are_measured() -> None:
    with pytest.raises(MessageError) as caught:
        decode_request([bytes(MAX_REQUEST_BYTES + 1), b""])
    assert caught.value.code == ErrorCode.MALFORMED


def test_a_reply_by_an_unknown_name_is_an_error_that_carries_the_name() -> None:
    with pytest.raises(MessageError, match="WELCOME") as caught:
        decode_reply([b'{"event":"WELCOME","payload":{}}'])
    assert caught.value.req_event == "WELCOME"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b'{"event":"ACK","payload":{"req_event":"UNREGISTER","success":1}}',
        b'{"event":"ACK","payload":{"req_event":"UNREGISTER"}}',
        b'{"event":"INFO","payload":{"version":1,"epoch":"e","seq":0,"devices":0,"uptime":1.0,'
        b'"history":1,"tick_interval":0}}',
        b'{"event":"SNAPSHOT","payload":{"epoch":"e","seq":0,"devices":[]}}',
        b'{"event":"SNAPSHOT","payload":{"epoch":"e","seq":0,"devices":[{}],"next":null}}',
        b'{"event":"EVENTS","payload":{"epoch":"e","seq":0,"events":{}}}',
        b'{"event":"EVENTS","payload":{"epoch":"e","seq":7,"events":[%b]}}'
        % (BODY % (b"tick", b"")),
        b'{"event":"EVENTS","payload":{"epoch":"e","seq":7,"events":[%b]}}'
        % (BODY % (b"removed", b"")),
        b'{"event":"EVENTS","payload":{"epoch":"e","seq":7,"events":[%b]}}'
        % (BODY % (b"tick", b',"reason":"expired"')),
    ],
)
def test_a_reply_with_a_bad_field_is_an_error(frame: bytes) -> None:
    with pytest.raises(MessageError):
        decode_reply([frame])


def test_a_reply_may_be_as_long_as_it_likes() -> None:
    reply = SnapshotReply("e", 7, [DEVICE] * 1_000, None)
    frame = encode_reply(reply)
    assert len(frame) > MAX_REQUEST_BYTES
    assert decode_reply([frame]) == reply


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"tick"],
        [b"tick", b'{"event":"tick","epoch":"e","seq":7,"time":1.5}', b""],
        [b"tick", b""],
        [b"tick", b"\xff"],
        [b"tick", b'{"event":"tick","epoch":"e","seq":7}'],
        [b"tick", b'{"event":"tick","epoch":"e","seq":7.5,"time":1.5}'],
        [b"tick", b'{"event":"tick","epoch":7,"seq":7,"time":1.5}'],
        [b"tock", b'{"event":"tock","epoch":"e","seq":7,"time":1.5}'],
        [b"bye", b'{"event":"tick","epoch":"e","seq":7,"time":1.5}'],
        [b"added", BODY % (b"removed", b',"reason":"expired"')],
        [b"added", b'{"event":"added","epoch":"e","seq":7,"time":1.5}'],
        [b"added", b'{"event":"added","epoch":"e","seq":7,"time":1.5,"device":null}'],
        [b"removed", BODY % (b"removed", b"")],
        [b"removed", BODY % (b"removed", b',"reason":null')],
        [b"removed", BODY % (b"removed", b',"reason":["expired"]')],
        [b"removed", b'{"event":"removed","epoch":"e","seq":7,"time":1.5,"reason":"expired"}'],
    ],
)
def test_a_bad_message_of_the_stream_is_an_error(frames: list[bytes]) -> None:
    with pytest.raises(MessageError):
        decode_event(frames)


@pytest.mark.parametrize("origin", [b'"snapshot"', b'"resync"', b'"nonsense"', b"null", b"7"])
def test_an_origin_on_the_wire_is_ignored(origin: bytes) -> None:
    body = BODY % (b"added", b',"origin":' + origin)
    assert decode_event([b"added", body]) == Added("e", 7, 1.5, DEVICE, Origin.LIVE)


@pytest.mark.parametrize("origin", Origin)
def test_an_origin_is_never_sent(origin: Origin) -> None:
    message = Removed("e", 8, 1.5, DEVICE, Reason.EXPIRED, origin)
    assert b"origin" not in b"".join(encode_event(message))


@pytest.mark.parametrize("reason", [b"", b"banished", b"EXPIRED", b"unknown"])
def test_a_reason_that_is_not_known_reads_as_unknown(reason: bytes) -> None:
    message = decode_event([b"removed", BODY % (b"removed", b',"reason":"%b"' % reason)])
    assert isinstance(message, Removed)
    assert message.reason is Reason.UNKNOWN


def test_a_request_without_a_name_on_the_wire_cannot_be_written() -> None:
    with pytest.raises(KeyError):
        encode_request(UnknownRequest("SHUTDOWN"))


def test_an_error_tells_no_secrets() -> None:
    secret = "0b0e5a3c-7d3e-4f0a-9a51-2f8c3a1d6e42"
    with pytest.raises(MessageError) as caught:
        decode_request(
            [b'{"event":"CHECK_ALIVE","payload":{"uuid":"%b","alive_timeout":0}}' % secret.encode()]
        )
    assert secret not in str(caught.value)
    with pytest.raises(MessageError) as caught:
        decode_request([b'{"event":"UNREGISTER","payload":{"uuid":"%b"}}' % (secret.encode() * 4)])
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Register("camera", "tcp://a", "cam", metadata={"lens": float("nan")}), "'lens' is nan"),
        (Register("camera", "tcp://a", "cam", metadata={"lens": float("inf")}), "'lens' is inf"),
        (Register("camera", "tcp://a", "cam", metadata=cast(Any, {"lens": object()})), "object"),
    ],
)
def test_what_json_cannot_hold_is_not_sent(request_: Register, why: str) -> None:
    with pytest.raises(MessageError, match=why) as caught:
        codec.encode_request(request_)
    assert caught.value.code is ErrorCode.INVALID


def test_an_added_device_s_revision_is_the_event_s_seq() -> None:
    device = Device("cam", "camera", "tcp://a", 7, 0.0)
    with pytest.raises(MessageError, match="revision"):
        codec.decode_event(codec.encode_event(Added("epoch", 8, 0.0, device)))


# --- text that everybody will look at --------------------------------------------------------

FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "device_type": lambda text: {"device_type": text},
    "addr": lambda text: {"addr": text},
    "name": lambda text: {"name": text},
    "instance": lambda text: {"instance": text},
    "a key of metadata": lambda text: {"metadata": {"lens": 50, text: None}},
    "metadata 'lens'": lambda text: {"metadata": {"zoom": "x", "lens": text}},
}


@given(st.sampled_from(sorted(FIELDS)), st.text(st.characters(), min_size=1, max_size=20))
def test_a_device_registers_text_that_prints_and_no_other(field: str, text: str) -> None:
    payload = {"device_type": "camera", "addr": "tcp://a", "name": "cam"} | FIELDS[field](text)
    request = Register(**payload)
    frame = json.dumps({"event": "REGISTER", "payload": payload}).encode()
    if text.isprintable():
        assert decode_request([frame]) == decode_request([encode_request(request)]) == request
        return
    with pytest.raises(MessageError) as caught:
        encode_request(request)
    assert str(caught.value).startswith(f"{field} holds U+")
    assert str(caught.value).isprintable()
    assert (caught.value.code, caught.value.req_event) == ("INVALID", "REGISTER")
    with pytest.raises(MessageError) as answered:
        decode_request([frame])
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character is no JSON to begin with, and cannot be read
        assert answered.value.code == ErrorCode.MALFORMED
    else:
        assert str(answered.value) == str(caught.value)
        assert (answered.value.code, answered.value.req_event) == ("INVALID", "REGISTER")


@pytest.mark.parametrize("wrong", [{"name": None}, {"name": 7}, {"metadata": [("a", "b")]}])
def test_a_field_of_another_type_is_for_the_registry_to_refuse(wrong: dict[str, Any]) -> None:
    payload: dict[str, Any] = {"device_type": "camera", "addr": "tcp://a", "name": "cam"}
    with pytest.raises(MessageError):
        decode_request([encode_request(Register(**payload | wrong))])


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_is_read_may_hold_any_text(text: str) -> None:
    device = Device(text, text, text, 7, 1.5, {text: text})
    added = Added(text, 7, 1.5, device)
    assert decode_event(encode_event(added)) == added
    page = SnapshotReply(text, 7, [device], None)
    assert decode_reply([encode_reply(page)]) == page


@decoders
@pytest.mark.parametrize("half", [r"\ud800", r"\udc00", r"\ud800\ud800", r"\udc00\ud800"])
def test_half_a_character_is_refused_wherever_it_is(decode: Decode, half: str) -> None:
    for vectors in (REQUESTS, REPLIES, EVENTS):
        for vector in vectors:
            *topic, frame = vector.frames
            for quote in range(1, 20):
                parts = frame.decode().split('"')
                if quote >= len(parts):
                    break
                parts[quote] += half
                with pytest.raises(MessageError):
                    decode([*topic, '"'.join(parts).encode()])


def test_an_error_is_harmless_to_show_whoever_it_quotes() -> None:
    hostile = "\x1b[2J\u202e\n" + "x" * 10_000
    frame = json.dumps({"event": hostile, "payload": {}}).encode()
    with pytest.raises(MessageError) as caught:
        decode_reply([frame])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    assert caught.value.req_event == hostile
