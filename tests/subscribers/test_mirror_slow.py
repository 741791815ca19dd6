"""The mirror and a reader who is too slow for it."""

from typing import Final

import pytest

from devicewatch.events.messages import Info, Register, Unregister
from devicewatch.events.records import Cursor, Event, Removed, State
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings
from devicewatch.subscribers import hearsay as hearsay_module
from devicewatch.subscribers.mirror import Phase
from devicewatch.subscribers.outbox import MAX_WAITING
from tests.subscribers.histories import told
from tests.support.cores import greeting
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    Driver,
    added,
    device,
    info,
    live,
    page,
    removed,
    replay,
    replayed,
    tick,
)

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

LIMIT: Final = 100


def reader(max_waiting: int = LIMIT) -> Driver:
    return Driver(max_waiting=max_waiting)


def test_more_events_than_may_wait_are_let_go() -> None:
    driver = live(0, driver=reader(4))
    driver.stream(*[added(seq) for seq in range(1, 6)])
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.mirror.view.status.state is State.STALE
    assert driver.mirror.view.status.why == "the reader is too slow; 4 events wait for it"
    assert driver.actions() == []


def test_when_half_of_them_have_been_read_the_rest_is_replayed() -> None:
    driver = live(0, driver=reader(4))
    driver.stream(*[added(seq) for seq in range(1, 10)])
    read = [driver.next_event(), driver.next_event()]
    driver.stream(tick(9))
    driver.mirror.advance(driver.now)
    assert driver.actions() == [], "three words and events still wait"
    read.append(driver.next_event())
    driver.mirror.advance(driver.now)
    assert driver.asked() == replay(4)
    driver.reply(replayed(9, *[added(seq) for seq in range(5, 10)]))
    while len(read) < 9:
        driver.mirror.advance(driver.now)
        assert driver.actions() == []
        read.append(driver.next_event())
    assert read == [added(seq) for seq in range(1, 10)]
    driver.stream(tick(9))
    assert driver.mirror.phase is Phase.LIVE


def test_what_is_let_go_is_not_lost() -> None:
    driver = live(0, driver=reader(4))
    happened = [added(seq) for seq in range(1, 50)]
    read: list[Event] = []
    for event in happened:
        driver.stream(event)
        driver.mirror.advance(driver.now)
        assert driver.mirror.view.waiting <= 4 + 2
    while len(read) < len(happened):
        driver.stream(tick(49))
        driver.mirror.advance(driver.now)
        if requests := driver.actions():
            [request] = requests
            assert request == replay(driver.mirror.view.seq)
            missing = happened[driver.mirror.view.seq :][:3]
            driver.reply(replayed(49, *missing))
        elif (found := driver.next_event()) is not None:
            read.append(found)
        else:
            driver.now = driver.mirror.next_deadline()
    assert read == happened


def test_while_too_much_waits_no_devices_are_fetched_either() -> None:
    driver = live(0, device(1), driver=reader(2))
    driver.stream(added(1), added(2), tick(5, "new"))
    assert driver.actions() == []
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.mirror.next_deadline() == driver.now + 3.0, "it waits for the reader"
    assert driver.events() == [added(1), added(2)]
    assert driver.mirror.next_deadline() <= driver.now
    driver.mirror.advance(driver.now)
    assert driver.asked() == FIRST_PAGE


def test_while_too_much_waits_it_still_looks_for_the_registry() -> None:
    driver = live(0, driver=reader(2))
    driver.stream(added(1), added(2), added(3))
    driver.wait(4.0)
    assert driver.asked() == Info()
    driver.reply(info())
    assert driver.listened() == STREAM
    driver.stream(tick(2))
    assert driver.mirror.phase is Phase.LIVE


def test_a_difference_is_handed_out_however_large_it_is() -> None:
    driver = live(0, driver=reader(2))
    driver.stream(tick(9, "new"))
    driver.actions()
    driver.reply(page(9, [device(seq) for seq in range(1, 10)], epoch="new"))
    assert driver.mirror.phase is Phase.LIVE
    driver.stream(tick(9, "new"), added(10, epoch="new"))
    assert driver.mirror.phase is Phase.LIVE
    assert [event.seq for event in driver.events()] == list(range(1, 11))


def test_by_itself_ten_thousand_events_may_wait() -> None:
    assert MAX_WAITING == 10_000


# --- a reader who never reads -----------------------------------------------------------------


class Crowd:
    """A registry with a number of devices of which one leaves, and another comes, all the time."""

    def __init__(self, life: int, number: int) -> None:
        settings = CoreSettings(history=1000, events_port=5556)
        self.core = RegistryCore(f"life-{life}", 0.0, settings)
        self._uuids: list[str] = []
        self._joined = 0
        for _ in range(number):
            self.join()

    def join(self) -> list[Event]:
        self._joined += 1
        name = f"device-{self._joined}"
        reply, events = self.core.handle(Register("arm", f"tcp://{name}:1", name), 0.0)
        self._uuids.append(reply.uuid)  # type: ignore[union-attr]
        return events

    def leave(self) -> list[Event]:
        return self.core.handle(Unregister(self._uuids.pop(0)), 0.0)[1]


def follow(driver: Driver, core: RegistryCore, seconds: float) -> None:
    """Let time pass, with ticks."""
    end = driver.now + seconds
    while driver.now < end:
        driver.stream(greeting(core, 0.0))
        driver.serve(core)
        driver.mirror.advance(driver.now)
        driver.serve(core)
        driver.now = min(end, max(driver.mirror.next_deadline(), driver.now + 0.1))
        driver.now = min(end, driver.now)


def read_all(driver: Driver, core: RegistryCore, devices: int) -> None:
    """The reader reads after all: the view gets right."""
    story: list[Event] = []
    for _ in range(20):
        story += driver.events()
        follow(driver, core, 3.0)
    assert driver.mirror.view.status.state is State.LIVE
    assert driver.mirror.view.cursor == Cursor(core.epoch, core.seq)
    assert driver.mirror.view.devices == told(story) == core.devices
    assert len(core.devices) == devices


def test_in_a_hundred_thousand_events_memory_stays_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearsay_module, "MAX_KEPT", 50)
    crowd = Crowd(1, 10)
    driver = reader()
    driver.serve(crowd.core)
    largest = 0
    for turn in range(50_000):
        driver.stream(*crowd.join(), *crowd.leave())
        if turn % 100 == 0:
            driver.now += 0.5
            driver.mirror.advance(driver.now)
            driver.serve(crowd.core)
            largest = max(largest, driver.size)
    assert largest <= 10 + 10 + LIMIT + 2 + 50 + 10, "devices, a page, waiting, words, kept"
    assert driver.asks < 20
    read_all(driver, crowd.core, devices=10)


@pytest.mark.parametrize("devices", [0, 10, 60])
def test_in_a_thousand_restarts_memory_stays_bounded(devices: int) -> None:
    driver = reader()
    largest, crowd = 0, Crowd(0, devices)
    for life in range(1, 1001):
        crowd = Crowd(life, devices)
        follow(driver, crowd.core, 1.5)
        largest = max(largest, driver.size)
    assert largest <= LIMIT + 2 * devices + devices + 4, "the queue, one difference, its pages"
    read_all(driver, crowd.core, devices)


def test_a_thousand_restarts_of_no_interest_leave_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearsay_module, "MAX_KEPT", 50)
    driver = Driver(device_type="camera", max_waiting=LIMIT)
    for life in range(1000):
        crowd = Crowd(life, 3)
        follow(driver, crowd.core, 1.5)
        driver.stream(*crowd.leave(), *crowd.join())
    assert driver.size <= LIMIT + 50 + 10
    assert driver.events() == []
    assert driver.mirror.view.devices == {}


def test_a_reader_who_never_reads_of_a_flapping_stream_is_told_little() -> None:
    driver = live(0, driver=reader())
    for _ in range(1000):
        driver.wait(3.0)
        driver.stream(tick(0))
    assert driver.size <= 3


def test_a_removal_is_let_go_and_replayed_like_anything_else() -> None:
    driver = live(1, device(1), driver=reader(1))
    driver.stream(added(2), removed(3, device(1)))
    assert driver.mirror.phase is Phase.FETCHING
    assert driver.events() == [added(2)]
    driver.mirror.advance(driver.now)
    assert driver.asked() == replay(2)
    driver.reply(replayed(3, removed(3, device(1))))
    [event] = driver.events()
    assert isinstance(event, Removed)
    assert driver.mirror.view.devices == {"d2": device(2)}
