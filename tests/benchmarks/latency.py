"""How long one REQ client waits for its answer, when it asks for one thing after the other.

It is what a device does: a socket of pyzmq, in this process, that sends and receives. Some requests
go to the bare loop and as many to the registry, in turns of fifty.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import zmq

from devicewatch.events.sockets import Context, Socket

from . import bare
from .figures import Figure, at_most, beside, percentile
from .profile import Profile
from .servers import fill, registry, renew

TURN: Final = 50
"""Round trips at one of the two before the other has its turn."""


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    devices = profile.devices[1]
    with ExitStack() as stack:
        servers = [stack.enter_context(bare.serving()), stack.enter_context(registry())]
        requests = [renew(uuid) for uuid in fill(servers[1], devices)]
        context = stack.enter_context(zmq.Context())
        sockets = [stack.enter_context(_client(context, server.url)) for server in servers]
        rounds = [_round(sockets, requests, profile.trips) for _ in range(1 + profile.rounds)][1:]
    for name, share, bound in (("p50", 0.5, 1.15), ("p99", 0.99, 1.5)):
        theirs, ours = (
            [1000 * percentile(trips[which], share) for trips in rounds] for which in (0, 1)
        )
        row = f"CHECK_ALIVE to its answer, {devices:,} devices, {name}"
        yield beside(row, "ms", ours, theirs, at_most(bound))


def _client(context: Context, url: str) -> Socket:
    socket = context.socket(zmq.REQ)
    socket.linger = 0
    socket.connect(url)
    return socket


def _round(sockets: list[Socket], requests: list[bytes], trips: int) -> list[list[float]]:
    """Seconds that each trip has taken, for each of the sockets."""
    found: list[list[float]] = [[] for _ in sockets]
    for first in range(0, trips, TURN):
        for socket, seconds in zip(sockets, found, strict=True):
            for number in range(first, first + TURN):
                since = time.perf_counter()
                socket.send(requests[number % len(requests)])
                reply = socket.recv()
                seconds.append(time.perf_counter() - since)
                assert b'"success":true' in reply
    return found
