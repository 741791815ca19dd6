"""What a mirror says of its view: its status, and the words among the events."""

from devicewatch.events.messages import ErrorReply
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Live,
    Removed,
    Stale,
    State,
    Status,
)
from tests.support.driver import (
    STREAM,
    URL,
    WALL,
    Driver,
    added,
    compacted,
    device,
    info,
    live,
    page,
    replay,
    replayed,
    replaying,
    stale,
    syncing,
    tick,
)

SILENT = f"the event stream at {STREAM} is silent"
MISSED = "events were missed; fetching them"
NO_ANSWER = f"no answer from {URL}"


# --- status -----------------------------------------------------------------------------------


def test_at_first_it_is_connecting_since_it_started() -> None:
    driver = Driver()
    assert driver.mirror.view.status == Status(
        State.CONNECTING, 100.0, f"no registry has answered yet at {URL}"
    )
    assert driver.records() == []


def test_until_it_is_live_it_is_connecting_whatever_is_in_the_way() -> None:
    driver = Driver()
    driver.advance_to_deadline()
    assert driver.mirror.view.status == Status(State.CONNECTING, 100.0, NO_ANSWER)
    driver.advance_to_deadline()
    driver.reply(info())
    assert driver.mirror.view.status == Status(
        State.CONNECTING, 100.0, f"nothing heard yet from the event stream at {STREAM}"
    )
    driver.advance_to_deadline()
    assert driver.mirror.view.status == Status(State.CONNECTING, 100.0, SILENT)


def test_it_is_live_since_it_was_right() -> None:
    driver = syncing(5)
    driver.now += 1.5
    driver.reply(page(5))
    assert driver.mirror.view.status == Status(State.LIVE, 101.5, "")
    driver.now += 1.0
    driver.stream(tick(5), added(6))
    assert driver.mirror.view.status == Status(State.LIVE, 101.5, "")


def test_it_is_stale_since_it_was_live_no_longer() -> None:
    driver = stale(5)
    assert driver.mirror.view.status == Status(State.STALE, 103.0, SILENT)
    driver.advance_to_deadline()
    assert driver.mirror.view.status == Status(State.STALE, 103.0, NO_ANSWER)


def test_times_are_those_of_the_wall() -> None:
    driver = Driver()
    driver.mirror.view.set_wall_offset(WALL)
    assert driver.mirror.view.status.since == WALL + 100.0
    live(5, driver=driver)
    driver.advance_to_deadline()
    [word] = driver.words()
    assert word == Stale(WALL + driver.now, SILENT)
    driver.mirror.view.set_wall_offset(2 * WALL)
    assert driver.mirror.view.status.since == 2 * WALL + driver.now
    driver.stream(tick(5))
    assert driver.words() == [Live(2 * WALL + driver.now, Cursor("e", 5))]


def test_a_status_that_has_not_changed_stays_equal_to_itself() -> None:
    driver = Driver()
    driver.mirror.view.set_wall_offset(WALL)
    before = driver.mirror.view.status
    driver.mirror.view.set_wall_offset(WALL + 0.09)
    assert driver.mirror.view.status == before
    driver.mirror.view.set_wall_offset(WALL - 0.11)
    assert driver.mirror.view.status.since == before.since - 0.11


def test_the_status_is_ahead_of_what_was_handed_out() -> None:
    driver = syncing(5)
    driver.reply(page(5, [device(2)]))
    assert driver.mirror.view.status == Status(State.LIVE, driver.now, "")
    assert driver.mirror.view.devices == {}
    driver.advance_to_deadline()
    assert driver.mirror.view.status.state is State.STALE
    assert driver.records() == [
        Added("e", 2, WALL + 2, device(2), Origin.SNAPSHOT),
        Live(100.0, Cursor("e", 5)),
        Stale(driver.now, SILENT),
    ]


# --- words among the events -------------------------------------------------------------------


def test_live_follows_the_devices_of_the_beginning_and_what_came_meanwhile() -> None:
    driver = syncing(5)
    driver.stream(added(6))
    driver.reply(page(5, [device(2)]))
    assert driver.records() == [
        Added("e", 2, WALL + 2, device(2), Origin.SNAPSHOT),
        added(6),
        Live(100.0, Cursor("e", 6)),
    ]


def test_a_view_without_a_device_is_live_too() -> None:
    driver = syncing(5)
    driver.reply(page(5))
    assert driver.records() == [Live(100.0, Cursor("e", 5))]


def test_what_is_in_the_way_of_the_first_view_is_said_once() -> None:
    driver = Driver()
    for _ in range(20):
        driver.advance_to_deadline()
    assert driver.records() == [Stale(102.0, NO_ANSWER)]
    for _ in range(20):
        driver.advance_to_deadline()
    assert driver.records() == []


def test_silence_is_said_in_its_turn() -> None:
    driver = live(1)
    driver.stream(added(2))
    driver.advance_to_deadline()
    gone = driver.now
    driver.stream(tick(2))
    driver.now += 1.0
    driver.stream(added(3))
    assert driver.records() == [
        added(2),
        Stale(gone, SILENT),
        Live(gone, Cursor("e", 2)),
        added(3),
    ]


def test_silence_that_is_over_before_anyone_has_heard_of_the_view_leaves_no_word() -> None:
    driver = syncing(5)
    driver.reply(page(5))
    for _ in range(100):
        driver.wait(3.0)
        assert driver.mirror.view.status.state is State.STALE
        driver.stream(tick(5))
    assert driver.records() == [Live(100.0, Cursor("e", 5))]


def test_silence_that_was_read_of_is_followed_by_live() -> None:
    driver = live(1)
    driver.advance_to_deadline()
    assert driver.records() == [Stale(driver.now, SILENT)]
    driver.now += 1.0
    driver.stream(tick(1))
    assert driver.records() == [Live(driver.now, Cursor("e", 1))]


def test_bye_is_said() -> None:
    driver = live(1)
    driver.stream(Bye("e", 1, WALL))
    assert driver.records() == [Stale(driver.now, "the registry has stopped")]
    assert driver.mirror.view.status == Status(State.STALE, driver.now, "the registry has stopped")


def test_failures_while_it_is_stale_are_not_said_each_but_show_in_the_status() -> None:
    driver = stale(1)
    assert driver.words() == [Stale(driver.now, SILENT)]
    driver.reply(ErrorReply("INFO", "INTERNAL", "it burns"))
    assert driver.words() == []
    assert driver.mirror.view.status.why == f"{URL} refuses: it burns (INTERNAL)"


def test_a_replay_is_between_stale_and_live() -> None:
    driver = replaying(5, behind=2)
    assert driver.records() == [Stale(driver.now, MISSED)]
    assert driver.mirror.view.status == Status(State.STALE, driver.now, MISSED)
    driver.now += 0.5
    driver.reply(replayed(7, added(6), added(7)))
    driver.stream(added(8))
    assert driver.records() == [
        added(6),
        added(7),
        Live(driver.now, Cursor("e", 7), resynced=False),
        added(8),
    ]


def test_a_difference_is_between_stale_and_a_live_that_says_so() -> None:
    driver = replaying(5, device(2), behind=2)
    driver.reply(compacted(7, 7))
    driver.actions()
    driver.reply(page(7))
    assert driver.records() == [
        Stale(driver.now, MISSED),
        Removed("e", 5, WALL + 7, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Live(driver.now, Cursor("e", 7), resynced=True),
    ]
    driver.advance_to_deadline()
    driver.stream(tick(7))
    assert driver.records() == [
        Stale(driver.now, SILENT),
        Live(driver.now, Cursor("e", 7), resynced=False),
    ]


def test_a_difference_that_nobody_has_read_of_is_not_forgotten() -> None:
    driver = replaying(5, behind=2)
    driver.records()
    driver.reply(compacted(7, 7))
    driver.actions()
    driver.reply(page(7))
    driver.wait(3.0)
    driver.stream(tick(7), added(8), added(10))
    driver.advance_to_deadline()
    assert driver.asked() == replay(8)
    driver.reply(replayed(9, added(9)))
    words = driver.words()
    assert [word.resynced for word in words if isinstance(word, Live)] == [True, False]


def test_a_beginning_that_takes_long_is_no_difference() -> None:
    driver = syncing(5)
    driver.reply(page(5, [device(2)], after=2))
    driver.actions()
    driver.stream(tick(9))
    driver.reply(page(9, [device(9)]))
    driver.advance_to_deadline()
    driver.actions()
    driver.reply(page(9, [device(9)]))
    assert driver.words()[-1] == Live(driver.now, Cursor("e", 9), resynced=False)
