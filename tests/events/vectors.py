"""The vectors of `tests/vectors.json`, as bytes and as records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from msgspec import Struct
from msgspec.structs import asdict

from devicewatch.events import messages
from devicewatch.events.protocol import Reason
from devicewatch.events.records import Added, Bye, Device, Event, Removed, StreamMessage, Tick

FILE: Final = Path(__file__).parents[1] / "vectors.json"

REQUESTS: Final[Mapping[str, type]] = {
    "REGISTER": messages.Register,
    "UNREGISTER": messages.Unregister,
    "CHECK_ALIVE": messages.CheckAlive,
    "INFO": messages.Info,
    "SNAPSHOT": messages.Snapshot,
    "REPLAY": messages.Replay,
}
REPLIES: Final[Mapping[str, type]] = {
    "REGISTER_ACK": messages.RegisterAck,
    "ACK": messages.Ack,
    "UNSUPPORTED": messages.Unsupported,
    "INFO": messages.InfoReply,
    "SNAPSHOT": messages.SnapshotReply,
    "EVENTS": messages.EventsReply,
    "COMPACTED": messages.CompactedReply,
    "ERROR": messages.ErrorReply,
}


@attrs.frozen
class Vector:
    """One message. `meaning` is a good one's, `code` and `req_event` are a bad request's."""

    name: str
    frames: list[bytes] = attrs.field(repr=False)
    canonical: bool = False
    meaning: dict[str, Any] = attrs.field(factory=dict, repr=False)
    code: str | None = None
    req_event: str | None = None


def load(kind: str) -> list[Vector]:
    """All vectors of a kind: "requests", "replies", "events" or "bad_requests"."""
    vectors = json.loads(FILE.read_text(encoding="utf-8"))[kind]
    return [_vector(**vector) for vector in vectors]


def request_of(meaning: dict[str, Any]) -> messages.Request:
    """The request that a vector describes."""
    if "payload" not in meaning:
        return messages.UnknownRequest(meaning["event"])
    request: messages.Request = REQUESTS[meaning["event"]](**meaning["payload"])
    return request


def reply_of(meaning: dict[str, Any]) -> messages.Reply:
    """The reply that a vector describes."""
    payload = dict(meaning["payload"])
    if meaning["event"] == "SNAPSHOT":
        payload["devices"] = [Device(**device) for device in payload["devices"]]
    elif meaning["event"] == "EVENTS":
        payload["events"] = tuple(_event_of(event) for event in payload["events"])
    reply: messages.Reply = REPLIES[meaning["event"]](**payload)
    return reply


def message_of(meaning: dict[str, Any]) -> StreamMessage:
    """The message of the event stream that a vector describes."""
    place = (meaning["epoch"], meaning["seq"], meaning["time"])
    if meaning["event"] == "tick":
        return Tick(*place)
    if meaning["event"] == "bye":
        return Bye(*place)
    return _event_of(meaning)


def explicit(record: attrs.AttrsInstance | Struct) -> str:
    """A record with all that `==` and `repr` overlook: types of numbers, secrets, metadata."""
    fields = asdict(record) if isinstance(record, Struct) else attrs.asdict(record)
    return f"{type(record).__name__} {fields}"


def _event_of(meaning: dict[str, Any]) -> Event:
    place = (meaning["epoch"], meaning["seq"], meaning["time"])
    device = Device(**meaning["device"])
    if meaning["event"] == "added":
        return Added(*place, device)
    return Removed(*place, device, Reason(meaning["reason"]))


def _vector(
    *,
    why: str,
    frames: list[str] | None = None,
    frames_hex: list[str] | None = None,
    frame_parts: list[tuple[str, int]] | None = None,
    **rest: Any,
) -> Vector:
    assert why, "a vector has to say what it shows"
    (wire,) = (
        wire
        for wire in (
            frames is not None and [frame.encode() for frame in frames],
            frames_hex is not None and [bytes.fromhex(frame) for frame in frames_hex],
            frame_parts is not None and ["".join(text * n for text, n in frame_parts).encode()],
        )
        if wire is not False
    )
    return Vector(frames=wire, **rest)
