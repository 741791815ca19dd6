"""The processes of `herd`: devices that renew, watchers that follow, and the links between.

Each is a function that runs in a process of its own and does what it is told over a pipe. It
ends with the pipe, so that nothing is left behind.
"""

import asyncio
import hashlib
import logging
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Self

import attrs
import msgspec
import zmq

from devicewatch.events import Cursor, Device, Live, State
from devicewatch.subscribers import AsyncWatcher
from tests.support.proxy import FaultProxy

PATIENCE: Final = 60.0
"""Seconds that a process may take to answer."""

WINDOW: Final = 500
"""Registrations under way at a time."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["__main__", *(f"tests.benchmarks.{name}" for name in ("bare_leases", "followers", "joining"))]
)


class Worker:
    """A process of its own, that does what it is asked.

    It is forked from one that has imported what it needs, and done nothing else: to start an
    interpreter for each takes half a second of a processor.

    Args:
        target: What it runs: takes the pipe, then the arguments.
        arguments: What it is given.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = _processes.Process(
            target=_work, args=(target, theirs, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def tell(self, *command: Any) -> None:
        """Ask for something, and do not wait."""
        self._pipe.send(command)

    def has_answered(self, seconds: float = 0.0) -> bool:
        """Whether there is an answer, within so many seconds."""
        return self._pipe.poll(seconds)

    def answer(self) -> Any:
        """What it answers to what it was told."""
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"no answer within {PATIENCE:g} s")
        return self._pipe.recv()

    def ask(self, *command: Any) -> Any:
        """Ask for something, and wait for it."""
        self.tell(*command)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _work(target: Callable[..., None], pipe: Connection, *arguments: Any) -> None:
    """What a worker does; it ends with the process that started it, be that killed."""
    starter = multiprocessing.parent_process()
    assert starter is not None

    def end_with_starter() -> None:
        wait([starter.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_starter, daemon=True).start()
    target(pipe, *arguments)


# --- devices -------------------------------------------------------------------------------------


@attrs.frozen
class Renewals:
    """How a crowd of devices fared.

    Attributes:
        latencies: Seconds from a renewal to its answer, for each.
        unanswered: How many still wait.
        registrations: How often any of the devices has registered.
        missing: How many devices are not registered.
    """

    latencies: list[float]
    unanswered: int
    registrations: int
    missing: int


class Devices:
    """A crowd of devices at one socket, which renew evenly spread over time."""

    def __init__(self, url: str, first: int, number: int, lease: float, interval: float) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(url)
        self._first = first
        self._lease = lease
        self._step = interval / number
        self._uuids: list[str | None] = [None] * number
        self._registering: set[int] = set()
        self._waiting: dict[int, tuple[float, int]] = {}  # sent when, by whom; by number
        self._sent = 0
        self._begun_at = 0.0
        self._latencies: list[float] = []
        self._registrations = 0

    def serve(self, pipe: Connection) -> None:
        """Register everyone; then renew, and do what the pipe says, until it ends."""
        self._register_all()
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(pipe.fileno(), zmq.POLLIN)
        next_index, next_due = 0, time.monotonic()
        while True:
            now = time.monotonic()
            while next_due <= now:
                self._renew(next_index)
                next_index = (next_index + 1) % len(self._uuids)
                next_due += self._step
            ready = dict(poller.poll(max(0, round((next_due - now) * 1000))))
            if self._socket in ready:
                self._receive()
            if pipe.fileno() in ready:
                (command,) = pipe.recv()
                pipe.send(self._report())
                if command == "begin":
                    self._begin()

    def _begin(self) -> None:
        self._begun_at = time.monotonic()
        self._latencies = []
        self._registrations = 0

    def _report(self) -> Renewals:
        unanswered = sum(sent_at >= self._begun_at for sent_at, _ in self._waiting.values())
        missing = sum(uuid is None for uuid in self._uuids)
        return Renewals(self._latencies, unanswered, self._registrations, missing)

    def _register_all(self) -> None:
        todo = deque(range(len(self._uuids)))
        while todo or self._registering:
            while todo and len(self._registering) < WINDOW:
                self._register(todo.popleft())
            self._socket.poll(1000)
            self._receive()

    def _renew(self, index: int) -> None:
        uuid = self._uuids[index]
        if uuid is None:
            self._register(index)
        else:
            self._send(index, "CHECK_ALIVE", {"uuid": uuid, "alive_timeout": self._lease})

    def _register(self, index: int) -> None:
        self._registering.add(index)
        number = self._first + index
        payload = {
            "device_type": "camera",
            "addr": f"tcp://10.0.{number >> 8}.{number & 255}:1",
            "name": f"cam-{number}",
            "alive_timeout": self._lease,
            "instance": f"instance-{number}",
        }
        self._send(index, "REGISTER", payload)

    def _send(self, index: int, event: str, payload: dict[str, object]) -> None:
        self._sent += 1
        body = _encode({"event": event, "payload": payload})
        try:
            self._socket.send_multipart([b"%d" % self._sent, b"", body], zmq.NOBLOCK)
        except zmq.Again:  # the registry is gone, and its queue full
            return
        self._waiting[self._sent] = (time.monotonic(), index)

    def _receive(self) -> None:
        while True:
            try:
                number, _, body = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(int(number), _decode(body)["payload"], time.monotonic())

    def _take(self, number: int, payload: dict[str, Any], now: float) -> None:
        sent_at, index = self._waiting.pop(number)
        if "uuid" in payload:
            self._registering.discard(index)
            self._registrations += self._uuids[index] is None
            self._uuids[index] = payload["uuid"]
            return
        if sent_at >= self._begun_at:
            self._latencies.append(now - sent_at)
        if not payload["success"]:
            self._uuids[index] = None
            if index not in self._registering:
                self._register(index)


def devices(pipe: Connection, *arguments: Any) -> None:
    """Be a crowd of devices; see `Devices`. "begin" and "report" both give `Renewals`."""
    try:
        Devices(*arguments).serve(pipe)
    except EOFError:
        return


# --- watchers ------------------------------------------------------------------------------------


@attrs.frozen
class View:
    """What one watcher knows.

    Attributes:
        state: What it is worth.
        cursor: Where it is.
        live_at: When it was first live after the latest "begin", on the monotonic clock.
        resyncs: How often it had missed something for good.
    """

    state: State
    cursor: Cursor | None
    live_at: float | None
    resyncs: int


class Follower:
    """One watcher, and when it was live."""

    def __init__(self, url: str, events_url: str) -> None:
        self.watcher = AsyncWatcher(url, events_url=events_url)
        self.live_at: float | None = None
        self.resyncs = 0

    async def follow(self) -> None:
        async with self.watcher:
            async for record in self.watcher.records():
                if isinstance(record, Live):
                    self.live_at = self.live_at or time.monotonic()
                    self.resyncs += record.resynced

    def view(self) -> View:
        watcher = self.watcher
        return View(watcher.status.state, watcher.cursor, self.live_at, self.resyncs)


def digest(devices: Iterable[Device]) -> str:
    """The same for the same devices, whatever their order."""
    lines = sorted(f"{d.name}\0{d.device_type}\0{d.addr}\0{d.revision}" for d in devices)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def _follow(pipe: Connection, url: str, events_url: str, number: int) -> None:
    followers = [Follower(url, events_url) for _ in range(number)]
    over = asyncio.Event()

    def obey() -> None:
        try:
            (command,) = pipe.recv()
        except EOFError:
            over.set()
            return
        if command == "begin":
            for follower in followers:
                follower.live_at = None
            pipe.send(None)
        elif command == "views":
            pipe.send([follower.view() for follower in followers])
        else:
            pipe.send([digest(follower.watcher.devices.values()) for follower in followers])

    asyncio.get_running_loop().add_reader(pipe.fileno(), obey)
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    await over.wait()
    for task in tasks:
        task.cancel()


def watchers(pipe: Connection, url: str, events_url: str, number: int, nice: int) -> None:
    """Be watchers. "begin" forgets when they were live; "views" and "digests" are what they know.

    Args:
        pipe: Where to be told what to do.
        url: The registry's address.
        events_url: Its event stream's.
        number: How many to be.
        nice: By how much to give way to other processes.
    """
    os.nice(nice)
    logging.getLogger("devicewatch").setLevel(logging.ERROR)  # that views go stale is the point
    asyncio.run(_follow(pipe, url, events_url, number))


# --- links ---------------------------------------------------------------------------------------


def links(pipe: Connection, port: int, events_port: int) -> None:
    """Be the network of some watchers: first gives both addresses, then obeys "cut" and "heal"."""
    with FaultProxy(port) as requests, FaultProxy(events_port) as events:
        pipe.send((requests.url, events.url))
        while True:
            try:
                (command,) = pipe.recv()
            except EOFError:
                return
            for proxy in (requests, events):
                getattr(proxy, command)()
            pipe.send(time.monotonic())
