"""The mirror and snapshots of several pages."""

import pytest

from devicewatch.events.messages import Info, SnapshotReply
from devicewatch.events.protocol import MAX_PAGE
from devicewatch.events.records import Cursor, StreamMessage
from devicewatch.subscribers import hearsay as hearsay_module
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    URL,
    added,
    after,
    compacted,
    device,
    page,
    replay,
    replaying,
    syncing,
    tick,
)
from tests.support.follower import Follower
from tests.support.simulation import Simulation

# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.core.MAX_PAGE", 2)


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
    assert follower.mirror.view.devices == simulation.core.devices


def test_a_registry_that_is_where_it_was_has_not_gone_back() -> None:
    driver = replaying(5, device(2))
    driver.reply(compacted(5, 5))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(5, [device(2)]))
    assert driver.mirror.view.trouble == "events were missed; fetching them"
    assert driver.events() == []
    driver.advance_to_deadline()
    assert driver.asked() == replay(5)


@pytest.mark.interpreted
@pytest.mark.usefixtures("pages_of_two")
def test_a_device_that_registers_between_two_pages_is_there() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("d")
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["a", "b", "c", "d"]
    assert follower.mirror.view.devices == simulation.core.devices
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.interpreted
@pytest.mark.usefixtures("pages_of_two")
def test_devices_that_leave_between_two_pages_are_not_there() -> None:
    simulation, uuids = simulation_of("a", "b", "c", "d")
    follower = between_pages(simulation)
    simulation.unregister(uuids[0])
    simulation.unregister(uuids[3])
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert follower.mirror.view.cursor == Cursor("epoch-1", 6)
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.interpreted
@pytest.mark.usefixtures("pages_of_two")
def test_a_device_replaced_between_two_pages_is_the_new_one() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("a", "tcp://elsewhere:1", overwrite=True)
    simulation.register("z", "tcp://b:1")
    simulation.run(1.0)
    assert follower.take()
    assert follower.mirror.view.devices == simulation.core.devices
    revisions = {name: found.revision for name, found in follower.mirror.view.devices.items()}
    assert revisions == {"c": 3, "a": 5, "z": 7}


@pytest.mark.interpreted
@pytest.mark.usefixtures("pages_of_two")
def test_an_event_lost_between_two_pages_makes_it_start_anew() -> None:
    simulation, uuids = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    follower.link.drops = 1
    simulation.unregister(uuids[0])
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.view.trouble == "events were missed while fetching the devices"
    assert follower.take() == []
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert is_live(follower)


@pytest.mark.interpreted
@pytest.mark.usefixtures("pages_of_two")
def test_an_epoch_that_ends_between_two_pages_makes_it_start_anew() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.stop(orderly=False)
    simulation.start()
    simulation.register("x")
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.view.trouble == f"the pages of {URL} do not fit together"
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["x"]
    assert follower.mirror.view.cursor == Cursor("epoch-2", 1)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(page(5, [device(1), device(2)], after=2), id="the same page again"),
        pytest.param(page(5, [device(1)]), id="an earlier device"),
        pytest.param(page(5, [], after=3), id="nothing, and more to come"),
        pytest.param(page(5, [device(3)], after=4), id="more to come after somebody else"),
        pytest.param(page(5, [device(4), device(3)]), id="devices out of order"),
        pytest.param(page(4, [device(3)]), id="a registry that went back"),
        pytest.param(page(5, [device(3)], epoch="other"), id="another epoch"),
    ],
)
def test_pages_that_do_not_fit_make_it_start_anew_after_a_pause(second: SnapshotReply) -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1), device(2)], after=2))
    assert driver.asked() == after(2)
    driver.reply(second)
    assert driver.mirror.view.trouble == f"the pages of {URL} do not fit together"
    assert driver.mirror.actions() == []
    assert driver.events() == []
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


def test_pauses_grow_while_snapshots_fail_and_then_it_looks_for_the_registry_anew() -> None:
    driver = syncing(seq=5)
    waited, asked = [], []
    for _ in range(3):
        driver.reply(page(5, [device(1)], after=1))
        assert driver.asked() == after(1)
        driver.reply(page(5, [device(5)], epoch="other"))
        waited.append(driver.advance_to_deadline())
        asked.append(driver.asked())
    assert waited == pytest.approx([0.1, 0.2, 0.4])
    assert asked == [FIRST_PAGE, FIRST_PAGE, Info()]


def test_pages_that_do_not_fit_after_a_replay_in_vain_make_it_try_that_again() -> None:
    driver = replaying(5, behind=3)
    driver.reply(compacted(8, 7))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(8, [device(7), device(6)]))
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == replay(5)


def test_a_registry_that_goes_back_is_not_followed() -> None:
    driver = replaying(5, device(2), behind=3)
    driver.reply(compacted(4, 4))
    driver.asked()
    driver.reply(page(4, [device(3)]))
    assert driver.mirror.view.trouble == f"{URL} is at 4 and was at 5: its numbering runs backwards"
    assert driver.mirror.actions() == []
    assert driver.events() == []
    assert driver.mirror.view.devices == {"d2": device(2)}
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == replay(5)


def test_more_events_than_can_be_kept_make_it_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearsay_module, "MAX_KEPT", 2)
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.stream(added(6), added(7), added(8))
    driver.asked()
    driver.reply(page(8, [device(6), device(7), device(8)]))
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
    assert driver.mirror.phase is Phase.FETCHING


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


def test_events_that_never_come_are_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devicewatch.subscribers.fetching.PATIENCE", 2)
    driver = syncing(5)
    driver.reply(page(5, [device(3)], after=3))
    driver.mirror.actions()
    driver.reply(page(9, [device(4)]))
    driver.stream(tick(5), added(6), tick(6))
    assert driver.mirror.view.trouble == f"fetching from {URL} what is there"
    driver.stream(tick(6))
    assert driver.mirror.view.trouble == f"{URL} is at 9, and its event stream at 6"
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
