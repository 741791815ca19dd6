"""Raw TCP on both ports of a registry that runs, and those who must not notice.

While it goes on, a device keeps its short lease, requests are answered in time, on connections old
and new, and a watcher sees just what is there. Afterwards the registry's process lives, holds no
more file descriptors than before, and has not grown beyond all bounds.
"""

import contextlib
import resource
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

import attrs
import zmq

from tests.faults.processes import RegistryProcess
from tests.support.live import PATIENCE, wait_until
from tests.support.pipes import RESET

from . import zmtp
from .assaults import Attack, End, plan
from .bystanders import Bystanders

Context = zmq.Context[zmq.Socket[bytes]]

HELD: Final = 200
"""Connections of attacks that are left open, at the most; the silent ones are others."""

ANSWERED: Final = 0.05
"""Seconds to wait for a word of the registry in the middle of an attack."""

SPARE: Final = 8
"""File descriptors that may come and go: of requests that are just being made, say."""

GROWTH: Final = 100_000
"""Kilobytes by which the registry may have grown in the end."""


@attrs.define
class Summary:
    """What was done to a registry, and what it took."""

    seed: int
    attacks: Counter[str] = attrs.field(factory=Counter)
    silent: int = 0
    requests: int = 0
    slowest: float = 0.0
    events: int = 0
    descriptors: tuple[int, int, int] = (0, 0, 0)
    memory: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        before, most, after = self.descriptors
        return (
            f"wire, seed {self.seed}: {self.attacks.total()} attacks of {len(self.attacks)} kinds, "
            f"{self.silent} silent connections; {self.requests} requests beside them, the slowest "
            f"{self.slowest:.3f} s, {self.events} events; file descriptors {before}, "
            f"at most {most}, then {after}; memory {self.memory[0]} kB, then {self.memory[1]} kB"
        )


class Attacker:
    """Carries out attacks on two ports of this machine.

    Args:
        ports: That for requests, and that of the event stream.
    """

    def __init__(self, ports: tuple[int, int]) -> None:
        self._ports = ports
        self._held: deque[socket.socket] = deque()
        self._silent: list[socket.socket] = []

    def carry_out(self, attack: Attack) -> None:
        """One attack. Whatever the registry does with the connection is fine."""
        connection = self._connect(attack.on_stream)
        connection.settimeout(ANSWERED)
        with contextlib.suppress(OSError):
            for index, part in enumerate(attack.parts):
                if index:
                    _hear(connection)
                connection.sendall(part)
        if attack.end is End.HOLD:
            self._held.append(connection)
            if len(self._held) > HELD:
                self._held.popleft().close()
            return
        if attack.end is End.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()

    def be_silent(self, number: int) -> None:
        """So many more connections, to both ports in turn, that say nothing."""
        for index in range(number):
            self._silent.append(self._connect(bool(index % 2)))

    def close(self) -> None:
        for connection in (*self._held, *self._silent):
            connection.close()
        self._held.clear()
        self._silent.clear()

    def _connect(self, on_stream: bool) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._ports[on_stream]), PATIENCE)


def _hear(connection: socket.socket) -> None:
    """Wait for a READY: what comes before that, ZeroMQ may drop. There may be none."""
    heard = b""
    with contextlib.suppress(TimeoutError):
        while len(heard) <= zmtp.GREETING and (more := connection.recv(65_536)):
            heard += more


class Assault:
    """A registry in a process of its own, under attack.

    Args:
        seed: Of the plan.
        options: More for `devicewatch serve`.
    """

    def __init__(self, seed: int, *options: str) -> None:
        self.summary = Summary(seed)
        self._plan = plan(seed)
        self._options = options
        self._stack = ExitStack()
        self._most = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(many_descriptors())
            self.registry = stack.enter_context(RegistryProcess("--tick", "0.2", *self._options))
            context = stack.enter_context(zmq.Context())
            self.bystanders = stack.enter_context(Bystanders(self.registry, context))
            urls = (self.registry.url, self.registry.events_url)
            requests, stream = (int(url.rpartition(":")[2]) for url in urls)
            self.attacker = Attacker((requests, stream))
            stack.callback(self.attacker.close)
            self._before = self.descriptors
            self._memory = self.memory
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def descriptors(self) -> int:
        """Of the registry's process."""
        found = len(list(Path(f"/proc/{self._pid}/fd").iterdir()))
        self._most = max(self._most, found)
        return found

    @property
    def memory(self) -> int:
        """Of the registry's process, in kilobytes."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @property
    def _pid(self) -> int:
        return self.registry.command.process.pid

    def be_silent(self, number: int) -> None:
        """A crowd of connections that say nothing; the registry has accepted them all."""
        before = self.descriptors
        self.attacker.be_silent(number)
        self.summary.silent += number
        wait_until(lambda: self.descriptors >= min(before + number - HELD, number))

    def attack(self, number: int) -> None:
        """The next so many attacks of the plan."""
        for _ in range(number):
            attack = next(self._plan)
            self.attacker.carry_out(attack)
            self.summary.attacks[attack.kind] += 1

    def end(self) -> Summary:
        """Let go of all connections; see that everything is as it was."""
        summary, bystanders = self.summary, self.bystanders
        self.descriptors  # noqa: B018 - to know the most
        self.attacker.close()
        answered = bystanders.requests
        wait_until(lambda: bystanders.trouble or bystanders.requests > answered + 2)
        bystanders.check()
        wait_until(lambda: self.descriptors <= self._before + SPARE)
        bystanders.agree()
        bystanders.check()
        assert self.registry.command.process.poll() is None
        summary.requests, summary.slowest = bystanders.requests, bystanders.slowest
        summary.events = len(bystanders.events)
        summary.descriptors = (self._before, self._most, self.descriptors)
        summary.memory = (self._memory, self.memory)
        assert self.memory < self._memory + GROWTH, f"it has grown to {self.memory} kB"
        return summary


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Let this process have as many as a thousand connections need."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= before[0] < 8192:
        wanted = 8192 if before[1] == resource.RLIM_INFINITY else min(8192, before[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def attack_for(seconds: float, seed: int) -> Summary:
    """The long profile: attack after attack, with a thousand silent connections all the while."""
    end = time.monotonic() + seconds
    with Assault(seed) as assault:
        next_crowd = 0.0
        while time.monotonic() < end:
            if time.monotonic() >= next_crowd:
                assault.attacker.close()
                assault.be_silent(1000)
                next_crowd = time.monotonic() + 7.0  # by then the registry has closed them
            assault.attack(20)
            assault.bystanders.check()
        return assault.end()
