"""The mirror follows the stream, and recovers from holes in it."""

import pytest

from devicewatch.events.codec import encode_event
from devicewatch.events.messages import EventsReply
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Removed,
    StreamMessage,
)
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    WALL,
    Driver,
    added,
    compacted,
    device,
    info,
    live,
    page,
    removed,
    replay,
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
    assert driver.mirror.view.devices == {"d2": device(2)}
    assert driver.mirror.actions() == []


def test_it_says_when_nothing_is_left_to_do_but_to_hand_on_what_is_new() -> None:
    driver = live(0)

    def hear(message: StreamMessage) -> bool:
        return driver.mirror.stream_received(encode_event(message), driver.now)

    assert [hear(message) for message in (added(1), tick(1), added(1), added(2))] == [True] * 4
    assert not hear(added(4)), "there is a hole"
    assert not hear(added(5)), "it is being fetched"
    assert driver.asked() == replay(2)
    driver.reply(EventsReply("e", 5, (added(3), added(4), added(5))))
    assert hear(tick(5))
    assert not hear(Bye("e", 5, WALL))
    assert not driver.mirror.stream_received([b"nonsense"], driver.now)


def test_the_word_that_makes_it_live_is_not_all_there_is_to_do() -> None:
    driver = live(3)
    driver.wait(60)
    driver.reply(info())
    assert not driver.mirror.stream_received(encode_event(tick(3)), driver.now)
    assert driver.is_in(Phase.LIVE)


def test_an_event_that_makes_it_live_may_be_one_too_many() -> None:
    driver = live(0, driver=Driver(max_waiting=1))
    driver.stream(added(1))
    driver.wait(60)
    driver.reply(info())
    driver.stream(added(2))
    assert driver.is_in(Phase.FETCHING)
    assert driver.mirror.view.status.why.startswith("the reader is too slow")
    assert driver.events() == [added(1)]


def test_an_event_is_given_once_however_often_it_comes() -> None:
    driver = live(0)
    driver.stream(added(1), added(1), added(2), added(1), added(2))
    assert driver.events() == [added(1), added(2)]
    assert driver.mirror.view.cursor == Cursor("e", 2)
    assert driver.mirror.phase is Phase.LIVE


def test_what_is_older_than_the_snapshot_is_not_given() -> None:
    driver = live(5, device(2))
    driver.stream(added(2), removed(5, device(4)), tick(4))
    assert driver.events() == []
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.view.cursor == Cursor("e", 5)


def test_a_late_removed_leaves_a_newer_registration_alone() -> None:
    driver = live(1, device(1, "arm"))
    driver.stream(added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED))
    assert driver.events() == [added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED)]
    assert driver.mirror.view.devices == {"arm": device(2, "arm")}


# --- a hole -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(added(7), id="an event was skipped"),
        pytest.param(removed(7, device(2)), id="an event was skipped before a device left"),
        pytest.param(tick(6), id="a tick is ahead"),
    ],
)
def test_a_hole_leads_to_a_replay(message: StreamMessage) -> None:
    driver = live(5, device(2))
    driver.stream(message)
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.mirror.view.trouble == "events were missed; fetching them"
    assert driver.asked() == replay(5)
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d2": device(2)}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(tick(2, "new"), id="a tick"),
        pytest.param(tick(5, "new"), id="a tick with the same number"),
        pytest.param(added(6, epoch="new"), id="an event with the next number"),
    ],
)
def test_another_epoch_leads_to_a_snapshot(message: StreamMessage) -> None:
    driver = live(5, device(2))
    driver.stream(message)
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.mirror.view.trouble == "events were missed; fetching them"
    assert driver.asked() == FIRST_PAGE
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d2": device(2)}


def test_events_kept_are_put_in_order() -> None:
    driver = syncing(seq=3)
    driver.stream(added(5), added(4), added(5))
    driver.reply(page(3))
    assert driver.events() == [added(4), added(5)]


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
    assert driver.mirror.view.cursor == Cursor("new", 2)
    assert driver.mirror.view.devices == {"arm": device(2, "arm")}


def test_after_another_epoch_its_events_are_followed() -> None:
    driver = live(5)
    driver.stream(tick(0, "new"))
    driver.reply(page(0, epoch="new"))
    driver.stream(added(1, epoch="new"))
    assert driver.events() == [added(1, epoch="new")]


# --- only some of the devices, or only what is new ---------------------------------------------


def test_devices_of_other_types_are_left_out() -> None:
    cam, pump = device(2, device_type="camera"), device(3, device_type="pump")
    driver = syncing(4, Driver(device_type="camera"))
    driver.reply(page(4, [cam, pump]))
    driver.stream(added(5), removed(6, pump), removed(7, cam))
    assert driver.events() == [
        Added("e", 2, WALL + 2, cam, Origin.SNAPSHOT),
        removed(7, cam),
    ]


def test_the_cursor_moves_on_over_events_of_other_types() -> None:
    cam = device(7, device_type="camera")
    driver = live(4, driver=Driver(device_type="camera"))
    driver.stream(added(5))
    assert driver.mirror.view.cursor == Cursor("e", 5), "there is nothing to wait for"
    driver.stream(added(6), Added("e", 7, WALL + 7, cam), added(8), added(9))
    assert driver.mirror.view.cursor == Cursor("e", 6)
    assert driver.next_event() == Added("e", 7, WALL + 7, cam)
    assert driver.mirror.view.cursor == Cursor("e", 7)
    assert driver.next_event() is None
    assert driver.mirror.view.cursor == Cursor("e", 9)
    assert driver.mirror.view.devices == {"d7": cam}
    assert driver.mirror.phase is Phase.LIVE


def test_devices_of_other_types_are_in_no_difference() -> None:
    cam, pump = device(2, device_type="camera"), device(3, device_type="pump")
    driver = live(4, cam, pump, driver=Driver(device_type="camera"))
    driver.stream(tick(2, "new"))
    new_cam = device(1, device_type="camera")
    driver.reply(page(2, [new_cam, device(2)], epoch="new"))
    assert driver.events() == [
        Removed("e", 4, WALL + 2, cam, Reason.REPLACED, Origin.RESYNC),
        Added("new", 1, WALL + 1, new_cam, Origin.RESYNC),
    ]
    assert driver.mirror.view.cursor == Cursor("new", 2)


def test_without_existing_ones_the_devices_are_there_and_only_news_is_given() -> None:
    driver = syncing(4, Driver(existing=False))
    driver.reply(page(4, [device(2), device(3)]))
    assert driver.mirror.view.cursor is None
    driver.stream(added(5), removed(6, device(2)))
    assert driver.next_event() == added(5)
    assert driver.mirror.view.devices == {"d2": device(2), "d3": device(3), "d5": device(5)}
    assert driver.next_event() == removed(6, device(2))
    assert driver.next_event() is None


def test_without_existing_ones_the_devices_are_there_even_if_there_is_no_news() -> None:
    driver = syncing(4, Driver(existing=False))
    driver.reply(page(4, [device(2), device(3)]))
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d2": device(2), "d3": device(3)}
    assert driver.mirror.view.cursor == Cursor("e", 4)


def test_a_difference_is_news_to_those_who_want_no_existing_devices() -> None:
    driver = live(4, device(2), driver=Driver(existing=False))
    driver.stream(tick(1, "new"))
    driver.reply(page(1, [device(1)], epoch="new"))
    assert driver.events() == [
        Removed("e", 4, WALL + 1, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("new", 1, WALL + 1, device(1), Origin.RESYNC),
    ]


# --- what was handed out ----------------------------------------------------------------------


def test_devices_and_cursor_are_those_of_the_events_handed_out() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)))
    assert driver.mirror.view.devices == {"d1": device(1)}
    assert driver.mirror.view.cursor == Cursor("e", 1)
    assert driver.next_event() == added(2)
    assert driver.mirror.view.devices == {"d1": device(1), "d2": device(2)}
    assert driver.mirror.view.cursor == Cursor("e", 2)
    assert driver.next_event() == removed(3, device(1))
    assert driver.mirror.view.devices == {"d2": device(2)}
    assert driver.mirror.view.cursor == Cursor("e", 3)
    assert driver.next_event() is None


def test_with_its_last_event_the_cursor_is_the_snapshots() -> None:
    driver = syncing(seq=9)
    driver.reply(page(9, [device(2), device(4)]))
    assert driver.mirror.view.cursor is None
    driver.next_event()
    assert driver.mirror.view.cursor == Cursor("e", 9, revision=2)
    driver.next_event()
    assert driver.mirror.view.cursor == Cursor("e", 9)


def test_every_event_says_where_the_cursor_is_after_it() -> None:
    driver = live(5, device(1))
    driver.stream(added(6), tick(1, "new"))
    driver.reply(page(9, [device(3), device(4)], epoch="new"))
    driver.stream(added(10, epoch="new"))
    cursors = []
    while event := driver.next_event():
        assert event.cursor == driver.mirror.view.cursor
        cursors.append(event.cursor)
    assert cursors == [
        Cursor("e", 6),
        Cursor("e", 6),  # d1 is gone, and d6 is yet to go
        Cursor("new", 9, revision=0),
        Cursor("new", 9, revision=3),
        Cursor("new", 9),
        Cursor("new", 10),
    ]


def test_a_difference_starts_from_the_events_not_read_yet() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)), tick(6))
    driver.reply(compacted(6, 5))
    driver.reply(page(6, [device(5)]))
    assert driver.mirror.view.devices == {"d1": device(1)}
    assert driver.events() == [
        added(2),
        removed(3, device(1)),
        Removed("e", 3, WALL + 6, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("e", 5, WALL + 5, device(5), Origin.RESYNC),
    ]
    assert driver.mirror.view.devices == {"d5": device(5)}
    assert driver.mirror.view.cursor == Cursor("e", 6)


def test_the_devices_are_one_live_read_only_view() -> None:
    driver = live(0)
    view = driver.mirror.view.devices
    driver.stream(added(1))
    driver.events()
    assert view == {"d1": device(1)}
    with pytest.raises(TypeError):
        view["d2"] = device(2)  # type: ignore[index]
