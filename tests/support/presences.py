"""A presence driven by hand, and one of many on a network that a test can break.

The registry is a real `RegistryCore`, each device a real `Presence`, and every byte between them
goes through the real codec. In place of the network there is an agenda of what arrives when. Time
passes only in `Lab.run`.
"""

import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import attrs

from devicewatch.events.codec import decode_request, encode_reply
from devicewatch.events.messages import Ack, Register, RegisterAck, Reply, Request
from devicewatch.events.protocol import Reason, RequestName
from devicewatch.events.records import Event
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.presence import Presence, PresenceState, PresenceStatus
from devicewatch.registry.settings import CoreSettings

URL: Final = "tcp://registry:5555"


# --- by hand -------------------------------------------------------------------------------------


class Hand:
    """A presence in our hands: what arrives, and when, is up to the test."""

    def __init__(self, jitter: float = 0.0, now: float = 100.0, **more: Any) -> None:
        self.now = now
        request = {"device_type": "camera", "addr": "tcp://a", "name": "cam", "instance": "i"}
        self.wish = Register(**request | more)
        self.presence = Presence(self.wish, URL, jitter=lambda: jitter)
        self.presence.start(now)

    @property
    def state(self) -> PresenceState:
        return self.presence.status.state

    @property
    def pause(self) -> float:
        """Seconds until the presence has something to do."""
        return self.presence.next_deadline() - self.now

    def asked(self) -> Request:
        """The request that the presence makes now, and nothing else."""
        [request] = self.presence.actions()
        return decode_request([request])

    def silent(self) -> bool:
        return self.presence.actions() == []

    def reply(self, reply: Reply) -> None:
        self.presence.reply_received([encode_reply(reply)], self.now)

    def garbage(self) -> None:
        self.presence.reply_received([b"garbage"], self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.presence.advance(self.now)

    def to_deadline(self) -> Request:
        """Wait until the presence has something to do, and say what it asks then."""
        self.pass_time(self.pause)
        return self.asked()

    def leave(self) -> None:
        self.presence.leave(self.now)

    def told(self) -> list[tuple[str, str]]:
        """State and name of each change since last time."""
        return [(status.state.value, status.name) for status in self.presence.changes()]


def granted(name: str = "cam", lease: float | None = 20.0, uuid: str = "uuid-1") -> RegisterAck:
    return RegisterAck(name, uuid, "e", 1, lease)


RENEWED: Final = Ack(RequestName.CHECK_ALIVE, True)
UNKNOWN: Final = Ack(RequestName.CHECK_ALIVE, False)


def present(**more: Any) -> Hand:
    """A device that is registered as "cam", with nothing left to tell."""
    hand = Hand(**more)
    hand.asked()
    hand.reply(granted())
    hand.told()
    return hand


def forgotten(**more: Any) -> Hand:
    """A device that has just heard that the registry does not know it; what it asks is next."""
    hand = present(**more)
    hand.to_deadline()
    hand.reply(UNKNOWN)
    hand.told()
    return hand


# --- many ----------------------------------------------------------------------------------------


@attrs.define
class Link:
    """The network between one device and the registry.

    Attributes:
        cut: Nothing gets through. What ZeroMQ has not delivered waits; what is on its way is lost.
        lost_requests: How many of the next requests get lost.
        lost_replies: How many of the next replies get lost.
        delay: Seconds that each request, and each reply, takes.
    """

    cut: bool = False
    lost_requests: int = 0
    lost_replies: int = 0
    delay: float = 0.01

    def heal(self) -> None:
        self.cut, self.lost_requests, self.lost_replies, self.delay = False, 0, 0, 0.01


class SimulatedDevice:
    """A presence, its socket and its network.

    Attributes:
        link: Its network.
        suspended: Its process is stopped.
        wish: How it first registered.
        requests: How many requests it has made.
        told: Every status that its owner was told of.
    """

    def __init__(self, lab: "Lab", wish: Register, presence: Presence) -> None:
        self.wish = wish
        self.presence = presence
        self.link = Link()
        self.suspended = False
        self.requests = 0
        self.told: list[PresenceStatus] = [presence.status]
        self._lab = lab
        self._question = 0  # number of the latest request, to tell its reply from older ones
        self._unsent: bytes | None = None  # ZeroMQ has it until there is a connection
        self._unread: list[bytes] | None = None
        presence.start(lab.now)
        self.turn()

    @property
    def status(self) -> PresenceStatus:
        return self.presence.status

    def turn(self) -> None:
        """What a front end does when it wakes up."""
        if self.suspended:
            return
        if self._unread is not None:
            frames, self._unread = self._unread, None
            self.presence.reply_received(frames, self._lab.now)
        self.presence.advance(self._lab.now)
        self.told += self.presence.changes()
        for request in self.presence.actions():
            self.requests += 1
            self._question += 1
            self._unsent, self._unread = request, None
        if self.presence.ended:
            self._question += 1
            self._unsent = self._unread = None  # the socket is closed, without linger
        self.deliver()
        assert self.presence.next_deadline() > self._lab.now, "it spins"

    def leave(self) -> None:
        self.resume()
        self.presence.leave(self._lab.now)
        self.turn()

    def resume(self) -> None:
        self.suspended = False
        self.turn()

    def kill(self) -> None:
        """It ends without a word."""
        self.presence.abandon("killed")
        self.resume()

    def deliver(self) -> None:
        """Send what waits for a connection, if there is one now."""
        if self._unsent is None or self.suspended or self.link.cut or not self._lab.up:
            return
        request, self._unsent = self._unsent, None
        if self.link.lost_requests:
            self.link.lost_requests -= 1
            return
        question = self._question
        self._lab.later(self.link.delay, lambda: self._arrived(request, question))

    def _arrived(self, request: bytes, question: int) -> None:
        """At the registry, whatever has become of the sender."""
        if self.link.cut:
            return
        reply = self._lab.answer(request)
        if reply is None:
            return
        if self.link.lost_replies:
            self.link.lost_replies -= 1
            return
        self._lab.later(self.link.delay, lambda: self._answered(reply, question))

    def _answered(self, reply: bytes, question: int) -> None:
        if question == self._question and not self.link.cut:
            self._unread = [reply]
            self.turn()


class Lab:
    """A registry, its devices and the time.

    Attributes:
        now: Seconds on everybody's monotonic clock.
        core: The registry; a new one after each restart.
        up: Whether it runs.
        devices: All that ever started.
        published: Every event so far, of all epochs.
    """

    def __init__(self, jitter: Callable[[], float] = lambda: 0.5) -> None:
        self.now = 1000.0
        self.up = True
        self.devices: list[SimulatedDevice] = []
        self.published: list[Event] = []
        self._jitter = jitter
        self._lives = count(1)
        self._numbers = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.core = self._new_core()

    def announce(
        self, name: str, addr: str, *, overwrite: bool = False, lease: float = 20.0
    ) -> SimulatedDevice:
        """A device starts."""
        instance = f"instance-{next(self._numbers)}"
        request = Register("camera", addr, name, overwrite, lease, instance)
        device = SimulatedDevice(self, request, Presence(request, URL, jitter=self._jitter))
        self.devices.append(device)
        return device

    def stop(self) -> None:
        self.up = False

    def start(self) -> None:
        """A new registry, knowing nothing of the one before. Whatever waits is delivered."""
        self.core = self._new_core()
        self.up = True
        self.deliver()

    def deliver(self) -> None:
        for device in self.devices:
            device.deliver()

    def answer(self, frame: bytes) -> bytes | None:
        """The registry's reply to a request; None if it is down."""
        if not self.up:
            return None
        self.published += self.core.expire(self.now)
        request = decode_request([frame])
        holder = self.holder(request.addr) if isinstance(request, Register) else None
        reply, events = self.core.handle(request, self.now)
        self.published += events
        if isinstance(request, Register) and not request.displace:
            assert not request.overwrite
            assert not events or holder in (None, request.instance), "a claim displaces nobody"
        return encode_reply(reply)

    def holder(self, addr: str) -> str | None:
        """The instance registered from an address."""
        holder = self.core._registrations.by_addr.get(addr)
        return None if holder is None or holder.request is None else holder.request.instance

    def replaced(self) -> int:
        """How many devices have been displaced so far."""
        return [getattr(event, "reason", None) for event in self.published].count(Reason.REPLACED)

    def later(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._numbers), happen))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (due := self._next_due()) <= end:
            self.now = max(self.now, due)
            while self._agenda and self._agenda[0][0] <= self.now:
                heapq.heappop(self._agenda)[2]()
            if self.up:
                self.published += self.core.expire(self.now)
                self.core.tick(self.now)
            for device in self.devices:
                if device.presence.next_deadline() <= self.now:
                    device.turn()
        self.now = end

    def _next_due(self) -> float:
        deadlines = [
            device.presence.next_deadline() for device in self.devices if not device.suspended
        ]
        if self._agenda:
            deadlines.append(self._agenda[0][0])
        if self.up:
            deadlines.append(self.core.next_deadline())
        return min(deadlines, default=math.inf)

    def _new_core(self) -> RegistryCore:
        settings = CoreSettings(tick_interval=3600.0)
        return RegistryCore(
            f"epoch-{next(self._lives)}",
            self.now,
            settings,
            new_uuid=lambda: f"uuid-{next(self._numbers)}",
        )
