"""What keeping a journal costs, and how soon a registry is back with one: `make bench-journal`.

Devices that nobody has seen before register, each of which is an event and a change to be kept: a
hundred requests under way at a time, then one after the other; without a journal, and with one at
each durability. What a registration takes of the processor says where the time goes: the rest is
waiting for the disk. Renewals are not kept, and do not touch the journal.

How long a registry with a journal of so many devices, and ten thousand events, takes from its start
until it answers is measured by `make bench-journal` only. What `power` costs depends on the disk:
name a folder on the one that is meant.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from typing import Final, Self

from rich.console import Console

from devicewatch.events.codec import decode_request
from devicewatch.events.durability import Durability
from devicewatch.events.messages import Register
from devicewatch.registry import SqliteJournal
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings

from . import bare, zmtp
from .figures import Figure, alone, beside, percentile
from .machine import cpu
from .profile import FULL, Profile
from .report import Results, show
from .servers import Server, register, registry

DEVICES: Final = (0, 10_000, 100_000)
STARTS: Final = 5

_FASTEST: Final = 100_000
"""Registrations per second, which nothing reaches: so many are prepared."""

_PAST: Final = 10_000
"""Events in a journal."""


class Mode:
    """A registry with one kind of journal, or the bare loop, and what its rounds came to.

    Args:
        server: It.
        stack: Closes the connection to it.
    """

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self._server = server
        self._client = stack.enter_context(zmtp.Client(server.url))
        self._numbers = count()
        self.rates: list[float] = []
        self.costs: list[float] = []
        self.trips: list[list[float]] = []

    def play(self, profile: Profile) -> Self:
        """One more round."""
        requests = self._requests(round(_FASTEST * profile.seconds) + zmtp.WINDOW)
        before = cpu(self._server.pid)
        burst = self._client.some(requests, profile.seconds)
        self.rates.append(burst.rate)
        self.costs.append(1e6 * (cpu(self._server.pid) - before) / len(burst.replies))
        trips = []
        for request in self._requests(profile.trips // 5):
            since = time.perf_counter()
            self._client.all([request])
            trips.append(1e3 * (time.perf_counter() - since))
        self.trips.append(trips)
        return self

    def _requests(self, number: int) -> list[bytes]:
        return [zmtp.request(register(one)) for one in islice(self._numbers, number)]


def measure(profile: Profile, where: str | None = None) -> Iterator[Figure]:
    """Give the figures.

    Args:
        profile: How thoroughly.
        where: The folder to keep journals in.
    """
    with tempfile.TemporaryDirectory(dir=where) as folder, ExitStack() as stack:
        loop = Mode(stack.enter_context(bare.serving()), stack)
        modes = {"no journal": Mode(stack.enter_context(registry()), stack)}
        for durability in Durability:
            options = ("--journal", f"{folder}/{durability}", "--durability", durability.value)
            server = stack.enter_context(registry(*options))
            modes[f"journal, {durability}"] = Mode(server, stack)
        for _ in range(1 + min(profile.rounds, 2 if profile.quick else 7)):  # the first warms up
            for mode in (loop, *modes.values()):
                mode.play(profile)
    for name, mode in modes.items():
        yield beside(f"REGISTER/s, {name}", "/s", mode.rates[1:], loop.rates[1:])
    for name, mode in modes.items():
        yield beside(f"REGISTER, processors' time, {name}", "µs", mode.costs[1:], loop.costs[1:])
    for share, word in ((0.5, "p50"), (0.99, "p99")):
        theirs = [percentile(trips, share) for trips in loop.trips[1:]]
        for name, mode in modes.items():
            ours = [percentile(trips, share) for trips in mode.trips[1:]]
            yield beside(f"REGISTER to its answer, {name}, {word}", "ms", ours, theirs)


# --- starting with a journal ----------------------------------------------------------------------


def fill(path: Path, devices: int) -> None:
    """Make a journal with so many devices."""
    journal = SqliteJournal(path)
    past = journal.load("epoch", _PAST)
    core = RegistryCore(past.epoch, 0.0, CoreSettings())
    for number in range(devices):
        request = decode_request([register(number)])
        assert isinstance(request, Register)
        core.handle(request, 0.0)
        change = core.change
        assert change is not None
        journal.append(change)
    journal.close()


def measure_starts(devices: tuple[int, ...], starts: int, where: str | None) -> Iterator[Figure]:
    """From a registry's start until it answers, with a journal of so many devices."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        without: list[float] = []
        for number in devices:
            path = Path(folder) / f"with-{number}"
            fill(path, number)
            seconds = list(_starts(path, starts))
            without = without or seconds
            more = statistics.median(seconds) - statistics.median(without)
            note = f"{more:.2f} s more than without devices; {path.stat().st_size / 1e6:.1f} MB"
            yield alone(f"until it answers, {number:,} devices", "s", seconds, note=note)


def _starts(path: Path, starts: int) -> Iterator[float]:
    for _ in range(starts):
        since = time.perf_counter()
        with registry("--journal", str(path), history=_PAST):
            yield time.perf_counter() - since


def main() -> None:
    """Measure and print."""
    where = sys.argv[1] if len(sys.argv) > 1 else None
    results = Results.begin("journal")
    results.figures["with a journal"] = list(measure(FULL, where))
    results.figures["from the start"] = list(measure_starts(DEVICES, STARTS, where))
    show(results, Console(highlight=False))


if __name__ == "__main__":
    main()
