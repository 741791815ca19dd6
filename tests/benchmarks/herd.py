"""Two hundred watchers of five thousand devices lose the registry together.

Run it with `make herd`. The registry is a process of its own, at which the devices renew without
a fault between; the watchers are in other processes, behind links that are all cut at once.
Three things happen, one after the other:

* the links are lost, and the registry's history has what was missed: it is replayed;
* the links are lost for more than the history has: everyone fetches all devices, in one rush;
* the registry is killed and started again: all devices register, and all watchers fetch them.

How long it takes until everyone is live counts from the moment at which the links are whole, or
the registry is ready; that includes the pauses between attempts, which are drawn at random to
spread the rush. The latency of a renewal is measured where the device is, for all renewals sent
in that time. Everything runs on one machine: the watchers' processes are `nice`, since elsewhere
they would not take the registry's and the devices' processor either. The network's processes
(one for each of the watchers') are Python, and are not.
"""

import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final

import attrs
import zmq

from devicewatch.events import Cursor, State
from tests.faults.load import Background
from tests.faults.processes import RegistryProcess
from tests.faults.truth import fetch_devices
from tests.support.live import RawClient, raw_client

from .crowd import Renewals, View, Worker, devices, digest, links, watchers

NICE: Final = 10
"""By how much the watchers' processes give way to the others."""

RESTLESS: Final = 20
"""Addresses at which devices replace each other, in addition to those that renew."""


@attrs.frozen
class Scale:
    """How much of everything; times are in seconds.

    Attributes:
        watchers: How many follow.
        devices: How many renew.
        processes: For the watchers, and as many for their links.
        device_processes: For the devices.
        lease: The devices'.
        interval: Between two renewals of a device.
        tick: The registry's.
        history: Events that the registry keeps.
        away: For how long the links, or the registry, are lost.
        quiet: For how long renewals are measured before anything happens.
        patience: By when all have to be live.
    """

    watchers: int = 200
    devices: int = 5_000
    processes: int = 4
    device_processes: int = 2
    lease: float = 10.0
    interval: float = 3.0
    tick: float = 1.0
    history: int = 2_000
    away: float = 10.0
    quiet: float = 5.0
    patience: float = 120.0


@attrs.frozen
class Result:
    """What one loss came to.

    Attributes:
        what: What was lost.
        watchers: How many followed.
        live_after: Seconds until each of them was live.
        resynced: How many had missed something for good.
        latencies: Seconds that renewals took meanwhile.
        before: Seconds that they took before anything happened.
        unanswered: Renewals without an answer at the end, those of the last moment included.
        lost: Leases that were lost.
        right: Whether each of them had exactly the registry's devices in the end.
    """

    what: str
    watchers: int
    live_after: list[float]
    resynced: int
    latencies: list[float]
    before: list[float]
    unanswered: int
    lost: int
    right: bool


class Herd:
    """A registry, its devices and its watchers, each in processes of their own.

    Args:
        scale: How many.
        stack: Ends them.
    """

    def __init__(self, scale: Scale, stack: ExitStack) -> None:
        self._scale = scale
        self._pause = threading.Event()
        self._context = stack.enter_context(zmq.Context())
        self._registry = stack.enter_context(
            RegistryProcess("--tick", str(scale.tick), "--history", str(scale.history))
        )

        url, events_url = self._registry.url, self._registry.events_url
        ports = [int(address.rpartition(":")[2]) for address in (url, events_url)]
        self._devices = [
            stack.enter_context(Worker(devices, url, first, number, scale.lease, scale.interval))
            for first, number in _shares(scale.devices, scale.device_processes)
        ]
        self._renewals()
        shares = _shares(scale.watchers, scale.processes)
        self._links = [stack.enter_context(Worker(links, *ports)) for _ in shares]
        addresses = [link.answer() for link in self._links]
        self._watchers = [
            stack.enter_context(Worker(watchers, *address, number, NICE))
            for address, (_, number) in zip(addresses, shares, strict=True)
        ]
        self._ask(self._watchers, "begin")
        self._wait_until_live()

    # --- what happens -------------------------------------------------------------------------

    def lose_links(self, what: str, missed: int) -> Result:
        """All watchers lose their links together, and miss so many events."""
        quiet = self._measure_quiet()
        self._ask(self._links, "cut")
        self._pause.wait(self._scale.away)
        assert all(view.state is State.STALE for view in self._views()), "not all were lost"
        with raw_client(self._context, self._registry.url) as client:
            known = fetch_devices(client)
            for number in range(missed // 2):
                _replace(client, number)
            self._begin()
            healed = min(self._ask(self._links, "heal"))
            result = self._rush(what, quiet, client, healed)
            steady = {n: d for n, d in fetch_devices(client).items() if n.startswith("cam-")}
        assert result.lost or all(known.get(n) == d for n, d in steady.items()), "who is that?"
        assert result.lost or len(steady) == self._scale.devices
        return result

    def lose_registry(self, what: str) -> Result:
        """The registry is killed, and starts again, with no memory."""
        quiet = self._measure_quiet()
        self._registry.kill()
        self._pause.wait(self._scale.away)
        assert all(view.state is State.STALE for view in self._views()), "not all were lost"
        self._begin()
        self._registry.start()
        with raw_client(self._context, self._registry.url) as client:
            # All have to register anew, and not because a lease was lost.
            return self._rush(what, quiet, client, time.monotonic(), self._scale.devices)

    def _rush(
        self, what: str, quiet: Renewals, client: RawClient, since: float, returning: int = 0
    ) -> Result:
        numbers = iter(range(1_000_000))
        before = [view.resyncs for view in self._views()]
        with Background(lambda: _replace(client, next(numbers)), lambda: 0.1):
            views = self._wait_until_live()
            self._wait(lambda: self._are_back(returning), "devices are missing")
            renewals = self._renewals()
        info = client.ask("INFO", {})["payload"]
        at = Cursor(info["epoch"], info["seq"])
        self._wait(lambda: self._all_at(at), "some are not where the registry is")
        expected = digest(fetch_devices(client).values())
        found = [one for share in self._ask(self._watchers, "digests") for one in share]
        return Result(
            what=what,
            watchers=len(views),
            live_after=sorted((view.live_at or math.inf) - since for view in views),
            resynced=sum(v.resyncs > b for v, b in zip(views, before, strict=True)),
            latencies=renewals.latencies,
            before=quiet.latencies,
            unanswered=renewals.unanswered,
            lost=renewals.registrations + renewals.missing - returning,
            right=found == [expected] * len(views),
        )

    # --- asking -------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._ask(self._watchers, "begin")
        self._ask(self._devices, "begin")

    def _measure_quiet(self) -> Renewals:
        self._begin()
        self._pause.wait(self._scale.quiet)
        return self._renewals()

    def _renewals(self) -> Renewals:
        reports: list[Renewals] = self._ask(self._devices, "report")
        return Renewals(
            [latency for report in reports for latency in report.latencies],
            sum(report.unanswered for report in reports),
            sum(report.registrations for report in reports),
            sum(report.missing for report in reports),
        )

    def _are_back(self, returning: int) -> bool:
        renewals = self._renewals()
        return not renewals.missing and renewals.registrations >= returning

    def _views(self) -> list[View]:
        return [view for share in self._ask(self._watchers, "views") for view in share]

    def _wait_until_live(self) -> list[View]:
        self._wait(lambda: all(v.live_at for v in self._views()), "some are not live")
        return self._views()

    def _all_at(self, place: Cursor) -> bool:
        return all(v.state is State.LIVE and v.cursor == place for v in self._views())

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + self._scale.patience
        while not condition():
            assert time.monotonic() < end, otherwise
            self._pause.wait(0.1)

    def _ask(self, workers: Sequence[Worker], command: str) -> list[Any]:
        for worker in workers:
            worker.tell(command)
        return [worker.answer() for worker in workers]


def _shares(total: int, shares: int) -> list[tuple[int, int]]:
    """Cut a number into shares: where each begins, and how much it is."""
    cuts = [total * n // shares for n in range(shares + 1)]
    return [(a, b - a) for a, b in pairwise(cuts) if b > a]


def _replace(client: RawClient, number: int) -> None:
    """A device takes over from another: two events."""
    client.register(f"tcp://10.9.9.9:{1 + number % RESTLESS}", "restless")


def herd(scale: Scale) -> Iterator[Result]:
    """Let everything happen, and give what it came to."""
    with ExitStack() as stack:
        herd = Herd(scale, stack)
        yield herd.lose_links("links, little missed", min(400, scale.history // 2))
        yield herd.lose_links("links, much missed", 2 * scale.history)
        yield herd.lose_registry("registry, killed")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else math.nan


HEADER: Final = (
    f"{'':<22}{'':>9}{'seconds until live':^24}{'':>10}"
    f"{'renewals then: ms':^26}{'before: ms':^18}{'leases':>7}\n"
    f"{'lost':<22}{'watchers':>9}{'first':>8}{'median':>8}{'last':>8}{'resynced':>10}"
    f"{'number':>10}{'p99':>8}{'worst':>8}{'p99':>9}{'worst':>9}{'lost':>7}  right"
)


def line(result: Result) -> str:
    """One line of the table."""
    live, then, before = result.live_after, result.latencies, result.before
    return (
        f"{result.what:<22}{result.watchers:>9}"
        f"{live[0]:>8.1f}{statistics.median(live):>8.1f}{live[-1]:>8.1f}{result.resynced:>10}"
        f"{len(then):>10,}{1000 * percentile(then, 0.99):>8.1f}{1000 * max(then):>8.1f}"
        f"{1000 * percentile(before, 0.99):>9.1f}{1000 * max(before):>9.1f}{result.lost:>7}"
        f"  {'all' if result.right else 'NO'}"
    )


def main() -> None:
    """Measure and print."""
    numbers = [int(word) for word in sys.argv[1:]] or [200, 50, 10]
    scale = Scale()
    print(
        f"{scale.devices:,} devices with leases of {scale.lease:g} s renew every "
        f"{scale.interval:g} s; everything is lost for {scale.away:g} s\n\n{HEADER}"
    )
    for number in numbers:
        for result in herd(attrs.evolve(scale, watchers=number)):
            print(line(result), flush=True)


if __name__ == "__main__":
    main()
