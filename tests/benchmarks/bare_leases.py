"""What the sockets themselves can do with leases that end: a bare loop that keeps a list of ends.

It takes them in the order in which they were granted, so it is right only where they end in that
order, as they do where it is used.
"""

import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

import msgspec
import zmq

from devicewatch.events.sockets import Context, Socket

from .bare import Request, answer, publish
from .crowd import Worker
from .servers import LEASE, Server

_BATCH: Final = 100
"""Requests answered, and events published, in a row."""


@contextmanager
def serving() -> Iterator[Server]:
    """Run the bare loop for as long as a `with` block."""
    with Worker(serve) as worker:
        port, events_port = worker.answer()
        yield Server(f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{events_port}", worker.pid)


def serve(pipe: Connection) -> None:
    """Answer requests; when a lease of less than `LEASE` has ended, say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started it ends it
    context: Context = zmq.Context()
    requests, stream = context.socket(zmq.REP), context.socket(zmq.XPUB)
    stream.set(zmq.SNDHWM, 0)
    pipe.send([s.bind_to_random_port("tcp://127.0.0.1") for s in (requests, stream)])
    poller = zmq.Poller()
    poller.register(requests, zmq.POLLIN)
    poller.register(stream, zmq.POLLIN)
    ends: deque[tuple[float, str]] = deque()
    while True:
        drained = _answer_some(requests, stream, ends)
        _greet(stream)
        now = time.monotonic()
        for _ in range(_BATCH):
            if not ends or ends[0][0] > now:
                break
            _, name = ends.popleft()
            device = {"name": name, "device_type": "camera", "addr": "tcp://10.0.0.1:12345"}
            publish(stream, "removed", device, reason="expired")
        if drained:
            left = ends[0][0] - time.monotonic() if ends else 1.0
            poller.poll(max(0, round(1000 * left)))


def _answer_some(requests: Socket, stream: Socket, ends: deque[tuple[float, str]]) -> bool:
    """Answer a batch; say whether no more requests wait."""
    decode = msgspec.json.Decoder(Request).decode
    try:
        for _ in range(_BATCH):
            request = decode(requests.recv(zmq.NOBLOCK))
            lease = request.payload["alive_timeout"]
            if lease < LEASE:
                name = request.payload.get("name", "cam-12345")
                ends.append((time.monotonic() + lease, name))
            requests.send(answer(request, stream))
    except zmq.Again:
        return True
    return False


def _greet(stream: Socket) -> None:
    """Say a word to those who have subscribed, as the registry does."""
    try:
        while stream.recv(zmq.NOBLOCK):
            stream.send_multipart([b"tick", b"{}"])
    except zmq.Again:
        return
