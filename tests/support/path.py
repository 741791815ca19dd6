"""The way of a request, in virtual time: kernel, ZeroMQ's thread, queue, the registry's loop.

The loop is the real one, on fakes that stand for what is below it; so a test can let ZeroMQ's
thread fall behind, stop the process anywhere, or flood the queue, for hours in seconds. The queue
does what ZeroMQ's fair queue does (fq.cpp in its source): connections that have something take
turns, a connection that has nothing more is replaced by the last one in the ring, and one that
has something again goes to its end.

    with World(Random(7)) as world:
        world.devices.append(Device(world, lease=0.5))
        world.run(10.0)
"""

import contextlib
import json
import math
from collections import deque
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Any, Self
from unittest import mock

import zmq

from devicewatch.events.files import poll_timeout
from devicewatch.registry import loop as loop_module
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.counts import Counts
from devicewatch.registry.envelopes import Received
from devicewatch.registry.fairness import LOOK, TOLERANCE
from devicewatch.registry.journal import MemoryJournal
from devicewatch.registry.loop import Loop
from devicewatch.registry.service import Service
from devicewatch.registry.settings import CoreSettings

STEP = 0.00002
"""Seconds that the registry needs for one request."""

HANDSHAKE = 0.0005
"""Seconds that an answer of a device takes."""


class Connection:
    """A connection, and what waits in the registry's queue for it.

    Args:
        answered: Takes each reply; nobody cares for the replies by default.
    """

    def __init__(self, answered: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.waiting: deque[bytes] = deque()
        self.answered = answered or (lambda reply: None)


class FairQueue:
    """The connections of a ROUTER socket, in the order of their turns."""

    def __init__(self) -> None:
        self._ring: list[Connection] = []
        self._turn = 0

    def __bool__(self) -> bool:
        return any(connection.waiting for connection in self._ring)

    def put(self, connection: Connection, request: bytes) -> None:
        connection.waiting.append(request)
        if connection not in self._ring:
            self._ring.append(connection)

    def get(self) -> tuple[Connection, bytes] | None:
        while self._ring:
            connection = self._ring[self._turn]
            if connection.waiting:
                self._turn = (self._turn + 1) % len(self._ring)
                return connection, connection.waiting.popleft()
            last = self._ring.pop()
            if connection is not last:
                self._ring[self._turn] = last
            elif self._turn == len(self._ring):
                self._turn = 0
        return None


class World:
    """A registry and the machine that it runs on.

    Args:
        random: Decides what is left to chance.
        lags: How many seconds ZeroMQ's thread may take to read what is there.
        stops: How many seconds the process may be stopped for, now and then.

    Attributes:
        now: Seconds.
        core: The registry.
        away: Seconds for which the process was stopped in total.
        away_unseen: How many of these the registry may not have noticed, as it was asleep.
        stops: How often.
        late: How much too late each name was removed, on the leases' clock.
        queue: What waits for the loop.
    """

    def __init__(
        self, random: Random, lags: tuple[float, ...] = (0.0001,), stops: tuple[float, ...] = ()
    ) -> None:
        self.now = 0.0
        self.away = 0.0
        self.away_unseen = 0.0
        self.stops = 0
        self.late: dict[str, float] = {}
        self.devices: list[Device] = []
        self.floods: list[Connection] = []
        self.queue = FairQueue()
        self._random, self._lags, self._stops = random, lags, stops
        self._kernel: deque[Callable[[], None]] = deque()  # what ZeroMQ's thread has to do
        self._thread_wakes = math.inf
        self._stopped = False
        self._patches = contextlib.ExitStack()
        self._marker = _Marker(self)
        self.core = RegistryCore("e", 0.0, CoreSettings(tick_interval=3600), watchful=True)
        self._loop = Loop.__new__(Loop)
        stream = _Stream(self)
        for name, value in {
            "core": self.core,
            "router": _Router(self, random),
            "stream": stream,
            "events": [],
            "replies": [],
            "timed": [],
            "again": deque(),
            "marker": self._marker,
            "requests": "requests",
            "marker_file": 1,
            "stream_file": 2,
            "files": mock.Mock(wait=self.wait),
            "requests_file": 0,
            "only_requests_came": False,
            "marker_read": False,
            "batch_time": loop_module._BATCH_TIME,
            "woken_by": [1, 2],
            "unsure": set(),
            "away_logged": math.inf,
            "has_slept": True,
            "bell": mock.Mock(),
            "gate": None,
            "watchers": mock.Mock(next_look=math.inf),
            "counts": Counts(),
            "counting": None,
            "service": Service(self.core, MemoryJournal(), self._loop._publish),
        }.items():
            setattr(self._loop, f"_{name}", value)

    def __enter__(self) -> Self:
        for name, fake in {
            "_now": self.monotonic,
            "_time_of_day": self.time,
            "_has_message": lambda socket: socket == "requests" and bool(self.queue),
            "_send_many": lambda stream, messages: stream.send(messages),
        }.items():
            self._patches.enter_context(mock.patch.object(loop_module, name, fake))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._patches.close()

    def run(self, seconds: float) -> None:
        """Let the registry do its rounds."""
        end = self.now + seconds
        while self.now < end:
            self._loop.do_round()

    # --- the machine --------------------------------------------------------------------------

    def reaches_kernel(self, happen: Callable[[], None]) -> None:
        """Something has arrived that ZeroMQ's thread will deal with when it comes to it."""
        self._kernel.append(happen)
        self._wake_thread()

    def send(self, connection: Connection, request: bytes) -> None:
        """A request has arrived on a connection."""
        self.reaches_kernel(lambda: self.queue.put(connection, request))

    def let_pass(self, seconds: float) -> None:
        """Time passes for the loop, and the others do what they have to do meanwhile."""
        end = self.now + seconds
        while (due := min(self._next_due(), self._thread_wakes)) <= end:
            self.now = max(self.now, due)
            if self._thread_wakes <= self.now:
                self._thread_reads()
            for device in self.devices:
                if device.wakes <= self.now:
                    device.act()
        self.now = end

    def _next_due(self) -> float:
        return min((device.wakes for device in self.devices), default=math.inf)

    def _thread_reads(self) -> None:
        self._thread_wakes = math.inf
        for _ in range(self._random.randint(1, len(self._kernel) + 1)):
            if self._kernel:
                self._kernel.popleft()()
        self._wake_thread()

    def may_stop(self) -> None:
        """The process is stopped here, perhaps: neither the loop nor ZeroMQ's thread runs."""
        if self._stops and self._random.random() < 0.003:
            seconds = self._random.choice(self._stops)
            self._stopped, self._thread_wakes = True, math.inf
            self.let_pass(seconds)
            self._stopped = False
            self._wake_thread()
            self.away += seconds
            if seconds < 2 * LOOK:
                self.away_unseen += min(seconds, LOOK + TOLERANCE)
            self.stops += 1

    def _wake_thread(self) -> None:
        if self._kernel and not self._stopped:
            wakes = self.now + self._random.choice(self._lags)
            self._thread_wakes = min(self._thread_wakes, wakes)

    # --- what the loop has to do with: clock and poller -------------------------------------------

    def monotonic(self) -> float:
        self.may_stop()
        return self.now

    def time(self) -> float:
        return self.now + 1_700_000_000.0

    def wait(self, seconds: float) -> list[int]:
        end = self.now + poll_timeout(seconds) / 1000
        while self.now < end and not self.queue and not self._marker.arrived:
            self.may_stop()
            self.let_pass(max(0.0, min(self._next_due(), self._thread_wakes, end) - self.now))
        return [*([0] if self.queue else []), *([1] if self._marker.arrived else [])]


class _Router:
    """Stands for the socket for requests."""

    def __init__(self, world: World, random: Random) -> None:
        self._world, self._random = world, random
        self._asking: dict[bytes, Connection] = {}  # by the way back
        self._ahead = deque[tuple[Connection, bytes]]()  # read already

    def receive(self, limit: int) -> Received | None:
        world = self._world
        world.let_pass(self._random.choice((STEP, STEP, 0.002)))
        world.may_stop()
        for flood in world.floods:
            while len(flood.waiting) < 50:
                world.queue.put(flood, b'{"event":"CHECK_ALIVE","payload":{"uuid":"nobody"}}')
        if not self._ahead:
            read = (world.queue.get() for _ in range(self._random.randint(1, limit)))
            self._ahead.extend(found for found in read if found is not None)
        if not self._ahead:
            return None
        connection, request = self._ahead.popleft()
        way_back = str(id(connection)).encode()
        self._asking[way_back] = connection
        return [way_back], [request], None

    def reply(self, replies: list[list[bytes]]) -> None:
        for way_back, reply in replies:
            self._asking[way_back].answered(json.loads(reply))


class _Stream:
    """Stands for the event stream."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, messages: list[list[bytes]]) -> None:
        for topic, body in messages:
            if topic == b"removed":
                name = json.loads(body)["device"]["name"]
                [device] = [device for device in self._world.devices if device.name == name]
                self._world.late[name] = device.overdue()

    def recv(self, flags: int, *, copy: bool) -> zmq.Frame:
        raise zmq.Again


class _Marker:
    """Goes where the real one goes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connection = Connection()
        self.arrived: list[int] = []
        self.secret = b"marker "

    def send(self, number: int) -> None:
        self._world.reaches_kernel(lambda: self.arrived.append(number))

    def forward(self) -> None:
        for number in self.arrived:
            self._world.queue.put(self._connection, b"marker %d" % number)
        self.arrived.clear()

    def read(self, frames: list[bytes]) -> int:
        return int(frames[0].split()[1])


class Device:
    """Registers, then renews at a third of its lease, one request at a time, until it falls silent.

    Args:
        world: Where it lives.
        name: Its name, and its address.
        lease: Seconds.
        silent_from: When it falls silent.
        connects_anew: Whether it makes a connection for each request, which takes ZeroMQ's thread
            on the other side twice.

    Attributes:
        wakes: When it has something to do.
    """

    def __init__(
        self,
        world: World,
        name: str,
        lease: float,
        silent_from: float = math.inf,
        *,
        connects_anew: bool = False,
    ) -> None:
        self.name = name
        self.wakes = world.now
        self._deadline = self._away_unseen = math.inf
        self._world = world
        self._lease = lease
        self._silent_from = silent_from
        self._connects_anew = connects_anew
        self._uuid = ""
        self._connection = Connection(self._answered)
        self._sent = 0.0
        self._next_step: Callable[[], None] | None = None

    def overdue(self) -> float:
        """How long ago its lease ended, in seconds in which the registry was at work."""
        if self._deadline == math.inf:
            return -math.inf  # it has not been granted one
        leases = self._world.core._leases
        unseen = self._world.away_unseen - self._away_unseen
        return leases.seen - leases.away - self._deadline - unseen

    def act(self) -> None:
        self.wakes = math.inf
        if self._next_step is not None:
            step, self._next_step = self._next_step, None
            step()
            return
        if self._world.now >= self._silent_from and self._uuid:
            return
        self._sent = self._world.now
        if self._connects_anew:
            self._connection = Connection(self._answered)
            self._world.reaches_kernel(self._greeted)
        else:
            self._ask()

    def _greeted(self) -> None:
        self._next_step = self._ask
        self.wakes = self._world.now + HANDSHAKE

    def _ask(self) -> None:
        event, payload = "CHECK_ALIVE", {"uuid": self._uuid, "alive_timeout": self._lease}
        if not self._uuid:
            event = "REGISTER"
            payload = {"device_type": "a", "addr": self.name, "name": self.name}
            payload |= {"alive_timeout": self._lease}
        self._world.send(
            self._connection, json.dumps({"event": event, "payload": payload}).encode()
        )

    def _answered(self, reply: dict[str, Any]) -> None:
        if reply["event"] == "REGISTER_ACK":
            self._uuid = reply["payload"]["uuid"]
        else:
            assert reply["payload"]["success"], f"P8: {self.name} was removed, and it lives"
        self._deadline = self._world.now - self._world.core.away + self._lease
        self._away_unseen = self._world.away_unseen
        self.wakes = max(self._world.now + HANDSHAKE, self._sent + self._lease / 3)
