"""A subscriber's copy of the registry, as a state machine: frames and time in, actions out.

Theory of operation
===================

The mirror makes every decision of a watcher and has no socket, clock, thread or log. Whoever
drives it (`watcher`, `aio`, or a test) gives it what has arrived, `stream_received` and
`reply_received`, lets time pass, `advance`, at `next_deadline()` at the latest, and after each
of these does what `actions()` says and hands on what `view.next_record()` gives. It must be given
what has arrived before it is told that time has passed: news that waits unread is not silence.

It goes through these phases:

    ASKING     INFO is asked for, again and again: where is the event stream?
    LISTENING  The stream's socket is new. Its first word proves that the subscription has
               reached the registry, so that nothing after this moment is missed unnoticed.
    FETCHING   What is not known yet is asked for, while the stream's events are kept (`fetching`).
    LIVE       Each event has the seq after the one before.

A hole in the numbering leads from LIVE to FETCHING and back: nothing is lost (P3). Where the
history does not reach, or the epoch is another, what was known and what is there are compared: the
difference is yielded, marked as such (P4). Silence for three ticks, and `bye`, lead to ASKING. A
lost link by itself removes no device (P6).

What is known, and what is to be handed out, is in `view`. What waits there is bounded: where a
reader is too slow for it, the mirror lets go, and comes back through FETCHING when there is room.

Whatever anybody sends, the mirror raises nothing, grows no further than its limits, and asks no
more often than its pauses allow: it pauses after each request that came to nothing, and what
follows a live view that did not last waits as well (`inquiry`). It goes by the furthest that was
said: a message that is behind what is known is no sign of life (`hearsay`).
"""

import enum
from collections.abc import Callable, Sequence
from random import random
from typing import TypeAlias

import attrs

from ..events.codec import decode_event, decode_reply, decode_request, encode_request
from ..events.errors import AuthenticationError, MessageError
from ..events.messages import ErrorReply, Info, InfoReply, Replay, Request
from ..events.protocol import MAX_DEVICES
from ..events.records import Bye, Cursor, Event, State, Tick
from ..events.text import LONGEST_MESSAGE, printable
from .fetching import MISSED, Fetching, Futile, Outcome, Step
from .hearsay import Hearsay, stream_url
from .inquiry import ATTEMPTS, Inquiry
from .outbox import MAX_WAITING
from .view import View


class Phase(enum.Enum):
    """What the mirror is busy with."""

    ASKING = "asking"
    LISTENING = "listening"
    FETCHING = "fetching"
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
        view: What is known, and is to be handed out: for others to read and to take from.
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
        self.view = View(since, device_type=device_type, existing=existing, max_waiting=max_waiting)
        self.view.trouble = f"no registry has answered yet at {url}"
        self.discarded = 0
        self._url = url
        self._events_url = events_url
        self._actions: list[Action] = []
        self._heard = Hearsay()
        self._inquiry = Inquiry(jitter)
        self._fetching = Fetching(url, self.view, self._heard, self._inquiry)
        self._refusal: AuthenticationError | None = None
        self._trusted = True  # whether the stream's present socket may be taken up again

    # --- what to do ---------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin. Called once, before anything else."""
        self.view.state_since = now
        self._inquiry.plan(Info(), now)
        self._ask_if_due(now)

    def actions(self) -> list[Action]:
        """What to do now, in order."""
        actions, self._actions = self._actions, []
        return actions

    def next_deadline(self) -> float:
        """When `advance` has something to do, if nothing arrives until then."""
        silence = None if self.phase is Phase.ASKING else self._heard.silent_at
        ask_at = self._inquiry.ask_at if self._may_ask else None
        deadlines = (self._inquiry.reply_due, ask_at, silence)
        return min(deadline for deadline in deadlines if deadline is not None)

    @property
    def has_news(self) -> bool:
        """Whether there is something to hand on, or to be told by `take_refusal`."""
        return self.view.waiting > 0 or self._refusal is not None

    def take_refusal(self) -> AuthenticationError | None:
        """Why there is no view, if that is on account of a key and was not told yet."""
        refusal, self._refusal = self._refusal, None
        return refusal

    # --- what has happened --------------------------------------------------------------------

    def stream_received(self, frames: Sequence[bytes], now: float) -> bool:
        """Take in a message of the event stream, whatever it is.

        Returns:
            Whether that was all: the view is live, as it was before, and there is nothing to do but
            to hand on what is new, until `next_deadline()`.
        """
        try:
            message = decode_event(frames)
        except MessageError:
            self.discarded += 1
            return False
        if not self._heard.hear(message, self.view.place, now):
            if self.phase is Phase.FETCHING:
                self._heard.keep(message)
        elif isinstance(message, Bye):
            self._lose("the registry has stopped", now)
        elif self.phase is not Phase.LIVE:
            self._approach(message, now)
        elif self.view.follow(message):
            return True
        else:
            self._fall_behind(message, now)
        self._ask_if_due(now)
        return False

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
        if isinstance(reply, ErrorReply):
            why = printable(f"{reply.message} ({reply.code})", LONGEST_MESSAGE)
            self._retry(f"{self._url} refuses: {why}", now)
        elif self.phase is Phase.FETCHING:
            self._conclude(self._fetching.take(reply, now), now)
        elif isinstance(reply, InfoReply):
            self._listen(reply, now)
        else:
            self._conclude(Step.OTHER, now)
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
        if self.view.state is State.CONNECTING:
            self._refusal = error
        if self.phase is Phase.ASKING:
            self._retry(str(error), now)
        else:
            self._lose(str(error), now)
        self._ask_if_due(now)

    def advance(self, now: float) -> None:
        """Let time pass, once everything that has arrived has been taken in."""
        if self.phase is not Phase.ASKING and now >= self._heard.silent_at:
            self._lose(self._heard.why_silent(self.view.seq), now)
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
    def _may_ask(self) -> bool:
        """Not for more to hand out, while there is too much of it already."""
        return self.phase is not Phase.FETCHING or self.view.has_room

    def _retry(self, why: str, now: float, request: Request | None = None) -> None:
        """Ask again, after a pause; at length, look for the registry anew."""
        self.view.trouble = why
        if self.view.state is State.CONNECTING and not self._inquiry.failures:
            self.view.tell_trouble(now)
        if self.phase is not Phase.ASKING and self._inquiry.failures + 1 >= ATTEMPTS:
            self.phase = Phase.ASKING
            self._trusted = False
            request = Info()
        self._inquiry.plan_after_failure(request or self._inquiry.request, now)

    # --- finding the stream -------------------------------------------------------------------

    def _explain(self, step: str) -> None:
        """Say what it is busy with, unless it has been through that and knows what is wrong."""
        if self._inquiry.failures < ATTEMPTS:
            self.view.trouble = step

    def _listen(self, info: InfoReply, now: float) -> None:
        url = self._events_url or stream_url(self._url, info)
        if url is None:
            self._retry(f"{self._url} does not say where its event stream is", now)
            return
        self.phase = Phase.LISTENING
        self._trusted = True
        self._heard.begin(url, info.tick_interval, self._inquiry.timeout, now)
        self._explain(f"nothing heard yet from the event stream at {self._heard.url}")
        self._actions.append(Listen(url))

    def _approach(self, message: Event | Tick, now: float) -> None:
        """Take the stream's word on the way to a live view."""
        if self.phase is Phase.FETCHING:
            self._conclude(self._fetching.hear(message, now), now)
        elif self._trusted and self.view.has_hole_before(message):
            self._explain(f"fetching from {self._url} what is there")
            self._fetch(message, now)
        elif self._trusted:
            self._go_live(now)
            if not self.view.follow(message):
                self._fall_behind(message, now)

    # --- losing what is missing, and fetching it ----------------------------------------------

    def _depart(self, why: str, now: float) -> None:
        """The view is live no longer."""
        if self._heard.heard_at >= self.view.state_since + self._heard.silence:
            self._inquiry.losses = 0  # it has lasted
        self._inquiry.losses += 1
        self.view.go_stale(why, now)

    def _lose(self, why: str, now: float) -> None:
        """Find the registry again. The devices stay (P6)."""
        if self.phase is Phase.LIVE:
            self._depart(why, now)
            self.phase = Phase.ASKING
            self._inquiry.plan_after_loss(Info(), now)
        elif self.phase is not Phase.ASKING:
            self.phase = Phase.ASKING
            self._retry(why, now, Info())

    def _fall_behind(self, message: Event | Tick, now: float) -> None:
        """The stream has gone on, and the view cannot follow it to this message."""
        if self.view.has_hole_before(message):
            why = MISSED
        elif self.view.full:
            why = f"the reader is too slow; {self.view.waiting} events wait for it"
        else:
            why = f"{self._url} shows more than {MAX_DEVICES} devices"
        self._depart(why, now)
        self._fetch(message, now)

    def _fetch(self, message: Event | Tick, now: float) -> None:
        self.phase = Phase.FETCHING
        self._inquiry.plan_after_loss(self._fetching.begin(message), now)

    def _conclude(self, outcome: Outcome, now: float) -> None:
        """Go on from what has become of a reply, or of a message, while fetching."""
        if isinstance(outcome, Futile):
            self._retry(outcome.why, now, self._fetching.begin_anew())
        elif outcome is Step.DONE:
            self._go_live(now)
        elif outcome is Step.OTHER:
            self._retry(f"{self._url} has no event stream; is it an older registry?", now)

    def _go_live(self, now: float) -> None:
        self.phase = Phase.LIVE
        self._refusal = None
        self._inquiry.failures = 0
        self._inquiry.cancel()
        self._fetching.end()
        self.view.go_live(now)
