"""How long it takes from a registration until it is known elsewhere.

The time begins just before a REQ client sends REGISTER, and ends in another process, when `watch()`
has yielded the event. The bare loop publishes to a raw SUB, whose owner decodes the JSON. The
device leaves again before the next one comes, and each of these waits until everybody has had the
last event: so it is the time of a registry that has nothing else to do.

The many are in as many processes as there are cores, four at the most, each a program with its
share of them: `AsyncWatcher`s in one event loop, which is how a program would have hundreds of
them, beside raw SUBs at one poller. What counts is when the last one of all has had the event.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, pairwise
from typing import Final

import msgspec
import zmq

from devicewatch.events.sockets import Context

from . import bare
from .crowd import PATIENCE, Worker
from .figures import Figure, at_most, beside, percentile
from .followers import PROBE, hear_many, hear_one, watch_many, watch_one
from .profile import Profile
from .servers import Server, fill, register, registry, unregister

PROCESSES: Final = min(4, os.cpu_count() or 1)
"""In which the many are."""

CROWD_PART: Final = 100
"""The many have one event for so many round trips, as each takes them so much longer."""

_numbers = count(1_000_000)


class Scene:
    """A server, a device that comes and goes, and those who hear of it.

    Args:
        server: The server.
        workers: Those who hear of it.
        stack: Ends what this needs.
    """

    def __init__(self, server: Server, workers: list[Worker], stack: ExitStack) -> None:
        self._workers = workers
        context: Context = stack.enter_context(zmq.Context())
        self._socket = stack.enter_context(context.socket(zmq.REQ))
        self._socket.linger = 0
        self._socket.connect(server.url)

    def begin(self, probe: bool) -> None:
        """Wait until all are live; those who know it only from hearing something are told."""
        end = time.monotonic() + PATIENCE
        waiting = list(self._workers)
        while waiting:
            assert time.monotonic() < end, "some hear nothing"
            if probe:
                self._ask(register(0, name=PROBE))
            waiting = [worker for worker in waiting if not worker.has_answered(0.02)]
        for worker in self._workers:
            assert worker.answer() == "live"

    def seconds(self) -> float:
        """From a registration until the last one has it."""
        body = register(next(_numbers))
        since = time.monotonic()
        reply = self._ask(body)
        known: float = max(worker.answer() for worker in self._workers)
        self._ask(unregister(reply["payload"]["uuid"]))
        for worker in self._workers:
            worker.answer()
        return known - since

    def _ask(self, body: bytes) -> dict[str, dict[str, str]]:
        self._socket.send(body)
        reply: dict[str, dict[str, str]] = msgspec.json.decode(self._socket.recv())
        return reply


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    ours, theirs = _play(profile, 1, profile.trips // 2)
    for name, share, bound in (("p50", 0.5, 1.3), ("p99", 0.99, 2.0)):
        yield beside(
            f"REGISTER to its event out of watch(), {name}",
            "ms",
            [1000 * percentile(trips, share) for trips in ours],
            [1000 * percentile(trips, share) for trips in theirs],
            at_most(bound),
        )
    for number in profile.watchers:
        ours, theirs = _play(profile, number, max(1, profile.trips // CROWD_PART))
        yield beside(
            f"REGISTER to its event at the last of {number:,} watchers",
            "ms",
            [1000 * statistics.median(trips) for trips in ours],
            [1000 * statistics.median(trips) for trips in theirs],
            at_most(1.5),
        )


def _play(profile: Profile, watchers: int, trips: int) -> list[list[list[float]]]:
    """Seconds for each event of each round: of the registry, and of the bare loop."""
    with ExitStack() as stack:
        ours, theirs = stack.enter_context(registry()), stack.enter_context(bare.serving())
        fill(ours, profile.devices[0])
        scenes = [
            Scene(ours, _workers(watchers, watch_one, watch_many, ours.url, stack), stack),
            Scene(theirs, _workers(watchers, hear_one, hear_many, theirs.events_url, stack), stack),
        ]
        scenes[0].begin(probe=False)
        scenes[1].begin(probe=True)
        rounds = [
            [[scene.seconds() for scene in scenes] for _ in range(trips)]
            for _ in range(1 + profile.rounds)  # the first one warms up
        ]
    return [[[trip[which] for trip in trips] for trips in rounds[1:]] for which in (0, 1)]


def _workers(
    watchers: int,
    one: Callable[..., None],
    many: Callable[..., None],
    url: str,
    stack: ExitStack,
) -> list[Worker]:
    if watchers == 1:
        return [stack.enter_context(Worker(one, url))]
    cuts = [watchers * number // PROCESSES for number in range(PROCESSES + 1)]
    shares = [after - before for before, after in pairwise(cuts) if after > before]
    return [stack.enter_context(Worker(many, url, share)) for share in shares]
