"""Devices that hold on, on a network with one kind of fault at a time."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from devicewatch.registry.presence import PresenceState
from tests.support.presences import Lab, SimulatedDevice

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

LEASE = 20.0
PHASES = st.floats(0.0, LEASE)


def jittered(numbers: list[float]) -> Lab:
    """A lab whose devices get these for jitter, again and again."""
    given = iter(lambda: numbers[len(used) % len(numbers)], None)
    used: list[float] = []

    def jitter() -> float:
        used.append(0.0)
        return next(given)

    return Lab(jitter)


JITTERS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5).map(jittered)


def states(device: SimulatedDevice) -> list[PresenceState]:
    return [status.state for status in device.told]


def present_as(device: SimulatedDevice, name: str) -> bool:
    return device.status.registered and device.status.name == name


@given(lab=JITTERS, losses=st.lists(st.booleans(), max_size=30))
def test_lost_replies_are_no_event(lab: Lab, losses: list[bool]) -> None:
    device = lab.announce("cam", "tcp://a")
    for lost in losses:
        device.link.lost_replies = int(lost)
        lab.run(LEASE / 4)
    device.link.heal()
    lab.run(LEASE)

    assert [event.topic for event in lab.published] == ["added"]
    assert present_as(device, "cam")


@given(lab=JITTERS, lease=st.sampled_from([0.5, 2.0, 20.0]), data=st.data())
def test_two_lost_requests_in_a_row_are_no_event(
    lab: Lab, lease: float, data: st.DataObject
) -> None:
    device = lab.announce("cam", "tcp://a", lease=lease)
    device.link.delay = 0.001
    for _ in range(5):
        device.link.lost_requests = data.draw(st.integers(0, 2))
        lab.run(2 * lease)  # by then one has got through
        assert device.link.lost_requests == 0

    assert [event.topic for event in lab.published] == ["added"]
    assert PresenceState.UNREACHABLE not in states(device)[2:]


@given(lab=JITTERS, down=st.floats(0.0, 3_600.0), phase=PHASES)
def test_after_a_restart_everybody_has_their_own_name_back(
    lab: Lab, down: float, phase: float
) -> None:
    devices = [lab.announce("cam", f"tcp://{n}") for n in range(3)]
    devices.append(lab.announce("", "tcp://3"))
    names = ["cam", "cam-1", "cam-2", "camera-0"]
    lab.run(1.0 + phase)
    assert [device.status.name for device in devices] == names
    lab.stop()
    lab.run(down)
    lab.start()
    before = len(lab.published)
    lab.run(LEASE / 3 + 0.1)  # nobody has to wait longer than for the next renewal

    assert [event.topic for event in lab.published[before:]] == ["added"] * 4
    assert all(present_as(*each) for each in zip(devices, names, strict=True))


def test_a_registry_that_was_away_finds_the_devices_at_once() -> None:
    """Their requests wait for it."""
    lab = Lab()
    device = lab.announce("cam", "tcp://a")
    lab.run(1.0)
    lab.stop()
    lab.run(60.0)
    assert device.status.state is PresenceState.UNREACHABLE
    lab.start()
    lab.run(0.1)

    assert present_as(device, "cam")


@given(lab=JITTERS, seconds=st.floats(0.0, 3_600.0), phase=PHASES, taken=st.booleans())
def test_a_suspended_device_comes_back_once(
    lab: Lab, seconds: float, phase: float, taken: bool
) -> None:
    device = lab.announce("cam", "tcp://a")
    lab.run(phase)
    device.suspended = True
    lab.run(seconds)
    if taken:
        lab.announce("cam", "tcp://b")
        lab.run(1.0)
    device.resume()
    lab.run(LEASE)

    name = device.status.name
    assert present_as(device, name)
    assert lab.core.devices[name].addr == "tcp://a"
    assert len(lab.core.devices) == 1 + taken
    assert name == "cam" or (taken and device.status.previous_name == "cam")
    assert lab.replaced() == 0


@given(lab=JITTERS, phase=PHASES)
def test_of_two_at_an_address_the_second_stays_until_it_leaves(lab: Lab, phase: float) -> None:
    first = lab.announce("cam", "tcp://a")
    lab.run(phase)
    second = lab.announce("cam", "tcp://a")
    lab.run(15 * LEASE)

    assert lab.replaced() == 1
    assert first.status.state is PresenceState.DISPLACED
    assert present_as(second, "cam")
    second.leave()
    lab.run(1.5 * LEASE)
    assert present_as(first, "cam")
    assert lab.replaced() == 1


@given(
    lab=JITTERS,
    restarts=st.lists(st.tuples(PHASES, st.floats(0.0, 60.0)), max_size=5),
    lost=st.integers(0, 1),
)
def test_a_displaced_device_stays_out_through_restarts(
    lab: Lab, restarts: list[tuple[float, float]], lost: int
) -> None:
    first = lab.announce("cam", "tcp://a")
    lab.run(1.0)
    second = lab.announce("cam", "tcp://a")
    lab.run(LEASE)
    assert first.status.state is PresenceState.DISPLACED
    told = len(first.told)
    for phase, down in restarts:
        lab.run(phase)
        while first.presence._unanswered is not None:
            lab.run(0.1)  # what is on its way already cannot be taken back
        lab.stop()
        lab.run(down)
        second.link.lost_requests = second.link.lost_replies = lost
        lab.start()
        lab.run(3 * LEASE)
        assert present_as(second, "cam")

    assert len(first.told) == told


@pytest.mark.parametrize("number", [1, 4])
def test_a_device_robbed_of_its_name_goes_on_under_another(number: int) -> None:
    lab = Lab()
    victim = lab.announce("cam", "tcp://a", overwrite=True)
    lab.run(1.0)
    for n in range(number):
        lab.announce("cam", f"tcp://thief-{n}", overwrite=True)
        lab.run(LEASE)
    lab.run(20 * LEASE)

    assert lab.replaced() == number
    assert present_as(victim, "cam-1")
    assert victim.status.previous_name == "cam"
    assert all(device.status.registered for device in lab.devices)


@given(lab=JITTERS, leave_after=st.floats(0.0, 0.05))
def test_leaving_at_any_moment_leaves_nothing_behind(lab: Lab, leave_after: float) -> None:
    device = lab.announce("cam", "tcp://a")
    lab.run(leave_after)
    device.leave()
    lab.run(2.0)

    assert device.presence.ended
    assert lab.core.devices == {}


def test_no_request_reaches_a_registry_that_starts_after_its_sender_left() -> None:
    lab = Lab()
    lab.stop()
    device = lab.announce("cam", "tcp://a")
    lab.run(1.0)
    device.leave()
    lab.run(1.0)
    assert device.presence.ended
    lab.start()
    lab.run(LEASE)

    assert lab.published == []
