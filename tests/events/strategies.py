"""What Hypothesis draws: records within the protocol's limits, and frames far outside of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from msgspec import UNSET

from devicewatch.events import messages
from devicewatch.events.protocol import (
    MAX_ADDR,
    MAX_ID,
    MAX_INTEGER,
    MAX_LEASE,
    MAX_METADATA,
    MAX_METADATA_KEY,
    MAX_METADATA_VALUE,
    MAX_NAME,
    MAX_TICK_INTERVAL,
    MIN_LEASE,
    MIN_TICK_INTERVAL,
    ErrorCode,
    Reason,
    ReplyName,
    RequestName,
    Topic,
)
from devicewatch.events.records import Added, Bye, Device, Removed, Tick
from tests.events.vectors import load

_Metadata: TypeAlias = Mapping[str, Any]

# --- records ---------------------------------------------------------------------------------


def _text(longest: int, *, shortest: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=shortest, max_size=longest)


def _shown(longest: int, *, shortest: int = 0) -> st.SearchStrategy[str]:
    """Text that prints."""
    characters = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
    return st.text(characters, min_size=shortest, max_size=longest)


_finite: Final = st.floats(allow_nan=False, allow_infinity=False)
_seqs: Final = st.integers(0, MAX_INTEGER)
_limits: Final = st.integers(1, MAX_INTEGER)
_leases: Final = st.floats(MIN_LEASE, MAX_LEASE)
_ids: Final = _text(MAX_ID)


def _metadata_of(text: Callable[[int], st.SearchStrategy[str]]) -> st.SearchStrategy[_Metadata]:
    return st.dictionaries(
        text(MAX_METADATA_KEY),
        text(MAX_METADATA_VALUE)
        | st.integers(-MAX_INTEGER, MAX_INTEGER)
        | _finite
        | st.booleans()
        | st.none(),
        max_size=MAX_METADATA,
    )


_metadata: Final = _metadata_of(_text)

registers: Final = st.builds(
    messages.Register,
    device_type=_shown(MAX_NAME, shortest=1),
    addr=_shown(MAX_ADDR, shortest=1),
    name=_shown(MAX_NAME),
    overwrite=st.booleans(),
    alive_timeout=st.none() | _leases,
    instance=st.none() | _shown(MAX_ID),
    metadata=st.none() | _metadata_of(_shown),
    displace=st.booleans(),
)
old_registers: Final = st.builds(
    messages.Register,
    device_type=_text(MAX_NAME, shortest=1),
    addr=_text(MAX_ADDR, shortest=1),
    name=_text(MAX_NAME),
    instance=st.none() | _ids,
    metadata=st.none() | _metadata,
)
"""As registries took them before text had to print."""

requests: Final[st.SearchStrategy[messages.Request]] = st.one_of(
    registers,
    st.builds(messages.Unregister, uuid=_ids),
    st.builds(messages.CheckAlive, uuid=_ids, alive_timeout=_leases),
    st.just(messages.Info()),
    st.builds(messages.Snapshot, after=st.none() | _seqs, limit=_limits),
    st.builds(messages.Replay, epoch=_ids, after=_seqs, limit=_limits),
)

devices: Final = st.builds(
    Device,
    name=_text(MAX_NAME),
    device_type=_text(MAX_NAME),
    addr=_text(MAX_ADDR),
    revision=_seqs,
    registered_at=_finite,
    metadata=_metadata,
)
_place: Final[dict[str, st.SearchStrategy[Any]]] = {"epoch": _ids, "seq": _seqs}
_added: Final = st.builds(
    lambda epoch, time, device: Added(epoch, device.revision, time, device), _ids, _finite, devices
)
_events: Final = _added | (
    st.builds(Removed, **_place, time=_finite, device=devices, reason=st.sampled_from(Reason))
)
stream_messages: Final = (
    _events | st.builds(Tick, **_place, time=_finite) | st.builds(Bye, **_place, time=_finite)
)

replies: Final[st.SearchStrategy[messages.Reply]] = st.one_of(
    st.builds(
        messages.RegisterAck,
        name=_text(MAX_NAME),
        uuid=_ids,
        epoch=st.none() | _ids,
        seq=st.none() | _seqs,
        alive_timeout=st.none() | _leases,
    ),
    st.builds(messages.Ack, req_event=_ids, success=st.booleans()),
    st.builds(messages.Unsupported, req_event=_ids),
    st.builds(
        messages.InfoReply,
        **_place,
        version=_seqs,
        devices=_seqs,
        tick_interval=st.floats(MIN_TICK_INTERVAL, MAX_TICK_INTERVAL),
        uptime=_finite,
        history=_seqs,
        events_port=st.just(UNSET) | st.integers(1, 65_535),
        events_url=st.just(UNSET) | _text(MAX_ADDR),
    ),
    st.builds(
        messages.SnapshotReply,
        **_place,
        devices=st.lists(devices, max_size=3),
        next=st.none() | _seqs,
    ),
    st.builds(messages.EventsReply, **_place, events=st.lists(_events, max_size=3).map(tuple)),
    st.builds(messages.CompactedReply, **_place, oldest=_seqs),
    st.builds(
        messages.ErrorReply,
        req_event=st.none() | _ids,
        code=st.sampled_from([str(code) for code in ErrorCode]),
        message=_ids,
    ),
)

# --- frames ----------------------------------------------------------------------------------


def _keys(value: object) -> Iterator[str]:
    """The keys of all objects in a JSON value."""
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _keys(inner)


_GOOD: Final = {
    kind: [vector.frames for vector in load(kind) if len(vector.frames[-1]) < 2_000]
    for kind in ("requests", "replies", "events")
}
_ALL_GOOD: Final = [frames for vectors in _GOOD.values() for frames in vectors]
_NAMES: Final = [*RequestName, *ReplyName, *Topic]
_FIELDS: Final = sorted({key for frames in _ALL_GOOD for key in _keys(json.loads(frames[-1]))})

_json: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()  # NaN and infinities too: Python writes them
    | st.sampled_from(_NAMES)
    | st.text(st.characters()),  # halves of characters too
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=10,
)
_envelopes: Final = st.fixed_dictionaries(
    {"event": st.sampled_from(_NAMES)},
    optional={"payload": st.dictionaries(st.sampled_from(_FIELDS), _json) | _json},
)
_topics: Final = st.sampled_from([topic.encode() for topic in Topic])


def _write(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def _tampered(draw: st.DrawFn, kind: str) -> list[bytes]:
    """A good message with one value exchanged, gone or added."""
    *topic, frame = draw(st.sampled_from(_GOOD[kind]))
    message = holder = json.loads(frame)
    key = draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict) and holder[key] and draw(st.booleans()):
        holder = holder[key]
        key = draw(st.sampled_from(sorted(holder)))
    match draw(st.sampled_from(["exchange", "remove", "add"])):
        case "exchange":
            holder[key] = draw(_json)
        case "remove":
            del holder[key]
        case "add":
            holder[draw(st.text(max_size=5))] = draw(_json)
    return [*topic, _write(message)]


@st.composite
def _garbled(draw: st.DrawFn, kind: str) -> list[bytes]:
    """A good message with some of its bytes exchanged."""
    *topic, frame = draw(st.sampled_from(_GOOD[kind]))
    start = draw(st.integers(0, len(frame)))
    end = draw(st.integers(start, min(start + 8, len(frame))))
    return [*topic, frame[:start] + draw(st.binary(max_size=8)) + frame[end:]]


def frame_lists(kind: str) -> st.SearchStrategy[list[bytes]]:
    """Whatever may arrive where "requests", "replies" or "events" are expected."""
    return st.one_of(
        st.lists(st.binary(), max_size=3),
        st.lists(st.sampled_from([frame for frames in _ALL_GOOD for frame in frames]), max_size=3),
        st.tuples(_json.map(_write)).map(list),
        st.tuples(_envelopes.map(_write)).map(list),
        st.tuples(_topics | st.binary(), _json.map(_write)).map(list),
        _garbled(kind),
        _tampered(kind),
    )
