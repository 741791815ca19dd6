"""The mirror follows the stream, and recovers from holes in it."""

import pytest

from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import (
    Added,
    Cursor,
    Removed,
    StreamMessage,
)
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    WALL,
    added,
    device,
    live,
    page,
    removed,
    syncing,
    tick,
)

# --- live -------------------------------------------------------------------------------------


def test_events_are_given_as_they_come() -> None:
    driver = live(0)
    driver.stream(added(1), tick(1), added(2))
    assert driver.events() == [added(1), added(2)]
    driver.stream(removed(3, device(1), Reason.UNREGISTERED), tick(3))
    assert driver.events() == [removed(3, device(1), Reason.UNREGISTERED)]
    assert driver.mirror.devices == {"d2": device(2)}
    assert driver.mirror.actions() == []


def test_an_event_is_given_once_however_often_it_comes() -> None:
    driver = live(0)
    driver.stream(added(1), added(1), added(2), added(1), added(2))
    assert driver.events() == [added(1), added(2)]
    assert driver.mirror.cursor == Cursor("e", 2)
    assert driver.mirror.phase is Phase.LIVE


def test_what_is_older_than_the_snapshot_is_not_given() -> None:
    driver = live(5, device(2))
    driver.stream(added(2), removed(5, device(4)), tick(4))
    assert driver.events() == []
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.cursor == Cursor("e", 5)


def test_a_late_removed_leaves_a_newer_registration_alone() -> None:
    driver = live(1, device(1, "arm"))
    driver.stream(added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED))
    assert driver.events() == [added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED)]
    assert driver.mirror.devices == {"arm": device(2, "arm")}


# --- a hole -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(added(7), id="an event was skipped"),
        pytest.param(tick(6), id="a tick is ahead"),
        pytest.param(tick(2, "new"), id="a tick of another epoch"),
        pytest.param(added(6, epoch="new"), id="an event of another epoch"),
    ],
)
def test_a_hole_leads_to_a_snapshot(message: StreamMessage) -> None:
    driver = live(5, device(2))
    driver.stream(message)
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.mirror.trouble == "events were missed; fetching the devices"
    assert driver.asked() == FIRST_PAGE
    assert driver.events() == []
    assert driver.mirror.devices == {"d2": device(2)}


def test_after_a_hole_the_difference_is_given() -> None:
    gone, renamed = device(1), device(2, "arm", "tcp://arm:1")
    moved, stayed = device(3, "pump", "tcp://pump:1"), device(4)
    driver = live(5, gone, renamed, moved, stayed)
    new_name, new_addr = device(8, "hand", "tcp://arm:1"), device(10, "pump", "tcp://elsewhere:1")
    driver.stream(tick(11))
    driver.reply(page(11, [stayed, new_name, new_addr]))
    heard = WALL + 11
    assert driver.events() == [
        Removed("e", 5, heard, gone, Reason.UNKNOWN, Origin.RESYNC),
        Removed("e", 5, heard, renamed, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 5, heard, moved, Reason.REPLACED, Origin.RESYNC),
        Added("e", 8, WALL + 8, new_name, Origin.RESYNC),
        Added("e", 10, WALL + 10, new_addr, Origin.RESYNC),
    ]
    assert driver.mirror.devices == {"d4": stayed, "hand": new_name, "pump": new_addr}
    assert driver.mirror.cursor == Cursor("e", 11)
    assert driver.mirror.phase is Phase.LIVE


def test_events_behind_a_hole_are_not_lost() -> None:
    driver = live(5)
    driver.stream(added(7), added(8))
    driver.reply(page(6, [device(6)]))
    assert driver.events() == [
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        added(7),
        added(8),
    ]


def test_events_behind_a_hole_may_be_in_the_snapshot() -> None:
    driver = live(5)
    driver.stream(added(7), added(8))
    driver.reply(page(7, [device(6), device(7)]))
    assert driver.events() == [
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        Added("e", 7, WALL + 7, device(7), Origin.RESYNC),
        added(8),
    ]


def test_events_kept_are_put_in_order() -> None:
    driver = syncing(seq=3)
    driver.stream(added(5), added(4), added(5))
    driver.reply(page(3))
    assert driver.events() == [added(4), added(5)]


def test_a_hole_that_changed_nothing_gives_no_events() -> None:
    driver = live(5, device(2))
    driver.stream(tick(7))
    driver.reply(page(7, [device(2)]))
    assert driver.events() == []
    assert driver.mirror.cursor == Cursor("e", 7)
    assert driver.mirror.phase is Phase.LIVE


def test_another_epoch_ends_all_registrations_of_the_old_one() -> None:
    arm, pump = device(2, "arm"), device(4, "pump")
    driver = live(5, arm, pump)
    driver.stream(tick(2, "new"))
    driver.reply(page(2, [device(2, "arm")], epoch="new"))
    assert driver.events() == [
        Removed("e", 5, WALL + 2, arm, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 5, WALL + 2, pump, Reason.UNKNOWN, Origin.RESYNC),
        Added("new", 2, WALL + 2, device(2, "arm"), Origin.RESYNC),
    ]
    assert driver.mirror.cursor == Cursor("new", 2)
    assert driver.mirror.devices == {"arm": device(2, "arm")}


def test_after_another_epoch_its_events_are_followed() -> None:
    driver = live(5)
    driver.stream(tick(0, "new"))
    driver.reply(page(0, epoch="new"))
    driver.stream(added(1, epoch="new"))
    assert driver.events() == [added(1, epoch="new")]


# --- what was handed out ----------------------------------------------------------------------


def test_devices_and_cursor_are_those_of_the_events_handed_out() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)))
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.mirror.cursor == Cursor("e", 1)
    assert driver.mirror.next_event() == added(2)
    assert driver.mirror.devices == {"d1": device(1), "d2": device(2)}
    assert driver.mirror.cursor == Cursor("e", 2)
    assert driver.mirror.next_event() == removed(3, device(1))
    assert driver.mirror.devices == {"d2": device(2)}
    assert driver.mirror.cursor == Cursor("e", 3)
    assert driver.mirror.next_event() is None


def test_with_its_last_event_the_cursor_is_the_snapshots() -> None:
    driver = syncing(seq=9)
    driver.reply(page(9, [device(2), device(4)]))
    assert driver.mirror.cursor is None
    driver.mirror.next_event()
    assert driver.mirror.cursor == Cursor("e", 2)
    driver.mirror.next_event()
    assert driver.mirror.cursor == Cursor("e", 9)


def test_while_a_difference_is_read_removals_leave_the_cursor_where_it_was() -> None:
    driver = live(5, device(1))
    driver.stream(tick(1, "new"))
    driver.reply(page(9, [device(3), device(4)], epoch="new"))
    cursors = []
    while driver.mirror.next_event():
        cursors.append(driver.mirror.cursor)
    assert cursors == [Cursor("e", 5), Cursor("new", 3), Cursor("new", 9)]


def test_a_difference_starts_from_the_events_not_read_yet() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)), tick(6))
    driver.reply(page(6, [device(5)]))
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.events() == [
        added(2),
        removed(3, device(1)),
        Removed("e", 3, WALL + 6, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("e", 5, WALL + 5, device(5), Origin.RESYNC),
    ]
    assert driver.mirror.devices == {"d5": device(5)}
    assert driver.mirror.cursor == Cursor("e", 6)


def test_the_devices_are_one_live_read_only_view() -> None:
    driver = live(0)
    view = driver.mirror.devices
    driver.stream(added(1))
    driver.events()
    assert view == {"d1": device(1)}
    with pytest.raises(TypeError):
        view["d2"] = device(2)  # type: ignore[index]
