"""A subscriber's copy of the registry, as a state machine: frames and time in, actions out.

Theory of operation
===================

The mirror makes every decision of a watcher and has no socket, clock, thread or log. Whoever
drives it (`watch`, `aio`, or a test) gives it what has arrived, `stream_received` and
`reply_received`, lets time pass, `advance`, at `next_deadline()` at the latest, and after each
of these does what `actions()` says and hands on what `next_record()` gives. It must be given
what has arrived before it is told that time has passed: news that waits unread is not silence.

It goes through these phases:

    ASKING     INFO is asked for, again and again: where is the event stream?
    LISTENING  The stream's socket is new. Its first word proves that the subscription has
               reached the registry, so that nothing after this moment is missed unnoticed.
    REPLAYING  What was missed is fetched from the registry's history, page by page.
    SYNCING    The devices are fetched, page by page. The stream's events are kept meanwhile.
    LIVE       Each event has the seq after the one before.

A hole in the numbering leads from LIVE to REPLAYING and back: nothing is lost (P3). Where the
history does not reach, or the epoch is another, SYNCING gets the devices anew, and what was known
and what is there are compared: the difference is yielded, marked as such (P4). Silence for three
ticks, and `bye`, lead to ASKING. A lost link by itself removes no device (P6). A watcher that
resumes (`since`) goes through REPLAYING and SYNCING once: the devices as they are now, taken
back by what has happened since, are those at its cursor.

What is known, and what is to be handed out, is in `view` and `outbox`. That queue is bounded:
where a reader is too slow for it, the mirror lets go, and comes back through REPLAYING when
there is room.

Whatever anybody sends, the mirror raises nothing, grows no further than its limits, and asks no
more often than its pauses allow: it pauses after each request that came to nothing, and what
follows a live view that did not last waits as well (`inquiry`). It goes by the furthest that was
said: a message that is behind what is known is no sign of life (`hearsay`).
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Final, TypeAlias

import attrs

from ..events.codec import decode_event, decode_reply, decode_request, encode_request
from ..events.errors import AuthenticationError, MessageError
from ..events.messages import (
    CompactedReply,
    ErrorReply,
    EventsReply,
    Info,
    InfoReply,
    Replay,
    Request,
    Snapshot,
    SnapshotReply,
)
from ..events.protocol import MAX_ADDR, MAX_DEVICES, MAX_PAGE
from ..events.records import Bye, Cursor, Device, Event, Record, State, Status, Tick
from ..events.text import LONGEST_MESSAGE, printable
from .hearsay import Hearsay
from .inquiry import ATTEMPTS, Inquiry
from .outbox import MAX_WAITING
from .snapshot import PagedSnapshot
from .view import View

PATIENCE: Final = 100
"""Ticks that may come before the event that a snapshot needs: a backlog may hold many."""

CLOCK_NOISE: Final = 0.1
"""Seconds: by how much the wall's clock may seem to have been set without having been."""


class Phase(enum.Enum):
    """What the mirror is busy with."""

    ASKING = "asking"
    LISTENING = "listening"
    REPLAYING = "replaying"
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
        since: Where an earlier watcher stopped; None to begin with the devices that are there.
        device_type: Follow devices of this type only; None is all of them.
        existing: Whether to hand out the devices that are there at the beginning.
        max_waiting: Events that may wait to be handed out.
        jitter: Gives numbers from 0 to 1, which spread out the attempts of many watchers.

    Attributes:
        phase: What it is busy with.
        trouble: Why the view is not live, in words; empty while it is.
        discarded: How many messages and replies made no sense.

    Raises:
        MessageError: `since` is none that a registry can have given.
        TypeError: It is no `Cursor`.
    """

    def __init__(
        self,
        url: str,
        *,
        events_url: str | None = None,
        since: Cursor | None = None,
        device_type: str | None = None,
        existing: bool = True,
        max_waiting: int = MAX_WAITING,
        jitter: Callable[[], float] = random,
    ) -> None:
        if since is not None:
            if not isinstance(since, Cursor):
                raise TypeError(f"since is to be a Cursor; Cursor.parse({since!r}) may give one")
            decode_request([encode_request(Replay(since.epoch, since.seq))])
        self.phase = Phase.ASKING
        self.trouble = f"no registry has answered yet at {url}"
        self.discarded = 0
        self._url = url
        self._events_url = events_url
        self._stream_url = ""
        self._actions: list[Action] = []
        self._view = View(
            since, device_type=device_type, existing=existing, max_waiting=max_waiting
        )
        self._heard = Hearsay()
        self._inquiry = Inquiry(jitter)
        self._snapshot = PagedSnapshot()
        self._ticks_waited = 0  # for an event that a snapshot needs
        self._refusal: AuthenticationError | None = None
        self._trusted = True  # whether the stream's present socket may be taken up again

    def start(self, now: float) -> None:
        """Begin. Called once, before anything else."""
        self._view.state_since = now
        self._inquiry.plan(Info(), now)
        self._ask_if_due(now)

    # --- out ----------------------------------------------------------------------------------

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after what was handed out so far: live, read-only."""
        return self._view.devices

    @property
    def cursor(self) -> Cursor | None:
        """The place in the event stream after what was handed out so far; None before any."""
        return self._view.cursor

    @property
    def state(self) -> State:
        """What the view is worth now, in one word."""
        return self._view.state

    @property
    def status(self) -> Status:
        """What the view is worth now, whatever is still to be handed out."""
        return self._view.status(self.trouble)

    @property
    def resumed(self) -> bool | None:
        """Whether it has gone on at `since`; None before that is known, or without one."""
        return self._view.resumed

    def set_wall_offset(self, seconds: float) -> None:
        """Say what to add to the monotonic clock to get the time since 1970, for status.

        Below `CLOCK_NOISE` it is not a clock that was set, but two clocks read one after the other:
        a status that has not changed stays equal to itself.
        """
        if abs(seconds - self._view.wall_offset) >= CLOCK_NOISE:
            self._view.wall_offset = seconds

    def actions(self) -> list[Action]:
        """What to do now, in order."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def has_news(self) -> bool:
        """Whether there is something to hand on, or to be told by `take_refusal`."""
        return self._view.waiting > 0 or self._refusal is not None

    def next_record(self) -> Record | None:
        """The next event, or word on the view, to hand on; None when there is none for now."""
        return self._view.next_record()

    def next_deadline(self) -> float:
        """When `advance` has something to do, if nothing arrives until then."""
        silence = None if self.phase is Phase.ASKING else self._heard.silent_at
        ask_at = self._inquiry.ask_at if self._may_ask else None
        deadlines = (self._inquiry.reply_due, ask_at, silence)
        return min(deadline for deadline in deadlines if deadline is not None)

    # --- in -----------------------------------------------------------------------------------

    def stream_received(self, frames: Sequence[bytes], now: float) -> None:
        """Take in a message of the event stream, whatever it is."""
        try:
            message = decode_event(frames)
        except MessageError:
            self.discarded += 1
            return
        if not self._heard.hear(message, self._view.at, now):
            if self._fetching:
                self._heard.keep(message)
        elif isinstance(message, Bye):
            self._lose("the registry has stopped", now)
        else:
            self._follow(message, now)
        self._ask_if_due(now)

    def reply_received(self, frames: Sequence[bytes], now: float) -> None:
        """Take in the reply to the latest `Ask`, whatever it is."""
        if self._inquiry.reply_due is None:
            return  # given up on
        self._inquiry.reply_due = None
        try:
            reply = decode_reply(frames)
        except MessageError as error:
            self.discarded += 1
            self._retry(f"the reply of {self._url} makes no sense: {error}", now)
            return
        match self.phase, reply:
            case Phase.ASKING, InfoReply():
                self._listen(reply, now)
            case Phase.REPLAYING, EventsReply():
                self._take_events(reply, now)
            case Phase.REPLAYING, CompactedReply():
                self._view.forget_since()
                self._inquiry.plan(self._new_snapshot(), now)
            case Phase.SYNCING, SnapshotReply():
                self._take_page(reply, now)
            case _, ErrorReply():
                why = printable(f"{reply.message} ({reply.code})", LONGEST_MESSAGE)
                self._retry(f"{self._url} refuses: {why}", now)
            case _:
                self._retry(f"{self._url} has no event stream; is it an older registry?", now)
        self._ask_if_due(now)

    def listen_failed(self, why: str, now: float) -> None:
        """Take note that the latest `Listen` came to nothing: its address makes no sense."""
        self.phase = Phase.ASKING
        self._retry(why, now, Info())

    def not_let_in(self, error: AuthenticationError, now: float) -> None:
        """Take in that the registry cannot be asked or followed, on account of a key.

        It tries on. Whoever has never had a view is told, by `take_refusal`; a view that there was
        goes stale, like any other that was lost.
        """
        if self._view.state is State.CONNECTING:
            self._refusal = error
        if self.phase is Phase.ASKING:
            self._retry(str(error), now)
        else:
            self._lose(str(error), now)
        self._ask_if_due(now)

    def take_refusal(self) -> AuthenticationError | None:
        """Why there is no view, if that is on account of a key and was not told yet."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def advance(self, now: float) -> None:
        """Let time pass, once everything that has arrived has been taken in."""
        if self.phase is not Phase.ASKING and now >= self._heard.silent_at:
            self._lose(self._silence, now)
        if self._inquiry.reply_due is not None and now >= self._inquiry.reply_due:
            self._retry(f"no answer from {self._url}", now)
        self._ask_if_due(now)

    # --- asking -------------------------------------------------------------------------------

    def _ask_if_due(self, now: float) -> None:
        at = self._inquiry.ask_at
        if at is not None and now >= at and self._may_ask:
            self._inquiry.sent(now)
            self._actions.append(Ask(encode_request(self._inquiry.request)))

    @property
    def _fetching(self) -> bool:
        return self.phase in (Phase.REPLAYING, Phase.SYNCING)

    @property
    def _may_ask(self) -> bool:
        """Not for more to hand out, while there is too much of it already."""
        return not self._fetching or self._view.has_room

    def _retry(self, why: str, now: float, request: Request | None = None) -> None:
        """Ask again, after a pause; at length, look for the registry anew."""
        self.trouble = why
        if self._view.state is State.CONNECTING and not self._inquiry.failures:
            self._view.tell_trouble(why, now)
        if self.phase is not Phase.ASKING and self._inquiry.failures + 1 >= ATTEMPTS:
            self.phase = Phase.ASKING
            self._trusted = False
            request = Info()
        self._inquiry.plan_after_failure(request or self._inquiry.request, now)

    # --- losing the view, and finding the registry ----------------------------------------------

    def _explain(self, step: str) -> None:
        """Say what it is busy with, unless it has been through that and knows what is wrong."""
        if self._inquiry.failures < ATTEMPTS:
            self.trouble = step

    def _depart(self, why: str, now: float) -> None:
        """The view is live no longer."""
        self.trouble = why
        self._inquiry.losses += 1
        self._view.go_stale(why, now)

    def _lose(self, why: str, now: float) -> None:
        """Find the registry again. The devices stay (P6)."""
        if self.phase is Phase.LIVE:
            self._depart(why, now)
            self.phase = Phase.ASKING
            self._inquiry.plan_after_loss(Info(), now)
        elif self.phase is not Phase.ASKING:
            self.phase = Phase.ASKING
            self._retry(why, now, Info())

    @property
    def _silence(self) -> str:
        behind = self._heard.behind
        if behind is not None:
            seq = max(self._view.seq, self._heard.place.seq if self._heard.place else 0)
            return f"the event stream at {self._stream_url} is at {behind}, and was at {seq} before"
        return f"the event stream at {self._stream_url} is silent"

    def _listen(self, info: InfoReply, now: float) -> None:
        url = self._events_url or _events_url(self._url, info)
        if url is None:
            self._retry(f"{self._url} does not say where its event stream is", now)
            return
        self.phase = Phase.LISTENING
        self._stream_url = printable(url, MAX_ADDR)
        self._explain(f"nothing heard yet from the event stream at {self._stream_url}")
        self._trusted = True
        self._heard.begin(info.tick_interval, self._inquiry.timeout, now)
        self._actions.append(Listen(url))

    # --- following the stream -----------------------------------------------------------------

    def _follow(self, message: Event | Tick, now: float) -> None:
        match self.phase:
            case Phase.LIVE:
                if self._inquiry.losses and now >= self._view.state_since + self._heard.silence:
                    self._inquiry.losses = 0
                self._follow_live(message, now)
            case Phase.REPLAYING:
                self._heard.keep(message)
            case Phase.SYNCING:
                self._heard.keep(message)
                self._wait_for_events(message, now)
            case _ if not self._trusted:
                return
            case _ if self._view.has_hole_before(message):
                self._explain(f"fetching from {self._url} what is there")
                self._fetch(message, now)
            case _:
                self._go_live(now)
                self._follow_live(message, now)

    def _follow_live(self, message: Event | Tick, now: float) -> None:
        view = self._view
        if isinstance(message, Event) and view.follow(message):
            return
        if view.has_hole_before(message):
            why = "events were missed; fetching them"
        elif isinstance(message, Tick) or message.seq == view.seq:
            return
        elif view.full:
            why = f"the reader is too slow; {view.waiting} events wait for it"
        else:
            why = f"{self._url} shows more than {MAX_DEVICES} devices"
        self._depart(why, now)
        self._fetch(message, now)

    def _go_live(self, now: float) -> None:
        self.phase = Phase.LIVE
        self.trouble = ""
        self._refusal = None
        self._inquiry.failures = 0
        self._inquiry.cancel()
        self._heard.forget()
        self._snapshot = PagedSnapshot()
        self._view.go_live(now)

    # --- fetching what was missed -------------------------------------------------------------

    def _fetch(self, message: Event | Tick, now: float) -> None:
        """Begin to get from what is known to where this message is."""
        request = self._plan(message.epoch)
        self._heard.forget()
        self._heard.keep(message)
        self._inquiry.plan_after_loss(request, now)

    def _plan(self, epoch: str) -> Request:
        """What to ask for: the events since, if the numbering is the same, or the devices."""
        after = self._view.replay_from(epoch)
        if after is None:
            return self._new_snapshot()
        self.phase = Phase.REPLAYING
        return Replay(epoch, after, MAX_PAGE)

    def _new_snapshot(self) -> Request:
        self.phase = Phase.SYNCING
        self._snapshot = PagedSnapshot()
        self._ticks_waited = 0
        return Snapshot(limit=MAX_PAGE)

    def _plan_anew(self, why: str, now: float) -> None:
        """What was fetched is of no use."""
        place = self._heard.place
        self._retry(why, now, self._plan(place.epoch if place else ""))

    def _take_events(self, reply: EventsReply, now: float) -> None:
        """Hand on what was missed; or, while resuming, keep it until the devices are known."""
        request, view = self._inquiry.request, self._view
        if not isinstance(request, Replay) or not _answers(reply, request):
            self._plan_anew(f"the events that {self._url} replays do not fit together", now)
            return
        if view.too_large(len(reply.events)):
            view.forget_since()
            self._plan_anew(f"{self._url} replays more than {MAX_DEVICES} devices", now)
            return
        view.replay(reply.events)
        if reply.events:
            self._inquiry.failures = self._inquiry.losses = 0
        last = request.after + len(reply.events)
        if last < reply.seq:
            self._inquiry.plan(Replay(reply.epoch, last, MAX_PAGE), now)
        elif view.since is not None:
            self._inquiry.plan(self._new_snapshot(), now)
        else:
            self._catch_up(Cursor(reply.epoch, last), now)

    def _catch_up(self, at: Cursor, now: float) -> None:
        """Take up the stream where what was fetched ends."""
        place = self._heard.place
        if place is None or place.epoch != at.epoch:
            self._plan_anew(self._two_epochs, now)
            return
        for event in self._heard.kept(at.epoch, at.seq):
            if event.seq == self._view.seq + 1 and not self._view.full:
                self._view.put(event)
        if place.seq <= self._view.seq:
            self._go_live(now)
        elif self._inquiry.failures:
            self._plan_anew("events were missed; fetching them", now)
        else:  # it has come further, and will again
            self._inquiry.failures = 1
            self.trouble = "events were missed; fetching them"
            self._inquiry.plan(self._plan(place.epoch), now)

    @property
    def _two_epochs(self) -> str:
        return f"the stream at {self._stream_url} is not that of the registry at {self._url}"

    # --- fetching the devices -----------------------------------------------------------------

    def _take_page(self, page: SnapshotReply, now: float) -> None:
        if not self._snapshot.add(page):
            self._plan_anew(f"the pages of {self._url} do not fit together", now)
        elif page.next is not None:
            self._inquiry.plan(Snapshot(after=page.next, limit=MAX_PAGE), now)
        else:
            self._finish_snapshot(Cursor(page.epoch, page.seq), now)

    def _wait_for_events(self, message: Event | Tick, now: float) -> None:
        """All pages are there, but perhaps not all events that came between them."""
        at = self._snapshot.fetched
        if at is None:
            return
        if message.epoch != at.epoch or message.seq >= at.seq:
            self._finish_snapshot(at, now)  # not at each event of a backlog: it takes time
        elif isinstance(message, Tick):
            self._ticks_waited += 1
            if self._ticks_waited > PATIENCE:
                why = f"{self._url} is at {at.seq}, and its event stream at {message.seq}"
                self._plan_anew(why, now)

    def _finish_snapshot(self, at: Cursor, now: float) -> None:
        """Take the snapshot, or wait for an event that is only late, or start anew."""
        place, known = self._heard.place, self._view.at
        if place is None or place.epoch != at.epoch:
            self._plan_anew(self._two_epochs, now)
            return
        if known is not None and known.epoch == at.epoch and known.seq > at.seq:
            why = f"{self._url} is at {at.seq} and was at {known.seq}: its numbering runs backwards"
            self._plan_anew(why, now)
            return
        kept = self._heard.kept(at.epoch)
        devices = self._snapshot.complete(kept)
        if devices is not None and self._view.take(devices, at, kept, self._heard.time):
            self._catch_up(at, now)
        elif place.seq >= at.seq:  # the stream is past it, so what is missing was lost
            self._plan_anew("events were missed while fetching the devices", now)


def _answers(reply: EventsReply, request: Replay) -> bool:
    """Whether a reply is what was asked for: events without a hole, and an end to them."""
    places = [(event.epoch, event.seq) for event in reply.events]
    expected = range(request.after + 1, request.after + 1 + len(places))
    if reply.epoch != request.epoch or places != [(request.epoch, seq) for seq in expected]:
        return False
    last = request.after + len(places)
    return last == reply.seq or (last < reply.seq and bool(places))


def _events_url(url: str, info: InfoReply) -> str | None:
    """Where a registry's event stream is: as it says, or at its port on the registry's host."""
    if isinstance(info.events_url, str):
        return info.events_url or None
    if isinstance(info.events_port, int) and info.events_port and url.startswith("tcp://"):
        return f"{url.rpartition(':')[0]}:{info.events_port}"
    return None
