"""Requests per second, with a client that always has a hundred under way (see `zmtp`).

A renewal is that of any of the devices, in no order. Those who register are new, five hundred at a
time, and leave again before the next five hundred come: so there are about as many devices as the
row says, and each request is one event, which one watcher hears. That watcher, of the bare loop as
of the registry, reads all there is in a process of its own; that nothing was dropped is checked.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

from . import bare, zmtp
from .crowd import PATIENCE, Worker
from .figures import Figure, Of, at_least, beside, flatness
from .machine import cpu
from .profile import Profile
from .servers import Server, fill, register, registry, renew, succeeded, unregister, uuids

BLOCK: Final = 500
"""Devices that register before they leave again."""

WIDE: Final = 1_000
"""Requests under way at a time, in the row that shows what that changes."""

HISTORY: Final = 10_000
"""Events that a registry keeps unless it is told otherwise."""

RENEW, REGISTER, UNREGISTER = "CHECK_ALIVE", "REGISTER", "UNREGISTER"
RENEW_WIDE: Final = f"{RENEW}/s, {WIDE:,} under way"
GOALS: Final = {RENEW: at_least(0.75), REGISTER: at_least(0.4), UNREGISTER: at_least(0.4)}
FLAT: Final = at_least(0.9, Of.VALUE)


class Contender:
    """A server, its client, and what has been measured of it.

    Args:
        server: The server.
        ids: The uuids of its devices.
        stack: Closes the client.

    Attributes:
        rates: Requests per second, in each round.
        costs: Microseconds of the processors' time for each request, in each round.
        events: How many events its watcher should have heard.
    """

    def __init__(self, server: Server, ids: list[str], stack: ExitStack) -> None:
        self.server = server
        self.rates: dict[str, list[float]] = {}
        self.costs: dict[str, list[float]] = {}
        self.events = 0
        self._client = stack.enter_context(zmtp.Client(server.url))
        self._renewals = [zmtp.request(renew(uuid)) for uuid in ids]
        random.Random(1).shuffle(self._renewals)
        numbers = range(len(ids), len(ids) + BLOCK)
        self._newcomers = [zmtp.request(register(number)) for number in numbers]

    def renew(self, seconds: float, window: int = zmtp.WINDOW) -> None:
        """Devices renew."""
        before = cpu(self.server.pid)
        burst = self._client.some(self._renewals, seconds, window)
        assert succeeded(burst.replies)
        name = RENEW if window == zmtp.WINDOW else RENEW_WIDE
        self.rates.setdefault(name, []).append(burst.rate)
        cost = 1e6 * (cpu(self.server.pid) - before) / len(burst.replies)
        self.costs.setdefault(name, []).append(cost)

    def come_and_go(self, seconds: float) -> None:
        """Devices register, and leave."""
        end = time.perf_counter() + seconds
        spent = {REGISTER: 0.0, UNREGISTER: 0.0}
        costs = {REGISTER: 0.0, UNREGISTER: 0.0}
        blocks = 0
        while not blocks or time.perf_counter() < end:
            ids: list[str] = []
            for name in (REGISTER, UNREGISTER):
                leavers = [zmtp.request(unregister(uuid)) for uuid in ids]
                before = cpu(self.server.pid)
                burst = self._client.all(leavers or self._newcomers)
                costs[name] += cpu(self.server.pid) - before
                spent[name] += burst.seconds
                ids = [] if leavers else uuids(burst.replies)
                assert not leavers or succeeded(burst.replies)
            blocks += 1
        for name, taken in spent.items():
            self.rates.setdefault(name, []).append(blocks * BLOCK / taken)
            self.costs.setdefault(name, []).append(1e6 * costs[name] / (blocks * BLOCK))
        self.events += 2 * BLOCK * blocks


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    with ExitStack() as stack:
        contenders = _start(profile, stack)
        listener = _listen(list(contenders.values()), stack)
        order = list(contenders.values())
        windows = (zmtp.WINDOW,) if profile.quick else (zmtp.WINDOW, WIDE)
        for _ in range(profile.rate_rounds):
            for window in windows:
                for contender in order:
                    contender.renew(profile.seconds, window)
            for contender in order:
                contender.come_and_go(profile.seconds)
            order.append(order.pop(0))  # nobody always comes first
        _check(list(contenders.values()), listener)
    yield from _figures(profile, contenders)


def _start(profile: Profile, stack: ExitStack) -> dict[str | int, Contender]:
    """The bare loops, by the names of their sockets, and registries, by their devices."""
    found: dict[str | int, Contender] = {}
    for kind in bare.Kind:
        server = stack.enter_context(bare.serving(kind))
        found[kind.value] = Contender(server, [bare.ID] * profile.devices[0], stack)
    for number in profile.devices:
        server = stack.enter_context(registry())
        found[number] = Contender(server, fill(server, number), stack)
    if not profile.quick:
        server = stack.enter_context(registry(history=HISTORY))
        found["history"] = Contender(server, fill(server, profile.devices[0]), stack)
    return found


def _listen(contenders: list[Contender], stack: ExitStack) -> Worker:
    """One watcher of each, that hears it."""
    urls = [contender.server.events_url for contender in contenders]
    listener = stack.enter_context(Worker(bare.drain, urls))
    end = time.monotonic() + PATIENCE
    while not all(listener.ask("count")):
        assert time.monotonic() < end, "nobody publishes"
        for contender in contenders:
            contender.come_and_go(0.0)
    for contender, heard in zip(contenders, _settled(listener), strict=True):
        contender.rates.clear()
        contender.costs.clear()
        contender.events = heard
    return listener


def _settled(listener: Worker) -> list[int]:
    """How many events it has heard of each, once all that were on their way are there."""
    before: list[int] = []
    while before != (counts := listener.ask("count")):
        before = counts
        time.sleep(0.05)
    return before


def _check(contenders: list[Contender], listener: Worker) -> None:
    """See that every event was heard."""
    end = time.monotonic() + PATIENCE
    while any(
        heard < contender.events
        for contender, heard in zip(contenders, listener.ask("count"), strict=True)
    ):
        assert time.monotonic() < end, "events were dropped"


def _figures(profile: Profile, contenders: Mapping[str | int, Contender]) -> Iterator[Figure]:
    rates = {name: contender.rates for name, contender in contenders.items()}
    rep, router = (rates[kind.value] for kind in bare.Kind)
    few, some, many = profile.devices[0], profile.devices[1], profile.devices[-1]
    for name, goal in GOALS.items():
        for number in profile.devices:
            row = f"{name}/s, {number:,} devices"
            yield beside(row, "/s", rates[number][name], rep[name], goal)
        row = f"{name}/s, {many:,} devices beside {few:,}"
        yield flatness(row, rates[many][name], rates[few][name], FLAT)
        yield beside(f"{name}/s, a bare ROUTER", "/s", router[name], rep[name])
    if not profile.quick:
        row = f"{RENEW_WIDE}, {some:,} devices"
        yield beside(row, "/s", rates[some][RENEW_WIDE], rep[RENEW_WIDE])
        row = f"{REGISTER}/s, {few:,} devices, {HISTORY:,} events kept"
        yield beside(row, "/s", rates["history"][REGISTER], rep[REGISTER])
    for name in GOALS:
        row = f"{name}, processors' time, {some:,} devices"
        costs, others = contenders[some].costs[name], contenders[bare.Kind.REP.value].costs[name]
        yield beside(row, "µs", costs, others)
