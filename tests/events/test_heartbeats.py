"""A connection that is dead though nobody has closed it, as when a cable is pulled."""

from contextlib import closing

import pytest
import zmq

from devicewatch.events.link import Link
from tests.support.live import wait_until
from tests.support.proxy import FaultProxy

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.events.sockets.HEARTBEAT_INTERVAL", 100)
    monkeypatch.setattr("devicewatch.events.sockets.HEARTBEAT_TIMEOUT", 300)


def test_it_is_noticed_and_made_anew(context: Context) -> None:
    with context.socket(zmq.XPUB) as stream:
        stream.linger = 0
        port = stream.bind_to_random_port("tcp://127.0.0.1")
        with FaultProxy(port) as proxy, closing(Link(context, zmq.SUB, proxy.url, None)) as link:
            subscriber = link.socket
            assert stream.recv() == b"\1"
            stream.send(b"one")
            assert subscriber.poll(10_000)
            assert subscriber.recv() == b"one"
            proxy.black_hole()
            wait_until(lambda: proxy.accepted > 1)  # which leads into the black hole as well
            proxy.heal()

            def heard() -> bool:
                stream.send(b"two")
                return subscriber.poll(20) > 0  # a SUB subscribes again when it is looked at

            wait_until(heard)


PING_AND_PONG = 16
"""Bytes, without the frames' own."""


def test_the_other_end_lets_go_as_well(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no heartbeat of its own: each ping says how long to wait for the next."""
    # So long that this end will not connect anew, without a ping yet, on a machine that is busy.
    monkeypatch.setattr("devicewatch.events.sockets.HEARTBEAT_TIMEOUT", 1_000)
    with context.socket(zmq.XPUB) as stream:
        stream.linger = 0
        port = stream.bind_to_random_port("tcp://127.0.0.1")
        with FaultProxy(port) as proxy, closing(Link(context, zmq.SUB, proxy.url, None)):
            assert stream.recv() == b"\1"
            before = proxy.forwarded  # the subscription, of some bytes, may not be counted yet
            wait_until(lambda: proxy.forwarded > before + 3 * PING_AND_PONG)
            proxy.black_hole()
            assert proxy.accepted == 1
            assert stream.poll(10_000), "it keeps a subscriber whom it cannot reach"
            assert stream.recv() == b"\0"
