"""The mirror and silence, lost replies, and a registry at fault."""

import pytest

from devicewatch.events.codec import encode_event, encode_reply
from devicewatch.events.messages import (
    Ack,
    ErrorReply,
    EventsReply,
    Info,
    Reply,
    Unsupported,
)
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Event,
    Removed,
    StreamMessage,
)
from devicewatch.subscribers.mirror import Mirror, Phase
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    WALL,
    Driver,
    added,
    device,
    info,
    listening,
    live,
    page,
    stale,
    syncing,
    tick,
)

# --- silence ----------------------------------------------------------------------------------


def test_three_silent_ticks_make_the_view_stale() -> None:
    driver = live(1, device(1))
    driver.now = driver.mirror.next_deadline() - 0.01
    driver.mirror.advance(driver.now)
    assert driver.mirror.trouble == ""
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.01)
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == f"the event stream at {STREAM} is silent"
    assert driver.asked() == Info()


def test_the_length_of_a_tick_is_the_registrys() -> None:
    driver = Driver()
    driver.reply(info(tick_interval=0.2))
    assert driver.mirror.next_deadline() - driver.now == pytest.approx(0.6)


def test_every_message_ends_the_silence() -> None:
    driver = live(1, device(1))
    driver.now += 2.0
    driver.stream(tick(1))
    assert driver.mirror.next_deadline() == driver.now + 3.0


def test_a_stale_view_keeps_its_devices() -> None:
    driver = stale(1, device(1))
    assert driver.events() == []
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.mirror.cursor == Cursor("e", 1)


@pytest.mark.parametrize(
    ("message", "events"),
    [
        pytest.param(tick(1), [], id="a tick"),
        pytest.param(added(2), [added(2)], id="the next event"),
    ],
)
def test_a_stream_that_goes_on_where_it_was_makes_it_live_again(
    message: StreamMessage, events: list[Event]
) -> None:
    driver = stale(1, device(1))
    driver.stream(message)
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.trouble == ""
    assert driver.events() == events
    assert driver.mirror.actions() == []


def test_the_reply_that_is_no_longer_needed_is_ignored() -> None:
    driver = stale(1)
    driver.stream(tick(1))
    driver.reply(info())
    assert driver.mirror.actions() == []
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.trouble == ""


def test_once_it_is_live_again_it_waits_for_no_reply() -> None:
    driver = stale(1)
    driver.stream(tick(1))
    assert driver.advance_to_deadline() == pytest.approx(3.0)
    driver.advance_to_deadline()
    driver.stream(tick(1))
    assert driver.advance_to_deadline() == pytest.approx(3.0)


def test_a_new_socket_that_goes_on_where_it_was_needs_no_snapshot() -> None:
    driver = stale(1, device(1))
    driver.reply(info())
    assert driver.listened() == STREAM
    driver.stream(tick(1))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.actions() == []


def test_events_lost_in_the_silence_lead_to_a_snapshot() -> None:
    driver = stale(1, device(1))
    driver.reply(info())
    driver.mirror.actions()
    driver.stream(tick(2))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(2))
    assert driver.events() == [Removed("e", 1, WALL + 2, device(1), Reason.UNKNOWN, Origin.RESYNC)]


def test_while_it_waits_for_info_a_stream_with_a_hole_changes_nothing() -> None:
    driver = stale(1)
    driver.stream(tick(5))
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []


def test_a_word_of_the_stream_ends_the_pause_before_it_asks_again() -> None:
    driver = stale(1)
    driver.advance_to_deadline()
    assert driver.mirror.actions() == []
    driver.stream(tick(5))
    assert driver.asked() == Info()


def test_silence_ends_a_snapshot_under_way() -> None:
    driver = live(1)
    driver.now += 2.0
    driver.stream(added(3))
    assert driver.asked() == FIRST_PAGE
    driver.advance_to_deadline()
    assert driver.mirror.trouble == f"no answer from {URL}"
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
    driver.advance_to_deadline()
    assert driver.mirror.phase is Phase.ASKING
    assert driver.asked() == Info()


def test_a_snapshot_that_silence_ended_leaves_nothing_behind() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    while driver.mirror.phase is Phase.SYNCING:
        driver.advance_to_deadline()
    driver.mirror.actions()
    driver.reply(info())
    driver.stream(tick(9))
    driver.reply(page(9, [device(9)]))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.events() == [Added("e", 9, WALL + 9, device(9), Origin.SNAPSHOT)]


def test_bye_makes_it_look_for_the_registry_at_once() -> None:
    driver = live(1, device(1))
    driver.stream(Bye("e", 1, WALL + 1))
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == "the registry has stopped"
    assert driver.asked() == Info()
    assert driver.events() == []
    assert driver.mirror.devices == {"d1": device(1)}


# --- requests that fail -----------------------------------------------------------------------


def pauses(driver: Driver, number: int) -> list[float]:
    """How long it waits after each of a number of requests that are never answered."""
    result = []
    for _ in range(number):
        driver.asked()
        assert driver.advance_to_deadline() == pytest.approx(2.0)
        assert driver.mirror.actions() == []
        result.append(driver.advance_to_deadline())
    return result


def test_a_lost_reply_is_asked_for_again_after_a_pause() -> None:
    driver = Driver()
    assert driver.asked() == Info()
    driver.advance_to_deadline()
    assert driver.mirror.trouble == f"no answer from {URL}"
    assert driver.mirror.actions() == []
    driver.advance_to_deadline()
    assert driver.asked() == Info()


def test_pauses_grow_up_to_five_seconds() -> None:
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pauses(Driver(), 8) == pytest.approx(expected)


def test_pauses_do_not_grow_without_bound_in_years() -> None:
    assert pauses(Driver(), 2000)[-1] == pytest.approx(5.0)


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.05), (0.5, 0.075), (1.0, 0.1)])
def test_jitter_shortens_a_pause_by_up_to_half(jitter: float, pause: float) -> None:
    assert pauses(Driver(jitter=jitter), 1) == pytest.approx([pause])


def test_by_itself_it_jitters() -> None:
    def pause() -> float:
        mirror = Mirror(URL)
        mirror.start(0.0)
        mirror.advance(mirror.next_deadline())
        return mirror.next_deadline() - 2.0

    drawn = [pause() for _ in range(20)]
    assert all(0.05 <= seconds <= 0.1 for seconds in drawn)
    assert len(set(drawn)) > 1


def test_once_it_was_live_pauses_start_from_the_shortest() -> None:
    driver = Driver()
    pauses(driver, 5)
    driver.asked()
    driver.reply(info())
    driver.stream(tick(0))
    driver.reply(page(0))
    driver.mirror.actions()
    driver.advance_to_deadline()
    assert pauses(driver, 1) == pytest.approx([0.1])


def test_a_reply_after_it_has_given_up_is_ignored() -> None:
    driver = Driver()
    driver.asked()
    driver.advance_to_deadline()
    driver.reply(info())
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []
    driver.mirror.reply_received([b"nonsense"], driver.now)
    assert driver.mirror.discarded == 0


def test_a_second_reply_is_ignored() -> None:
    driver = Driver()
    driver.asked()
    driver.reply(info())
    driver.reply(info())
    assert driver.listened() == STREAM


BAD_REPLIES = [
    pytest.param(Unsupported("INFO"), "is it an older registry", id="UNSUPPORTED"),
    pytest.param(ErrorReply("INFO", "INTERNAL", "it burns"), "it burns (INTERNAL)", id="ERROR"),
    pytest.param(Ack("CHECK_ALIVE", True), "is it an older registry", id="ACK"),
    pytest.param(EventsReply("e", 1, [added(1)]), "is it an older registry", id="EVENTS"),
]


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [*BAD_REPLIES, pytest.param(page(0), "is it an older registry", id="SNAPSHOT")],
)
def test_no_info_in_reply_to_info_is_trouble(reply: Reply, trouble: str) -> None:
    driver = Driver()
    driver.asked()
    driver.reply(reply)
    assert trouble in driver.mirror.trouble
    assert URL in driver.mirror.trouble
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [*BAD_REPLIES, pytest.param(info(), "is it an older registry", id="INFO")],
)
def test_no_snapshot_in_reply_to_snapshot_is_trouble(reply: Reply, trouble: str) -> None:
    driver = syncing()
    driver.reply(reply)
    assert trouble in driver.mirror.trouble
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no frame"),
        pytest.param([b""], id="an empty frame"),
        pytest.param([b"\xff\xfe\x00"], id="no text"),
        pytest.param([b'{"event":"INFO"}'], id="no payload"),
        pytest.param([b'{"event":"HELLO","payload":{}}'], id="an unknown name"),
        pytest.param([encode_reply(info()), b""], id="a frame too many"),
    ],
)
def test_a_reply_that_makes_no_sense_is_counted_and_asked_for_again(frames: list[bytes]) -> None:
    driver = Driver()
    driver.asked()
    driver.mirror.reply_received(frames, driver.now)
    assert driver.mirror.discarded == 1
    assert f"the reply of {URL} makes no sense" in driver.mirror.trouble
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


GARBAGE = [
    [],
    [b"tick"],
    [b"tick", b""],
    [b"tick", b"\xff"],
    [b"tick", b"{}"],
    [b"added", encode_event(tick(9))[1]],
    [*encode_event(tick(9)), b""],
    [b"added", b'{"event":"added","epoch":"e","seq":9,"time":0}'],
]


@pytest.mark.parametrize("frames", GARBAGE)
def test_a_message_that_makes_no_sense_is_counted_and_changes_nothing(frames: list[bytes]) -> None:
    driver = live(1, device(1))
    deadline = driver.mirror.next_deadline()
    driver.now += 1.0
    driver.mirror.stream_received(frames, driver.now)
    assert driver.mirror.discarded == 1
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.actions() == []
    assert driver.events() == []
    assert driver.mirror.next_deadline() == deadline, "nonsense is no sign of life"


def test_garbage_is_not_the_streams_first_word() -> None:
    driver = listening()
    for frames in GARBAGE:
        driver.mirror.stream_received(frames, driver.now)
    assert driver.mirror.phase is Phase.LISTENING
    assert driver.mirror.actions() == []
    assert driver.mirror.discarded == len(GARBAGE)
