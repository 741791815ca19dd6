"""The parts that take long, with a handful of devices: figures come out. What they are is open."""

from collections.abc import Callable, Iterable

import pytest

from . import joining, journal, memory
from .expiry import measure_crowd, measure_single
from .figures import Figure
from .pacing import Scale, measure_idle, measure_paced
from .profile import TINY

SCALE = Scale(idle=0.1, paced=(), interval=1.0, slices=2)

PARTS: dict[str, tuple[int, Callable[[], Iterable[Figure]]]] = {
    "joining": (4, lambda: joining.measure(TINY)),
    "journal": (12, lambda: journal.measure(TINY)),
    "starts": (2, lambda: journal.measure_starts((0, 10), 1, None)),
    "memory": (1, lambda: memory.measure(TINY)),
    "a crowd": (3, lambda: measure_crowd(10, rounds=1)),
    "one by one": (2, lambda: measure_single(others=10, leases=2, rounds=1)),
    "at rest": (1, lambda: measure_idle(10, SCALE)),
    "paced": (1, lambda: [measure_paced(100, 0.2, SCALE)]),
}


@pytest.mark.parametrize("part", PARTS)
def test_figures_come_out(part: str) -> None:
    expected, measure = PARTS[part]
    found = list(measure())
    assert len(found) == expected
    for figure in found:
        assert figure.low <= figure.value <= figure.high
        assert figure.ratio is None or figure.ratio > 0
