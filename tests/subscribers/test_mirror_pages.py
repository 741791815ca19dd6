"""The mirror and snapshots of several pages; and a whole registry in a simulation."""

from collections.abc import Callable

import pytest

from devicewatch.events.messages import (
    Info,
    Snapshot,
)
from devicewatch.events.protocol import MAX_PAGE, Origin
from devicewatch.events.records import (
    Cursor,
    StreamMessage,
)
from devicewatch.subscribers import mirror as mirror_module
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    Driver,
    added,
    device,
    listening,
    live,
    page,
    stale,
    syncing,
    tick,
)
from tests.support.simulation import Follower, Simulation

# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.core.MAX_PAGE", 2)


def after(revision: int) -> Snapshot:
    return Snapshot(after=revision, limit=MAX_PAGE)


def simulation_of(*names: str) -> tuple[Simulation, list[str]]:
    """A registry with devices, and their uuids."""
    simulation = Simulation()
    return simulation, [simulation.register(name) for name in names]


def between_pages(simulation: Simulation) -> Follower:
    """A new watcher that has had the first page of two devices, and has asked for the next."""
    follower = simulation.follow()
    simulation.run_until(lambda: follower.asked[-1] == after(2))
    return follower


def is_live(follower: Follower) -> bool:
    return follower.mirror.phase is Phase.LIVE


def test_more_devices_than_fit_on_a_page_are_fetched_page_by_page() -> None:
    simulation, _ = simulation_of(*[f"arm-{number}" for number in range(625)])
    follower = simulation.follow()
    simulation.run(1.0)
    assert follower.asked == [Info(), FIRST_PAGE, after(MAX_PAGE), after(2 * MAX_PAGE)]
    assert [event.seq for event in follower.take()] == list(range(1, 626))
    assert follower.mirror.devices == simulation.core.devices


@pytest.mark.usefixtures("pages_of_two")
def test_a_device_that_registers_between_two_pages_is_there() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("d")
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["a", "b", "c", "d"]
    assert follower.mirror.devices == simulation.core.devices
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.usefixtures("pages_of_two")
def test_devices_that_leave_between_two_pages_are_not_there() -> None:
    simulation, uuids = simulation_of("a", "b", "c", "d")
    follower = between_pages(simulation)
    simulation.unregister(uuids[0])
    simulation.unregister(uuids[3])
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert follower.mirror.cursor == Cursor("epoch-1", 6)
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.usefixtures("pages_of_two")
def test_a_device_replaced_between_two_pages_is_the_new_one() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("a", "tcp://elsewhere:1", overwrite=True)
    simulation.register("z", "tcp://b:1")
    simulation.run(1.0)
    assert follower.take()
    assert follower.mirror.devices == simulation.core.devices
    revisions = {name: found.revision for name, found in follower.mirror.devices.items()}
    assert revisions == {"c": 3, "a": 5, "z": 7}


@pytest.mark.usefixtures("pages_of_two")
def test_an_event_lost_between_two_pages_makes_it_start_anew() -> None:
    simulation, uuids = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    follower.link.drops = 1
    simulation.unregister(uuids[0])
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.trouble == "events were missed while fetching the devices"
    assert follower.take() == []
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert is_live(follower)


@pytest.mark.usefixtures("pages_of_two")
def test_an_epoch_that_ends_between_two_pages_makes_it_start_anew() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.stop(orderly=False)
    simulation.start()
    simulation.register("x")
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.trouble == "the pages of a snapshot did not fit together"
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["x"]
    assert follower.mirror.cursor == Cursor("epoch-2", 1)


def test_pages_that_do_not_advance_make_it_start_anew_after_a_pause() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1), device(2)], after=2))
    assert driver.asked() == after(2)
    driver.reply(page(5, [device(1), device(2)], after=2))
    assert driver.mirror.trouble == "the pages of a snapshot did not fit together"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(5, [device(5)]))
    assert driver.mirror.phase is Phase.LIVE
    assert [event.seq for event in driver.events()] == [5]


def test_ticks_between_two_pages_do_not_count() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.stream(tick(5), added(6), tick(6))
    driver.reply(page(6, [device(6)]))
    assert [event.seq for event in driver.events()] == [1, 6]
    assert driver.mirror.phase is Phase.LIVE


def test_a_lost_page_is_asked_for_again_and_the_pages_before_it_count() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    assert driver.asked() == after(1)
    driver.advance_to_deadline()
    driver.advance_to_deadline()
    assert driver.asked() == after(1)
    driver.reply(page(5, [device(5)]))
    assert [event.seq for event in driver.events()] == [1, 5]


def test_pauses_grow_while_snapshots_fail() -> None:
    driver = syncing(seq=5)
    waited = []
    for _ in range(3):
        driver.reply(page(5, [device(1)], after=1))
        driver.asked()
        driver.reply(page(5, [device(5)], epoch="other"))
        waited.append(driver.advance_to_deadline())
        assert driver.asked() == FIRST_PAGE
    assert waited == pytest.approx([0.1, 0.2, 0.4])


def test_more_events_than_can_be_kept_make_it_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "MAX_KEPT", 2)
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.stream(added(6), added(7), added(8))
    driver.asked()
    driver.reply(page(8, [device(6), device(7), device(8)]))
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
    assert driver.mirror.phase is Phase.SYNCING


# --- a registry and its faults ----------------------------------------------------------------


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
    [event] = follower.take()
    assert (event.topic, event.device.name, event.origin) == ("added", "b", Origin.RESYNC)
    assert follower.mirror.devices == simulation.core.devices


def test_a_cut_link_makes_the_view_stale_and_removes_nobody() -> None:
    simulation, [uuid] = simulation_of("a")
    follower = following(simulation)
    known = dict(follower.mirror.devices)
    follower.link.cut = True
    simulation.unregister(uuid)
    simulation.run(3.0)
    assert not is_live(follower)
    simulation.run(3600.0)
    assert follower.take() == []
    assert follower.mirror.devices == known


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
    simulation.run(10.0)
    assert is_live(follower)


def test_lost_replies_delay_the_view_and_nothing_else() -> None:
    simulation, _ = simulation_of("a", "b")
    follower = simulation.follow()
    follower.link.lost_replies = 3
    simulation.run(30.0)
    assert follower.take()
    assert follower.mirror.devices == simulation.core.devices
    assert follower.asked[:4] == [Info()] * 4


@pytest.mark.parametrize("begin", [Driver, listening, syncing, live, stale])
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


def test_a_page_that_overtakes_its_events_waits_for_them() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.asked()
    driver.reply(page(6, [device(6)]))
    assert driver.mirror.actions() == []
    driver.stream(tick(5), added(6))
    assert driver.mirror.phase is Phase.LIVE
    assert [event.seq for event in driver.events()] == [1, 6]


@pytest.mark.parametrize("message", [tick(6), added(7), tick(1, epoch="f")], ids=str)
def test_when_the_stream_is_past_what_is_missing_the_snapshot_starts_anew(
    message: StreamMessage,
) -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.asked()
    driver.reply(page(6, [device(6)]))
    driver.stream(message)
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
