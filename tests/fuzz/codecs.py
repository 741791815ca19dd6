"""The codec as targets: whatever the bytes, they are a message or a `MessageError`.

In the bytes of an input a frame ends where the next one begins, at a byte that is in no UTF-8; so
the vectors, and what a fuzzer makes of them, can be read by people.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from devicewatch.events import codec
from devicewatch.events.errors import MessageError
from devicewatch.events.messages import ErrorReply, UnknownRequest, Unsupported
from devicewatch.events.protocol import MAX_REQUEST_BYTES, ErrorCode
from tests.events.vectors import explicit

SEPARATOR: Final = b"\xff"

Frames: TypeAlias = Sequence[bytes]


def decode_a_request(frames: Frames) -> None:
    """What is taken for a request can be written, and is read as the same again."""
    try:
        request = codec.decode_request(frames)
    except MessageError as error:
        _reply_survives(ErrorReply(error.req_event, error.code, str(error)))
        return
    if isinstance(request, UnknownRequest):
        _reply_survives(Unsupported(request.req_event))
        return
    written = codec.encode_request(request)
    if len(written) <= MAX_REQUEST_BYTES:  # spelt out, defaults make it longer
        again = codec.decode_request([written])
        assert explicit(again) == explicit(request)
        assert codec.encode_request(again) == written


def _reply_survives(reply: ErrorReply | Unsupported) -> None:
    """What the registry says of a request reaches whoever sent it."""
    assert not isinstance(reply, ErrorReply) or ErrorCode(reply.code)
    assert codec.decode_reply([codec.encode_reply(reply)]) == reply


def decode_a_reply(frames: Frames) -> None:
    """What is taken for a reply can be written, and is read as the same again."""
    try:
        reply = codec.decode_reply(frames)
    except MessageError:
        return
    written = codec.encode_reply(reply)
    again = codec.decode_reply([written])
    assert explicit(again) == explicit(reply)
    assert codec.encode_reply(again) == written


def decode_an_event(frames: Frames) -> None:
    """What is taken for a message of the stream can be written, and is read as the same again."""
    try:
        message = codec.decode_event(frames)
    except MessageError:
        return
    written = codec.encode_event(message)
    again = codec.decode_event(written)
    assert explicit(again) == explicit(message)
    assert codec.encode_event(again) == written
