"""What lies between two views, as events; and what a view was before some events."""

import pytest

from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import Added, Cursor, Device, Event, Removed
from devicewatch.subscribers.snapshot import arrivals, difference, rewind

NOW = 1_700_000_000.0


def device(revision: int, name: str = "", addr: str = "") -> Device:
    return Device(name or f"d{revision}", "arm", addr or f"tcp://d{revision}:1", revision, NOW)


def added(registered: Device, epoch: str = "e") -> Added:
    return Added(epoch, registered.revision, NOW, registered)


def removed(seq: int, gone: Device) -> Removed:
    return Removed("e", seq, NOW, gone, Reason.EXPIRED)


# --- rewind -----------------------------------------------------------------------------------


def test_what_came_since_was_not_there_and_what_left_since_was() -> None:
    events: list[Event] = [added(device(4)), removed(5, device(2)), added(device(6))]
    assert rewind([device(1), device(4), device(6)], events) == [device(1), device(2)]


def test_who_came_and_left_since_was_not_there() -> None:
    events: list[Event] = [added(device(4)), removed(5, device(4))]
    assert rewind([device(1)], events) == [device(1)]


def test_where_nothing_has_happened_since_the_devices_are_the_same() -> None:
    assert rewind([device(2), device(1)], []) == [device(1), device(2)]


def test_a_name_goes_back_to_whoever_had_it() -> None:
    old, new = device(1, "arm"), device(3, "arm")
    assert rewind([new], [removed(2, old), added(new)]) == [old]


# --- arrivals ---------------------------------------------------------------------------------


def test_arrivals_say_how_far_they_lead() -> None:
    found = [device(3), device(5), device(6)]
    events = list(arrivals(found, Cursor("e", 9), Origin.SNAPSHOT))
    assert events == [
        Added("e", 3, NOW, device(3), Origin.SNAPSHOT),
        Added("e", 5, NOW, device(5), Origin.SNAPSHOT),
        Added("e", 6, NOW, device(6), Origin.SNAPSHOT),
    ]
    assert [event.cursor for event in events] == [
        Cursor("e", 9, revision=3),
        Cursor("e", 9, revision=5),
        Cursor("e", 9),
    ]


def test_an_arrival_dates_from_when_its_device_registered() -> None:
    early = Device("arm", "arm", "tcp://arm:1", 1, 1234.5)
    [event] = arrivals([early], Cursor("e", 1), Origin.RESYNC)
    assert event.time == 1234.5


# --- difference -------------------------------------------------------------------------------


def changes(known: list[Device], at: Cursor, found: list[Device], cursor: Cursor) -> list[Event]:
    by_name = {device.name: device for device in known}
    return list(difference(by_name, at, found, cursor, NOW))


def test_where_nothing_changed_there_is_no_difference() -> None:
    found = [device(1), device(2)]
    assert changes(found, Cursor("e", 2), found, Cursor("e", 2)) == []


def test_a_device_that_came_is_added_by_its_revision() -> None:
    assert changes([device(1)], Cursor("e", 2), [device(1), device(4)], Cursor("e", 6)) == [
        Added("e", 4, NOW, device(4), Origin.RESYNC)
    ]


def test_a_device_that_left_is_removed_at_the_last_place_where_it_was_known() -> None:
    assert changes([device(1)], Cursor("e", 2), [], Cursor("e", 6)) == [
        Removed("e", 2, NOW, device(1), Reason.UNKNOWN, Origin.RESYNC)
    ]


@pytest.mark.parametrize(
    ("successor", "reason"),
    [
        pytest.param(device(5, "arm", "tcp://new:1"), Reason.REPLACED, id="its name was taken"),
        pytest.param(device(5, "new", "tcp://arm:1"), Reason.REPLACED, id="its address was taken"),
        pytest.param(device(5, "arm", "tcp://arm:1"), Reason.REPLACED, id="it came back itself"),
        pytest.param(device(5, "new", "tcp://new:1"), Reason.UNKNOWN, id="neither was taken"),
    ],
)
def test_the_reason_is_replaced_where_name_or_address_is_in_other_hands(
    successor: Device, reason: Reason
) -> None:
    gone = device(1, "arm", "tcp://arm:1")
    assert changes([gone], Cursor("e", 2), [successor], Cursor("e", 6)) == [
        Removed("e", 2, NOW, gone, reason, Origin.RESYNC),
        Added("e", 5, NOW, successor, Origin.RESYNC),
    ]


def test_whoever_left_comes_first_and_each_lot_in_order_of_revision() -> None:
    known = [device(3), device(1), device(2)]
    found = [device(2), device(5), device(6)]
    events = changes(known, Cursor("e", 3), found, Cursor("e", 8))
    assert [(event.topic, event.device.revision) for event in events] == [
        ("removed", 1),
        ("removed", 3),
        ("added", 5),
        ("added", 6),
    ]


def test_in_another_epoch_all_registrations_are_new() -> None:
    arm = device(1, "arm", "tcp://arm:1")
    assert changes([arm, device(2)], Cursor("e", 2), [arm], Cursor("f", 1)) == [
        Removed("e", 2, NOW, arm, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 2, NOW, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("f", 1, NOW, arm, Origin.RESYNC),
    ]


def test_a_difference_says_where_to_resume() -> None:
    known, found = [device(1), device(2), device(3)], [device(2), device(5), device(6)]
    events = changes(known, Cursor("e", 4), found, Cursor("e", 8))
    assert [(event.topic, event.seq, event.cursor) for event in events] == [
        ("removed", 4, Cursor("e", 4)),
        ("removed", 4, Cursor("e", 8, revision=4)),
        ("added", 5, Cursor("e", 8, revision=5)),
        ("added", 6, Cursor("e", 8)),
    ]


def test_in_another_epoch_it_resumes_before_the_first_device() -> None:
    events = changes([device(1), device(2)], Cursor("e", 4), [device(1)], Cursor("f", 2))
    assert [event.cursor for event in events] == [
        Cursor("e", 4),
        Cursor("f", 2, revision=0),
        Cursor("f", 2),
    ]


def test_where_nobody_came_the_last_who_left_leads_to_the_end() -> None:
    events = changes([device(1), device(2)], Cursor("e", 4), [], Cursor("f", 2))
    assert [event.cursor for event in events] == [Cursor("e", 4), Cursor("f", 2)]
