"""What a flood from one key does to the renewals of the others: `make floods`.

A registry with keys, in a process of its own, has 250 devices. Forty of them renew, each over a
connection of its own, with a key of their own; another key floods, over 1, 20 and 200 connections,
each of which always has requests waiting. What it asks for is what costs the registry most: whole
pages of devices, or a device that registers again and again. That is measured with the limit that a
registry with keys has unless it is told otherwise, and as good as without.

REP takes turns: one request of each connection, whoever floods. So without a limit a renewal waits
for as many requests as there are connections; with it, for as many refusals, which are cheap.
"""

import itertools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import attrs
import zmq

from devicewatch.events import Key
from devicewatch.events.sockets import Context, Socket, connect, new_socket
from devicewatch.registry.commands.demo import running

DEVICES: Final = 250
RENEWING: Final = 40
LEASE: Final = 3.0
INTERVAL: Final = 0.25
"""Seconds between two renewals of a device; more often than one would, to have more to measure."""

WINDOW: Final = 5
"""Requests that each connection of the flood has under way."""

NO_LIMIT: Final = 1_000_000.0

SETTLE: Final = 5.0
"""Seconds that a flood may take, at the most, until it is refused for the first time."""


@attrs.frozen
class Result:
    """What became of the renewals; times are in seconds."""

    median: float
    worst: float
    renewals: int
    lost: int
    flood: float
    """Replies per second that the flood got."""
    refused: float
    """Which part of them was a refusal."""


def snapshot() -> Iterator[bytes]:
    """Whole pages."""
    yield from itertools.repeat(_request("SNAPSHOT", {}))


def register() -> Iterator[bytes]:
    """A device that displaces itself."""
    payload = {"device_type": "pump", "addr": "tcp://10.6.6.6:1", "name": "flood"}
    yield from itertools.repeat(_request("REGISTER", payload))


KINDS: Final = {"SNAPSHOT": snapshot, "REGISTER": register}


def _request(event: str, payload: Mapping[str, object]) -> bytes:
    return json.dumps({"event": event, "payload": payload}).encode()


def _socket(context: Context, kind: int, url: str, key: Key) -> Socket:
    socket = new_socket(context, kind, key)
    connect(socket, url)
    return socket


def flood(report: Connection, url: str, key: Key, kind: str, connections: int) -> None:
    """Ask until told to stop, then say how many replies there were, and refusals, and seconds.

    The first refusal is told at once.
    """
    context: Context = zmq.Context()
    poller, requests = zmq.Poller(), KINDS[kind]()
    for _ in range(connections):
        socket = _socket(context, zmq.DEALER, url, key)
        poller.register(socket, zmq.POLLIN)
        for _ in range(WINDOW):
            socket.send_multipart([b"", next(requests)])
    replies = refused = 0
    start = None
    while not report.poll():
        for socket, _ in poller.poll(100):
            while socket.poll(0):
                _, reply = socket.recv_multipart()
                start = start or time.monotonic()
                replies += 1
                if b"TOO_FAST" in reply[:300]:
                    refused += 1
                    if refused == 1:
                        report.send("refused")
                socket.send_multipart([b"", next(requests)])
    report.send((replies, refused, time.monotonic() - (start or 0.0)))
    context.destroy(linger=0)


def renew(report: Connection, url: str, key: Key, devices: int) -> None:
    """Register devices, and renew some of them until told to stop; then give all latencies."""
    context: Context = zmq.Context()
    uuids = []
    with _socket(context, zmq.REQ, url, key) as socket:
        for number in range(devices):
            lease = LEASE if number < RENEWING else 3_600.0
            payload = {
                "device_type": "camera", "addr": f"tcp://10.0.0.{number % 250}:{number}",
                "name": f"cam-{number}", "alive_timeout": lease,
                "metadata": {"model": "X-100", "place": "a bed in the third row"},
            }  # fmt: skip
            socket.send(_request("REGISTER", payload))
            uuids.append(json.loads(socket.recv())["payload"]["uuid"])
    report.send("ready")
    poller = zmq.Poller()
    sockets = [_socket(context, zmq.REQ, url, key) for _ in range(RENEWING)]
    due = {socket: time.monotonic() + INTERVAL * i / RENEWING for i, socket in enumerate(sockets)}
    asked: dict[Socket, float] = {}
    latencies: list[tuple[float, float]] = []
    lost = 0
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    while not report.poll():
        now = time.monotonic()
        for socket, uuid in zip(sockets, uuids, strict=False):
            if socket not in asked and now >= due[socket]:
                payload = {"uuid": uuid, "alive_timeout": LEASE}
                socket.send(_request("CHECK_ALIVE", payload))
                asked[socket] = now
        for socket, _ in poller.poll(2):
            sent, now = asked.pop(socket), time.monotonic()
            lost += b"true" not in socket.recv()
            latencies.append((now, now - sent))
            due[socket] = max(now, sent + INTERVAL)
    report.send((latencies, lost))
    context.destroy(linger=0)


@contextmanager
def process(target: object, *arguments: object) -> Iterator[Connection]:
    """A function in a process of its own, and a pipe to it."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=target, args=(theirs, *arguments))  # type: ignore[arg-type]
    child.start()
    try:
        yield ours
    finally:
        child.kill()
        child.join()


@contextmanager
def registry(folder: Path, limit: float | None) -> Iterator[tuple[str, Key, Key]]:
    """A registry with keys; its address, an honest key, and one that floods."""
    own = Key.new()
    honest, flooding = Key.new(own.public), Key.new(own.public)
    own.save(folder / "registry.key")
    lines = (f"device {honest.public} cam-*", f"device {flooding.public} flood")
    (folder / "authorized_keys").write_text("\n".join([*lines, ""]))
    (folder / "authorized_keys").chmod(0o600)
    arguments = (
        "serve", "--no-journal", "--port", "0", "--events-port", "0", "--curve",
        "--key", str(folder / "registry.key"), "--authorized", str(folder / "authorized_keys"),
        *(() if limit is None else ("--requests-per-peer", str(limit))),
    )  # fmt: skip
    with running(*arguments) as serve:
        yield serve.next_line().split()[4], honest, flooding


def measure(kind: str, connections: int, limit: float | None, seconds: float) -> Result:
    """One registry, one flood."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, honest, flooding = stack.enter_context(registry(folder, limit))
        devices = stack.enter_context(process(renew, url, honest, DEVICES))
        assert devices.recv() == "ready"
        replies, refused, took = 0, 0, 1.0
        crowd = None
        if connections:
            crowd = stack.enter_context(process(flood, url, flooding, kind, connections))
            crowd.poll(SETTLE)  # until what it may ask at once is used up, if there is a limit
        begin = time.monotonic()
        _wait(begin + seconds)
        if crowd is not None:
            crowd.send("stop")
            while isinstance(told := crowd.recv(), str):
                pass
            replies, refused, took = told
        devices.send("stop")
        latencies, lost = devices.recv()
    counted = [latency for at, latency in latencies if at >= begin]
    return Result(
        median=statistics.median(counted),
        worst=max(counted),
        renewals=len(counted),
        lost=lost,
        flood=replies / took,
        refused=refused / max(1, replies),
    )


def _wait(until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)


def main(seconds: float) -> None:
    """Measure all of it, and print a table."""
    print(f"{RENEWING} devices renew every {INTERVAL:g} s, leases of {LEASE:g} s; {sys.platform}")
    print(
        "flood of   connections  limit/s   renewals: median, worst (ms)   lost   flood/s  refused"
    )
    runs: list[tuple[str, int, float | None]] = [("none", 0, None)]
    runs += [(kind, n, limit) for kind in KINDS for n in (1, 20, 200) for limit in (NO_LIMIT, None)]
    for kind, connections, limit in runs:
        result = measure(kind, connections, limit, seconds)
        print(
            f"{kind:<12} {connections:>9}  {'none' if limit else '500':>7}   "
            f"{result.median * 1000:>16.1f} {result.worst * 1000:>11.1f}  {result.lost:>5}  "
            f"{result.flood:>8.0f}  {result.refused:>7.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 6.0)
