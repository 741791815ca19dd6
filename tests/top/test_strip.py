"""Presence as a row of blocks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import Reason
from devicewatch.subscribers.timeline import Span
from devicewatch.subscribers.top.strip import (
    AWAY,
    BLOCKS,
    DOUBTFUL,
    MINUTES,
    MOST_SPANS,
    UNSEEN,
    strip,
)
from tests.top.records import NOW, device

FULL = BLOCKS[-1]
MINUTE = NOW - 30
"""The beginning of the present one."""


def span(start: float, end: float | None = None, *, exact: bool = True) -> Span:
    return Span(device(), start, end, None if end is None else Reason.EXPIRED, exact)


def test_there_all_the_time() -> None:
    assert strip([span(NOW - 3600)], [], now=NOW) == FULL * MINUTES


def test_not_there_at_all() -> None:
    assert strip([], [], now=NOW) == AWAY * MINUTES
    assert strip([span(NOW - 3600, NOW - 3000)], [], now=NOW) == AWAY * MINUTES


def test_the_height_is_the_share_of_the_time() -> None:
    half = MINUTE - 30
    assert strip([span(half)], [], now=NOW) == AWAY * 10 + BLOCKS[3] + FULL
    # Gone after half a minute: as much again, less a notch.
    assert strip([span(MINUTE - 60, half)], [], now=NOW) == AWAY * 10 + BLOCKS[1] + AWAY


def test_nearly_all_the_time_is_not_all_the_time() -> None:
    assert strip([span(MINUTE - 59.99)], [], now=NOW)[-2:] == BLOCKS[-2] + FULL


def test_a_moment_is_seen() -> None:
    assert strip([span(NOW)], [], now=NOW)[-1] == BLOCKS[0]
    assert strip([span(MINUTE - 40, MINUTE - 40)], [], now=NOW)[-2:] == BLOCKS[0] + AWAY


def test_one_that_came_back_at_once_has_a_notch() -> None:
    blip = MINUTE - 150
    bar = strip([span(NOW - 3600, blip), span(blip + 0.01)], [], now=NOW)
    assert bar == FULL * 8 + BLOCKS[3] + FULL * 3


def test_one_that_flaps_all_the_time_is_low() -> None:
    times = [MINUTE - 60 + second for second in range(60)]
    spans = [span(at, at + 0.9) for at in times]
    assert strip([*spans, span(MINUTE)], [], now=NOW)[-2:] == BLOCKS[0] + FULL


def test_more_cells_are_shorter() -> None:
    assert strip([span(NOW - 20)], [], now=NOW, cells=60) == AWAY * 57 + BLOCKS[1] + FULL * 2


def test_a_cell_that_has_just_begun() -> None:
    assert strip([span(MINUTE - 60)], [], now=MINUTE)[-2:] == FULL * 2
    assert strip([span(MINUTE - 60, MINUTE - 1)], [], now=MINUTE)[-1] == AWAY


def test_the_registrys_clock_may_be_another() -> None:
    spans = [span(NOW + 5_000 - 3600, NOW + 5_000 - 330), span(NOW + 5_000 - 100)]
    ours = [span(NOW - 3600, NOW - 330), span(NOW - 100)]
    assert strip(spans, [], now=NOW, ahead=5_000) == strip(ours, [], now=NOW)


# --- what nobody knows ----------------------------------------------------------------------------


def test_before_the_beginning_only_who_is_there_is_known() -> None:
    blind = [(-math.inf, NOW)]
    assert strip([], blind, now=NOW) == UNSEEN * MINUTES
    assert strip([span(MINUTE - 120)], blind, now=NOW) == UNSEEN * 9 + FULL * 3


def test_while_the_view_is_stale_those_who_were_there_may_be() -> None:
    blind = [(MINUTE - 120, math.inf)]
    assert strip([span(NOW - 3600)], blind, now=NOW) == FULL * 9 + DOUBTFUL * 3
    gone = strip([span(NOW - 3600, MINUTE - 240)], blind, now=NOW)
    assert gone == FULL * 7 + BLOCKS[0] + AWAY + UNSEEN * 3


def test_afterwards_it_is_known_of_those_who_are_still_there() -> None:
    blind = [(MINUTE - 180, MINUTE - 60)]
    assert strip([span(NOW - 3600)], blind, now=NOW) == FULL * MINUTES
    missed = strip([span(NOW - 3600, MINUTE - 60, exact=False)], blind, now=NOW)
    assert missed == FULL * 8 + DOUBTFUL * 2 + BLOCKS[0] + AWAY
    assert strip([], blind, now=NOW) == AWAY * 8 + UNSEEN * 2 + AWAY * 2


# --- whatever comes -------------------------------------------------------------------------------


def test_it_costs_no_more_than_so_many_registrations() -> None:
    spans = [span(NOW - 600 + n / 10, NOW - 600 + n / 10 + 0.05) for n in range(MOST_SPANS * 2)]
    assert len(strip(spans, [], now=NOW)) == MINUTES


times = st.one_of(
    st.floats(NOW - 1000, NOW + 100), st.sampled_from([0.0, 1e300, -1e300, NOW, MINUTE])
)


@given(
    st.lists(st.tuples(times, st.none() | times, st.booleans()), max_size=6),
    st.lists(st.tuples(times, times), max_size=3),
    st.sampled_from([12, 24, 36, 60]),
    st.floats(-1e9, 1e9),
)
def test_any_times_make_a_strip(
    spans: list[tuple[float, float | None, bool]],
    blind: list[tuple[float, float]],
    cells: int,
    ahead: float,
) -> None:
    given_spans = [span(start, end, exact=exact) for start, end, exact in spans]
    shown = strip(given_spans, blind, now=NOW, ahead=ahead, cells=cells)
    assert len(shown) == cells
    assert set(shown) <= {*BLOCKS, AWAY, UNSEEN, DOUBTFUL}


@pytest.mark.parametrize("cells", [12, 24, 36, 60])
def test_the_widths_divide_the_time(cells: int) -> None:
    assert MINUTES * 60 % cells == 0


@pytest.mark.parametrize("ahead", [0.0, 1.7e308, -1.7e308])
@pytest.mark.parametrize("start", [1.7e308, -1.7e308, 0.0])
@pytest.mark.parametrize("end", [None, 1.7e308, -1.7e308])
def test_times_that_are_none_harm_nobody(start: float, end: float | None, ahead: float) -> None:
    assert len(strip([span(start, end)], [], now=NOW, ahead=ahead)) == MINUTES
