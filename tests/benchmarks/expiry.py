"""Leases that end: all at once, and one by one among many that do not."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

import attrs

from . import bare_leases, crew, zmtp
from .crowd import Worker
from .figures import Figure, Of, at_most, beside, percentile, worst
from .profile import Profile
from .servers import Server, fill, register, registry, renew, uuids

_CHUNK: Final = 100
"""Renewals that are sent at a time, all of them with the same lease."""

_HEADWAY: Final = 0.9
"""How long all renewals may take, as a part of what registering took, before the leases end."""

_SPARE: Final = 0.4
"""Seconds besides."""

_SHORTEST: Final = 0.1
"""Seconds: the shortest lease there is."""

_SHORT: Final = 0.3
"""Seconds that the leases last which end one by one."""


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    many = profile.devices[1] if profile.quick else profile.devices[-1]
    yield from measure_crowd(many, rounds=1 if profile.quick else 2)
    yield from measure_single(profile.devices[1], profile.trips // 8, 1 if profile.quick else 3)


# --- all at once ----------------------------------------------------------------------------------


@attrs.frozen
class Crowd:
    """How it went when all leases ended at once.

    Attributes:
        registering: The longest that somebody waited for the reply to a renewal while the devices
            registered, in seconds.
        seconds: From that moment until the last of them had come out of a plain SUB socket.
        worst: The longest wait meanwhile.
        spread: Seconds from the first end to the last, as well as they could be set.
        missed: Events that did not come out.
        failed: Renewals that failed, of the one whose lease did not end.
    """

    registering: float
    seconds: float
    worst: float
    spread: float
    missed: int
    failed: int


def measure_crowd(devices: int, rounds: int) -> Iterator[Figure]:
    """So many leases end in the same instant."""
    found: list[tuple[Crowd, Crowd]] = []
    with ExitStack() as stack:
        bare, ours = stack.enter_context(bare_leases.serving()), stack.enter_context(registry())
        askers = [stack.enter_context(crew.Asker(server.url)) for server in (bare, ours)]
        for _ in range(rounds):
            theirs = end_together(bare, askers[0], devices)
            found.append((theirs, end_together(ours, askers[1], devices)))
    note = _what_went_wrong([ours for _, ours in found])
    yield worst(
        f"{devices:,} devices register: worst CHECK_ALIVE", "ms",
        [1e3 * ours.registering for _, ours in found],
        [1e3 * bare.registering for bare, _ in found],
    )  # fmt: skip
    row = f"{devices:,} leases end at once"
    yield beside(
        f"{row}: the last `removed`", "s",
        [ours.seconds for _, ours in found], [bare.seconds for bare, _ in found],
        at_most(3, Of.VALUE), note,
    )  # fmt: skip
    yield worst(
        f"{row}: worst CHECK_ALIVE", "ms",
        [1e3 * ours.worst for _, ours in found], [1e3 * bare.worst for bare, _ in found],
        at_most(20, Of.VALUE), note,
    )  # fmt: skip


def _what_went_wrong(crowds: Sequence[Crowd]) -> str:
    missed, failed = (sum(getattr(c, what) for c in crowds) for what in ("missed", "failed"))
    spread = max(crowd.spread for crowd in crowds)
    return (
        f"the ends lie within {1e3 * spread:.0f} ms; {missed or 'no'} events were missed at a "
        f"plain SUB socket, {failed or 'no'} renewals failed"
    )


def end_together(server: Server, asker: crew.Asker, devices: int) -> Crowd:
    """Let devices register, and all their leases end at the same moment."""
    with Worker(crew.listen, server.events_url, devices) as listener:
        listener.answer()
        with asker.asking() as waits:
            since = time.monotonic()
            names = fill(server, devices)
            filled = time.monotonic()
            moment = filled + _HEADWAY * (filled - since) + _SPARE
            spread = _end_at(moment, server, names)
            heard: crew.Heard = listener.answer()
    return Crowd(
        registering=waits[0].worst(since, filled),
        seconds=heard.last - moment,
        worst=waits[0].worst(moment, heard.last),
        spread=spread,
        missed=devices - heard.number,
        failed=waits[0].failed,
    )


def _end_at(moment: float, server: Server, names: Sequence[str]) -> float:
    """Renew leases so that they end at one moment; gives how many seconds after it the last do."""
    late = 0.0
    with zmtp.Client(server.url) as client:
        for first in range(0, len(names), _CHUNK):
            since = time.monotonic()
            lease = max(_SHORTEST, moment - since)
            client.all([zmtp.request(renew(name, lease)) for name in names[first : first + _CHUNK]])
            late = max(late, time.monotonic() + lease - moment)
    return late


# --- one by one -----------------------------------------------------------------------------------


def measure_single(others: int, leases: int, rounds: int) -> Iterator[Figure]:
    """Leases end one by one, while so many others do not."""
    found: list[tuple[list[float], list[float]]] = []
    with ExitStack() as stack:
        bare, ours = stack.enter_context(bare_leases.serving()), stack.enter_context(registry())
        fill(ours, others)
        for number in range(rounds):
            # A plain SUB socket, where there is no registry to watch.
            plain = Worker(crew.hear, bare.events_url, leases)
            watcher = Worker(crew.follow, ours.url, leases)
            found.append(
                (
                    end_one_by_one(bare, plain, others + number * leases, leases),
                    end_one_by_one(ours, watcher, others + number * leases, leases),
                )
            )
    row = f"lease's end to `removed` out of watch(), {others:,} others"
    yield beside(
        f"{row}, p50", "ms",
        [percentile(ours, 0.5) for _, ours in found],
        [percentile(bare, 0.5) for bare, _ in found],
        at_most(5, Of.VALUE),
    )  # fmt: skip
    yield worst(
        f"{row}, worst", "ms",
        [max(ours) for _, ours in found], [max(bare) for bare, _ in found],
        at_most(25, Of.VALUE), f"of {rounds * leases:,} leases",
    )  # fmt: skip


def end_one_by_one(
    server: Server, listener: AbstractContextManager[Any], first: int, leases: int
) -> list[float]:
    """Let devices register and fall silent; milliseconds from each end until it was heard of.

    A lease has begun at some time between request and reply, so it ended a little later than what
    is taken for its end here.
    """
    spread = random.Random(first)
    ends: dict[str, float] = {}
    with zmtp.Client(server.url) as client, listener as worker:
        worker.answer()
        for number in range(first, first + leases):
            ends[f"cam-{number}"] = time.monotonic() + _SHORT
            uuids(client.all([zmtp.request(register(number, _SHORT))]).replies)
            time.sleep(spread.uniform(0.005, 0.025))  # at any time between two ticks
        when: dict[str, float] = worker.answer()
    return [1e3 * (when[name] - end) for name, end in ends.items()]
