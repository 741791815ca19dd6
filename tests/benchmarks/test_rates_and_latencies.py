"""The benchmarks, small: figures come out of them. What they are does not matter here."""

import math
from collections.abc import Callable, Iterator

import pytest

from . import bare, latency, throughput, watching, zmtp
from .figures import Figure
from .profile import TINY, Profile
from .servers import register, renew


@pytest.mark.parametrize("measure", [throughput.measure, latency.measure, watching.measure])
def test_figures_come_out(measure: Callable[[Profile], Iterator[Figure]]) -> None:
    figures = list(measure(TINY))
    assert len({figure.row for figure in figures}) == len(figures) > 1
    for figure in figures:
        print(figure)  # shown if the test fails
        assert all(math.isfinite(sample) and sample > 0 for sample in figure.samples)
        assert len(figure.samples) == TINY.rounds


@pytest.mark.parametrize("kind", bare.Kind)
def test_each_request_is_answered_once_and_in_order(kind: bare.Kind) -> None:
    names = ["x" * length for length in range(1, 300)]
    requests = [zmtp.request(register(0, name=name)) for name in names]
    with bare.serving(kind) as server, zmtp.Client(server.url) as client:
        burst = client.all(requests, window=7)
        assert burst.answered == len(requests)
        for name, reply in zip(names, burst.replies, strict=True):
            assert f'"{name}"'.encode() in reply
        burst = client.some([zmtp.request(renew("some uuid"))], 0.05)
        assert 0 < burst.answered <= len(burst.replies)
