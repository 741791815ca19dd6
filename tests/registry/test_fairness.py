"""When a lease may end, by hand. All times are exact in binary, so that they can be compared."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.registry.fairness import (
    DRAIN_GRACE,
    LAPS,
    LOOK,
    MARKER_PATIENCE,
    TOLERANCE,
)
from tests.support.leases import NamedFairLeases

pytestmark = pytest.mark.interpreted

LIMIT = 200
SHORT = TOLERANCE / 2
"""A delay that is no hold-up."""


def granted(seconds: float = 20.0, *keys: str, watchful: bool = True) -> NamedFairLeases:
    leases = NamedFairLeases(0.0, watchful=watchful)
    for key in keys or ("a",):
        leases.grant(key, seconds, 0.0)
    return leases


def awake(leases: NamedFairLeases, until: float) -> float:
    """Let time pass for a driver that wakes up when it should; it comes to be `until`."""
    while (deadline := leases.next_deadline()) is not None and deadline < until:
        leases.attend(deadline, deadline)
        assert leases.ended(deadline, LIMIT, drained=True) == []
    leases.attend(until, until)
    return until


def expired(leases: NamedFairLeases, now: float, *, drained: bool = True) -> list[str]:
    return leases.ended(now, LIMIT, drained=drained)


def run_laps(leases: NamedFairLeases, now: float, *, drained: bool = True) -> list[str]:
    """Bring back the markers that are asked for, in no time; what expires?"""
    for _ in range(LAPS):
        number = leases.marker_to_send()
        assert number is not None
        assert leases.marker_to_send() is None, "each is given once"
        leases.marker_read(number)
    assert leases.marker_to_send() is None
    return expired(leases, now, drained=drained)


# --- markers ------------------------------------------------------------------------------------


def test_a_lease_ends_once_two_markers_have_come_back() -> None:
    leases = granted()
    now = awake(leases, 20.0)

    assert expired(leases, now) == []
    assert run_laps(leases, now) == ["a"]
    assert len(leases) == 0
    assert leases.next_deadline() is None


def test_one_marker_is_not_enough() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now)
    number = leases.marker_to_send()
    assert number is not None
    leases.marker_read(number)

    assert expired(leases, now) == []


def test_before_a_lease_ends_no_marker_is_wanted() -> None:
    leases = granted()
    now = awake(leases, 19.875)

    assert expired(leases, now) == []
    assert leases.marker_to_send() is None


def test_a_renewal_that_is_read_before_the_markers_counts() -> None:
    leases = granted(20.0, "a", "b")
    now = awake(leases, 20.0)
    expired(leases, now)
    leases.grant("a", 20.0, now)

    assert run_laps(leases, now) == ["b"]
    assert awake(leases, 39.875)
    assert len(leases) == 1


def test_a_lease_that_ends_while_a_marker_is_on_its_way_waits_for_the_next_ones() -> None:
    leases = granted()
    leases.grant("b", 20.0625, 0.0)
    now = awake(leases, 20.0)
    expired(leases, now)
    now = awake(leases, 20.0625)

    assert run_laps(leases, now) == ["a"]
    assert expired(leases, now) == []
    assert run_laps(leases, now) == ["b"]


def test_renewed_leases_want_no_marker_when_their_old_deadline_comes_up() -> None:
    leases = granted()
    awake(leases, 10.0)
    leases.grant("a", 20.0, 10.0)
    now = awake(leases, 20.0)

    assert expired(leases, now) == []
    assert leases.marker_to_send() is None


def test_a_marker_of_an_earlier_check_proves_nothing_for_a_later_one() -> None:
    leases = granted()
    leases.grant("b", 30.0, 0.0)
    now = awake(leases, 20.0)
    expired(leases, now)
    lost = leases.marker_to_send()
    assert lost is not None
    now = awake_until_expired(leases)
    now = awake(leases, 30.0)
    expired(leases, now)
    assert leases.marker_to_send() is not None

    leases.marker_read(lost)
    assert leases.marker_to_send() is None
    assert expired(leases, now) == []


def awake_until_expired(leases: NamedFairLeases) -> float:
    """Let time pass until something expires."""
    while True:
        now = leases.next_deadline()
        assert now is not None
        leases.attend(now, now)
        if expired(leases, now):
            return now


def test_a_marker_that_nobody_waits_for_is_no_trouble() -> None:
    leases = granted()
    leases.marker_read(0)
    leases.marker_read(7)

    assert leases.marker_to_send() is None


def test_a_lost_marker_is_not_waited_for_for_ever() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now)

    assert awake_until_expired(leases) == 20.0 + MARKER_PATIENCE
    assert leases.marker_to_send() is None


def test_while_a_marker_is_on_its_way_the_driver_may_sleep() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now)
    deadline = leases.next_deadline()

    assert deadline == now + LOOK


def test_a_crowd_ends_in_parts_on_the_same_markers() -> None:
    keys = [f"{number:03}" for number in range(500)]
    leases = granted(20.0, *keys)
    now = awake(leases, 20.0)
    expired(leases, now)

    first = run_laps(leases, now)
    assert len(first) == LIMIT
    renewed, *others = sorted(set(keys) - set(first))
    leases.grant(renewed, 20.0, now)
    second, third = expired(leases, now), expired(leases, now)
    assert LIMIT - 1 <= len(second) <= LIMIT
    assert sorted(second + third) == others


def test_a_driver_without_markers_is_believed() -> None:
    leases = granted(watchful=False)

    assert expired(leases, 19.875) == []
    assert leases.next_deadline() == 20.0
    assert expired(leases, 500.0) == ["a"]
    assert leases.away == 0.0


# --- connections that many share ------------------------------------------------------------------


def test_until_the_queue_runs_empty_a_lease_is_given_a_little_longer() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now, drained=False)

    assert run_laps(leases, now, drained=False) == []
    assert leases.marker_to_send() is None
    leases.attend(now + DRAIN_GRACE / 2)
    assert expired(leases, now + DRAIN_GRACE / 2, drained=False) == []
    leases.grant("a", 20.0, now + DRAIN_GRACE / 2)
    leases.attend(now + DRAIN_GRACE)
    assert expired(leases, now + DRAIN_GRACE, drained=False) == []


def test_a_queue_that_never_runs_empty_keeps_nobody_for_100_ms() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now, drained=False)
    run_laps(leases, now, drained=False)
    leases.attend(now + DRAIN_GRACE / 2)

    assert expired(leases, now + DRAIN_GRACE / 2, drained=False) == []
    assert expired(leases, now + DRAIN_GRACE + 0.001, drained=False) == ["a"]
    assert DRAIN_GRACE < 0.1


def test_under_load_leases_that_end_one_after_the_other_do_not_wait_for_each_other() -> None:
    leases = granted(20.0, "a")
    leases.grant("b", 20.015625, 0.0)
    now = awake(leases, 20.0)
    expired(leases, now, drained=False)
    run_laps(leases, now, drained=False)
    ended: dict[str, float] = {}
    while len(ended) < 2:
        now += 1 / 256
        ended |= dict.fromkeys(expired(leases, now, drained=False), now)
        if (number := leases.marker_to_send()) is not None:
            leases.marker_read(number)

    assert 20.0 + DRAIN_GRACE <= ended["a"] < 20.0625
    assert 20.015625 + DRAIN_GRACE <= ended["b"] < 20.09375


def test_a_queue_that_has_run_empty_before_the_markers_came_back_proves_nothing() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now, drained=True)

    assert run_laps(leases, now, drained=False) == []


# --- hold-ups -------------------------------------------------------------------------------------


def test_a_long_hold_up_moves_every_lease_by_all_of_it() -> None:
    leases = granted(20.0, "a", "b")
    awake(leases, 19.75)
    leases.attend(60.0, 20.0)  # last seen at 19.75, 0.25 s before the end

    assert (leases.away, leases.stalls) == (40.25, 1)
    assert expired(leases, 60.0) == []
    assert leases.marker_to_send() is None
    assert leases.next_deadline() == 60.25
    leases.grant("b", 20.0, 60.0)
    awake(leases, 60.25)
    expired(leases, 60.25)
    assert run_laps(leases, 60.25) == ["a"]
    assert leases.next_deadline() == 60.25 + LOOK  # the lease itself ends at 80


def test_a_lease_granted_after_a_hold_up_is_not_moved_by_it() -> None:
    leases = granted()
    awake(leases, 10.0)
    leases.attend(110.0, 10.5)
    leases.grant("b", 5.0, 110.0)
    now = awake(leases, 115.0)
    expired(leases, now)

    assert run_laps(leases, now) == ["b"]


@pytest.mark.parametrize(
    ("late", "away"), [(0.0625, 0.125), (0.125, 0.25), (0.25, 0.375), (0.4375, 0.5625), (0.5, 0.75)]
)
def test_a_short_hold_up_may_have_begun_while_the_driver_slept(late: float, away: float) -> None:
    leases = granted(10.5)
    awake(leases, 10.25)
    leases.attend(10.5 + late, 10.5)

    assert leases.away == away
    due = leases.next_deadline()
    assert due is not None
    assert due - (10.5 + late) >= min(late, 0.125), "there is some time left in which to connect"


@pytest.mark.parametrize("late", [0.0, SHORT, -0.25])
def test_a_little_late_is_no_hold_up(late: float) -> None:
    leases = granted()
    leases.attend(0.5 + late, 0.5)

    assert leases.away == 0.0
    assert leases.seen == 0.5 + late


def test_a_driver_that_is_a_little_late_for_ever_does_not_stop_the_clock() -> None:
    leases = granted()
    now = 0.0
    while now < 40.0 and expired(leases, now) == []:
        for _ in range(LAPS):
            if (number := leases.marker_to_send()) is not None:
                leases.marker_read(number)
        promised = leases.next_deadline()
        assert promised is not None
        now = max(now, promised) + 0.0625
        leases.attend(now, promised)

    assert 20.0 < now < 28.0
    assert leases.away > 0.0


def test_a_driver_that_is_busy_is_not_held_up() -> None:
    leases = granted()
    for step in range(1, 1_000):
        leases.attend(step * SHORT)

    assert leases.away == 0.0


def test_a_hold_up_just_before_leases_are_looked_at_is_noticed() -> None:
    """Else the markers would prove that all was read until a time yet to come."""
    leases = granted()
    leases.grant("b", 25.0, 0.0)
    now = awake(leases, 19.875)

    assert expired(leases, now + 50.0) == []
    assert leases.away == 50.0
    assert leases.marker_to_send() is None


def test_a_hold_up_while_a_marker_is_on_its_way_ends_nothing_that_had_time_left() -> None:
    leases = granted()
    leases.grant("b", 20.25, 0.0)
    now = awake(leases, 20.0)
    expired(leases, now)
    leases.attend(now + 100.0, now + LOOK)

    assert run_laps(leases, now + 100.0) == ["a"]
    assert expired(leases, now + 100.0) == []
    assert leases.next_deadline() == now + 100.25
    assert leases.marker_to_send() is None


def test_a_hold_up_is_no_reason_to_take_a_marker_for_lost() -> None:
    leases = granted()
    now = awake(leases, 20.0)
    expired(leases, now)
    leases.attend(now + 1_000.0, now + LOOK)

    assert expired(leases, now + 1_000.0) == []


def test_without_leases_there_is_nothing_to_look_for() -> None:
    assert NamedFairLeases(0.0, watchful=True).next_deadline() is None


def test_with_leases_the_clock_is_looked_at_now_and_then() -> None:
    leases = granted()
    assert leases.next_deadline() == LOOK
    leases.attend(LOOK, LOOK)
    assert leases.next_deadline() == 2 * LOOK


def test_a_cancelled_lease_does_not_end() -> None:
    leases = granted()
    leases.end("a")

    assert len(leases) == 0
    now = awake(leases, 20.0)
    assert expired(leases, now) == []
    assert leases.marker_to_send() is None
    assert leases.next_deadline() is None
    with pytest.raises(KeyError):
        leases.end("a")


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 3), st.floats(0, 3), st.booleans()), min_size=1, max_size=50
    )
)
def test_the_leases_clock_never_runs_backwards_and_never_faster_than_time(
    steps: Iterable[tuple[float, float, bool]],
) -> None:
    leases = granted(math.inf)
    now = clock = 0.0
    for sleep, passed, asleep in steps:
        before, now = now, now + passed
        leases.attend(now, before + sleep if asleep else -math.inf)
        assert clock - 1e-9 <= now - leases.away <= clock + passed + 1e-9
        clock = now - leases.away
