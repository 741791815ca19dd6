"""The mirror and lost replies, wrong replies, and bytes that make no sense."""

from collections.abc import Callable

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
from devicewatch.events.records import StreamMessage
from devicewatch.subscribers.mirror import Mirror, Phase
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    Driver,
    added,
    compacted,
    device,
    info,
    listening,
    live,
    page,
    replay,
    replayed,
    replaying,
    stale,
    syncing,
    tick,
)

# --- requests that fail -----------------------------------------------------------------------


def pauses(driver: Driver, number: int) -> list[float]:
    """How long it waits after each of a number of requests that are never answered."""
    result = []
    for _ in range(number):
        driver.asked()
        driver.advance_to_deadline()
        assert driver.mirror.actions() == []
        result.append(driver.advance_to_deadline())
    return result


def test_a_lost_reply_is_asked_for_again_after_a_pause() -> None:
    driver = Driver()
    assert driver.asked() == Info()
    driver.advance_to_deadline()
    assert driver.mirror.view.trouble == f"no answer from {URL}"
    assert driver.mirror.actions() == []
    driver.advance_to_deadline()
    assert driver.asked() == Info()


def test_pauses_grow_up_to_five_seconds() -> None:
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pauses(Driver(), 8) == pytest.approx(expected)


def test_time_for_a_reply_grows_up_to_ten_seconds() -> None:
    """A slow link needs it for each new connection."""
    driver, waited = Driver(), []
    for _ in range(5):
        driver.asked()
        waited.append(driver.advance_to_deadline())
        driver.advance_to_deadline()
    assert waited == pytest.approx([2.0, 4.0, 8.0, 10.0, 10.0])


def test_a_bad_address_of_the_stream_is_asked_for_anew() -> None:
    driver = Driver()
    driver.asked()
    driver.reply(info())
    assert driver.listened() == STREAM
    driver.mirror.listen_failed("it is no address", driver.now)
    assert driver.mirror.view.status.why == "it is no address"
    assert driver.is_in(Phase.ASKING)
    driver.advance_to_deadline()
    assert driver.asked() == Info()


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
    assert driver.is_in(Phase.ASKING)
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
    assert trouble in driver.mirror.view.trouble
    assert URL in driver.mirror.view.trouble
    assert driver.is_in(Phase.ASKING)
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
    assert trouble in driver.mirror.view.trouble
    assert driver.is_in(Phase.FETCHING)
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        *BAD_REPLIES[:3],
        pytest.param(info(), "is it an older registry", id="INFO"),
        pytest.param(page(1), "is it an older registry", id="SNAPSHOT"),
        pytest.param(replayed(9, added(7)), "do not fit together", id="EVENTS that do not fit"),
    ],
)
def test_no_events_in_reply_to_replay_is_trouble(reply: Reply, trouble: str) -> None:
    driver = replaying(5)
    driver.reply(reply)
    assert trouble in driver.mirror.view.trouble
    assert driver.is_in(Phase.FETCHING)
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == replay(5)


def test_compacted_is_no_reply_to_snapshot() -> None:
    driver = syncing()
    driver.reply(compacted(0, 0))
    assert "is it an older registry" in driver.mirror.view.trouble
    assert driver.is_in(Phase.FETCHING)


REFUSED = ErrorReply("INFO", "INTERNAL", "it burns")


def refused_three_times(driver: Driver) -> Driver:
    """After the third failure in a row it looks for the registry anew."""
    for _ in range(2):
        driver.reply(REFUSED)
        driver.advance_to_deadline()
        assert driver.asked() != Info()
    driver.reply(REFUSED)
    return driver


@pytest.mark.parametrize("begin", [syncing, replaying])
def test_after_three_failures_it_looks_for_the_registry_anew(
    begin: Callable[[], Driver],
) -> None:
    driver = refused_three_times(begin())
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == f"{URL} refuses: it burns (INTERNAL)"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.4)
    assert driver.asked() == Info()
    driver.reply(info())
    assert driver.listened() == STREAM


@pytest.mark.parametrize("message", [tick(0), tick(9), added(1), tick(1, "new")], ids=str)
def test_then_it_does_not_trust_the_old_stream(message: StreamMessage) -> None:
    driver = refused_three_times(replaying(0))
    driver.stream(message)
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.actions() == []
    driver.advance_to_deadline()
    assert driver.asked() == Info()
    driver.stream(message)
    assert driver.is_in(Phase.ASKING)


def test_then_it_trusts_the_new_stream() -> None:
    driver = refused_three_times(replaying(0))
    driver.advance_to_deadline()
    driver.actions()
    driver.reply(info())
    driver.actions()
    driver.stream(tick(0))
    assert driver.is_in(Phase.LIVE)
    driver.advance_to_deadline()
    assert driver.is_in(Phase.ASKING)
    driver.stream(tick(0))
    assert driver.is_in(Phase.LIVE), "that of the new socket still counts"


def test_an_unanswered_info_is_no_reason_to_distrust_the_stream() -> None:
    driver = stale(1)
    for _ in range(10):
        driver.advance_to_deadline()
    driver.actions()
    driver.stream(tick(1))
    assert driver.is_in(Phase.LIVE)


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
    assert f"the reply of {URL} makes no sense" in driver.mirror.view.trouble
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
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.actions() == []
    assert driver.events() == []
    assert driver.mirror.next_deadline() == deadline, "nonsense is no sign of life"


def test_garbage_is_not_the_streams_first_word() -> None:
    driver = listening()
    for frames in GARBAGE:
        driver.mirror.stream_received(frames, driver.now)
    assert driver.is_in(Phase.LISTENING)
    assert driver.mirror.actions() == []
    assert driver.mirror.discarded == len(GARBAGE)
