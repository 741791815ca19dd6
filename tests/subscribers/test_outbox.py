"""What waits to be handed out, and the view that what was handed out leads to."""

import pytest

from devicewatch.events.protocol import Origin
from devicewatch.events.records import Added, Cursor, Device, Live, Record, Stale
from devicewatch.subscribers.outbox import Outbox
from devicewatch.subscribers.snapshot import arrivals
from tests.support.driver import added, device, removed

LIVE = Live(1.0, Cursor("e", 1))
STALE = Stale(2.0, "it burns")
CAMERA = device(9, device_type="camera")
SNAPPED = Added("e", 9, CAMERA.registered_at, CAMERA, Origin.SNAPSHOT)


def read(outbox: Outbox) -> list[Record]:
    return list(iter(outbox.next, None))


def outbox_of(*seqs: int, limit: int = 100, device_type: str | None = None) -> Outbox:
    outbox = Outbox(limit=limit, device_type=device_type)
    for seq in seqs:
        outbox.put(added(seq))
    return outbox


# --- events -----------------------------------------------------------------------------------


def test_at_first_there_is_nothing() -> None:
    outbox = Outbox()
    assert outbox.next() is None
    assert outbox.cursor is None
    assert outbox.devices == outbox.known() == {}
    assert len(outbox) == 0
    assert outbox.has_room
    assert not outbox.full


def test_each_event_changes_the_view_when_it_is_handed_out() -> None:
    outbox = outbox_of(1, 2)
    outbox.put(removed(3, device(1)))
    assert (outbox.devices, outbox.cursor, len(outbox)) == ({}, None, 3)
    assert outbox.next() == added(1)
    assert (outbox.devices, outbox.cursor, len(outbox)) == ({"d1": device(1)}, Cursor("e", 1), 2)
    assert read(outbox) == [added(2), removed(3, device(1))]
    assert (outbox.devices, outbox.cursor, len(outbox)) == ({"d2": device(2)}, Cursor("e", 3), 0)


def test_what_is_known_is_what_the_events_waiting_lead_to() -> None:
    outbox = outbox_of(1, 2)
    outbox.next()
    outbox.mark(LIVE)
    outbox.put(removed(3, device(1)))
    assert outbox.known() == {"d2": device(2)}
    assert outbox.devices == {"d1": device(1)}


def test_a_difference_leads_to_its_cursor_even_if_it_is_empty() -> None:
    outbox = outbox_of()
    outbox.put_difference([], Cursor("f", 8))
    assert outbox.cursor == Cursor("f", 8)
    assert read(outbox) == []


def test_a_difference_behind_events_moves_the_cursor_after_them() -> None:
    outbox = outbox_of(1)
    outbox.put_difference([], Cursor("f", 8))
    assert outbox.cursor is None
    assert outbox.next() == added(1)
    assert outbox.cursor == Cursor("e", 1)
    assert outbox.next() is None
    assert outbox.cursor == Cursor("f", 8)


def test_where_an_earlier_watcher_was_is_where_it_begins() -> None:
    outbox = Outbox(device_type="camera")
    outbox.restore([device(1), CAMERA], Cursor("e", 9))
    assert outbox.devices == {"d9": CAMERA}
    assert outbox.cursor == Cursor("e", 9)
    assert outbox.next() is None


# --- the devices that are there at the beginning ------------------------------------------------


def first_of(*devices: Device, device_type: str | None = None) -> Outbox:
    outbox = Outbox(limit=4, device_type=device_type)
    outbox.mark(STALE)
    outbox.put_first(devices, Cursor("e", 12), Origin.SNAPSHOT)
    outbox.put(added(13))
    return outbox


def test_the_first_devices_come_in_their_turn_and_lead_to_their_cursor() -> None:
    outbox = first_of(device(1), CAMERA)
    assert outbox.next() == STALE
    assert (outbox.devices, outbox.cursor) == ({}, None)
    assert outbox.next() == Added("e", 1, device(1).registered_at, device(1), Origin.SNAPSHOT)
    assert (outbox.devices, outbox.cursor) == ({"d1": device(1)}, Cursor("e", 12, 1))
    assert outbox.next() == SNAPPED
    assert outbox.cursor == Cursor("e", 12)
    assert outbox.next() == added(13)
    assert outbox.next() is None


def test_each_of_the_first_devices_waits_and_is_known() -> None:
    outbox = first_of(device(1), device(2), CAMERA)
    lengths = [len(outbox)]
    while outbox.next() is not None:
        assert outbox.known() == {each.name: each for each in (*map(device, (1, 2, 13)), CAMERA)}
        lengths.append(len(outbox))
    assert lengths == [6, 5, 4, 3, 2, 0]  # among them the move to where they lead


def test_of_the_first_devices_too_only_some_are_wanted() -> None:
    assert read(first_of(device(1), CAMERA, device(10), device_type="camera")) == [STALE, SNAPPED]
    nobody = first_of(device(1), device_type="camera")
    assert read(nobody) == [STALE]
    assert nobody.cursor == Cursor("e", 13)


def test_the_first_devices_need_not_be_handed_out_either() -> None:
    outbox = Outbox(existing=False, limit=4)
    outbox.mark(STALE)
    outbox.put_first([device(1), CAMERA], Cursor("e", 12), Origin.SNAPSHOT)
    outbox.mark(LIVE)
    assert outbox.next() == STALE
    assert (outbox.devices, outbox.cursor) == ({}, None)
    assert outbox.next() == LIVE
    assert outbox.devices == {"d1": device(1), "d9": CAMERA}
    assert outbox.cursor == Cursor("e", 12)
    assert len(outbox) == 0


def test_those_that_are_there_when_it_cannot_resume_are_handed_out_in_any_case() -> None:
    outbox = Outbox(existing=False)
    outbox.put_first([device(1)], Cursor("e", 12), Origin.RESYNC)
    assert [event.origin for event in read(outbox) if isinstance(event, Added)] == [Origin.RESYNC]


def test_after_the_first_devices_as_many_more_may_wait() -> None:
    outbox = first_of(device(1), device(2), CAMERA)
    for seq in range(14, 17):
        assert not outbox.full
        outbox.put(added(seq))
    assert outbox.full


# --- only some of them ------------------------------------------------------------------------


def test_only_devices_of_one_type_are_wanted() -> None:
    outbox = Outbox(device_type="camera")
    assert outbox.wants(CAMERA)
    assert not outbox.wants(device(1))
    assert Outbox().wants(device(1))


def test_others_only_move_the_cursor_and_take_no_room() -> None:
    outbox = outbox_of(1, 2, device_type="camera")
    assert outbox.cursor == Cursor("e", 2)
    outbox.put(SNAPPED)
    for seq in range(10, 1000):
        outbox.put(added(seq))
    assert len(outbox) == 2
    assert outbox.next() == SNAPPED
    assert outbox.cursor == Cursor("e", 9)
    assert outbox.next() is None
    assert outbox.cursor == Cursor("e", 999)
    assert outbox.devices == {"d9": CAMERA}


def test_existing_devices_need_not_be_handed_out_to_be_there() -> None:
    outbox = Outbox(existing=False)
    arrived = list(arrivals([device(1), device(2)], Cursor("e", 2), Origin.SNAPSHOT))
    outbox.put_difference(arrived, Cursor("e", 2))
    outbox.put(added(3))
    assert outbox.next() == added(3)
    assert outbox.devices == {"d1": device(1), "d2": device(2), "d3": device(3)}


@pytest.mark.parametrize("origin", [Origin.LIVE, Origin.RESYNC])
def test_only_the_devices_of_the_beginning_are_existing_ones(origin: Origin) -> None:
    outbox = Outbox(existing=False)
    event = Added("e", 1, 1.0, device(1), origin)
    outbox.put(event)
    assert outbox.next() is event


# --- words on the view ------------------------------------------------------------------------


def test_a_word_comes_in_its_turn() -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    outbox.put(added(2))
    outbox.mark(STALE)
    assert read(outbox) == [added(1), LIVE, added(2), STALE]


def test_the_latest_trouble_takes_the_place_of_the_one_before() -> None:
    outbox = outbox_of(1)
    later = Stale(3.0, "it burns brightly")
    outbox.mark(STALE)
    outbox.mark(later)
    assert read(outbox) == [added(1), later]


def test_trouble_that_is_over_before_it_was_read_of_leaves_no_word() -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    for number in range(1000):
        outbox.mark(Stale(2.0, f"trouble {number}"))
        outbox.mark(Live(3.0 + number, LIVE.cursor))
    assert len(outbox) == 2
    assert read(outbox) == [added(1), LIVE]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(Live(3.0, Cursor("e", 2)), id="further on"),
        pytest.param(Live(3.0, LIVE.cursor, resynced=True), id="after a difference"),
    ],
)
def test_trouble_that_cost_something_is_told(again: Live) -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    outbox.mark(STALE)
    outbox.mark(again)
    assert read(outbox) == [added(1), LIVE, STALE, again]


def test_trouble_whose_beginning_was_read_of_has_an_end() -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    outbox.next()
    outbox.next()
    outbox.mark(STALE)
    outbox.mark(LIVE)
    assert read(outbox) == [STALE, LIVE]


def test_a_difference_that_was_told_is_not_unsaid() -> None:
    outbox = outbox_of(1)
    resynced = Live(1.0, Cursor("e", 1), resynced=True)
    outbox.mark(resynced)
    outbox.mark(STALE)
    outbox.mark(Live(3.0, Cursor("e", 1)))
    assert read(outbox) == [added(1), resynced]


def test_a_word_that_has_been_read_is_said_again() -> None:
    outbox = outbox_of()
    outbox.mark(STALE)
    assert read(outbox) == [STALE]
    outbox.mark(STALE)
    assert read(outbox) == [STALE]


def test_a_word_leaves_the_cursor_where_it_is() -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    read(outbox)
    assert outbox.cursor == Cursor("e", 1)


def test_a_word_behind_a_move_leaves_the_cursor_there() -> None:
    outbox = outbox_of(1)
    outbox.put_difference([], Cursor("f", 8))
    outbox.mark(STALE)
    assert outbox.next() == added(1)
    assert outbox.cursor == Cursor("e", 1)
    assert outbox.next() == STALE
    assert outbox.cursor == Cursor("f", 8)


def test_a_move_on_top_of_a_word_takes_no_room() -> None:
    outbox = outbox_of(1)
    outbox.mark(LIVE)
    outbox.put_difference([], Cursor("f", 8))
    outbox.put_difference([], Cursor("f", 9))
    assert len(outbox) == 2
    assert read(outbox) == [added(1), LIVE]
    assert outbox.cursor == Cursor("f", 9)


# --- how much waits ---------------------------------------------------------------------------


def test_it_is_full_at_its_limit_and_has_room_at_half_of_it() -> None:
    outbox = outbox_of(1, 2, 3, limit=4)
    assert not outbox.full
    outbox.put(added(4))
    assert outbox.full
    assert not outbox.has_room
    outbox.next()
    assert not outbox.full
    assert not outbox.has_room
    outbox.next()
    assert outbox.has_room


def test_after_a_difference_as_many_more_may_wait() -> None:
    outbox = outbox_of(1, limit=4)
    outbox.put_difference([added(seq) for seq in range(2, 10)], Cursor("e", 9))
    for seq in range(10, 14):
        assert not outbox.full
        outbox.put(added(seq))
    assert outbox.full
    assert not outbox.has_room
    for _ in range(6):
        outbox.next()
    assert not outbox.has_room
    outbox.next()
    assert outbox.has_room


def test_once_all_of_a_difference_has_been_read_the_limit_is_the_old_one() -> None:
    outbox = outbox_of(limit=4)
    outbox.put_difference([added(seq) for seq in range(1, 10)], Cursor("e", 9))
    read(outbox)
    for seq in range(10, 14):
        assert not outbox.full
        outbox.put(added(seq))
    assert outbox.full
