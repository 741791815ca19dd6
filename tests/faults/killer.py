"""Everyone who takes part when a registry is killed again and again, and the one who kills."""

import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import attrs
import zmq

from devicewatch.events import Cursor, Device, Origin, State
from tests.promises.validators import promise
from tests.support.live import RawClient, free_port, let_pass, raw_client, wait_until
from tests.support.watchers import KINDS

from . import flood
from .audit import BEACON, Courses, audit_devices, audit_records, audit_told, audit_uuids
from .members import LONG, SHORT, Fate, Life, Pending, Rounds
from .owners import Owner
from .processes import RegistryProcess, WatchProcess, watching
from .scribe import Scribe
from .storm import RECOVERY, SORTS, Guest
from .truth import Historian, fetch_devices

TICK: Final = 0.2
HISTORY: Final = 10_000_000

OWNERS: Final = 4

SLACK: Final = 5.0
"""Seconds that a busy machine may take for what is due."""

IMPATIENCE: Final = 0.25
"""How often the next kill does not wait until all watchers are live after the last one."""

START: Final = 0.6
"""Seconds after which a start is over on any machine: to be killed while it lasts, draw from it."""

LOAD: Final = 0.03
"""The same for the loading of the journal, once the registry has its port."""


@attrs.define
class Kill:
    """One `kill -9`, and what it did.

    Attributes:
        number: Counts them.
        during: What the registry was at.
        at: When it was dead, in seconds since 1970.
        life: Seconds that it had lived.
        acknowledged: Requests that were answered in that life.
        in_flight: Requests that were not, and never would be.
        downtime: Seconds until it was ready again; None if it was killed before.
        live_after: Seconds from then until all watchers were live and had heard something new; None
            if nobody waited for that.
        seq: The highest number that anybody had been told of.
    """

    number: int
    during: str
    at: float
    life: float
    acknowledged: int
    in_flight: list[Pending]
    seq: int
    downtime: float | None = None
    live_after: float | None = None

    def __str__(self) -> str:
        return (
            f"kill {self.number:3} after {self.life:4.2f} s ({self.during:7}): seq {self.seq:6}, "
            f"{self.acknowledged:5} acknowledged, {len(self.in_flight)} in flight; ready after "
            f"{_seconds(self.downtime)}, watchers live after {_seconds(self.live_after)}"
        )


def _seconds(seconds: float | None) -> str:
    return "(killed first)" if seconds is None else f"{seconds:4.2f} s"


@attrs.frozen
class Summary:
    """What a run consisted of.

    Attributes:
        kills: Each of them.
        published: How many events there were.
        acknowledged: How many requests were answered.
        unanswered: How many were on their way when the registry was killed; of these
        kept: so many changes had been made already.
        outlasted: How often a lease outlasted a time without a registry that was longer.
        expired: How many devices fell silent, and expired in time.
    """

    kills: Sequence[Kill]
    published: int
    acknowledged: int
    unanswered: int
    kept: int
    outlasted: int
    expired: int

    def __str__(self) -> str:
        counts = {name: number for name, number in attrs.asdict(self).items() if name != "kills"}
        return ", ".join(f"{number} {name}" for name, number in counts.items())


class Killer:
    """Kills a registry, and has all others: owners, watchers, a flood if need be.

    Args:
        stack: Ends all of them.
        dice: Decides what happens. What a kill strikes in the middle of, the machine decides.
        options: For the registry, which has a journal if they name one.
        flooded: Whether the journal is kept busy.
        tell: Told of every kill once it is over.
    """

    def __init__(
        self,
        stack: ExitStack,
        dice: random.Random,
        options: Sequence[str],
        flooded: bool,
        tell: Callable[[object], None],
    ) -> None:
        self._dice, self._tell = dice, tell
        self.kills: list[Kill] = []
        options = ("--tick", str(TICK), "--history", str(HISTORY), *options)
        self.registry = RegistryProcess(*options, ports=(free_port(), free_port()))
        self.rounds = Rounds()
        self.rounds.lives.append(Life(time.time()))
        stack.enter_context(self.registry)
        self.url = url = self.registry.url
        self._context = stack.enter_context(zmq.Context())
        self.scribes: list[Scribe] = []
        self._steady: list[Scribe] = []
        for kind in KINDS:
            for restless, more in SORTS:
                lives = random.Random(dice.random()) if restless else None
                self.scribes.append(stack.enter_context(Scribe(kind, url, lives, **more)))
                self._steady += [] if restless else self.scribes[-1:]
        self.guest = stack.enter_context(Guest(url))
        self.watch: WatchProcess = stack.enter_context(watching(url))
        with self._client() as client:
            seq = self._light_beacon(client)
            if flooded:
                more = {"alive_timeout": LONG, "metadata": flood.METADATA}
                uuid = client.register(flood.ADDR, "flood", **more)["uuid"]
                stack.enter_context(flood.flooding(url, uuid))
            self.epoch: str = client.ask("INFO", {})["payload"]["epoch"]
        wait_until(lambda: self._are_live(seq))
        self.watch.read_until(seq)
        self._started = time.monotonic()
        self._counted = 0
        self._historian = Historian(HISTORY)
        self._audited = Counter[Scribe]()  # how many of their records
        self.owners: list[Owner] = []
        stack.callback(self._end_owners)
        for number in range(OWNERS):
            random_source = random.Random(dice.random())
            self.owners.append(Owner(self._context, url, number, self.rounds, random_source))

    # --- kills ----------------------------------------------------------------------------------

    def kill(self, *, longest: float) -> Kill:
        """Kill it under load, at a moment within so many seconds."""
        self._let_pass(self._dice.uniform(0.0, longest))
        return self._kill("load")

    def kill_while_it_starts(self) -> Kill:
        """Start it, but kill it before it is ready, or right after."""
        self._begin_life()
        self.registry.launch()
        if self._dice.random() < 0.5:
            during, longest = "start", START
        else:
            during, longest = "loading", LOAD
            wait_until(self._has_port)
        self._let_pass(self._dice.uniform(0.0, longest))
        return self._kill(during)

    def start(self, killed: float) -> None:
        """Start it, see that it is as it was, and let the load go on."""
        # It is away for longer than the short leases last, which have to outlast that, however
        # fast this machine starts it.
        self._let_pass(max(0.0, 1.1 * SHORT - (time.time() - self.rounds.lives[-1].ended)))
        self._begin_life()
        self.registry.start()
        ready = time.monotonic()
        last = self.kills[-1]
        last.downtime = ready - killed
        rounds = self.rounds
        self._wait_for(lambda: all(owner.verified == rounds.kills for owner in self.owners))
        with self._client() as client:
            self._audit(client)
            seq = self._light_beacon(client)
        rounds.set(released=rounds.kills)
        if self._dice.random() > IMPATIENCE:
            self._wait_for(lambda: self._are_live(seq))
            last.live_after = time.monotonic() - ready
        self._tell(last)

    def _begin_life(self) -> None:
        self._started = time.monotonic()
        self.rounds.lives.append(Life(time.time()))

    def _kill(self, during: str) -> Kill:
        self.registry.kill()
        at, life = time.time(), time.monotonic() - self._started
        owners, rounds = self.owners, self.rounds
        rounds.lives[-1].ended = at
        before = [len(owner.hit) for owner in owners]
        rounds.set(kills=rounds.kills + 1)
        self._wait_for(lambda: all(owner.closed == rounds.kills for owner in owners))
        counted, self._counted = self._counted, sum(owner.acknowledged for owner in owners)
        in_flight = [
            pending
            for owner, number in zip(owners, before, strict=True)
            for pending in owner.hit[number:]
        ]
        cursors = [scribe.watcher.cursor for scribe in self.scribes if scribe.watcher]
        told = [owner.highest for owner in owners] + [cursor.seq for cursor in cursors if cursor]
        acknowledged = self._counted - counted
        kill = Kill(rounds.kills, during, at, life, acknowledged, in_flight, max(told))
        self.kills.append(kill)
        return kill

    # --- what has to be -------------------------------------------------------------------------

    def _audit(self, client: RawClient) -> None:
        """See that the registry is as it was. The owners do nothing meanwhile."""
        info = client.ask("INFO", {})["payload"]
        told = max((kill.seq for kill in self.kills), default=0)
        promise("P10", info["epoch"] == self.epoch, f"another epoch: {info}")
        promise("P10", info["seq"] >= told, f"back at {info['seq']}, with {told} known already")
        devices = fetch_devices(client)
        audit_devices(devices, self.owners, self.rounds, time.time())
        self._historian.update(client)
        for scribe in self.scribes:
            news = scribe.records[self._audited[scribe] :]
            self._audited[scribe] += audit_told(news, self._historian, scribe)

    def finish(self) -> Summary:
        """Stop the load, let the silent expire, and judge all that everybody was told."""
        self._end_owners()
        self._raise_errors()
        for owner in self.owners:
            for member in owner.present():
                member.fate = Fate.SILENT if member.lease == SHORT else Fate.PRESENT
        with self._client() as client:
            self._let_expire(client)
            self._audit(client)
            audit_uuids(client, self.owners)
            historian = Historian(HISTORY)
            at = historian.update(client)
            devices = fetch_devices(client)
        events = historian.events
        promise("P10", {event.epoch for event in events} == {self.epoch}, "there are two epochs")
        promise("P10", events == self._historian.events, "the past has changed")
        courses = Courses(events, self.rounds.lives)
        courses.audit(self.owners)
        self._judge(historian, at)
        wait_until(lambda: self.guest.knows(devices), RECOVERY)
        self.guest.judge(events)
        hit = [(kill, pending) for kill in self.kills for pending in kill.in_flight]
        return Summary(
            kills=self.kills,
            published=len(events),
            acknowledged=sum(owner.acknowledged for owner in self.owners),
            unanswered=len(hit),
            kept=sum(courses.kept(pending.event, pending.member, kill.at) for kill, pending in hit),
            outlasted=sum(owner.outlasted for owner in self.owners),
            expired=sum(1 for owner in self.owners for _ in owner.silent()),
        )

    def _judge(self, historian: Historian, at: Cursor) -> None:
        for scribe in self.scribes:
            scribe.settle()
        for scribe in self.scribes:
            self._wait_for(lambda scribe=scribe: scribe.is_at(at))  # type: ignore[misc]
            audit_records(scribe.records, scribe)
            scribe.judge(historian.truth)
        self.watch.read_until(at.seq)
        audit_records(self.watch.events, "`devicewatch watch`")
        told = [attrs.evolve(event, origin=Origin.LIVE) for event in self.watch.events]
        promise("P3", told == historian.events, "`devicewatch watch` was told otherwise")

    def _let_expire(self, client: RawClient) -> None:
        silent = {m.instance for owner in self.owners for m in owner.silent()}
        there: list[Device] = []

        def are_gone() -> bool:
            devices = fetch_devices(client).values()
            there[:] = [device for device in devices if device.metadata.get("instance") in silent]
            return not there

        with contextlib.suppress(AssertionError):
            wait_until(are_gone, SHORT + SLACK)
        promise("P10", not there, f"silent for longer than their leases, and still there: {there}")

    # --- help -----------------------------------------------------------------------------------

    def _client(self) -> contextlib.AbstractContextManager[RawClient]:
        return raw_client(self._context, self.url)

    def _light_beacon(self, client: RawClient) -> int:
        """Something new happens: whoever has heard of it is live."""
        seq: int = client.register(BEACON, "beacon", alive_timeout=LONG)["seq"]
        return seq

    def _are_live(self, seq: int) -> bool:
        watchers = [scribe.watcher for scribe in self._steady]
        return all(
            watcher is not None
            and watcher.status.state is State.LIVE
            and watcher.cursor is not None
            and watcher.cursor.seq >= seq
            for watcher in watchers
        )

    def _has_port(self) -> bool:
        host, _, port = self.url.removeprefix("tcp://").rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return True
        return False

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for what depends on everyone; whoever has found a promise broken says so."""

        def has_come() -> bool:
            self._raise_errors()
            return condition()

        wait_until(has_come, RECOVERY)

    def _let_pass(self, seconds: float) -> None:
        let_pass(seconds)
        self._raise_errors()

    def _raise_errors(self) -> None:
        for owner in self.owners:
            if owner.error is not None:
                raise owner.error

    def _end_owners(self) -> None:
        self.rounds.set(over=True)
        for owner in self.owners:
            owner.join()
