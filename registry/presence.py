"""A device's presence, as a state machine: replies and time in, requests and changes out.

Theory of operation
===================

The presence makes every decision of a device that wants to stay registered, and has no socket,
clock, thread or log. Whoever drives it (`announce`, `aio`, or a test) gives it the reply to its
latest request, `reply_received`, lets time pass, `advance`, at `next_deadline()` at the latest,
and after each of these sends what `actions()` says and tells what `changes()` gives. It must be
given a reply that has arrived before it is told that time has passed; and no reply before what
`actions()` says is sent.

There is at most one request under way. It is asked again when its time is up, on a new socket:
the shell gives up on the old one, so no reply but the latest request's can ever arrive. Until
then it stays where it is, so that ZeroMQ can deliver it the moment a registry is back; there is
no time at which nothing waits to be delivered. The time that a request gets is short enough that
two lost renewals end no lease; after that it grows, to spare a registry in trouble, and because
a link may be slow; and jitter spreads out the requests of many devices.

Repeating is harmless: the same `instance` gets the same registration. The device first registers
as it wished. From then on it claims the name that it was given, takes nothing from anybody
(`overwrite` and `displace` false), and so has its own name back after the registry has forgotten
everybody. Three things may be in the way when it comes back:

    the name is another's     It takes the next free one, and keeps that.
    the address is another's  Another instance of the same device, most likely, started later.
                              It stands by: once a lease it asks whether the other has gone.
    the registry says no      It asks again, at longer and longer intervals; so it does where it
                              is not let in any more, as its key was revoked, say.

While it stands by it first asks the registry how long that has been up: after a restart whoever
was registered comes first, or the two would change places.
"""

import enum
import math
from collections.abc import Callable, Sequence
from random import random
from typing import Final

import attrs
from msgspec.structs import replace

from ..events.codec import decode_reply, encode_request
from ..events.errors import (
    AuthenticationError,
    DevicewatchError,
    MessageError,
    RequestRefused,
)
from ..events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Reply,
    Request,
    Unregister,
    Unsupported,
)
from ..events.protocol import DEFAULT_LEASE, MAX_LEASE, MIN_LEASE, ErrorCode
from ..events.text import LONGEST_MESSAGE, printable
from .refusal import refusal

RENEWALS_PER_LEASE: Final = 3
"""A lease is renewed when a third of it has passed."""

ATTEMPTS_PER_LEASE: Final = 4
"""A quarter of the lease is the longest that a renewal waits for its reply: 1/3 + 1/4 + 1/4 < 1,
so two may get lost."""

REPLY_TIMEOUT: Final = 5.0
LONGEST_TIMEOUT: Final = 10.0
"""Seconds until a request without a reply is repeated, at first and in the end."""

LEAVE_TIMEOUT: Final = 1.0
"""Seconds to wait, on the way out, for each of at most two replies."""


_PASSING: Final = (ErrorCode.UNAVAILABLE, ErrorCode.TOO_MANY, ErrorCode.TOO_FAST)


class PresenceState(enum.StrEnum):
    """How a device stands with its registry."""

    REGISTERING = "registering"
    """Not registered, and just now asking to be."""
    PRESENT = "present"
    """Registered, as far as the device can know: its lease has not ended unrenewed."""
    UNREACHABLE = "unreachable"
    """No registry answers, and the lease, if there was one, has ended. It keeps trying."""
    DISPLACED = "displaced"
    """Another instance is registered from its address. It stands by until that has gone."""
    REFUSED = "refused"
    """The registry refuses the device. If that was not at the start, it keeps trying."""
    LEFT = "left"
    """All is over."""


@attrs.frozen
class PresenceStatus:
    """How a device stands with its registry, at one moment.

    Attributes:
        state: See `PresenceState`.
        name: The name that the registry gave, or gave last; "" before it gave one.
        previous_name: The name before that; "" if there was none.
        why: In words for people; empty when all is as it should be.
    """

    state: PresenceState
    name: str = ""
    previous_name: str = ""
    why: str = ""

    @property
    def registered(self) -> bool:
        """Whether the device holds a registration, as far as it knows."""
        return self.state is PresenceState.PRESENT


class Presence:
    """One device's presence at one registry. Times are in seconds on a monotonic clock.

    Args:
        request: How to register at first, with an `instance`.
        url: The registry's address, for words.
        jitter: Gives numbers from 0 to 1, which spread out the requests of many devices.

    Attributes:
        status: How the device stands with the registry. May be read from any thread.
        error: Why the registry did not take the device at the start; None if it did, or has yet
            to answer.
        ended: Whether all is over: no more requests, no deadline.
    """

    def __init__(
        self, request: Register, url: str, *, jitter: Callable[[], float] = random
    ) -> None:
        self.status = PresenceStatus(
            PresenceState.REGISTERING, why=f"no registry has answered yet at {url}"
        )
        self.error: DevicewatchError | None = None
        self.ended = False
        self._url = url
        self._jitter = jitter
        self._register = request
        self._was_registered = False
        self._uuid: str | None = None
        self._lease = _sensible(request.alive_timeout)
        self._lease_ends = -math.inf
        self._unanswered: Request | None = None
        self._asked_at = 0.0
        self._next: Request = request
        self._due = math.inf
        self._failures = 0
        self._leaving = False
        self._actions: list[bytes] = []
        self._changes: list[PresenceStatus] = []

    def start(self, now: float) -> None:
        """Begin. Called once, before anything else.

        Raises:
            MessageError: The device's description cannot be written as JSON.
        """
        self._ask(self._register, now)

    # --- out ----------------------------------------------------------------------------------

    def actions(self) -> list[bytes]:
        """The requests to send now, in order; each gives up on the one before."""
        actions, self._actions = self._actions, []
        return actions

    def changes(self) -> list[PresenceStatus]:
        """What there is to tell the owner, in order: each has a new state or a new name."""
        changes, self._changes = self._changes, []
        return changes

    def next_deadline(self) -> float:
        """When `advance` has something to do, if nothing arrives until then."""
        return self._due

    # --- in -----------------------------------------------------------------------------------

    def reply_received(self, frames: Sequence[bytes], now: float) -> None:
        """Take in the reply to the latest request, whatever it is."""
        request, self._unanswered = self._unanswered, None
        if request is None:
            return  # nothing was asked
        try:
            reply = self._read(frames)
        except MessageError as error:
            self._fail(error, now)
            return
        if self._leaving:
            self._take_leave(request, reply, now)
            return
        match request, reply:
            case Register(), RegisterAck():
                self._registered(reply)
            case CheckAlive(), Ack(success=True):
                self._renewed(self._lease)
            case CheckAlive(), Ack(success=False):
                self._forgotten(now)
            case Register(), ErrorReply(code=ErrorCode.OCCUPIED) if self._was_registered:
                self._become(PresenceState.DISPLACED, printable(reply.message, LONGEST_MESSAGE))
                self._stand_by(now)
            case Info(), InfoReply(uptime=uptime) if uptime < self._lease:
                self._stand_by(now)
            case Info(), InfoReply() | ErrorReply() | Unsupported():
                self._ask(self._register, now)
            case _:
                self._fail(refusal(reply, self._url), now)

    def not_let_in(self, error: AuthenticationError, now: float) -> None:
        """Take in that the registry cannot be asked, on account of a key."""
        self._unanswered = None
        self._lease_ends = -math.inf  # whoever's key was taken away is not registered any more
        self._fail(error, now)

    def _read(self, frames: Sequence[bytes]) -> Reply:
        reply = decode_reply(frames)
        if isinstance(reply, RegisterAck) and not reply.name.isprintable():
            # No registry would take it back. This one is broken, or none.
            why = f"{self._url} gives a name that does not print: {reply.name}"
            raise MessageError(ErrorCode.INVALID, why)
        return reply

    def advance(self, now: float) -> None:
        """Let time pass, once the reply that may have arrived has been taken in."""
        if now < self._due:
            return
        if self._leaving:
            lost = isinstance(self._unanswered, Unregister)
            self._end(_left_behind(f"no answer from {self._url}") if lost else "")
            return
        if self._unanswered is not None:
            self._failed(PresenceState.UNREACHABLE, f"no answer from {self._url}", now)
        self._ask(self._next, now)

    def leave(self, now: float) -> None:
        """Unregister. It is over when `ended`, after two seconds at the most."""
        if self.ended or self._leaving:
            return
        self._leaving = True
        if self._uuid is not None:
            self._unregister(self._uuid, now)
        elif isinstance(self._unanswered, Register):
            # The registry may have done its part. Its answer has what it takes to undo that.
            self._due = now + LEAVE_TIMEOUT
        else:
            self._end("")

    def abandon(self, why: str) -> None:
        """Nothing can be sent any more: it is over, and the lease will end by itself."""
        if not self.ended:
            self._end(why)

    # --- asking -------------------------------------------------------------------------------

    def _ask(self, request: Request, now: float) -> None:
        self._actions.append(encode_request(request))
        self._unanswered = self._next = request
        self._asked_at = now
        self._due = now + self._patience()

    def _patience(self) -> float:
        """Seconds until the latest request is made again."""
        seconds = min(REPLY_TIMEOUT, self._lease / ATTEMPTS_PER_LEASE)
        seconds *= 1 << max(0, self._failures - 2)
        return min(seconds, LONGEST_TIMEOUT) * (1 - self._jitter() / 4)

    def _fail(self, error: AuthenticationError | MessageError | RequestRefused, now: float) -> None:
        """What came was no answer, or not the one hoped for."""
        refused = not isinstance(error, MessageError)
        state = PresenceState.REFUSED if refused else PresenceState.UNREACHABLE
        if self._leaving:
            self._end(_left_behind(str(error)))
        elif not self._was_registered and not _may_pass(error):
            self.error = error
            self._end(str(error), PresenceState.REFUSED)
        else:
            self.error = None if self._was_registered else error
            self._failed(state, str(error), now)
            self._due = now + self._patience()

    def _failed(self, state: PresenceState, why: str, now: float) -> None:
        self._failures = min(self._failures + 1, 20)
        standing_by = self.status.state is PresenceState.DISPLACED
        if now >= self._lease_ends and not standing_by:
            self._become(state, why)

    # --- being present ------------------------------------------------------------------------

    def _registered(self, ack: RegisterAck) -> None:
        lease = min(self._lease, DEFAULT_LEASE)  # an older registry's first, and it says nothing
        if ack.alive_timeout is not None:
            lease = self._lease = _sensible(ack.alive_timeout)
        self._was_registered = True
        self.error = None
        self._uuid = ack.uuid
        self._register = replace(self._register, name=ack.name, overwrite=False, displace=False)
        before = self.status.name
        other = before not in ("", ack.name)
        why = f"another device has taken the name {before!r}" if other else ""
        self._become(PresenceState.PRESENT, why, ack.name)
        self._renewed(lease)

    def _renewed(self, lease: float) -> None:
        """The registry has granted a lease: count from when it was asked to."""
        self._failures = 0
        self._lease_ends = self._asked_at + lease
        self._next = CheckAlive(self._uuid or "", self._lease)
        self._due = self._asked_at + lease / RENEWALS_PER_LEASE
        if not self.status.registered:
            self._become(PresenceState.PRESENT, "")

    def _forgotten(self, now: float) -> None:
        self._uuid = None
        self._lease_ends = -math.inf
        self._become(
            PresenceState.REGISTERING,
            "the registry no longer knows the device: it was restarted, or did not hear from it "
            "in time, or another device took the name or the address",
        )
        self._ask(self._register, now)

    def _stand_by(self, now: float) -> None:
        self._failures = 0
        self._next = Info()
        self._due = now + self._lease * (0.75 + self._jitter() / 2)

    # --- the end ------------------------------------------------------------------------------

    def _unregister(self, uuid: str, now: float) -> None:
        self._ask(Unregister(uuid), now)
        self._due = now + LEAVE_TIMEOUT

    def _take_leave(self, request: Request, reply: Reply, now: float) -> None:
        if isinstance(request, Register) and isinstance(reply, RegisterAck):
            self._unregister(reply.uuid, now)
        elif isinstance(request, Unregister) and not isinstance(reply, Ack):
            self._fail(refusal(reply, self._url), now)
        else:
            self._end("")

    def _end(self, why: str, state: PresenceState = PresenceState.LEFT) -> None:
        self.ended = True
        self._uuid = self._unanswered = None
        self._due = math.inf
        self._become(state, why)

    def _become(self, state: PresenceState, why: str, name: str | None = None) -> None:
        old = self.status
        name = old.name if name is None else name
        previous = old.previous_name if name == old.name else old.name
        self.status = PresenceStatus(state, name, previous, why)
        if (state, name) != (old.state, old.name):
            self._changes.append(self.status)


def _sensible(lease: float | None) -> float:
    """A lease as the protocol allows it, whatever somebody said."""
    return min(max(DEFAULT_LEASE if lease is None else lease, MIN_LEASE), MAX_LEASE)


def _may_pass(error: DevicewatchError) -> bool:
    """Whether it says that asking again, later, will do."""
    return isinstance(error, RequestRefused) and error.code in _PASSING


def _left_behind(why: str) -> str:
    return f"could not unregister, so the lease will have to end: {why}"
