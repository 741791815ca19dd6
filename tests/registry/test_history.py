"""The ring of past events, against a plain list of them all."""

import pytest

from devicewatch.events.protocol import MAX_INTEGER
from devicewatch.events.records import Added, Device, Event
from devicewatch.registry.history import History


def event(seq: int) -> Event:
    device = Device("cam", "camera", "tcp://cam", revision=seq, registered_at=0.0)
    return Added("epoch", seq, 0.0, device)


def events(first: int, last: int) -> list[Event]:
    return [event(seq) for seq in range(first, last + 1)]


def history_of(recorded: list[Event], *, capacity: int, start: int = 0) -> History:
    history = History(capacity, start)
    for each in recorded:
        history.append(each)
    return history


def test_all_events_are_kept_while_they_fit() -> None:
    history = history_of(events(1, 3), capacity=3)

    assert history.oldest == 1
    assert history.after(0, 10) == events(1, 3)


def test_a_full_ring_drops_the_oldest_event_for_each_new_one() -> None:
    history = history_of(events(1, 5), capacity=3)

    assert history.oldest == 3
    assert history.after(2, 10) == events(3, 5)


def test_events_come_in_order_across_the_end_of_the_ring() -> None:
    history = history_of(events(1, 10), capacity=4)

    assert history.after(6, 10) == events(7, 10)
    assert history.after(8, 10) == events(9, 10)


def test_one_event_more_than_is_kept_cannot_be_told() -> None:
    history = history_of(events(1, 5), capacity=3)

    assert history.after(1, 10) is None
    assert history.after(0, 10) is None


def test_nothing_follows_the_latest_event() -> None:
    assert history_of(events(1, 5), capacity=3).after(5, 10) == []


def test_what_follows_an_event_yet_to_come_cannot_be_told() -> None:
    assert history_of(events(1, 5), capacity=3).after(6, 10) is None


def test_no_more_events_are_returned_than_were_asked_for() -> None:
    history = history_of(events(1, 9), capacity=5)

    assert history.after(5, 2) == events(6, 7)
    assert history.after(4, 5) == events(5, 9)
    assert history.after(4, MAX_INTEGER) == events(5, 9)


def test_an_empty_history_knows_that_nothing_has_happened() -> None:
    history = History(3)

    assert history.oldest == 1
    assert history.after(0, 10) == []
    assert history.after(1, 10) is None


def test_a_history_may_begin_in_the_middle_of_the_numbering() -> None:
    history = History(3, seq=100)

    assert history.oldest == 101
    assert history.after(100, 10) == []
    assert history.after(99, 10) is None

    history = history_of(events(101, 105), capacity=3, start=100)

    assert history.oldest == 103
    assert history.after(102, 10) == events(103, 105)
    assert history.after(101, 10) is None


def test_a_history_without_capacity_keeps_nothing_but_knows_how_far_it_is() -> None:
    history = history_of(events(1, 4), capacity=0)

    assert history.oldest == 5
    assert history.after(4, 10) == []
    assert history.after(3, 10) is None
    assert history.after(5, 10) is None


@pytest.mark.parametrize("start", [0, 1, 7])
@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 5])
def test_it_agrees_with_a_plain_list_at_every_step(capacity: int, start: int) -> None:
    history = History(capacity, start)
    recorded: list[Event] = []
    for last in range(start, start + 13):
        if last > start:
            history.append(event(last))
            recorded = [*recorded, event(last)][-capacity:] if capacity else []
        oldest = recorded[0].seq if recorded else last + 1

        assert history.oldest == oldest
        for seq in range(last + 3):
            told = oldest - 1 <= seq <= last
            following = [each for each in recorded if each.seq > seq]
            for limit in range(1, 7):
                assert history.after(seq, limit) == (following[:limit] if told else None)
