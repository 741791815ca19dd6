"""A watcher in a `Simulation`: a mirror, and the network that a test can break."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from devicewatch.events.codec import decode_request, encode_event
from devicewatch.events.messages import Request
from devicewatch.events.records import Added, Event, Record, Removed, StreamMessage
from devicewatch.subscribers.mirror import Ask, Mirror

if TYPE_CHECKING:
    from .simulation import Simulation

HIGH_WATER: Final = 50
"""What a socket keeps for a watcher whose process is stopped; the rest of the stream is lost."""


@attrs.define
class Link:
    """The network between one watcher and the registry.

    Attributes:
        cut: Nothing gets through, and what is on its way is lost.
        drops: How many of the next messages of the stream get lost.
        lost_replies: How many of the next replies get lost.
        twice: How many of the next messages of the stream arrive twice.
        late: How many of the next messages of the stream are overtaken by later ones.
        lateness: Seconds that those take longer.
    """

    cut: bool = False
    drops: int = 0
    lost_replies: int = 0
    twice: int = 0
    late: int = 0
    lateness: float = 0.0

    def heal(self) -> None:
        self.cut, self.drops, self.lost_replies, self.twice, self.late = False, 0, 0, 0, 0

    def take(self, fault: str) -> bool:
        """Whether this message meets with a fault."""
        left: int = getattr(self, fault)
        if left:
            setattr(self, fault, left - 1)
        return left > 0


class Follower:
    """A mirror and its sockets.

    Attributes:
        mirror: What it makes of it all.
        link: Its network.
        asked: Every request it has made.
        paused: Whether its process is stopped.
        heard: What was the seq of the latest message that arrived, by epoch.
    """

    def __init__(self, simulation: "Simulation", mirror: Mirror) -> None:
        self.mirror = mirror
        self.link = Link()
        self.asked: list[Request] = []
        self.paused = False
        self.heard: dict[str, int] = {}
        self._inbox: deque[Callable[[], None]] = deque()
        self._simulation = simulation
        self._question = 0  # number of the latest request, to tell its reply from older ones
        self._socket = 0  # number of the stream's latest socket
        self._subscribed_to: str | None = None
        mirror.view.set_wall_offset(simulation.wall_offset)
        mirror.start(simulation.now)
        self.act()

    @property
    def hears(self) -> bool:
        """Whether it listens where the registry publishes."""
        return self._subscribed_to == self._simulation.events_url

    def next_record(self) -> Record | None:
        """Read the next record that is there."""
        record = self.mirror.view.next_record()
        if not self.paused:
            self.advance()  # as a watcher does, before it waits again
        return record

    def take(self, limit: int | None = None) -> list[Event]:
        """Read the events that are there, or the first `limit` of them."""
        taken: list[Event] = []
        while limit is None or len(taken) < limit:
            record = self.next_record()
            if record is None:
                break
            if isinstance(record, Added | Removed):
                taken.append(record)
        return taken

    def pause(self) -> None:
        """Its process is stopped. What arrives waits in its sockets, as far as they go."""
        self.paused = True

    def resume(self) -> None:
        """It goes on: with what has arrived first."""
        self.paused = False
        while self._inbox:
            self._inbox.popleft()()
        self.advance()

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
        if self.paused:
            return
        now = self._simulation.now
        self.mirror.view.set_wall_offset(self._simulation.wall_offset)
        self.mirror.advance(now)
        acted = self.act()
        assert acted or self.mirror.next_deadline() > now, "the mirror spins"

    def hear(self, message: StreamMessage) -> None:
        """The registry has published something."""
        if not self.hears or self.link.take("drops"):
            return
        socket, frames = self._socket, encode_event(message)

        def read() -> None:
            if socket == self._socket:
                before = self.heard.get(message.epoch, 0)
                self.heard[message.epoch] = max(before, message.seq)
                self.mirror.stream_received(frames, self._simulation.now)
                self.act()

        def arrive() -> None:
            if not self.paused:
                read()
            elif len(self._inbox) < HIGH_WATER:
                self._inbox.append(read)

        late = self.link.lateness if self.link.take("late") else 0.0
        self._simulation.send(self.link, arrive, late)
        if self.link.take("twice"):
            self._simulation.send(self.link, arrive, late)

    def _ask(self, request: bytes) -> None:
        self._question += 1
        question = self._question
        self.asked.append(decode_request([request]))

        def respond(reply: bytes) -> None:
            if not self.link.take("lost_replies"):
                self._simulation.send(self.link, lambda: arrive(reply))

        def arrive(reply: bytes) -> None:
            if not self.paused:
                read(reply)
            else:
                self._inbox.append(lambda: read(reply))

        def read(reply: bytes) -> None:
            if question == self._question:
                self.mirror.reply_received([reply], self._simulation.now)
                self.act()

        self._simulation.send(self.link, lambda: self._simulation.receive(request, respond))

    def _listen(self, url: str) -> None:
        self._socket += 1
        socket, self._subscribed_to = self._socket, None

        def arrive() -> None:
            if socket == self._socket:
                self._subscribed_to = url
                self._simulation.greet(url)

        self._simulation.send(self.link, arrive)
