"""The benchmarks, small: figures come out of them. What they are does not matter here."""

import math
from collections.abc import Callable, Iterator

import pytest
import zmq

from devicewatch.events.sockets import Context

from . import bare, latency, throughput, watching, zmtp
from .figures import Figure
from .profile import TINY, Profile
from .servers import Server, register, registry, renew, unregister, uuids


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


def test_the_bare_loop_says_as_much_as_the_registry() -> None:
    with registry() as ours, bare.serving() as theirs, zmq.Context() as context:
        said = [_say_all(server, context) for server in (ours, theirs)]
    for sizes in zip(*said, strict=True):
        assert max(sizes) - min(sizes) < 20  # numbers have more or fewer digits


def _say_all(server: Server, context: Context) -> list[int]:
    """The sizes of the replies to each request, and of the events."""
    with zmtp.Client(server.url) as client, bare.subscriber(context, server.events_url) as events:
        replies = _come_and_go(client)
        while not events.poll(10):  # the subscription takes a moment
            _come_and_go(client)
        sizes: dict[bytes, int] = {}
        while len(sizes) < 2:
            topic, body = events.recv_multipart()
            sizes[topic] = len(body)
            _come_and_go(client)
        return [*map(len, replies), sizes[b"added"], sizes[b"removed"]]


def _come_and_go(client: zmtp.Client) -> list[bytes]:
    (registered,) = client.all([zmtp.request(register(12_345))]).replies
    (uuid,) = uuids([registered])
    others = (client.all([zmtp.request(body)]) for body in (renew(uuid), unregister(uuid)))
    return [registered, *(reply for burst in others for reply in burst.replies)]
