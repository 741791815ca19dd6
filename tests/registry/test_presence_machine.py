"""Devices that hold on, through everything that networks, registries and each other do to them.

The machine makes it happen, and in the end lets all be well: then each device has to be where it
believes to be. Devices with a fault of their own show that it would notice.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from devicewatch.events.messages import Register, RegisterAck, Request
from devicewatch.registry.presence import Presence, PresenceState
from tests.support.presences import Lab, SimulatedDevice

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

LEASES: Final = (2.0, 20.0)
LONGEST_DELAY: Final = 3.0
RECOVERY: Final = 5 * max(LEASES)
"""Seconds after which everybody has settled."""

NAMES = st.sampled_from(["", "cam", "cam-1", "arm"])
ADDRS = st.sampled_from([f"tcp://host:{port}" for port in range(1, 5)])
PAUSES = st.sampled_from([0.0, 0.005, 0.015, 0.7, 3.0, 7.0, 25.0])
DEVICES = Bundle[SimulatedDevice]("devices")


class DevicesThatHoldOn(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        numbers = count()
        self.lab = Lab(jitter=lambda: next(numbers) * 0.618 % 1.0)
        self.born: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    @property
    def living(self) -> list[SimulatedDevice]:
        return [device for device in self.lab.devices if not device.presence.ended]

    # --- devices ------------------------------------------------------------------------------

    @initialize(target=DEVICES, addr=ADDRS, name=NAMES)
    def the_first_starts(self, addr: str, name: str) -> SimulatedDevice:
        return self.begin(addr, name, overwrite=False, lease=20.0)

    @rule(
        target=DEVICES,
        addr=ADDRS,
        name=NAMES,
        overwrite=st.booleans(),
        lease=st.sampled_from(LEASES),
        pause=PAUSES,
    )
    def start(
        self, addr: str, name: str, overwrite: bool, lease: float, pause: float
    ) -> SimulatedDevice:
        device = self.begin(addr, name, overwrite=overwrite, lease=lease)
        self.lab.run(pause)
        return device

    def begin(self, addr: str, name: str, *, overwrite: bool, lease: float) -> SimulatedDevice:
        device = self.lab.announce(name, addr, overwrite=overwrite, lease=lease)
        self.born[instance(device)] = self.lab.now
        return device

    @rule(device=consumes(DEVICES), pause=PAUSES)
    def leave(self, device: SimulatedDevice, pause: float) -> None:
        device.leave()
        self.lab.run(pause)

    @rule(device=consumes(DEVICES), pause=PAUSES)
    def die(self, device: SimulatedDevice, pause: float) -> None:
        device.kill()
        self.lab.run(pause)

    @rule(device=DEVICES, seconds=st.sampled_from([0.01, 1.0, 15.0, 100.0]))
    def suspend(self, device: SimulatedDevice, seconds: float) -> None:
        device.suspended = True
        self.lab.run(seconds)
        device.resume()

    @rule(device=DEVICES)
    def suspend_until_further_notice(self, device: SimulatedDevice) -> None:
        device.suspended = True

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        self.lab.run(seconds)

    # --- faults -------------------------------------------------------------------------------

    @rule(device=DEVICES, requests=st.integers(0, 3), replies=st.integers(0, 3), pause=PAUSES)
    def lose(self, device: SimulatedDevice, requests: int, replies: int, pause: float) -> None:
        device.link.lost_requests, device.link.lost_replies = requests, replies
        self.lab.run(pause)

    @rule(device=DEVICES, delay=st.sampled_from([0.01, 0.3, LONGEST_DELAY]), pause=PAUSES)
    def slow_down(self, device: SimulatedDevice, delay: float, pause: float) -> None:
        device.link.delay = delay
        self.lab.run(pause)

    @rule(device=DEVICES, pause=PAUSES)
    def cut(self, device: SimulatedDevice, pause: float) -> None:
        device.link.cut = True
        self.lab.run(pause)

    @rule(device=DEVICES, pause=PAUSES)
    def heal(self, device: SimulatedDevice, pause: float) -> None:
        device.link.heal()
        device.resume()
        self.lab.run(pause)

    @rule(down=st.sampled_from([0.0, 0.005, 5.0, 60.0]), pause=PAUSES)
    def restart(self, down: float, pause: float) -> None:
        self.lab.stop()
        self.lab.run(down)
        self.lab.start()
        self.lab.run(pause)

    @rule(pause=PAUSES)
    def stop_until_further_notice(self, pause: float) -> None:
        self.lab.stop()
        self.lab.run(pause)

    # --- the promises -------------------------------------------------------------------------

    @invariant()
    def nobody_asks_too_often(self) -> None:
        for device in self.lab.devices:
            end = self.ended.get(instance(device), self.lab.now)
            age = end - self.born[instance(device)]
            assert device.requests <= 10 + 8 * age / lease(device)

    @invariant()
    def who_has_left_is_no_ghost_for_longer_than_a_lease(self) -> None:
        for device in self.lab.devices:
            if not device.presence.ended:
                continue
            ended = self.ended.setdefault(instance(device), self.lab.now)
            if self.lab.up and self.lab.now > ended + LONGEST_DELAY + lease(device):
                assert self.lab.holder(device.wish.addr) != instance(device)

    @invariant()
    def it_is_told_what_it_is(self) -> None:
        for device in self.lab.devices:
            status, told = device.status, device.told[-1]
            assert (status.state, status.name) == (told.state, told.name)
            assert "uuid" not in repr(device.told)
            assert "instance-" not in repr(device.told)

    def teardown(self) -> None:
        """All is well again: so is everybody, and nobody stirs any more."""
        for device in self.living:
            device.link.heal()
            device.resume()
        if not self.lab.up:
            self.lab.start()
            self.lab.run(1.0)
        self.who_has_left_is_no_ghost_for_longer_than_a_lease()
        self.lab.run(RECOVERY)
        self.everybody_is_where_they_believe_to_be()

        events, states = len(self.lab.published), [device.status for device in self.living]
        requests = [device.requests for device in self.living]
        quiet = 2 * max(LEASES)
        self.lab.run(quiet)
        assert len(self.lab.published) == events
        assert [device.status for device in self.living] == states
        for device, before in zip(self.living, requests, strict=True):
            assert device.requests - before <= 2 + 3 * quiet / lease(device)
        self.nobody_asks_too_often()
        self.who_has_left_is_no_ghost_for_longer_than_a_lease()

    def everybody_is_where_they_believe_to_be(self) -> None:
        core = self.lab.core
        present = [device for device in self.living if device.status.registered]
        assert len(core.devices) == len(present), "nobody else is there, and nobody twice"
        for device in present:
            assert core.devices[device.status.name].addr == device.wish.addr
            assert self.lab.holder(device.wish.addr) == instance(device)
        for device in self.living:
            if device not in present:
                assert device.status.state is PresenceState.DISPLACED
                assert self.lab.holder(device.wish.addr) is not None


def instance(device: SimulatedDevice) -> str:
    return str(device.wish.instance)


def lease(device: SimulatedDevice) -> float:
    return float(device.wish.alive_timeout or 0)


def run_the_machine(**more: Any) -> None:
    run_state_machine_as_test(
        DevicesThatHoldOn,
        settings=settings(stateful_step_count=40, deadline=None, **more),
    )


def test_every_device_holds_on_through_every_fault() -> None:
    run_the_machine(max_examples=35)


# --- the machine can tell ------------------------------------------------------------------------


def forgets_who_it_is(self: Presence, request: Request, now: float) -> None:
    if isinstance(request, Register):
        request = replace(request, instance=None)
    ask(self, request, now)


def fights_for_its_address(self: Presence, ack: RegisterAck) -> None:
    registered(self, ack)
    self._register = replace(self._register, displace=True)


def fights_for_its_name(self: Presence, ack: RegisterAck) -> None:
    registered(self, ack)
    self._register = replace(self._register, overwrite=True, displace=True)


def asks_without_a_pause(self: Presence) -> float:
    return 0.05


def never_comes_back(self: Presence, now: float) -> None:
    self._due = now + 1e6


def renews_too_late(self: Presence, lease: float) -> None:
    renewed(self, lease)
    self._due += lease


def believes_in_its_name(
    self: Presence, state: PresenceState, why: str, name: str | None = None
) -> None:
    become(self, state, why, self.status.name or name)


def lingers(self: SimulatedDevice) -> None:
    unsent = self._unsent
    turn(self)
    if self.presence.ended:
        self._unsent = unsent


ask, registered, renewed = Presence._ask, Presence._registered, Presence._renewed
become, turn = Presence._become, SimulatedDevice.turn


@pytest.mark.parametrize(
    ("kind", "method", "fault"),
    [
        (Presence, "_ask", forgets_who_it_is),
        (Presence, "_registered", fights_for_its_address),
        (Presence, "_registered", fights_for_its_name),
        (Presence, "_patience", asks_without_a_pause),
        (Presence, "_forgotten", never_comes_back),
        (Presence, "_stand_by", never_comes_back),
        (Presence, "_renewed", renews_too_late),
        (Presence, "_become", believes_in_its_name),
        (SimulatedDevice, "turn", lingers),
    ],
)
def test_the_machine_catches_a_device_that(
    kind: type, method: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, method, fault)
    with pytest.raises(AssertionError):
        run_the_machine(
            max_examples=500,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        )
