"""Whatever arrives, and whenever, the mirror raises nothing, does not spin, and knows its state."""

from typing import Final, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicewatch.events.codec import encode_event, encode_reply
from devicewatch.events.messages import (
    CompactedReply,
    ErrorReply,
    EventsReply,
    InfoReply,
    SnapshotReply,
)
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Device,
    Event,
    Live,
    Removed,
    Stale,
    State,
    Tick,
)
from devicewatch.subscribers.mirror import Phase
from devicewatch.subscribers.snapshot import fold
from tests.events import strategies
from tests.support.driver import Driver, device, info, removed

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

# Few epochs, numbers and devices, so that much of it fits together by chance.
_epochs: Final = st.sampled_from(["e", "f"])
_seqs: Final = st.integers(0, 6)
_devices: Final = st.builds(
    device,
    st.integers(1, 6),
    st.sampled_from(["", "a", "b"]),
    device_type=st.sampled_from(["arm", "camera"]),
)
_events: Final[st.SearchStrategy[Event]] = st.one_of(
    st.builds(lambda epoch, found: Added(epoch, found.revision, 1.0, found), _epochs, _devices),
    st.builds(lambda epoch, seq, gone: removed(seq, gone, epoch=epoch), _epochs, _seqs, _devices),
)
_messages: Final = st.one_of(
    st.builds(Tick, _epochs, _seqs, st.just(1.0)),
    _events,
    st.builds(Bye, _epochs, _seqs, st.just(1.0)),
)


def _in_order(devices: list[Device]) -> list[Device]:
    return [found for _, found in sorted({found.revision: found for found in devices}.items())]


_sorted_devices: Final = st.lists(_devices, max_size=4).map(_in_order)


@st.composite
def _fitting_events(draw: st.DrawFn) -> EventsReply:
    """Events without a hole."""
    epoch, first, number = draw(_epochs), draw(_seqs), draw(st.integers(0, 3))
    events: list[Event] = [
        Added(epoch, seq, 1.0, device(seq))
        if draw(st.booleans())
        else removed(seq, draw(_devices), epoch=epoch)
        for seq in range(first + 1, first + 1 + number)
    ]
    return EventsReply(epoch, first + number + draw(st.integers(0, 1)), events)


_replies: Final = st.one_of(
    st.builds(info, st.sampled_from([0.01, 1.0, 3600.0]), _epochs),
    st.just(InfoReply(1, "e", 0, 0, 1.0, 1.0, 0)),
    st.builds(SnapshotReply, _epochs, _seqs, _sorted_devices, st.none()),
    st.builds(
        lambda epoch, seq, found: SnapshotReply(
            epoch, seq, found, found[-1].revision if found else None
        ),
        _epochs,
        _seqs,
        _sorted_devices,
    ),
    st.builds(SnapshotReply, _epochs, st.integers(), st.lists(_devices), st.none() | st.integers()),
    _fitting_events(),
    st.builds(EventsReply, _epochs, st.integers(), st.lists(_events, max_size=3)),
    st.builds(CompactedReply, _epochs, _seqs, _seqs),
    st.just(ErrorReply(None, "INTERNAL", "it burns")),
)


@attrs.frozen
class Hear:
    """Something is published."""

    frames: list[bytes]


@attrs.frozen
class Answer:
    """Something comes in reply."""

    frames: list[bytes]


@attrs.frozen
class Wait:
    """Time passes: this much, or up to the mirror's deadline."""

    seconds: float | None


@attrs.frozen
class Read:
    """The reader takes some."""

    number: int


Step: TypeAlias = Hear | Answer | Wait | Read

_steps: Final[st.SearchStrategy[Step]] = st.one_of(
    _messages.map(encode_event).map(Hear),
    _messages.map(encode_event).map(Hear),
    strategies.frame_lists("events").map(Hear),
    _replies.map(lambda reply: Answer([encode_reply(reply)])),
    _replies.map(lambda reply: Answer([encode_reply(reply)])),
    strategies.frame_lists("replies").map(Answer),
    st.builds(Wait, st.none() | st.sampled_from([0.0, 0.1, 1.0, 2.9, 60.0])),
    st.builds(Read, st.integers(1, 5)),
)

_CONNECTED: Final[list[Step]] = [Answer([encode_reply(info())])]


@settings(max_examples=200)
@given(
    steps=st.lists(_steps, max_size=40),
    connected=st.booleans(),
    since=st.none() | st.builds(Cursor, _epochs, _seqs, st.none() | _seqs),
    device_type=st.sampled_from([None, "arm"]),
    existing=st.booleans(),
    max_waiting=st.sampled_from([1, 3, 1000]),
    jitter=st.sampled_from([0.0, 1.0]),
)
def test_whatever_happens_it_knows_what_to_do_next(
    steps: list[Step],
    connected: bool,
    since: Cursor | None,
    device_type: str | None,
    existing: bool,
    max_waiting: int,
    jitter: float,
) -> None:
    driver = Driver(
        since=since,
        device_type=device_type,
        existing=existing,
        max_waiting=max_waiting,
        jitter=jitter,
    )
    mirror = driver.mirror
    was_live = False
    told: dict[str, Device] = {}
    for step in [*(_CONNECTED if connected else []), *steps]:
        match step:
            case Hear(frames):
                mirror.stream_received(frames, driver.now)
            case Answer(frames):
                mirror.reply_received(frames, driver.now)
            case Wait(None):
                driver.now = max(driver.now, mirror.next_deadline())
            case Wait(seconds):
                driver.now += seconds or 0.0
            case Read(number):
                for _ in range(number):
                    record = mirror.view.next_record()
                    if isinstance(record, Added | Removed):
                        assert device_type in (None, record.device.device_type)
                        if since is None and existing:
                            fold(told, record)
                            assert told == mirror.view.devices
                            assert record.cursor == mirror.view.cursor
                    else:
                        assert record is None or isinstance(record, Live | Stale)
        mirror.advance(driver.now)
        mirror.actions()
        assert mirror.next_deadline() > driver.now, "it spins"
        was_live = was_live or mirror.phase is Phase.LIVE
        state = mirror.view.status.state
        assert (state is State.LIVE) is (mirror.phase is Phase.LIVE)
        assert (state is State.CONNECTING) is (mirror.view.at is None or not was_live)
        assert (mirror.view.trouble == "") is (mirror.phase is Phase.LIVE)
        assert mirror.view.status.why == mirror.view.trouble
        assert mirror.view.resumed is None or since is not None
