"""What time it is at the registry."""

import pytest

from devicewatch.events import Added, Cursor, Device, Live, Origin, Reason, Removed, Stale
from devicewatch.subscribers.skew import NOISE, Skew

NOW = 1_800_000_000.0

CAM = Device("cam", "camera", "tcp://a:1", 1, NOW)

LIVE = Live(NOW, Cursor("e", 1))


def came(at: float, origin: Origin = Origin.LIVE) -> Added:
    return Added("e", 1, at, CAM, origin)


def left(at: float, origin: Origin = Origin.LIVE) -> Removed:
    return Removed("e", 2, at, CAM, Reason.EXPIRED, origin)


@pytest.mark.parametrize("lead", [-86_400.0, -100.0, 100.0, 1e9])
def test_the_registrys_clock_is_learnt_from_what_happens(lead: float) -> None:
    skew = Skew(live=True)
    assert skew.ahead == 0
    skew.add(came(NOW + lead), NOW)
    assert skew.ahead == lead
    skew.add(left(NOW + lead + 6, Origin.LIVE), NOW + 7)
    assert skew.ahead == lead, "a little is the way that it took"
    skew.add(left(NOW + lead / 2), NOW)
    assert skew.ahead == lead / 2, "somebody is setting it"
    skew.add(left(NOW - NOISE), NOW)
    assert skew.ahead == 0, "somebody has set it"


def test_a_little_is_the_way_that_it_took() -> None:
    skew = Skew(live=True)
    skew.add(came(NOW - NOISE / 2), NOW)
    skew.add(left(NOW + NOISE), NOW)
    assert skew.ahead == 0


def test_what_is_caught_up_with_tells_of_the_past_and_nothing_of_the_future() -> None:
    skew = Skew()
    skew.add(came(NOW - 5_000), NOW)
    skew.witness(NOW - 6_000, NOW)
    assert skew.ahead == 0, "the view is not live yet"
    skew.add(LIVE, NOW)
    skew.add(came(NOW - 5_000, Origin.SNAPSHOT), NOW)
    assert skew.ahead == 0
    skew.add(came(NOW + 40, Origin.RESYNC), NOW)
    assert skew.ahead == 40
    skew.witness(NOW + 50, NOW)
    assert skew.ahead == 50
    skew.add(left(NOW - 5_000, Origin.RESYNC), NOW)
    assert skew.ahead == 50
    skew.add(Stale(NOW, "a cut cable"), NOW)
    skew.add(left(NOW - 40), NOW)
    assert skew.ahead == 50, "it was missed, and is told of later"
    skew.add(LIVE, NOW)
    skew.add(left(NOW - 40), NOW)
    assert skew.ahead == -40
