"""The mirror fetches what it has missed from the registry's history."""

import pytest

from devicewatch.events.messages import EventsReply
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import Added, Cursor, Event, Live, Removed, Stale
from devicewatch.subscribers import hearsay as hearsay_module
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    WALL,
    added,
    after,
    compacted,
    device,
    live,
    page,
    removed,
    replay,
    replayed,
    replaying,
    tick,
)

# --- one page ---------------------------------------------------------------------------------


def test_what_was_missed_is_given_as_if_it_had_not_been() -> None:
    driver = replaying(5, device(2), behind=3)
    events: list[Event] = [added(6), removed(7, device(2)), added(8)]
    driver.reply(replayed(8, *events))
    assert driver.events() == events
    assert {event.origin for event in events} == {Origin.LIVE}
    assert driver.mirror.view.devices == {"d6": device(6), "d8": device(8)}
    assert driver.mirror.view.cursor == Cursor("e", 8)
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.view.trouble == ""
    assert driver.mirror.actions() == []


def test_the_event_behind_the_hole_is_given_once() -> None:
    driver = live(5)
    driver.stream(added(7))
    assert driver.asked() == replay(5)
    driver.reply(replayed(7, added(6), added(7)))
    assert driver.events() == [added(6), added(7)]


def test_the_event_behind_the_hole_need_not_be_replayed() -> None:
    driver = live(5)
    driver.stream(added(7))
    driver.reply(replayed(6, added(6)))
    assert driver.events() == [added(6), added(7)]
    assert driver.is_in(Phase.LIVE)


def test_events_that_arrive_during_a_replay_come_after_it_and_once() -> None:
    driver = replaying(5, behind=2)
    driver.stream(added(8), tick(8), added(9), removed(10, device(9)))
    assert driver.events() == []
    assert driver.mirror.actions() == []
    driver.reply(replayed(8, added(6), added(7), added(8)))
    assert [event.seq for event in driver.events()] == [6, 7, 8, 9, 10]
    assert driver.is_in(Phase.LIVE)


def test_events_that_arrive_out_of_order_during_a_replay_are_put_in_order() -> None:
    driver = replaying(5)
    driver.stream(added(8), added(7), added(8))
    driver.reply(replayed(6, added(6)))
    assert driver.events() == [added(6), added(7), added(8)]
    assert driver.is_in(Phase.LIVE)


def test_a_hole_in_what_arrived_during_a_replay_is_replayed_too() -> None:
    driver = replaying(5)
    driver.stream(added(8), added(9))
    driver.reply(replayed(6, added(6)))
    assert driver.events() == [added(6)]
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == replay(6)
    driver.reply(replayed(8, added(7), added(8)))
    assert driver.events() == [added(7), added(8), added(9)]
    assert driver.is_in(Phase.LIVE)


def test_a_tick_that_arrives_during_a_replay_tells_of_what_was_lost_behind_it() -> None:
    driver = replaying(5)
    driver.stream(tick(7))
    driver.reply(replayed(6, added(6)))
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == replay(6)
    driver.reply(replayed(7, added(7)))
    assert driver.events() == [added(6), added(7)]
    assert driver.is_in(Phase.LIVE)


def test_more_than_can_be_kept_during_a_replay_is_replayed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearsay_module, "MAX_KEPT", 2)
    driver = replaying(5)
    driver.stream(added(7), added(8), added(9))
    driver.reply(replayed(6, added(6)))
    assert driver.asked() == replay(6)
    driver.reply(replayed(8, added(7), added(8)))
    assert [event.seq for event in driver.events()] == [6, 7, 8, 9]


def test_what_was_kept_for_an_earlier_replay_is_forgotten() -> None:
    driver = replaying(5)
    driver.stream(added(7))
    driver.reply(replayed(7, added(6), added(7)))
    assert driver.events() == [added(6), added(7)]
    driver.stream(tick(8))
    driver.actions()
    driver.reply(replayed(8, added(8)))
    assert driver.events() == [added(8)]


# --- several pages ----------------------------------------------------------------------------


def test_more_than_fits_on_a_page_is_fetched_page_by_page() -> None:
    driver = replaying(5, behind=5)
    driver.reply(replayed(10, added(6), added(7)))
    assert driver.asked() == replay(7)
    assert driver.is_in(Phase.FETCHING)
    assert driver.events() == [added(6), added(7)], "they need not wait for the rest"
    driver.reply(replayed(10, added(8), added(9)))
    assert driver.asked() == replay(9)
    driver.reply(replayed(10, added(10)))
    assert driver.is_in(Phase.LIVE)
    assert driver.events() == [added(8), added(9), added(10)]


def test_what_happens_between_two_pages_is_on_the_last_one() -> None:
    driver = replaying(5, behind=2)
    driver.reply(replayed(7, added(6)))
    assert driver.asked() == replay(6)
    driver.stream(added(8))
    driver.reply(replayed(8, added(7), added(8)))
    assert [event.seq for event in driver.events()] == [6, 7, 8]
    assert driver.is_in(Phase.LIVE)


def test_a_lost_page_is_asked_for_again_and_what_was_on_those_before_counts() -> None:
    driver = replaying(5, behind=3)
    driver.reply(replayed(8, added(6)))
    assert driver.asked() == replay(6)
    driver.advance_to_deadline()
    assert driver.mirror.view.trouble == f"no answer from {URL}"
    driver.stream(tick(8))
    driver.advance_to_deadline()
    assert driver.asked() == replay(6)
    driver.reply(replayed(8, added(7), added(8)))
    assert [event.seq for event in driver.events()] == [6, 7, 8]


def test_a_page_of_a_replay_makes_pauses_short_again() -> None:
    driver = replaying(5, behind=3)
    driver.reply(replayed(9))
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    driver.reply(replayed(9))
    driver.actions()
    driver.reply(replayed(9))
    assert driver.advance_to_deadline() == pytest.approx(0.2)
    driver.actions()
    driver.reply(replayed(8, added(6)))
    driver.actions()
    driver.reply(replayed(9))
    assert driver.advance_to_deadline() == pytest.approx(0.1)


# --- in vain ----------------------------------------------------------------------------------


def test_where_history_does_not_reach_the_devices_are_fetched_and_the_difference_is_given() -> None:
    gone, renamed = device(1), device(2, "arm", "tcp://arm:1")
    moved, stayed = device(3, "pump", "tcp://pump:1"), device(4)
    driver = live(5, gone, renamed, moved, stayed)
    new_name, new_addr = device(8, "hand", "tcp://arm:1"), device(10, "pump", "tcp://elsewhere:1")
    driver.stream(tick(11))
    assert driver.asked() == replay(5)
    driver.reply(compacted(11, 9))
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(11, [stayed, new_name, new_addr]))
    heard = WALL + 11
    assert driver.events() == [
        Removed("e", 5, heard, gone, Reason.UNKNOWN, Origin.RESYNC),
        Removed("e", 5, heard, renamed, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 5, heard, moved, Reason.REPLACED, Origin.RESYNC),
        Added("e", 8, WALL + 8, new_name, Origin.RESYNC),
        Added("e", 10, WALL + 10, new_addr, Origin.RESYNC),
    ]
    assert driver.mirror.view.devices == {"d4": stayed, "hand": new_name, "pump": new_addr}
    assert driver.mirror.view.cursor == Cursor("e", 11)
    assert driver.is_in(Phase.LIVE)


def test_a_history_that_ends_between_two_pages_leads_to_a_difference() -> None:
    driver = replaying(5, behind=5)
    driver.reply(replayed(10, added(6), added(7)))
    assert driver.asked() == replay(7)
    driver.reply(compacted(30, 20))
    assert driver.asked() == FIRST_PAGE
    driver.stream(tick(30))
    driver.reply(page(30, [device(7), device(25)]))
    assert driver.events() == [
        added(6),
        added(7),
        Removed("e", 7, WALL + 30, device(6), Reason.UNKNOWN, Origin.RESYNC),
        Added("e", 25, WALL + 25, device(25), Origin.RESYNC),
    ]
    assert driver.is_in(Phase.LIVE)


def test_events_that_arrived_before_a_difference_follow_it() -> None:
    driver = live(5)
    driver.stream(added(9))
    driver.reply(compacted(9, 8))
    driver.stream(added(10), added(11))
    driver.actions()
    driver.reply(page(10, [device(9), device(10)]))
    assert driver.events() == [
        Added("e", 9, WALL + 9, device(9), Origin.RESYNC),
        Added("e", 10, WALL + 10, device(10), Origin.RESYNC),
        added(11),
    ]


def test_events_between_the_pages_of_a_difference_may_have_come_before_the_first() -> None:
    driver = live(5, device(1))
    driver.stream(added(9))
    driver.actions()
    driver.reply(compacted(9, 8))
    assert driver.asked() == FIRST_PAGE
    driver.stream(removed(10, device(1)))
    driver.reply(page(9, [device(1)], after=1))
    assert driver.asked() == after(1)
    driver.reply(page(10, [device(9)]))
    assert [(event.topic, event.device.name) for event in driver.events()] == [
        ("removed", "d1"),
        ("added", "d9"),
    ]
    assert driver.mirror.view.cursor == Cursor("e", 10)


def test_a_difference_may_be_empty() -> None:
    driver = replaying(5, device(2), behind=2)
    driver.reply(compacted(7, 7))
    driver.actions()
    driver.reply(page(7, [device(2)]))
    assert driver.records() == [
        Stale(driver.now, "events were missed; fetching them"),
        Live(driver.now, Cursor("e", 7), resynced=True),
    ]
    assert driver.mirror.view.cursor == Cursor("e", 7)


def test_another_epoch_in_the_middle_of_a_replay_leads_to_a_difference() -> None:
    driver = replaying(5, behind=5)
    driver.reply(replayed(10, added(6), added(7)))
    assert driver.asked() == replay(7)
    driver.stream(tick(3, "new"))
    assert driver.mirror.actions() == []
    driver.reply(compacted(3, 1, epoch="new"))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(3, [device(2)], epoch="new"))
    assert driver.events() == [
        added(6),
        added(7),
        Removed("e", 7, WALL + 3, device(6), Reason.UNKNOWN, Origin.RESYNC),
        Removed("e", 7, WALL + 3, device(7), Reason.UNKNOWN, Origin.RESYNC),
        Added("new", 2, WALL + 2, device(2), Origin.RESYNC),
    ]
    assert driver.mirror.view.cursor == Cursor("new", 3)
    assert driver.is_in(Phase.LIVE)


def test_another_epoch_at_the_end_of_a_replay_leads_to_a_snapshot_after_a_pause() -> None:
    driver = replaying(5)
    driver.stream(tick(3, "new"))
    driver.reply(replayed(6, added(6)))
    assert driver.events() == [added(6)]
    assert driver.is_in(Phase.FETCHING)
    assert driver.mirror.view.trouble == (
        f"the stream at {STREAM} is not that of the registry at {URL}"
    )
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(3, epoch="new"))
    assert driver.is_in(Phase.LIVE)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(replayed(8, added(6), epoch="f"), id="another epoch"),
        pytest.param(replayed(8, added(6, epoch="f"), added(7)), id="an event of another epoch"),
        pytest.param(replayed(8, added(7), added(8)), id="a hole at the beginning"),
        pytest.param(replayed(8, added(5), added(6)), id="what is known already"),
        pytest.param(replayed(8, added(6), added(8)), id="a hole in the middle"),
        pytest.param(replayed(8, added(6), added(6)), id="an event twice"),
        pytest.param(replayed(8, added(7), added(6)), id="out of order"),
        pytest.param(replayed(6, added(6), added(7)), id="more than there is"),
        pytest.param(replayed(8), id="nothing, and more to come"),
        pytest.param(replayed(4), id="a registry that went back"),
    ],
)
def test_a_replay_that_does_not_fit_is_not_taken_in(reply: EventsReply) -> None:
    driver = replaying(5, behind=3)
    driver.reply(reply)
    assert driver.mirror.view.trouble == f"the events that {URL} replays do not fit together"
    assert driver.events() == []
    assert driver.mirror.view.cursor == Cursor("e", 5)
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == replay(5)
    driver.reply(replayed(8, added(6), added(7), added(8)))
    assert driver.is_in(Phase.LIVE)
