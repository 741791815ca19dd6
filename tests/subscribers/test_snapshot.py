"""Pages put together, and events folded."""

import pytest

from devicewatch.events.messages import SnapshotReply
from devicewatch.events.protocol import Reason
from devicewatch.events.records import Added, Cursor, Device, Event, Removed
from devicewatch.subscribers import snapshot as snapshot_module
from devicewatch.subscribers.snapshot import PagedSnapshot, fold

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
        pytest.param(page(9, 3), True, id="the last page"),
        pytest.param(page(9), True, id="an empty last page"),
        pytest.param(page(5, 3, 4, 9), True, id="a registry where nothing has happened"),
        pytest.param(page(4, 3), False, id="a registry that went back"),
        pytest.param(page(9, 2, after=2), False, id="the same page again"),
        pytest.param(page(9, 2, 3), False, id="the last device again"),
        pytest.param(page(9, 1, after=1), False, id="an earlier page"),
        pytest.param(page(9, 1), False, id="an earlier page as the last"),
        pytest.param(page(9, 4, 3), False, id="out of order"),
        pytest.param(page(9, 3, 3), False, id="a device twice"),
        pytest.param(page(9, after=3), False, id="nothing, and more to come"),
        pytest.param(page(9, 3, 4, after=3), False, id="more to come after the last but one"),
        pytest.param(page(9, 3, 4, after=5), False, id="more to come after nobody"),
        pytest.param(page(9, 3, epoch="other"), False, id="another epoch"),
    ],
)
def test_pages_have_to_advance_within_one_epoch(second: SnapshotReply, fits: bool) -> None:
    assert snapshot_of(page(5, 1, 2, after=2)).add(second) is fits


@pytest.mark.parametrize(
    ("first", "fits"),
    [
        pytest.param(page(9, 3, 5, after=5), True, id="in order"),
        pytest.param(page(9, 0), False, id="a device that registered before the first event"),
        pytest.param(page(9, 5, 3), False, id="out of order"),
        pytest.param(page(9, after=0), False, id="nothing, and more to come"),
    ],
)
def test_the_first_page_has_to_be_in_order_too(first: SnapshotReply, fits: bool) -> None:
    assert PagedSnapshot().add(first) is fits


def test_a_registry_that_went_back_since_the_page_before_does_not_fit() -> None:
    snapshot = snapshot_of(page(5, 1, after=1), page(7, 2, after=2))
    assert not snapshot.add(page(6, 3))
    assert snapshot.add(page(7, 3))


def test_a_page_more_than_any_registry_has_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "MAX_DEVICES", 3)
    assert snapshot_of(page(9, 1, 2, after=2)).add(page(9, 3))
    assert not snapshot_of(page(9, 1, 2, after=2)).add(page(9, 3, 4))


def test_it_is_fetched_with_the_last_page() -> None:
    snapshot = PagedSnapshot()
    assert snapshot.fetched is None
    snapshot.add(page(5, 1, 2, after=2))
    assert snapshot.fetched is None
    snapshot.add(page(7, 3))
    assert snapshot.fetched == Cursor("e", 7)


def test_a_page_that_does_not_fit_is_not_taken_in() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2))
    assert not snapshot.add(page(5, 3, epoch="other"))
    assert (snapshot.first, snapshot.last) == (Cursor("e", 5), Cursor("e", 5))
    assert snapshot.after == 2
    assert snapshot.add(page(5, 4))
    assert snapshot.complete([]) == [device(1), device(2), device(4)]


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


def test_a_device_that_came_late_and_shows_up_in_the_events_only_is_in_order() -> None:
    snapshot = snapshot_of(page(5, 1, 2, after=2), page(8, 7))
    events: list[Event] = [added(device(6)), added(device(7)), removed(8, device(2))]
    assert snapshot.complete(events) == [device(1), device(6), device(7)]


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
