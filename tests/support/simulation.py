"""A registry and its watchers under a virtual clock: no socket, no thread, no waiting.

The registry is a real `RegistryCore`, each watcher a real `Mirror`, and every byte between them
goes through the real codec. In place of the network there is an agenda of what arrives when, and
a `Link` per watcher for a test to break (`follower`). Time passes only in `Simulation.run` and
`run_until`.

    simulation = Simulation()
    simulation.register("camera")
    follower = simulation.follow()
    simulation.run(1.0)
    assert follower.mirror.view.devices == simulation.core.devices
"""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import attrs

from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import Register, RegisterAck, Reply, Request, Unregister
from devicewatch.events.protocol import DEFAULT_HISTORY
from devicewatch.events.records import Event, StreamMessage
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.service import Service
from devicewatch.registry.settings import CoreSettings
from devicewatch.subscribers.mirror import Mirror

from .follower import Follower, Link
from .mortal import Death, MortalJournal, Step

URL: Final = "tcp://registry:5555"
WALL_OFFSET: Final = 1_700_000_000.0
LONG: Final = 86_400.0
"""A lease that outlasts a test."""


class Simulation:
    """One registry, its watchers and the time.

    Args:
        tick_interval: Seconds between two ticks.
        delay: Seconds that whatever is sent takes to arrive.
        history: How many events the registry keeps for replay.
        new_core: Makes the registry; takes what `RegistryCore` takes.
        service: What serves it.

    Attributes:
        now: Seconds on everybody's monotonic clock.
        core: The registry; a new one after each restart.
        journal: What it has kept; a new one after a restart without it.
        up: Whether it runs.
        away: The time spans in which it stood still, or was down and kept its state.
        followers: Everyone who follows it.
        published: Every event so far, of all epochs.
        on_event: Who is told of each event, once it has been kept.
        on_publish: Who is told of each message of the stream.
        on_answer: Who is told of each reply that has left the registry.
    """

    def __init__(
        self,
        tick_interval: float = 1.0,
        delay: float = 0.01,
        history: int = DEFAULT_HISTORY,
        new_core: type[RegistryCore] = RegistryCore,
        service: type[Service] = Service,
    ) -> None:
        self.now = 1000.0
        self.up = True
        self.away: list[tuple[float, float]] = []
        self.followers: list[Follower] = []
        self.published: list[Event] = []
        self.on_event: list[Callable[[Event], None]] = [self.published.append]
        self.on_publish: list[Callable[[StreamMessage], None]] = []
        self.on_answer: list[Callable[[Reply], None]] = []
        self.wall_offset = WALL_OFFSET
        self._settings = CoreSettings(tick_interval=tick_interval, history=history)
        self._new = new_core
        self._new_service = service
        self._delay = delay
        self._still_since: float | None = None
        self._served_at = self.now
        self._waiting: list[tuple[bytes, Callable[[bytes], None]]] = []
        self._lives = count(1)
        self._uuids = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.journal = MortalJournal(self._tell)
        self._start(5556)

    # --- the registry -------------------------------------------------------------------------

    def request(self, request: Request) -> Reply:
        """A request and its reply, at once: over a perfect link."""
        reply = self.answer(encode_request(request))
        assert reply is not None, "the registry is down"
        return decode_reply([reply])

    def register(
        self,
        name: str,
        addr: str | None = None,
        *,
        overwrite: bool = False,
        alive_timeout: float = LONG,
        device_type: str = "camera",
    ) -> str:
        """A device registers, at an address after its name if none is given. Gives its uuid."""
        addr = f"tcp://{name}:1" if addr is None else addr
        reply = self.request(Register(device_type, addr, name, overwrite, alive_timeout))
        assert isinstance(reply, RegisterAck)
        return reply.uuid

    def unregister(self, uuid: str) -> None:
        self.request(Unregister(uuid))

    def stop(self, *, orderly: bool = True) -> None:
        """The registry stops. Unless `orderly`, it has no time to say `bye`."""
        self.resume()
        if orderly:
            self._publish(self.core.bye(self.now))
        self.up = False
        self._still_since = self.now

    def start(self, events_port: int = 5556, *, keep: bool = False) -> None:
        """A registry starts, with the journal of the one before, or, unless `keep`, a new one."""
        assert self._still_since is not None
        self.journal.close()
        if keep:
            self.away.append((self._still_since, self.now))
        else:
            self.journal = MortalJournal(self._tell)
        self._start(events_port)
        self._still_since = None
        self.up = True
        self._go_on()

    def pause(self) -> None:
        """The registry's process is stopped; what arrives waits in its socket."""
        if self.up and self._still_since is None:
            self._still_since = self.now

    def resume(self) -> None:
        """It goes on."""
        if self.up and self._still_since is not None:
            self.away.append((self._still_since, self.now))
            self._still_since = None
            self._go_on()

    @property
    def running(self) -> bool:
        """Whether the registry does anything."""
        return self.up and self._still_since is None

    def set_wall_clock(self, seconds: float) -> None:
        """Somebody sets everyone's clock."""
        self.wall_offset += seconds

    def receive(self, frame: bytes, respond: Callable[[bytes], None]) -> None:
        """A request has reached the registry's socket."""
        if self.running:
            reply = self.answer(frame)
            if reply is not None:
                respond(reply)
        elif self.up:
            self._waiting.append((frame, respond))

    def answer(self, frame: bytes) -> bytes | None:
        """The registry's reply to a request; None if it is down, or dies of it."""
        if not self.up:
            return None
        self.core.attend(self.now)
        try:
            reply = self._service.answer([frame], self.now)
            self.journal.may_die(Step.ANSWERED)
        except Death:
            self.stop(orderly=False)
            return None
        for tell in self.on_answer:
            tell(decode_reply([reply]))
        return reply

    def greet(self, events_url: str) -> None:
        """Someone has subscribed."""
        if self.running and events_url == self.events_url:
            self.core.subscribed(self.now)

    @property
    def events_url(self) -> str:
        """Where it publishes."""
        return f"tcp://registry:{self.core.settings.events_port}"

    def _start(self, events_port: int) -> None:
        past = self.journal.load(f"epoch-{next(self._lives)}", self._settings.history)
        self.core = self._new(
            past.epoch,
            self.now,
            attrs.evolve(self._settings, events_port=events_port),
            new_uuid=lambda: f"uuid-{next(self._uuids)}",
            watchful=True,
        )
        self.core.restore(past, self.now)
        self.core.wall_offset = self.wall_offset
        self._service = self._new_service(self.core, self.journal, self._publish)

    def _go_on(self) -> None:
        """Serve what has come meanwhile, together."""
        self.core.attend(self.now)
        waiting, self._waiting = self._waiting, []
        try:
            replies = self._serve_together([frame for frame, _ in waiting])
        except Death:
            self.stop(orderly=False)
            return
        for (_, respond), reply in zip(waiting, replies, strict=True):
            for tell in self.on_answer:
                tell(decode_reply([reply]))
            respond(reply)

    def _serve_together(self, frames: list[bytes]) -> list[bytes]:
        service = self._service
        serve = service.answer if service.trouble else service.collect
        replies = [serve([frame], self.now) for frame in frames]
        again = service.commit()
        first = len(replies) - len(again)
        replies[first:] = [service.answer_again(collected, self.now) for collected in again]
        self.journal.may_die(Step.ANSWERED)
        return replies

    def _tell(self, event: Event) -> None:
        for tell in self.on_event:
            tell(event)

    def _publish(self, message: StreamMessage) -> None:
        for tell in self.on_publish:
            tell(message)
        for follower in self.followers:
            follower.hear(message)
        self.journal.may_die(Step.PUBLISHED)

    def _serve(self) -> None:
        """A round of the registry's loop."""
        self._served_at = self.now
        self.core.wall_offset = self.wall_offset
        self.core.attend(self.now)
        try:
            while self._let_leases_end():
                continue
            if tick := self.core.tick(self.now):
                self._publish(tick)
        except Death:
            self.stop(orderly=False)

    def _let_leases_end(self) -> bool:
        """Whether there may be more. Nothing waits, so a marker comes back at once."""
        before = self.core.seq
        self._service.expire(self.now, drained=True)
        number = self.core.marker_to_send()
        if number is not None:
            self.core.marker_read(number)
        return self.core.seq > before or number is not None

    # --- those who follow it ------------------------------------------------------------------

    def follow(self, new_mirror: type[Mirror] = Mirror, **options: Any) -> Follower:
        """Someone starts to follow the registry."""
        follower = Follower(self, new_mirror(URL, jitter=lambda: 0.5, **options))
        self.followers.append(follower)
        return follower

    # --- time ---------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._agenda)

    def send(self, link: Link, arrive: Callable[[], None], late: float = 0.0) -> None:
        """Let something happen at the other end of a link, unless that is cut by then."""

        def unless_cut() -> None:
            if not link.cut:
                arrive()

        if not link.cut:
            self.at(self.now + self._delay + late, unless_cut)

    def at(self, time: float, happen: Callable[[], None]) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._agenda, (time, next(self._order), happen))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (due := self._next_due()) <= end:
            self._run_to(due)
        self.now = end

    def run_until(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """Let time pass up to the moment when something becomes true."""
        end = self.now + within
        while not condition():
            due = self._next_due()
            assert due <= end, f"it did not happen within {within} s"
            self._run_to(due)

    def _next_due(self) -> float:
        deadlines = [
            follower.mirror.next_deadline() for follower in self.followers if not follower.paused
        ]
        if self._agenda:
            deadlines.append(self._agenda[0][0])
        if self.running:
            # No two rounds at the very same time: what is due now but for rounding is due then.
            deadlines.append(max(self.core.next_deadline(), self._served_at + 1e-6))
        return min(deadlines, default=float("inf"))

    def _run_to(self, due: float) -> None:
        self.now = max(self.now, due)
        while self._agenda and self._agenda[0][0] <= self.now:
            _, _, happen = heapq.heappop(self._agenda)
            happen()
        if self.running:
            self._serve()
        for follower in self.followers:
            follower.advance()
