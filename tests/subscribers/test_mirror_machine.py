"""Two mirrors through everything that devices, a network and a registry can do to them.

The rules make it happen; the invariants are the promises. What a mirror should have seen is
worked out from what the registry published, by a fold of our own.
"""

from typing import Final, TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from devicewatch.events.messages import CheckAlive
from devicewatch.events.protocol import STALE_AFTER_TICKS, Origin
from devicewatch.events.records import Added, Cursor, Device, Event
from devicewatch.subscribers.mirror import Phase
from tests.support.simulation import Follower, Simulation

TICK: Final = 1.0
DELAY: Final = 0.2
"""Seconds that anything takes to arrive: long, so that much can happen between two pages."""

RECOVERY: Final = 20.0
"""Seconds after which every view is right again: the longest pause, and a few ticks."""

Registration: TypeAlias = tuple[str, int]
"""(epoch, revision)"""
Present: TypeAlias = dict[Registration, Device]


class History:
    """What the registry published, and who was there after each event."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._read = 0
        self._events: dict[Cursor, Event] = {}
        self._devices: dict[Cursor, dict[str, Device]] = {}

    def event(self, cursor: Cursor) -> Event:
        self._catch_up()
        return self._events[cursor]

    def devices(self, cursor: Cursor) -> dict[str, Device]:
        self._catch_up()
        return self._devices[cursor] if cursor.seq else {}

    def _catch_up(self) -> None:
        for event in self._simulation.published[self._read :]:
            before = Cursor(event.epoch, event.seq - 1)
            devices = dict(self._devices[before]) if before.seq else {}
            if isinstance(event, Added):
                devices[event.device.name] = event.device
            else:
                del devices[event.device.name]
            cursor = Cursor(event.epoch, event.seq)
            self._events[cursor], self._devices[cursor] = event, devices
        self._read = len(self._simulation.published)


class Observer:
    """Reads what a mirror gives, and holds it to the promises."""

    def __init__(self, follower: Follower, history: History) -> None:
        self.follower = follower
        self.history = history
        self.present: Present = {}
        self.last_live = Cursor("", 0)
        self.cut_at: float | None = None

    def read(self, limit: int | None = None) -> list[Event]:
        """Read all events that are there, or the first `limit` of them."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            taken = self.follower.take(1)
            if not taken:
                self._is_true()
                break
            events += taken
            self._take(*taken)
        return events

    @property
    def devices(self) -> dict[str, Device]:
        return {device.name: device for device in self.present.values()}

    def _take(self, event: Event) -> None:
        registration = (event.epoch, event.device.revision)
        if isinstance(event, Added):
            assert registration not in self.present, "added twice (P2)"
            assert event.seq == event.device.revision
            assert event.device.name not in self.devices, "one name, two devices (P9)"
            assert event.device.addr not in {found.addr for found in self.present.values()}
            self.present[registration] = event.device
        else:
            assert self.present.get(registration) == event.device, "no such device (P7)"
            del self.present[registration]
        if event.origin is Origin.LIVE:
            if event.epoch == self.last_live.epoch:
                assert event.seq > self.last_live.seq, "back in time (P1)"
            self.last_live = Cursor(event.epoch, event.seq)
            assert event == self.history.event(self.last_live)
            self._is_true()

    def _is_true(self) -> None:
        """It has what the registry had at its cursor (P4)."""
        cursor = self.follower.mirror.cursor
        assert self.devices == ({} if cursor is None else self.history.devices(cursor))


NAMES = st.sampled_from(["", "arm", "cam", "pump"])
ADDRS = st.sampled_from([f"tcp://host:{port}" for port in range(1, 7)])
LEASES = st.sampled_from([1.0, 5.0, 20.0, 600.0])
PAUSES = st.sampled_from([0.0, DELAY / 2, DELAY, 2 * DELAY, 1.0, 2.0])
OBSERVERS = Bundle[Observer]("observers")
UUIDS = Bundle[str]("uuids")


class TwoMirrors(RuleBasedStateMachine):
    """One mirror from the beginning, and one that starts late."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation(TICK, DELAY)
        self.history = History(self.simulation)
        self.observers: list[Observer] = []

    # --- who follows --------------------------------------------------------------------------

    @initialize(target=UUIDS, number=st.integers(0, 5))
    def there_are_devices(self, number: int) -> MultipleResults[str]:
        return multiple(*self._register_some(number))

    def _register_some(self, number: int) -> list[str]:
        return [self.simulation.register("", f"tcp://host:{port}") for port in range(number)]

    @initialize(target=OBSERVERS)
    def the_first_starts(self) -> Observer:
        return self._follow()

    @precondition(lambda self: len(self.observers) == 1)
    @rule(target=OBSERVERS)
    def the_second_starts(self) -> Observer:
        return self._follow()

    def _follow(self) -> Observer:
        observer = Observer(self.simulation.follow(), self.history)
        self.observers.append(observer)
        return observer

    @rule(observer=OBSERVERS, limit=st.sampled_from([1, 2, None]))
    def read(self, observer: Observer, limit: int | None) -> None:
        observer.read(limit)

    # --- devices ------------------------------------------------------------------------------

    @rule(target=UUIDS, name=NAMES, addr=ADDRS, overwrite=st.booleans(), lease=LEASES, pause=PAUSES)
    def register(self, name: str, addr: str, overwrite: bool, lease: float, pause: float) -> str:
        uuid = self.simulation.register(name, addr, overwrite=overwrite, alive_timeout=lease)
        self.simulation.run(pause)
        return uuid

    @rule(uuid=consumes(UUIDS), pause=PAUSES)
    def unregister(self, uuid: str, pause: float) -> None:
        self.simulation.unregister(uuid)
        self.simulation.run(pause)

    @rule(uuid=UUIDS, lease=LEASES)
    def renew(self, uuid: str, lease: float) -> None:
        self.simulation.request(CheckAlive(uuid, lease))

    # --- time ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 3.5, 8.0]))
    def wait(self, seconds: float) -> None:
        self.simulation.run(seconds)

    # --- faults -------------------------------------------------------------------------------

    @rule(observer=OBSERVERS, number=st.integers(1, 3), pause=PAUSES)
    def drop_messages(self, observer: Observer, number: int, pause: float) -> None:
        """Of the next messages some are lost, and most likely they are these devices'."""
        observer.follower.link.drops = number
        self._register_some(number)
        self.simulation.run(pause)

    @rule(observer=OBSERVERS, number=st.integers(1, 3), pause=PAUSES)
    def lose_replies(self, observer: Observer, number: int, pause: float) -> None:
        observer.follower.link.lost_replies = number
        self.simulation.run(pause)

    @rule(observer=OBSERVERS, pause=PAUSES)
    def cut(self, observer: Observer, pause: float) -> None:
        if observer.cut_at is None:
            observer.read()
            observer.follower.link.cut = True
            observer.cut_at = self.simulation.now
        self.simulation.run(pause)

    @rule(observer=OBSERVERS, pause=PAUSES)
    def heal(self, observer: Observer, pause: float) -> None:
        observer.follower.link.heal()
        observer.cut_at = None
        self.simulation.run(pause)

    @rule(
        orderly=st.booleans(),
        port=st.sampled_from([5556, 5556, 7000]),
        down=st.sampled_from([0.0, 0.0, DELAY, 5.0]),
        number=st.integers(0, 3),
        pause=PAUSES,
    )
    def restart(self, orderly: bool, port: int, down: float, number: int, pause: float) -> None:
        """The registry forgets everything; some devices are back at once."""
        self.simulation.stop(orderly=orderly)
        self.simulation.run(down)
        self.simulation.start(port)
        self._register_some(number)
        self.simulation.run(pause)

    # --- the promises -------------------------------------------------------------------------

    @invariant()
    def the_events_read_give_the_devices(self) -> None:
        """P4, at every single event."""
        for observer in self.observers:
            assert observer.follower.mirror.devices == observer.devices

    @invariant()
    def a_lost_link_removes_no_device(self) -> None:
        """P6: nothing comes out of a link that is cut, and after three ticks the view is stale."""
        for observer in self.observers:
            if observer.cut_at is None:
                continue
            assert observer.read() == []
            if self.simulation.now >= observer.cut_at + STALE_AFTER_TICKS * TICK:
                assert observer.follower.mirror.phase is not Phase.LIVE

    def teardown(self) -> None:
        """All is well again: so is every view, and it goes on live."""
        for observer in self.observers:
            observer.follower.link.heal()
        self.simulation.run(RECOVERY)
        while self.simulation.busy:
            self.simulation.run(DELAY)
        core = self.simulation.core
        for observer in self.observers:
            observer.read()
            mirror = observer.follower.mirror
            assert mirror.phase is Phase.LIVE, mirror.trouble
            assert mirror.cursor == Cursor(core.epoch, core.seq)
            assert observer.devices == mirror.devices == core.devices
        asked = [len(observer.follower.asked) for observer in self.observers]
        self.simulation.register("last", "tcp://last:1")
        self.simulation.run((STALE_AFTER_TICKS + 1) * TICK)
        assert asked == [len(observer.follower.asked) for observer in self.observers]
        for observer in self.observers:
            events = observer.read()
            assert "last" in [event.device.name for event in events]
            assert {event.origin for event in events} == {Origin.LIVE}


def test_two_mirrors_keep_every_promise_through_every_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devicewatch.registry.core.MAX_PAGE", 1)
    run_state_machine_as_test(
        TwoMirrors, settings=settings(max_examples=250, stateful_step_count=50, deadline=None)
    )
