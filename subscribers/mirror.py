"""A subscriber's copy of the registry, as a state machine: frames and time in, actions out.

Theory of operation
===================

The mirror makes every decision of a watcher and has no socket, clock, thread or log. Whoever
drives it (`watch`, or a test) gives it what has arrived, `stream_received` and
`reply_received`, lets time pass, `advance`, at `next_deadline()` at the latest, and after each
of these does what `actions()` says and hands on what `next_event()` gives. It must be given
what has arrived before it is told that time has passed: news that waits unread is not silence.

It goes through four phases:

    ASKING     INFO is asked for, again and again: where is the event stream?
    LISTENING  The stream's socket is new. Its first word proves that the subscription has
               reached the registry, so that nothing after this moment is missed unnoticed.
    SYNCING    The devices are fetched, page by page, and the stream's events kept meanwhile.
    LIVE       Each event has the seq after the one before.

A hole in the numbering, or another epoch, leads from LIVE back to SYNCING; silence for three
ticks, and `bye`, to ASKING. Once the view is back, what was known and what is there are
compared, and the difference is yielded (P4). A lost link by itself removes no device (P6).

`devices` and `cursor` are those of the events handed out so far, not of what is still queued
here: whoever folds the events has exactly that picture.
"""

import enum
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import random
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from ..events.codec import decode_event, decode_reply, encode_request
from ..events.errors import MessageError
from ..events.messages import ErrorReply, Info, InfoReply, Request, Snapshot, SnapshotReply
from ..events.protocol import DEFAULT_TICK_INTERVAL, MAX_PAGE, STALE_AFTER_TICKS
from ..events.records import Bye, Cursor, Device, Event, Tick
from .snapshot import PagedSnapshot, difference, fold

REPLY_TIMEOUT: Final = 2.0
"""Seconds to wait for a reply before the request is taken for lost."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts, growing from the first to the longest."""

MAX_KEPT: Final = 100_000
"""Events kept during a snapshot. Losing more than that makes it start anew."""


class Phase(enum.Enum):
    """What the mirror is busy with."""

    ASKING = "asking"
    LISTENING = "listening"
    SYNCING = "syncing"
    LIVE = "live"


@attrs.frozen
class Ask:
    """Send this request to the registry, and forget any that is still unanswered."""

    request: bytes


@attrs.frozen
class Listen:
    """Follow the event stream at this address, on a new socket in place of the old one."""

    url: str


Action: TypeAlias = Ask | Listen


class Mirror:
    """A view of one registry. Times are in seconds on a monotonic clock.

    Args:
        url: The registry's address: the event stream is on the same host.
        events_url: The event stream's address, where it is not what INFO says: behind a
            tunnel, say.
        jitter: Gives numbers from 0 to 1, which spread out the attempts of many watchers.

    Attributes:
        phase: What it is busy with.
        trouble: Why the view is not live, in words; empty while it is.
        devices: The devices present, by name, after the events handed out: live, read-only.
        cursor: The place in the event stream after the events handed out; None before the first
            snapshot.
        discarded: How many messages and replies made no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        events_url: str | None = None,
        jitter: Callable[[], float] = random,
    ) -> None:
        self.phase = Phase.ASKING
        self.trouble = f"no registry has answered yet at {url}"
        self.cursor: Cursor | None = None
        self.discarded = 0
        self._devices: dict[str, Device] = {}
        self.devices: Mapping[str, Device] = MappingProxyType(self._devices)
        self._url = url
        self._events_url = events_url
        self._stream_url = ""
        self._jitter = jitter
        self._actions: list[Action] = []
        self._outbox: deque[tuple[Event, Cursor]] = deque()
        self._at: Cursor | None = None  # where the queued events lead to
        self._heard: Cursor | None = None  # where the stream was, by its latest message
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._snapshot = PagedSnapshot()
        self._tick_interval = DEFAULT_TICK_INTERVAL
        self._heard_at = 0.0
        self._registry_time = 0.0
        self._request: Request = Info()
        self._reply_due: float | None = None
        self._ask_again_at: float | None = None
        self._failures = 0

    def start(self, now: float) -> None:
        """Begin. Called once, before anything else."""
        self._ask(Info(), now)

    # --- out ----------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What to do now, in order."""
        actions, self._actions = self._actions, []
        return actions

    def next_event(self) -> Event | None:
        """The next event to hand on; None when there is none for now."""
        if not self._outbox:
            return None
        event, self.cursor = self._outbox.popleft()
        fold(self._devices, event)
        return event

    def next_deadline(self) -> float:
        """When `advance` has something to do, if nothing arrives until then."""
        silence = None if self.phase is Phase.ASKING else self._silent_at
        deadlines = (self._reply_due, self._ask_again_at, silence)
        return min(deadline for deadline in deadlines if deadline is not None)

    # --- in -----------------------------------------------------------------------------------

    def stream_received(self, frames: Sequence[bytes], now: float) -> None:
        """Take in a message of the event stream, whatever it is."""
        try:
            message = decode_event(frames)
        except MessageError:
            self.discarded += 1
            return
        self._heard = Cursor(message.epoch, message.seq)
        self._heard_at = now
        self._registry_time = message.time
        if isinstance(message, Bye):
            self._lose("the registry has stopped", now)
        else:
            self._follow(message, now)

    def reply_received(self, frames: Sequence[bytes], now: float) -> None:
        """Take in the reply to the latest `Ask`, whatever it is."""
        if self._reply_due is None:
            return  # given up on
        self._reply_due = None
        try:
            reply = decode_reply(frames)
        except MessageError as error:
            self.discarded += 1
            self._retry(f"the reply of {self._url} makes no sense: {error}", now)
            return
        if isinstance(reply, InfoReply) and self.phase is Phase.ASKING:
            self._listen(reply, now)
        elif isinstance(reply, SnapshotReply) and self.phase is Phase.SYNCING:
            self._take_page(reply, now)
        elif isinstance(reply, ErrorReply):
            self._retry(f"{self._url} refuses: {reply.message} ({reply.code})", now)
        else:
            self._retry(f"{self._url} has no event stream; is it an older registry?", now)

    def advance(self, now: float) -> None:
        """Let time pass, once everything that has arrived has been taken in."""
        if self.phase is not Phase.ASKING and now >= self._silent_at:
            self._lose(f"the event stream at {self._stream_url} is silent", now)
        if self._reply_due is not None and now >= self._reply_due:
            self._reply_due = None
            self._retry(f"no answer from {self._url}", now)
        if self._ask_again_at is not None and now >= self._ask_again_at:
            self._ask(self._request, now)

    # --- finding the registry -----------------------------------------------------------------

    def _ask(self, request: Request, now: float) -> None:
        self._request = request
        self._reply_due = now + REPLY_TIMEOUT
        self._ask_again_at = None
        self._actions.append(Ask(encode_request(request)))

    def _retry(self, why: str, now: float) -> None:
        """Ask the same again, after a pause that grows with every failure."""
        self.trouble = why
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        self._ask_again_at = now + pause * (0.5 + self._jitter() / 2)

    def _lose(self, why: str, now: float) -> None:
        """The view may be out of date: find the registry again. The devices stay (P6)."""
        self.phase = Phase.ASKING
        self.trouble = why
        self._kept.clear()
        self._ask(Info(), now)

    def _listen(self, info: InfoReply, now: float) -> None:
        self._tick_interval = info.tick_interval
        url = self._events_url or _events_url(self._url, info)
        if url is None:
            self._retry(f"{self._url} does not say where its event stream is", now)
            return
        self.phase = Phase.LISTENING
        self.trouble = f"nothing heard yet from the event stream at {url}"
        self._stream_url = url
        self._heard_at = now
        self._actions.append(Listen(url))

    @property
    def _silent_at(self) -> float:
        return self._heard_at + STALE_AFTER_TICKS * self._tick_interval

    # --- following the stream -----------------------------------------------------------------

    def _follow(self, message: Event | Tick, now: float) -> None:
        if self.phase is Phase.SYNCING:
            self._keep(message)
            if at := self._snapshot.fetched:
                self._finish_snapshot(at, now)
        elif not self._hole_before(message):
            self._go_live()
            self._take(message)
        elif self.phase is not Phase.ASKING:
            self._keep(message)
            self._start_snapshot("events were missed; fetching the devices", now)
        elif self._ask_again_at is not None:
            self._ask(self._request, now)  # someone is there: no need to wait any longer

    def _hole_before(self, message: Event | Tick) -> bool:
        """Whether something lies between what is known and this message."""
        if self._at is None or message.epoch != self._at.epoch:
            return True
        presumed = message.seq if isinstance(message, Tick) else message.seq - 1
        return presumed > self._at.seq

    def _take(self, message: Event | Tick) -> None:
        if self._at is not None and message.seq > self._at.seq and not isinstance(message, Tick):
            self._at = Cursor(message.epoch, message.seq)
            self._outbox.append((message, self._at))

    def _keep(self, message: Event | Tick) -> None:
        if not isinstance(message, Tick):
            self._kept.append(message)

    def _go_live(self) -> None:
        self.phase = Phase.LIVE
        self.trouble = ""
        self._failures = 0
        self._reply_due = self._ask_again_at = None

    # --- fetching the devices -----------------------------------------------------------------

    def _start_snapshot(self, why: str, now: float) -> None:
        self.phase = Phase.SYNCING
        self.trouble = why
        self._snapshot = PagedSnapshot()
        self._ask(Snapshot(limit=MAX_PAGE), now)

    def _restart_snapshot(self, why: str, now: float) -> None:
        self._snapshot = PagedSnapshot()
        self._request = Snapshot(limit=MAX_PAGE)
        self._retry(why, now)

    def _take_page(self, page: SnapshotReply, now: float) -> None:
        if not self._snapshot.add(page):
            self._restart_snapshot("the pages of a snapshot did not fit together", now)
        elif page.next is not None:
            self._ask(Snapshot(after=page.next, limit=MAX_PAGE), now)
        else:
            self._finish_snapshot(Cursor(page.epoch, page.seq), now)

    def _finish_snapshot(self, at: Cursor, now: float) -> None:
        """Take the snapshot, or wait for an event that is only late, or start anew."""
        by_seq = {event.seq: event for event in self._kept if event.epoch == at.epoch}
        kept = [event for _, event in sorted(by_seq.items())]
        devices = self._snapshot.complete(kept)
        if devices is not None:
            self._take_snapshot(devices, at, kept, now)
        elif self._heard is None or self._heard.epoch != at.epoch or self._heard.seq >= at.seq:
            # The stream is past it, so what is missing was lost.
            self._restart_snapshot("events were missed while fetching the devices", now)

    def _take_snapshot(
        self, devices: list[Device], cursor: Cursor, kept: list[Event], now: float
    ) -> None:
        known = dict(self._devices)
        for event, _ in self._outbox:
            fold(known, event)
        for event in difference(known, self._at, devices, cursor, self._registry_time):
            self._outbox.append((event, Cursor(event.epoch, event.seq)))
        self._at = cursor
        if self._outbox:
            self._outbox[-1] = (self._outbox[-1][0], cursor)
        else:
            self.cursor = cursor
        self._snapshot = PagedSnapshot()
        self._kept.clear()
        self._go_live()
        for event in kept:
            self._follow(event, now)


def _events_url(url: str, info: InfoReply) -> str | None:
    """Where a registry's event stream is: as it says, or at its port on the registry's host."""
    if isinstance(info.events_url, str):
        return info.events_url or None
    if isinstance(info.events_port, int) and info.events_port and url.startswith("tcp://"):
        return f"{url.rpartition(':')[0]}:{info.events_port}"
    return None
