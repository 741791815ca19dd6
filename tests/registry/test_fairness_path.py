"""P8 on the whole way of a renewal: kernel, ZeroMQ's thread, fair queue, the registry's real loop.

Time is virtual (see `support.path`), and chance decides when ZeroMQ's thread gets to run, when the
process is stopped, and in which of the loop's steps. A device that lives must never be told that
its registration is gone.
"""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicewatch.registry import fairness
from devicewatch.registry.fairness import LOOK
from tests.support.path import Connection, Device, FairQueue, World

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = [pytest.mark.no_cover, pytest.mark.interpreted]

SEEDS = st.integers(0, 2**32 - 1)
LEASES = (0.25, 0.5, 1.0, 3.0)

PROMPT = (0.0001, 0.0005)
TARDY = (0.0001, 0.01, 0.2, 1.5)
"""Seconds by which ZeroMQ's thread is late although the loop is not: the machine is busy."""
STOPS = (0.01, 0.06, 0.2, 0.3, 0.7, 3.0, 40.0)


def populate(world: World, random: Random, *, connects_anew: bool) -> None:
    for number in range(12):
        silent_from = random.choice((math.inf, math.inf, random.uniform(0.0, 10.0)))
        anew = connects_anew and random.random() < 0.5
        world.devices.append(
            Device(world, f"d{number}", random.choice(LEASES), silent_from, connects_anew=anew)
        )


def live(seed: int, *, tardy: bool, flood: bool, stops: bool = True) -> World:
    """Run a registry with devices that live and some that fall silent; the end of it."""
    random = Random(seed)
    # What a tardy thread does to a device that has to connect is beyond any registry.
    with World(random, lags=TARDY if tardy else PROMPT, stops=STOPS * stops) as world:
        populate(world, random, connects_anew=not tardy)
        world.floods = [Connection() for _ in range(3 * flood)]
        world.run(15.0)
        return world


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, flood=st.booleans())
def test_who_renews_in_time_is_never_removed_however_late_it_is_read(
    seed: int, flood: bool
) -> None:
    live(seed, tardy=True, flood=flood)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, flood=st.booleans(), stops=st.booleans())
def test_who_falls_silent_is_removed_within_100_ms_and_the_time_away(
    seed: int, flood: bool, stops: bool
) -> None:
    world = live(seed, tardy=False, flood=flood, stops=stops)

    assert all(late < 0.1 for late in world.late.values())
    left = [device for device in world.devices if device.name not in world.late]
    assert all(device.overdue() < 0.1 for device in left)
    assert world.core.away <= world.away + world.stops * (LOOK + 0.1)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_two_markers_are_enough_for_devices_with_a_connection_each(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fairness, "DRAIN_GRACE", 0.0)
        live(seed, tardy=True, flood=True)


def outcome(**variant: float) -> str:
    """Live through it with other constants, as often as it takes to fail; how did it?"""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variant.items():
            patch.setattr(fairness, name, value)
        try:
            for seed in range(220, 520):  # hold-ups that matter are rare
                live(seed, tardy="LAPS" in variant, flood=seed % 2 == 0)
        except AssertionError as error:
            return str(error)
    return "all went well"


@pytest.mark.parametrize(
    "variant",
    [{"LAPS": 0}, {"TOLERANCE": math.inf}],
    ids=["no markers", "leases run on during a hold-up"],
)
def test_with_less_it_would_not_be_so(variant: dict[str, float]) -> None:
    assert "and it lives" in outcome(**variant)


def test_a_marker_may_overtake_a_renewal_but_not_the_second_one() -> None:
    queue, ring, marker = FairQueue(), [Connection() for _ in range(3)], Connection()
    first, second, renewing = ring

    def next_up() -> bytes:
        found = queue.get()
        assert found is not None
        return found[1]

    queue.put(first, b"")
    queue.put(second, b"")
    assert [next_up(), next_up()] == [b"", b""]
    queue.put(renewing, b"renewal")
    queue.put(marker, b"marker 1")

    assert next_up() == b"marker 1", "it took the place of one that had nothing more"
    queue.put(marker, b"marker 2")
    assert next_up() == b"renewal"
    assert next_up() == b"marker 2"
