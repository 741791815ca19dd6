"""Pages put together, events folded, and what lies between two views."""

import pytest

from devicewatch.events.messages import SnapshotReply
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import Added, Cursor, Device, Event, Removed
from devicewatch.subscribers.snapshot import PagedSnapshot, difference, fold

NOW = 1_700_000_000.0


def device(revision: int, name: str = "", addr: str = "") -> Device:
    return Device(name or f"d{revision}", "arm", addr or f"tcp://d{revision}:1", revision, NOW)


def added(registered: Device, epoch: str = "e") -> Added:
    return Added(epoch, registered.revision, NOW, registered)


def removed(seq: int, gone: Device) -> Removed:
    return Removed("e", seq, NOW, gone, Reason.EXPIRED)


def page(seq: int, *revisions: int, after: int | None = None, epoch: str = "e") -> SnapshotReply:
    return SnapshotReply(epoch, seq, [device(revision) for revision in revisions], after)


def snapshot_of(*pages: SnapshotReply) -> PagedSnapshot:
    snapshot = PagedSnapshot()
    for each in pages:
        assert snapshot.add(each)
    return snapshot


# --- pages ------------------------------------------------------------------------------------


def test_one_page_is_a_snapshot() -> None:
    snapshot = snapshot_of(page(7, 3, 5))
    assert snapshot.complete([]) == [device(3), device(5)]
    assert (snapshot.first, snapshot.last) == (Cursor("e", 7), Cursor("e", 7))


def test_no_device_is_a_snapshot_too() -> None:
    assert snapshot_of(page(0)).complete([]) == []


def test_no_page_is_none() -> None:
    assert PagedSnapshot().complete([]) is None


def test_pages_are_added_up() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(5, 3, 4, after=4), page(5, 5))
    assert snapshot.complete([]) == [device(revision) for revision in (1, 2, 3, 4, 5)]


def test_it_knows_what_to_ask_the_next_page_with() -> None:
    snapshot = PagedSnapshot()
    assert snapshot.after is None
    snapshot.add(page(5, 1, 2, after=2))
    assert snapshot.after == 2
    snapshot.add(page(5, 3))
    assert snapshot.after is None


@pytest.mark.parametrize(
    ("second", "fits"),
    [
        pytest.param(page(9, 3, after=3), True, id="the next page"),
        pytest.param(page(9, 3, after=None), True, id="the last page"),
        pytest.param(page(9, 2, after=2), False, id="the same page again"),
        pytest.param(page(9, 1, after=1), False, id="an earlier page"),
        pytest.param(page(9, 3, after=None, epoch="other"), False, id="a page of another epoch"),
    ],
)
def test_pages_have_to_advance_within_one_epoch(second: SnapshotReply, fits: bool) -> None:
    assert snapshot_of(page(5, 1, 2, after=2)).add(second) is fits


def test_a_page_that_does_not_fit_is_not_taken_in() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2))
    snapshot.add(page(5, 3, epoch="other"))
    assert snapshot.last == Cursor("e", 5)
    assert snapshot.after == 2


def test_a_device_that_registered_between_pages_is_there_once() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(6, 3, 6))
    assert snapshot.complete([added(device(6))]) == [device(1), device(2), device(3), device(6)]


def test_a_device_that_is_in_the_events_only_is_there() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(6, 3))
    assert snapshot.complete([added(device(6))]) == [device(1), device(2), device(3), device(6)]


def test_a_device_that_left_between_pages_is_not_there() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(6, 3))
    assert snapshot.complete([removed(6, device(1))]) == [device(2), device(3)]


def test_a_device_that_came_and_left_between_pages_is_not_there() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(7, 3))
    events: list[Event] = [added(device(6)), removed(7, device(6))]
    assert snapshot.complete(events) == [device(1), device(2), device(3)]


def test_a_device_that_left_before_its_page_is_no_trouble() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(6, 4))
    assert snapshot.complete([removed(6, device(3))]) == [device(1), device(2), device(4)]


def test_devices_are_in_order_of_revision_whatever_their_pages_say() -> None:
    assert snapshot_of(page(9, 5, 3)).complete([]) == [device(3), device(5)]


def test_events_outside_of_the_pages_do_not_count() -> None:
    snapshot = snapshot_of(page(5, 1, 5, after=5), page(6, 6))
    early: list[Event] = [removed(4, device(1)), removed(5, device(5))]
    late: list[Event] = [removed(7, device(6))]
    assert snapshot.complete([*early, added(device(6)), *late]) == [device(1), device(5), device(6)]


@pytest.mark.parametrize(
    "revisions",
    [
        pytest.param([], id="all of them"),
        pytest.param([7, 8], id="the first"),
        pytest.param([6, 8], id="one in between"),
        pytest.param([6, 7], id="the last"),
    ],
)
def test_a_missing_event_between_pages_makes_it_incomplete(revisions: list[int]) -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(8, 6, 7, 8))
    assert snapshot.complete([added(device(revision)) for revision in revisions]) is None


def test_a_registry_that_went_back_makes_it_incomplete() -> None:
    assert snapshot_of(page(5, 1, 2, after=2), page(4, 3)).complete([]) is None


# --- fold -------------------------------------------------------------------------------------


def test_added_devices_are_there_until_they_are_removed() -> None:
    devices: dict[str, Device] = {}
    fold(devices, added(device(1, "arm")))
    fold(devices, added(device(2, "pump")))
    assert devices == {"arm": device(1, "arm"), "pump": device(2, "pump")}
    fold(devices, removed(3, device(1, "arm")))
    assert devices == {"pump": device(2, "pump")}


def test_a_newer_registration_takes_the_name() -> None:
    devices = {"arm": device(1, "arm")}
    fold(devices, added(device(2, "arm")))
    assert devices == {"arm": device(2, "arm")}


def test_a_late_removed_never_removes_a_newer_registration() -> None:
    devices = {"arm": device(2, "arm", "tcp://arm:1")}
    fold(devices, removed(3, device(1, "arm", "tcp://arm:1")))
    assert devices == {"arm": device(2, "arm", "tcp://arm:1")}


def test_removing_who_is_not_there_does_nothing() -> None:
    devices = {"arm": device(1, "arm")}
    fold(devices, removed(3, device(2, "pump")))
    assert devices == {"arm": device(1, "arm")}


# --- difference -------------------------------------------------------------------------------


def changes(
    known: list[Device], at: Cursor | None, found: list[Device], cursor: Cursor
) -> list[Event]:
    by_name = {device.name: device for device in known}
    return list(difference(by_name, at, iter(found), cursor, NOW))


def test_at_first_everything_found_is_a_snapshot() -> None:
    found = [device(3), device(5)]
    assert changes([], None, found, Cursor("e", 9)) == [
        Added("e", 3, NOW, device(3), Origin.SNAPSHOT),
        Added("e", 5, NOW, device(5), Origin.SNAPSHOT),
    ]


def test_an_added_dates_from_when_its_device_registered() -> None:
    early = Device("arm", "arm", "tcp://arm:1", 1, 1234.5)
    [event] = changes([], None, [early], Cursor("e", 1))
    assert event.time == 1234.5


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
