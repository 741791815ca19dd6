"""What cannot be in a journal."""

import attrs
import pytest

from devicewatch.events.messages import Register
from devicewatch.events.protocol import Reason
from devicewatch.events.records import Added, Device, Removed
from devicewatch.registry.consistency import contradictions
from devicewatch.registry.journal import Past, Registration


def registration(revision: int, name: str = "", addr: str = "", uuid: str = "") -> Registration:
    device = Device(name or f"cam-{revision}", "camera", addr or f"tcp://{revision}", revision, 1.0)
    request = Register("camera", device.addr, device.name)
    return Registration(device, uuid or f"uuid-{revision}", 20.0, request)


def added(held: Registration, epoch: str = "e") -> Added:
    return Added(epoch, held.device.revision, 1.0, held.device)


def removed(held: Registration, seq: int) -> Removed:
    return Removed("e", seq, 1.0, held.device, Reason.EXPIRED)


ONE, TWO, THREE = (registration(number) for number in (1, 2, 3))


def test_what_a_registry_has_written_can_be() -> None:
    events = (added(ONE), added(TWO), removed(ONE, 3))
    assert list(contradictions(Past("e", 3, (TWO,), events))) == []
    assert list(contradictions(Past("e", 3, (TWO,), events[1:]))) == []
    assert list(contradictions(Past("e", 1_000, (TWO,), ()))) == []
    assert list(contradictions(Past("e"))) == []


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (Past("e", 2, (ONE, registration(2, name="cam-1"))), "1 and 2 have the same name"),
        (Past("e", 2, (ONE, registration(2, addr="tcp://1"))), "1 and 2 have the same address"),
        (Past("e", 2, (ONE, registration(2, uuid="uuid-1"))), "1 and 2 have the same uuid"),
        (Past("e", 1, (TWO,)), "registration 2 is not among events 1 to 1"),
        (Past("e", 1, (ONE,), (added(ONE, "f"),)), "event 1 is of another epoch"),
        (Past("e", 3, (ONE, THREE), (added(ONE), added(THREE))), "event 3 follows event 1"),
        (Past("e", 2, (ONE,), (added(ONE),)), "the last event is number 1, not 2"),
        (
            Past("e", 3, (), (added(ONE), removed(ONE, 2), removed(ONE, 3))),
            "event 3 removes what event 2 removed",
        ),
        (
            Past("e", 2, (ONE,), (added(ONE), removed(ONE, 2))),
            "registration 1 is there, though event 2 removed it",
        ),
        (Past("e", 3, (TWO, THREE), (removed(ONE, 2), added(THREE))), "registration 2 has no"),
        (
            Past("e", 1, (registration(1, name="other"),), (added(ONE),)),
            "registration 1 is not what event 1 says",
        ),
        (Past("e", 1, (), (added(ONE),)), "event 1 has no registration, and none removed it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_named(past: Past, words: str) -> None:
    assert any(words in problem for problem in contradictions(past))


def test_no_secret_is_told() -> None:
    thief = attrs.evolve(registration(2), uuid="uuid-1")
    assert not any("uuid-1" in problem for problem in contradictions(Past("e", 2, (ONE, thief))))
