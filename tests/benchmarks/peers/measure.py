"""What is measured: each thing of each peer in turn, in every round."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, Final

import attrs

from tests.benchmarks.crowd import Worker
from tests.benchmarks.figures import Figure, alone, at_least, at_most, beside, percentile
from tests.benchmarks.machine import cpu

from .peer import LEASE, SILENT_LEASE, USUAL, News, Peer, Way, shares
from .processes import devices, watchers

PATIENCE: Final = 180.0
"""Seconds within which watchers have to be told of whatever they are told of. Redis can take a
minute or two to come across a key that has expired."""
_RATE: Final = "/s"
_RATES: Final = ("register", "renew")
_WATCHER: Final = "the watcher"


@attrs.frozen(kw_only=True)
class Scale:
    """How much of everything.

    Attributes:
        rounds: How often everything is measured.
        devices: How many register, and renew.
        processes: How many they are dealt out to.
        trips: How many devices register one by one, for the time until watchers know.
        watchers: How many watchers there are where there are many.
        watcher_processes: How many those are dealt out to.
        silent: How many devices fall silent.
    """

    rounds: int = 5
    devices: int = 10_000
    processes: int = 16
    trips: int = 200
    watchers: int = 100
    watcher_processes: int = 4
    silent: int = 50


FULL: Final = Scale()
QUICK: Final = Scale(
    rounds=1, devices=2_000, processes=4, trips=50, watchers=20, watcher_processes=2, silent=10
)


@attrs.frozen
class Row:
    """One thing that is measured.

    Attributes:
        what: It.
        unit: What it is measured in.
        samples: What each peer came to in the rounds, by its name.
    """

    what: str
    unit: str
    samples: dict[str, list[float]] = attrs.field(factory=dict)

    def beside(self, ours: str, other: str) -> Figure:
        """What one came to, with what another came to in the same rounds, if it is another."""
        samples = self.samples[ours]
        if other == ours:
            return alone(self.what, self.unit, samples)
        if other not in self.samples:
            return alone(
                self.what, self.unit, samples, note=f"{other}, as it is here, does not tell"
            )
        goal = {_RATE: at_least(1.0), "ms": at_most(1.0)}.get(self.unit)
        return beside(self.what, self.unit, samples, self.samples[other], goal)


class Field:
    """A server that runs, the devices that are connected to it, and its watchers.

    Args:
        peer: The server.
        crowd: The processes of the devices.
    """

    def __init__(self, peer: Peer, crowd: Sequence[Worker]) -> None:
        self.peer = peer
        self._crowd = crowd
        self._watchers: list[Worker] = []
        self._next = 10**5

    @contextmanager
    def connected(self, way: Way) -> Iterator[None]:
        """Connect all devices for as long as a `with` block."""
        _ask(self._crowd, "connect", self.peer, way)
        yield
        _ask(self._crowd, "close", self.peer.name, way)  # after an error their processes just end

    def watch(
        self, stack: ExitStack, number: int = 1, processes: int = 1, news: News = News.CAME
    ) -> None:
        """Have so many watchers, until the stack ends."""
        self._watchers = [
            stack.enter_context(Worker(watchers, self.peer, len(share), news))
            for share in shares(range(number), processes)
        ]
        for watcher in self._watchers:
            watcher.answer()

    def rate(self, do: str, numbers: range, way: Way = USUAL) -> float:
        """How many devices a second do something, when all do it as fast as they can."""
        begin = time.monotonic() + 0.1
        for worker, share in zip(self._crowd, shares(numbers, len(self._crowd)), strict=True):
            worker.tell(do, self.peer.name, way, share, LEASE, begin)
        end: float = max(worker.answer() for worker in self._crowd)
        return len(numbers) / (end - begin)

    def cpu(self) -> dict[str, float]:
        """Seconds that all had of the processors so far."""
        return {
            "the server": cpu(self.peer.pid),
            "the devices": sum(cpu(worker.pid) for worker in self._crowd),
            _WATCHER: sum(cpu(worker.pid) for worker in self._watchers),
        }

    def delays(self, trips: int, interval: float, lease: float = LEASE) -> list[dict[int, float]]:
        """How long it takes from asking to register each device until each watcher is told."""
        if lease == LEASE:  # let watchers have done with all that was before
            self._register(1, interval, lease)
        asked = self._register(trips, interval, lease)
        told = chain.from_iterable(_ask(self._watchers, "told"))
        return [{number: when[number] - asked[number] for number in asked} for when in told]

    def _register(self, trips: int, interval: float, lease: float) -> dict[int, float]:
        _ask(self._watchers, "told")
        numbers = range(self._next, self._next + trips)
        self._next += trips
        command = ("register_slowly", self.peer.name, USUAL, numbers, lease, interval)
        asked: dict[int, float] = self._crowd[0].ask(*command)
        self.await_watchers(trips)
        return asked

    def await_watchers(self, devices: int) -> None:
        """Wait until all watchers were told of so many devices since they were last asked."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while (least := min(_ask(self._watchers, "count"))) < devices:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.peer.name}: a watcher knows of {least} of {devices}")
            pause.wait(0.05)


def _ask(workers: Sequence[Worker], *command: object) -> list[Any]:
    for worker in workers:
        worker.tell(*command)
    return [worker.answer() for worker in workers]


class Contest:
    """The rounds, and what they have come to so far.

    Args:
        peers: Those that are compared.
        scale: How much of everything.
    """

    def __init__(self, peers: Sequence[type[Peer]], scale: Scale) -> None:
        self._peers = list(peers)
        self._scale = scale
        self._rows: dict[str, Row] = {}
        self.about: dict[str, str] = {}

    def run(self) -> None:
        """Measure all of it."""
        with ExitStack() as stack:
            crowd = [stack.enter_context(Worker(devices)) for _ in range(self._scale.processes)]
            for number in range(self._scale.rounds):
                self._round(crowd, first=number == 0)
                self._peers.append(self._peers.pop(0))  # nobody always comes first

    def figures(self, ours: str, other: str) -> list[Figure]:
        """What one came to, with what another came to in the same rounds, if it is another."""
        return [row.beside(ours, other) for row in self._rows.values()]

    def _round(self, crowd: Sequence[Worker], first: bool) -> None:
        with ExitStack() as stack:
            fields = self._fields(stack, crowd)
            with ExitStack() as watching:
                for field in fields:
                    field.watch(watching)
                self._rates(fields)
                self._one_watcher(fields)
                if first:  # to some it takes minutes
                    self._silence(fields)
                self._other_ways(fields)
        # A hundred watchers would take long to hear of all the devices that are there already.
        with ExitStack() as stack:
            self._many_watchers(self._fields(stack, crowd[:1]))

    def _fields(self, stack: ExitStack, crowd: Sequence[Worker]) -> list[Field]:
        peers = [stack.enter_context(peer.serve()) for peer in self._peers]
        self.about.update({peer.name: peer.about for peer in peers})
        fields = [Field(peer, crowd) for peer in peers]
        for field in fields:
            stack.enter_context(field.connected(USUAL))
        return fields

    # --- rows -----------------------------------------------------------------------------------

    def _rates(self, fields: Sequence[Field]) -> None:
        numbers = range(self._scale.devices)
        for what in _RATES:
            for field in fields:
                before = field.cpu()
                self._add(what, _RATE, field.peer.name, field.rate(what, numbers))
                field.await_watchers(len(numbers))  # of a renewal they need not be told
                for whose, seconds in field.cpu().items():
                    if whose != _WATCHER or what == "register":
                        each = 1e6 * (seconds - before[whose]) / len(numbers)
                        self._add(f"{what}, CPU of {whose}", "µs", field.peer.name, each)

    def _one_watcher(self, fields: Sequence[Field]) -> None:
        for field in fields:
            (delays,) = field.delays(self._scale.trips, interval=0.01)
            self._times("1 watcher told", field.peer.name, list(delays.values()))

    def _other_ways(self, fields: Sequence[Field]) -> None:
        ways = dict.fromkeys(way for field in fields for way in field.peer.others)
        for way in ways:
            numbers = range(10**6, 10**6 + round(self._scale.devices * way.share))
            for field in fields:
                if way in field.peer.others:
                    with field.connected(way):
                        rates = [field.rate(what, numbers, way) for what in _RATES]
                else:  # the usual way is all it has
                    usual = (self._rows[what].samples for what in _RATES)
                    rates = [samples[field.peer.name][-1] for samples in usual]
                for what, rate in zip(_RATES, rates, strict=True):
                    self._add(f"{what}, {way.words}", _RATE, field.peer.name, rate)

    def _silence(self, fields: Sequence[Field]) -> None:
        for field in fields:
            if field.peer.tells_silence:
                with ExitStack() as stack:
                    field.watch(stack, news=News.WENT)
                    (delays,) = field.delays(self._scale.silent, interval=0.02, lease=SILENT_LEASE)
                late = [delay - SILENT_LEASE for delay in delays.values()]
                self._times("silence told", field.peer.name, late, worst=True)

    def _many_watchers(self, fields: Sequence[Field]) -> None:
        many = self._scale.watchers
        for field in fields:
            with ExitStack() as stack:
                field.watch(stack, many, self._scale.watcher_processes)
                delays = field.delays(self._scale.trips // 2, interval=0.03)
            every = [delay for told in delays for delay in told.values()]
            self._times(f"each of {many} told", field.peer.name, every)
            last = [max(told[number] for told in delays) for number in delays[0]]
            self._times(f"last of {many} told", field.peer.name, last)

    # --- adding up ------------------------------------------------------------------------------

    def _times(self, what: str, name: str, seconds: Sequence[float], worst: bool = False) -> None:
        times = [1000 * value for value in seconds]
        self._add(f"{what}, p50", "ms", name, statistics.median(times))
        high, value = ("worst", max(times)) if worst else ("p99", percentile(times, 0.99))
        self._add(f"{what}, {high}", "ms", name, value)

    def _add(self, what: str, unit: str, name: str, value: float) -> None:
        row = self._rows.setdefault(what, Row(what, unit))
        row.samples.setdefault(name, []).append(value)
