"""The mirror and silence, a registry that stops, and messages that run backwards."""

import pytest

from devicewatch.events.messages import (
    Info,
    Request,
)
from devicewatch.events.protocol import Origin
from devicewatch.events.records import Added, Bye, Cursor, Event, Stale, StreamMessage
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    WALL,
    Driver,
    added,
    device,
    info,
    live,
    page,
    removed,
    replay,
    replayed,
    replaying,
    stale,
    syncing,
    tick,
)

# --- silence ----------------------------------------------------------------------------------


def test_three_silent_ticks_make_the_view_stale() -> None:
    driver = live(1, device(1))
    driver.now = driver.mirror.next_deadline() - 0.01
    driver.mirror.advance(driver.now)
    assert driver.mirror.view.trouble == ""
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.01)
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == f"the event stream at {STREAM} is silent"
    assert driver.asked() == Info()


def test_the_length_of_a_tick_is_the_registrys() -> None:
    driver = Driver()
    driver.reply(info(tick_interval=0.2))
    assert driver.mirror.next_deadline() - driver.now == pytest.approx(2.0), "a link may be slow"
    driver.stream(tick(0))
    driver.reply(page(0))
    assert driver.mirror.next_deadline() - driver.now == pytest.approx(0.6)


def test_every_message_ends_the_silence() -> None:
    driver = live(1, device(1))
    driver.now += 2.0
    driver.stream(tick(1))
    assert driver.mirror.next_deadline() == driver.now + 3.0


def test_a_stale_view_keeps_its_devices() -> None:
    driver = stale(1, device(1))
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d1": device(1)}
    assert driver.mirror.view.cursor == Cursor("e", 1)


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
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.view.trouble == ""
    assert driver.events() == events
    assert driver.mirror.actions() == []


def test_the_reply_that_is_no_longer_needed_is_ignored() -> None:
    driver = stale(1)
    driver.stream(tick(1))
    driver.reply(info())
    assert driver.mirror.actions() == []
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.view.trouble == ""


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
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.actions() == []


def test_events_lost_in_the_silence_are_replayed() -> None:
    driver = stale(1, device(1))
    driver.reply(info())
    driver.mirror.actions()
    driver.stream(tick(2))
    assert driver.asked() == replay(1)
    driver.reply(replayed(2, removed(2, device(1))))
    assert driver.events() == [removed(2, device(1))]
    assert driver.is_in(Phase.LIVE)


def test_a_stream_that_speaks_again_with_a_hole_makes_it_wait_for_no_info() -> None:
    driver = stale(1)
    driver.stream(tick(5))
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == replay(1)
    driver.reply(replayed(5, *[added(seq) for seq in range(2, 6)]))
    assert driver.is_in(Phase.LIVE)
    assert [event.seq for event in driver.events()] == [2, 3, 4, 5]


def test_a_stream_that_speaks_again_in_another_epoch_makes_it_wait_for_no_info() -> None:
    driver = stale(1)
    driver.stream(tick(5, "new"))
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == FIRST_PAGE


def test_a_word_of_the_stream_ends_the_pause_before_it_asks_again() -> None:
    driver = stale(1)
    driver.advance_to_deadline()
    assert driver.mirror.actions() == []
    driver.stream(tick(5))
    assert driver.asked() == replay(1)


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        pytest.param(added(3), replay(1), id="a replay"),
        pytest.param(tick(3, "new"), FIRST_PAGE, id="a snapshot"),
    ],
)
def test_silence_ends_what_is_under_way(message: StreamMessage, request_: Request) -> None:
    driver = live(1)
    driver.now += 2.0
    driver.stream(message)
    assert driver.asked() == request_
    driver.advance_to_deadline()
    assert driver.mirror.view.trouble == f"no answer from {URL}"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == request_
    driver.advance_to_deadline()
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == f"the event stream at {STREAM} is silent"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.2)
    assert driver.asked() == Info()


def test_a_snapshot_that_silence_ended_leaves_nothing_behind() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    while driver.mirror.phase is Phase.FETCHING:
        driver.advance_to_deadline()
    driver.mirror.actions()
    driver.advance_to_deadline()
    assert driver.asked() == Info()
    driver.reply(info())
    driver.stream(tick(9))
    driver.reply(page(9, [device(9)]))
    assert driver.is_in(Phase.LIVE)
    assert driver.events() == [Added("e", 9, WALL + 9, device(9), Origin.SNAPSHOT)]


def test_bye_makes_it_look_for_the_registry_at_once() -> None:
    driver = live(1, device(1))
    driver.stream(Bye("e", 1, WALL + 1))
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == "the registry has stopped"
    assert driver.asked() == Info()
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d1": device(1)}


def test_bye_ends_what_is_under_way_and_it_pauses() -> None:
    driver = replaying(1, behind=2)
    driver.stream(Bye("e", 3, WALL + 3))
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == "the registry has stopped"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


def test_bye_changes_nothing_while_it_looks_for_the_registry() -> None:
    driver = stale(1)
    driver.stream(Bye("e", 1, WALL + 1))
    assert driver.mirror.view.trouble == f"the event stream at {STREAM} is silent"
    assert driver.mirror.actions() == []
    driver.reply(info())
    assert driver.listened() == STREAM


# --- messages that run backwards --------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(added(4), id="an event"),
        pytest.param(removed(4, device(2)), id="a removal"),
        pytest.param(tick(4), id="a tick"),
        pytest.param(Bye("e", 4, WALL + 4), id="a bye"),
    ],
)
def test_what_is_past_changes_nothing_and_is_no_sign_of_life(message: StreamMessage) -> None:
    driver = live(5, device(2))
    deadline = driver.mirror.next_deadline()
    driver.now += 1.0
    driver.stream(message)
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.actions() == []
    assert driver.events() == []
    assert driver.mirror.next_deadline() == deadline
    assert driver.mirror.discarded == 0


def test_the_latest_message_once_more_is_a_sign_of_life() -> None:
    driver = live(5)
    driver.stream(added(6))
    driver.now += 1.0
    driver.stream(added(6))
    assert driver.mirror.next_deadline() == driver.now + 3.0


def test_where_the_stream_was_counts_even_if_nothing_is_known_yet() -> None:
    driver = syncing(seq=5)
    driver.wait(2.5)
    driver.stream(tick(4), added(4))
    driver.wait(0.4)
    assert driver.is_in(Phase.FETCHING)
    driver.wait(0.1)
    assert driver.is_in(Phase.ASKING)
    assert (
        driver.mirror.view.trouble == f"the event stream at {STREAM} is at 4, and was at 5 before"
    )


def test_a_new_socket_that_begins_before_what_is_known_says_nothing_yet() -> None:
    driver = stale(5)
    driver.reply(info())
    assert driver.listened() == STREAM
    driver.stream(tick(4), added(4), tick(3))
    assert driver.is_in(Phase.LISTENING)
    assert driver.records() == [Stale(driver.now, f"the event stream at {STREAM} is silent")]
    driver.stream(tick(5))
    assert driver.is_in(Phase.LIVE)


def test_a_new_socket_may_begin_anywhere() -> None:
    driver = syncing(seq=5)
    driver.wait(3.5)
    driver.actions()
    driver.reply(info())
    driver.actions()
    driver.stream(tick(4))
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == FIRST_PAGE
