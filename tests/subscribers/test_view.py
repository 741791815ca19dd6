"""What a mirror knows, apart from how it comes to know it."""

import pytest

from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import (
    Added,
    Cursor,
    Event,
    Live,
    Record,
    Removed,
    Stale,
    State,
    Status,
    Tick,
)
from devicewatch.subscribers import view as view_module
from devicewatch.subscribers.view import View
from tests.support.driver import WALL, added, device, removed, tick


def read(view: View) -> list[Record]:
    return list(iter(view.next_record, None))


def view_at(seq: int, *revisions: int) -> View:
    """A view with these devices, all handed out."""
    view = View()
    assert view.take([device(revision) for revision in revisions], Cursor("e", seq), [], WALL)
    read(view)
    return view


# --- what it is worth -------------------------------------------------------------------------


def test_at_first_it_is_connecting() -> None:
    view = View()
    view.state_since, view.trouble = 5.0, "it burns"
    assert view.status == Status(State.CONNECTING, 5.0, "it burns")
    assert read(view) == []


def test_its_times_are_those_of_the_wall() -> None:
    view = view_at(3)
    view.set_wall_offset(1000.0)
    view.go_live(1.25)
    assert view.status == Status(State.LIVE, 1001.25, "")
    assert read(view) == [Live(1001.25, Cursor("e", 3))]
    view.set_wall_offset(2000.0)
    assert view.status.since == 2001.25
    view.go_stale("it burns", 4.5)
    assert view.status == Status(State.STALE, 2004.5, "it burns")
    assert read(view) == [Stale(2004.5, "it burns")]


def test_trouble_can_be_told_without_being_stale() -> None:
    view = View()
    view.trouble = "it burns"
    view.tell_trouble(4.5)
    assert read(view) == [Stale(4.5, "it burns")]
    assert view.state is State.CONNECTING


def test_a_view_that_leads_nowhere_is_never_live() -> None:
    with pytest.raises(RuntimeError, match="leads nowhere"):
        View().go_live(1.0)


# --- where it is ------------------------------------------------------------------------------


def test_at_first_everything_is_behind_a_hole() -> None:
    view = View()
    assert view.seq == -1
    assert view.has_hole_before(tick(0))
    assert view.has_hole_before(added(1))


@pytest.mark.parametrize(
    ("message", "hole"),
    [
        (tick(4), False),
        (tick(5), False),
        (tick(6), True),
        (added(5), False),
        (added(6), False),
        (added(7), True),
        (removed(6, device(1)), False),
        (removed(7, device(1)), True),
        (tick(5, "f"), True),
        (added(6, epoch="f"), True),
    ],
    ids=str,
)
def test_a_hole_is_what_lies_between_it_and_a_message(message: Event | Tick, hole: bool) -> None:
    assert view_at(5).has_hole_before(message) is hole


def test_what_waits_counts_as_seen() -> None:
    view = view_at(5)
    view.put(added(6))
    assert view.seq == 6
    assert not view.has_hole_before(added(7))
    assert view.cursor == Cursor("e", 5)
    assert view.waiting == 1


def test_it_is_replayed_from_where_it_is() -> None:
    view = view_at(5)
    assert view.replay_from("e") == 5
    assert view.replay_from("f") is None
    view.replay([added(6), added(7)])
    assert view.replay_from("e") == 7
    assert read(view) == [added(6), added(7)]


def test_a_view_that_is_nowhere_cannot_be_replayed() -> None:
    assert View().replay_from("e") is None


# --- going on where an earlier one was --------------------------------------------------------


def test_what_has_happened_since_is_kept_until_the_devices_are_known() -> None:
    view = View(Cursor("e", 5))
    assert view.replay_from("e") == 5
    view.replay([added(6)])
    assert view.replay_from("e") == 6
    assert read(view) == []
    assert view.resumed is None
    assert view.take([device(2), device(6), device(7)], Cursor("e", 7), [added(7)], WALL)
    assert view.resumed is True
    assert view.since is None
    assert view.at == Cursor("e", 7)
    assert view.devices == {"d2": device(2)}
    assert view.cursor == Cursor("e", 5)
    assert read(view) == [added(6), added(7)]
    assert view.cursor == Cursor("e", 7)


def test_with_an_event_missing_it_does_not_go_on() -> None:
    view = View(Cursor("e", 5))
    view.replay([added(6)])
    assert not view.take([device(8)], Cursor("e", 8), [added(8)], WALL)
    assert (view.resumed, view.since, view.at) == (None, Cursor("e", 5), None)
    assert read(view) == []
    assert view.replay_from("e") == 6


def test_in_another_epoch_it_begins_anew() -> None:
    view = View(Cursor("e", 5))
    view.replay([added(6)])
    assert view.replay_from("f") is None
    assert (view.resumed, view.since) == (False, None)
    assert view.take([device(1)], Cursor("f", 2), [], WALL)
    assert read(view) == [Added("f", 1, WALL + 1, device(1), Origin.RESYNC)]
    view.go_live(1.0)
    assert read(view) == [Live(1.0, Cursor("f", 2), resynced=True)]


def test_it_can_only_forget_what_it_was_told() -> None:
    view = View()
    view.forget_since()
    assert view.resumed is None


def test_in_the_middle_of_a_beginning_the_rest_of_it_comes_first() -> None:
    view = View(Cursor("e", 5, revision=2))
    view.replay([added(6), removed(7, device(3))])
    found = [device(revision) for revision in (1, 2, 4, 6)]
    assert view.take(found, Cursor("e", 7), [], WALL)
    assert view.devices == {"d1": device(1), "d2": device(2)}
    assert view.cursor == Cursor("e", 5, revision=2)
    rest = read(view)
    assert rest == [
        Added("e", 3, WALL + 3, device(3), Origin.SNAPSHOT),
        Added("e", 4, WALL + 4, device(4), Origin.SNAPSHOT),
        added(6),
        removed(7, device(3)),
    ]
    cursors = [event.cursor for event in rest if isinstance(event, Added | Removed)]
    assert cursors == [
        Cursor("e", 5, revision=3),
        Cursor("e", 5),
        Cursor("e", 6),
        Cursor("e", 7),
    ]


# --- the difference ---------------------------------------------------------------------------


def test_a_live_view_says_once_that_a_difference_was_told() -> None:
    view = view_at(5, 2)
    assert view.take([device(3)], Cursor("e", 7), [], WALL + 9)
    view.go_live(1.0)
    view.go_stale("it burns", 2.0)
    assert read(view) == [
        Removed("e", 5, WALL + 9, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("e", 3, WALL + 3, device(3), Origin.RESYNC),
        Live(1.0, Cursor("e", 7), resynced=True),
        Stale(2.0, "it burns"),
    ]
    view.go_live(3.0)
    assert read(view) == [Live(3.0, Cursor("e", 7), resynced=False)]


def test_a_beginning_is_no_difference() -> None:
    view = View()
    assert view.take([device(3)], Cursor("e", 7), [], WALL)
    view.go_live(1.0)
    assert read(view) == [
        Added("e", 3, WALL + 3, device(3), Origin.SNAPSHOT),
        Live(1.0, Cursor("e", 7), resynced=False),
    ]


# --- how large it is --------------------------------------------------------------------------


def test_devices_and_all_that_waits_count_towards_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(view_module, "MAX_DEVICES", 3)
    view = view_at(2, 1, 2)
    assert not view.too_large(1)
    view.put(added(3))
    assert not view.too_large(0)
    assert view.too_large(1)


def test_what_was_replayed_counts_towards_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "MAX_DEVICES", 3)
    view = View(Cursor("e", 0))
    view.replay([added(1), added(2), added(3)])
    assert not view.too_large(0)
    assert view.too_large(1)
    view.forget_since()
    assert not view.too_large(3)


def test_a_slow_reader_makes_it_full() -> None:
    view = View(max_waiting=2)
    assert view.has_room
    view.put(added(1))
    assert not view.full
    view.put(added(2))
    assert view.full
    assert not view.has_room
    assert view.waiting == 2
