"""The mirror in a simulation: a whole registry, and whatever may happen to it and the network."""

from collections.abc import Callable

import pytest

from devicewatch.events.messages import Info
from devicewatch.events.protocol import Origin
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import Driver, listening, live, replaying, stale, syncing
from tests.support.follower import Follower
from tests.support.simulation import Simulation


def simulation_of(*names: str) -> tuple[Simulation, list[str]]:
    """A registry with devices, and their uuids."""
    simulation = Simulation()
    return simulation, [simulation.register(name) for name in names]


def is_live(follower: Follower) -> bool:
    return follower.mirror.phase is Phase.LIVE


def following(simulation: Simulation) -> Follower:
    """A watcher with a live view, all of it read."""
    follower = simulation.follow()
    simulation.run_until(lambda: is_live(follower))
    follower.take()
    return follower


def test_a_lost_last_event_is_noticed_within_one_tick() -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    follower.link.drops = 1
    simulation.register("b")
    simulation.run(1.1)
    assert follower.take() == simulation.published[-1:]
    assert follower.mirror.view.devices == simulation.core.devices


def test_a_cut_link_makes_the_view_stale_and_removes_nobody() -> None:
    simulation, [uuid] = simulation_of("a")
    follower = following(simulation)
    known = dict(follower.mirror.view.devices)
    follower.link.cut = True
    simulation.unregister(uuid)
    simulation.run(3.0)
    assert not is_live(follower)
    simulation.run(3600.0)
    assert follower.take() == []
    assert follower.mirror.view.devices == known


def test_a_healed_link_makes_the_view_right_again() -> None:
    simulation, [uuid] = simulation_of("a")
    follower = following(simulation)
    follower.link.cut = True
    simulation.unregister(uuid)
    simulation.register("b")
    simulation.run(60.0)
    follower.link.heal()
    simulation.run(4.0)
    assert [(event.topic, event.device.name) for event in follower.take()] == [
        ("removed", "a"),
        ("added", "b"),
    ]
    assert is_live(follower)


def test_a_short_silence_costs_nothing() -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    before = len(follower.asked)
    follower.link.cut = True
    simulation.run(2.5)
    follower.link.heal()
    simulation.register("b")
    simulation.run(1.0)
    [event] = follower.take()
    assert event.origin is Origin.LIVE
    assert len(follower.asked) == before


@pytest.mark.parametrize("orderly", [True, False], ids=["with a bye", "without a bye"])
@pytest.mark.parametrize("port", [5556, 7000], ids=["at the same port", "at another port"])
def test_a_registry_that_starts_again_is_found(port: int, orderly: bool) -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    simulation.stop(orderly=orderly)
    simulation.run(10.0)
    assert follower.take() == []
    simulation.start(events_port=port)
    simulation.register("b")
    simulation.run(10.0)
    assert [(event.epoch, event.topic, event.device.name) for event in follower.take()] == [
        ("epoch-1", "removed", "a"),
        ("epoch-2", "added", "b"),
    ]
    assert is_live(follower)


def test_a_registry_that_starts_late_is_found() -> None:
    simulation = Simulation()
    simulation.stop()
    follower = simulation.follow()
    simulation.run(3600.0)
    assert not is_live(follower)
    simulation.start()
    simulation.run(16.0)  # the longest wait for a reply, and the longest pause
    assert is_live(follower)


def test_lost_replies_delay_the_view_and_nothing_else() -> None:
    simulation, _ = simulation_of("a", "b")
    follower = simulation.follow()
    follower.link.lost_replies = 3
    simulation.run(30.0)
    assert follower.take()
    assert follower.mirror.view.devices == simulation.core.devices
    assert follower.asked[:4] == [Info()] * 4


@pytest.mark.parametrize("begin", [Driver, listening, syncing, replaying, live, stale])
def test_left_alone_it_never_spins(begin: Callable[[], Driver]) -> None:
    driver = begin()
    driver.mirror.actions()
    for _ in range(100):
        driver.advance_to_deadline()
        assert driver.mirror.actions() or driver.mirror.next_deadline() > driver.now
    assert driver.now > 200.0


def test_an_early_advance_does_nothing() -> None:
    driver = live(1)
    deadline = driver.mirror.next_deadline()
    driver.mirror.advance(driver.now)
    assert driver.mirror.actions() == []
    assert driver.mirror.next_deadline() == deadline
