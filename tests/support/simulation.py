"""A registry and its watchers under a virtual clock: no socket, no thread, no waiting.

The registry is a real `RegistryCore`, each watcher a real `Mirror`, and every byte between them
goes through the real codec. In place of the network there is an agenda of what arrives when, and
a `Link` per watcher for a test to break. Time passes only in `Simulation.run` and `run_until`.

    simulation = Simulation()
    simulation.register("camera")
    follower = simulation.follow()
    simulation.run(1.0)
    assert follower.mirror.devices == simulation.core.devices
"""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

import attrs

from devicewatch.events.codec import (
    decode_reply,
    decode_request,
    encode_event,
    encode_reply,
    encode_request,
)
from devicewatch.events.messages import Register, RegisterAck, Reply, Request, Unregister
from devicewatch.events.records import Added, Event, Removed, StreamMessage
from devicewatch.registry.core import CoreSettings, RegistryCore
from devicewatch.subscribers.mirror import Ask, Mirror

URL: Final = "tcp://registry:5555"
WALL_OFFSET: Final = 1_700_000_000.0
LONG: Final = 86_400.0
"""A lease that outlasts a test."""


@attrs.define
class Link:
    """The network between one watcher and the registry.

    Attributes:
        cut: Nothing gets through, and what is on its way is lost.
        drops: How many of the next messages of the stream get lost.
        lost_replies: How many of the next replies get lost.
    """

    cut: bool = False
    drops: int = 0
    lost_replies: int = 0

    def heal(self) -> None:
        self.cut, self.drops, self.lost_replies = False, 0, 0


class Follower:
    """A mirror and its sockets.

    Attributes:
        mirror: What it makes of it all.
        link: Its network.
        asked: Every request it has made.
    """

    def __init__(self, simulation: "Simulation", mirror: Mirror) -> None:
        self.mirror = mirror
        self.link = Link()
        self.asked: list[Request] = []
        self._simulation = simulation
        self._question = 0  # number of the latest request, to tell its reply from older ones
        self._socket = 0  # number of the stream's latest socket
        self._subscribed_to: str | None = None
        mirror.start(simulation.now)
        self.act()

    def take(self, limit: int | None = None) -> list[Event]:
        """Read the events that are there, or the first `limit` of them."""
        taken: list[Event] = []
        while limit is None or len(taken) < limit:
            event = self.mirror.next_event()
            if event is None:
                break
            taken.append(event)
        return taken

    def act(self) -> bool:
        """Do what the mirror wants; say whether there was anything."""
        actions = self.mirror.actions()
        for action in actions:
            if isinstance(action, Ask):
                self._ask(action.request)
            else:
                self._listen(action.url)
        return bool(actions)

    def advance(self) -> None:
        """Let the mirror notice the time, due or not, as a watcher does in each of its turns."""
        now = self._simulation.now
        self.mirror.advance(now)
        acted = self.act()
        assert acted or self.mirror.next_deadline() > now, "the mirror spins"

    def hear(self, message: StreamMessage, events_url: str) -> None:
        """The registry has published something."""
        if self._subscribed_to != events_url:
            return
        if self.link.drops:
            self.link.drops -= 1
            return
        socket, frames = self._socket, encode_event(message)

        def arrive() -> None:
            if socket == self._socket:
                self.mirror.stream_received(frames, self._simulation.now)
                self.act()

        self._simulation.send(self.link, arrive)

    def _ask(self, request: bytes) -> None:
        self._question += 1
        question = self._question
        self.asked.append(decode_request([request]))

        def arrive() -> None:
            reply = self._simulation.answer(request)
            if reply is None:
                return
            if self.link.lost_replies:
                self.link.lost_replies -= 1
                return
            self._simulation.send(self.link, lambda: self._answered(question, reply))

        self._simulation.send(self.link, arrive)

    def _answered(self, question: int, reply: bytes) -> None:
        if question == self._question:
            self.mirror.reply_received([reply], self._simulation.now)
            self.act()

    def _listen(self, url: str) -> None:
        self._socket += 1
        socket, self._subscribed_to = self._socket, None

        def arrive() -> None:
            if socket == self._socket:
                self._subscribed_to = url
                self._simulation.greet(url)

        self._simulation.send(self.link, arrive)


class Simulation:
    """One registry, its watchers and the time.

    Args:
        tick_interval: Seconds between two ticks.
        delay: Seconds that whatever is sent takes to arrive.

    Attributes:
        now: Seconds on everybody's monotonic clock.
        core: The registry; a new one after each restart.
        up: Whether it runs.
        followers: Everyone who follows it.
        published: Every event so far, of all epochs.
    """

    def __init__(self, tick_interval: float = 1.0, delay: float = 0.01) -> None:
        self.now = 1000.0
        self.up = True
        self.followers: list[Follower] = []
        self.published: list[Event] = []
        self._tick_interval = tick_interval
        self._delay = delay
        self._lives = count(1)
        self._uuids = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.core = self._new_core(5556)

    # --- the registry -------------------------------------------------------------------------

    def request(self, request: Request) -> Reply:
        """A device's request and its reply: devices have perfect links."""
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
    ) -> str:
        """A device registers, at an address after its name if none is given. Gives its uuid."""
        addr = f"tcp://{name}:1" if addr is None else addr
        reply = self.request(Register("camera", addr, name, overwrite, alive_timeout))
        assert isinstance(reply, RegisterAck)
        return reply.uuid

    def unregister(self, uuid: str) -> None:
        self.request(Unregister(uuid))

    def stop(self, *, orderly: bool = True) -> None:
        """The registry stops. Unless `orderly`, it has no time to say `bye`."""
        if orderly:
            self._publish(self.core.bye(self.now))
        self.up = False

    def start(self, events_port: int = 5556) -> None:
        """A new registry starts, knowing nothing of the one before."""
        self.core = self._new_core(events_port)
        self.up = True

    def answer(self, frame: bytes) -> bytes | None:
        """The registry's reply to a request; None if it is down."""
        if not self.up:
            return None
        reply, events = self.core.handle(decode_request([frame]), self.now)
        for event in events:
            self._publish(event)
        return encode_reply(reply)

    def greet(self, events_url: str) -> None:
        """Someone has subscribed."""
        if self.up and events_url == self._events_url:
            self.core.subscribed(self.now)

    @property
    def _events_url(self) -> str:
        return f"tcp://registry:{self.core.settings.events_port}"

    def _new_core(self, events_port: int) -> RegistryCore:
        core = RegistryCore(
            f"epoch-{next(self._lives)}",
            self.now,
            CoreSettings(tick_interval=self._tick_interval, events_port=events_port),
            new_uuid=lambda: f"uuid-{next(self._uuids)}",
        )
        core.wall_offset = WALL_OFFSET
        return core

    def _publish(self, message: StreamMessage) -> None:
        if isinstance(message, Added | Removed):
            self.published.append(message)
        for follower in self.followers:
            follower.hear(message, self._events_url)

    # --- those who follow it ------------------------------------------------------------------

    def follow(self) -> Follower:
        """Someone starts to follow the registry."""
        follower = Follower(self, Mirror(URL, jitter=lambda: 0.5))
        self.followers.append(follower)
        return follower

    # --- time ---------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._agenda)

    def send(self, link: Link, arrive: Callable[[], None]) -> None:
        """Let something happen at the other end of a link, unless that is cut by then."""

        def unless_cut() -> None:
            if not link.cut:
                arrive()

        if not link.cut:
            heapq.heappush(self._agenda, (self.now + self._delay, next(self._order), unless_cut))

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
        deadlines = [follower.mirror.next_deadline() for follower in self.followers]
        if self._agenda:
            deadlines.append(self._agenda[0][0])
        if self.up:
            deadlines.append(self.core.next_deadline())
        return min(deadlines, default=float("inf"))

    def _run_to(self, due: float) -> None:
        self.now = max(self.now, due)
        while self._agenda and self._agenda[0][0] <= self.now:
            _, _, happen = heapq.heappop(self._agenda)
            happen()
        if self.up:
            for event in self.core.expire(self.now):
                self._publish(event)
            if tick := self.core.tick(self.now):
                self._publish(tick)
        for follower in self.followers:
            follower.advance()
