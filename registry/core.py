"""The registry, as a state machine: requests and time in, replies and events out.

Theory of operation
===================

The core holds who is present and decides what every request means; it has no socket, clock,
log or thread. Whoever drives it (`service` and `loop`, or a test) does seven things:

* says when it wakes up, if it has been asleep, `attend(now)`, and before it goes to sleep,
  `at_work(now)`;
* gives it each request, with the time and whose it is: `handle(request, now, peer)`;
* says which keys are let in, if there are keys, and whenever that changes: `authorize`;
* tells it that time has passed: `expire(now)` for leases, `tick(now)` for ticks and greetings, at
  `next_deadline()` at the latest; and sends the markers that `expire` asks for;
* has each `change` kept by the journal, if it has one, or takes it back with `revert`; or, after
  `hold`, has those of several requests kept as one, then settled or taken back together;
* publishes the events that these return, in order, *before* it sends the reply;
* keeps `wall_offset` up to date.

`now` is in seconds and may start anywhere, but must never run backwards: a monotonic clock.
Leases and ticks know no other; when exactly a lease ends is the business of `fairness`.
`wall_offset` is what to add to `now` to get the time of day; it dates events for people and
decides nothing, so that setting a clock expires nobody (P8); nor does it ever date an event before
the one before.

Who is registered, and how the latest change is undone, is kept in `ledger`. What displaces whom is
settled in `_register`, in this order: whoever is at the address leaves (or, without
`displace`, stays, and the request is refused), then, with `overwrite`, whoever has the name, and
only then a free name is looked for; so a device that starts again at its address under its name
keeps both (P9).

Who may do what is asked of `authority`, before anything is changed; only whether a name is allowed,
and whether there is room, shows when room has been made, which is taken back then. When a key loses
its rights, the leases of what it has no right to end at once: so all that is known of ends, that
they come in small portions and are kept in the journal, holds for these too.

No request costs more than O(log n) for n devices (see `leases`, `names`, `registrations`).
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, assert_never

from msgspec.structs import replace

from ..events.messages import (
    LEFT,
    NOT_LEFT,
    NOT_RENEWED,
    RENEWED,
    Ack,
    CheckAlive,
    CompactedReply,
    ErrorReply,
    EventsReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    UnknownRequest,
    Unregister,
    Unsupported,
)
from ..events.protocol import (
    MAX_PAGE,
    PROTOCOL_VERSION,
    ErrorCode,
    Reason,
    RequestName,
)
from ..events.records import Bye, Device, Event, Tick
from ..events.text import printable
from .authority import Authority, forbidden
from .counts import Counts, Figures
from .fairness import FairLeases
from .journal import Change, Past
from .ledger import Ledger, lease_asked_for
from .registrations import Holder
from .security import Grants
from .settings import CoreSettings
from .uuids import random_uuids

GREETING_INTERVAL: Final = 0.01
"""Seconds between greetings: each goes to all subscribers, however many join at once."""

EXPIRED_PER_CALL: Final = 200
"""Leases that one `expire` looks at, so that a crowd of them does not hold up renewals."""

RETRY: Final = 1.0
"""Seconds until the end of a lease, which could not be kept in the journal, is tried again."""

_JITTER: Final = 1.0
"""Seconds by which the time of day may seem to run backwards though nobody has set the clock."""

# Compiled, what is final here is found without a look into a dict.
_CheckAlive: Final = CheckAlive
_ErrorReply: Final = ErrorReply
_RENEWED: Final = RENEWED


class RegistryCore:
    """Who is present. One thread at a time may use it; `devices` may be read from any.

    Args:
        epoch: Names this life of the numbering; never used before.
        now: The time at which the registry starts, in seconds on a monotonic clock.
        settings: See `CoreSettings`.
        new_uuid: Draws the secret of a registration; None for random UUIDs.
        watchful: Whether the driver calls `attend` and sends markers. One that does not, such as
            a test on a virtual clock, is believed to be always at work and to have handled, by
            the time it calls `expire`, whatever had arrived.

    Attributes:
        wall_offset: Seconds to add to `now` to get the time since 1970.
        refused: How often somebody was turned away on account of a key: by the core, and before a
            request could be made, which the driver counts here.
    """

    def __init__(
        self,
        epoch: str,
        now: float,
        settings: CoreSettings | None = None,
        new_uuid: Callable[[], str] | None = None,
        *,
        watchful: bool = False,
    ) -> None:
        self.epoch = epoch
        self.settings = settings or CoreSettings()
        self.wall_offset = 0.0
        self.refused = 0
        self._started = now
        self._next_tick = now + self.settings.tick_interval
        self._last_tick = -math.inf
        self._greet_at = math.inf
        self._latest_time = -math.inf
        self._new_uuid = new_uuid or partial(next, random_uuids())
        self._authority = Authority(self.settings.limits)
        self._leases = FairLeases[Holder](now, watchful=watchful)
        self._ledger = Ledger(epoch, self._leases, self.settings.history)
        self._registrations = self._ledger.registrations

    def restore(self, past: Past, now: float) -> None:
        """Go on from what an earlier run has left: every lease starts anew, in full.

        Called before anything else, with the past of this epoch.
        """
        self._ledger.restore(past, now)
        if past.events and self.settings.history:
            self._latest_time = past.events[-1].time

    @property
    def seq(self) -> int:
        """Number of the latest event, 0 before the first. May be read from any thread."""
        return self._ledger.seq

    def authorize(self, grants: Grants | None, now: float) -> None:
        """Say which keys are let in from now on, and what they allow; None is everybody, all.

        Registrations that this does not allow any more end, with the reason `revoked`.
        """
        authority = self._authority
        changed = [(holder, authority.may_stay(holder)) for holder in self._concerned(grants)]
        authority.grants = grants
        for holder, was_allowed in changed:
            allowed = authority.may_stay(holder)
            if allowed != was_allowed:
                # One that was revoked, and is still here, begins anew where it is given back.
                self._leases.set(holder, holder.lease if allowed else 0.0, now)

    def _concerned(self, grants: Grants | None) -> Iterator[Holder]:
        """Those whose rights may be others with these keys."""
        before = self._authority.grants
        if before is None or grants is None:
            yield from self._registrations.by_uuid.values()
            return
        for peer, holders in self._registrations.by_peer.items():
            if before.get(peer) != grants.get(peer):
                yield from holders.values()

    @property
    def devices(self) -> dict[str, Device]:
        """The devices present, by name: a copy. May be read from any thread."""
        return self._registrations.devices

    @property
    def away(self) -> float:
        """Seconds for which the driver was held up, in total: every lease was given that time."""
        return self._leases.away

    def figures(self, counts: Counts) -> Figures:
        """How it is doing. May be asked from any thread, and looks at no device.

        Args:
            counts: What the driver has counted.
        """
        types, history = self._registrations.types, self._ledger.history
        return Figures(
            epoch=self.epoch,
            seq=self.seq,
            devices=types.own,
            other_devices=types.others,
            devices_limit=self.settings.limits.devices,
            history=len(history),
            history_limit=history.capacity,
            stalls=self._leases.stalls,
            stalled=self.away,
            refused=self.refused,
            counts=counts,
        )

    def attend(self, now: float) -> None:
        """Say that the driver has woken up, as it had promised to by `next_deadline()`."""
        leases = self._leases
        if now - leases.seen > leases.tolerance:
            leases.attend(now, self.next_deadline())
        leases.seen = now

    def at_work(self, now: float) -> None:
        """Say that the driver, which has been awake, is still at work."""
        leases = self._leases
        if now - leases.seen > leases.tolerance:
            leases.attend(now)
        leases.seen = now

    def handle(
        self, request: Request, now: float, peer: str | None = None
    ) -> tuple[Reply, list[Event]]:
        """Answer a request, and say what happened: publish the events, then send the reply.

        Where a journal is kept, `change` comes before both.

        Args:
            request: What is asked.
            now: The time.
            peer: Whose request it is: a key or, in a registry without keys, the address that it
                comes from. None is the registry's own process, and whoever is not known.
        """
        self._ledger.begin()
        self.at_work(now)  # held up just now, perhaps: it shall not lengthen what this grants
        refusal = None if peer is None else self._authority.refusal(request, peer, now)
        reply: Reply
        events: list[Event] = []
        match request:
            case _ if refusal is not None:
                reply = refusal
            case _CheckAlive():
                reply = self._check_alive(request, now, peer)
            case Register():
                reply, events = self._register(request, now, peer)
            case Unregister():
                reply, events = self._unregister(request, now, peer)
            case Info():
                reply = self._info(now)
            case Snapshot():
                reply = self._snapshot(request)
            case Replay():
                reply = self._replay(request)
            case UnknownRequest():
                reply = Unsupported(request.req_event)
            case _:
                assert_never(request)
        if type(reply) is _ErrorReply and reply.code == ErrorCode.FORBIDDEN:
            self.refused += 1
        return reply, events

    def handle_again(
        self, request: Request, now: float, peer: str | None
    ) -> tuple[Reply, list[Event]]:
        """The same for one that was handled, and taken back: its peer has not asked once more."""
        self._authority.counting = False
        try:
            return self.handle(request, now, peer)
        finally:
            self._authority.counting = True

    def expire(self, now: float, *, drained: bool = True) -> list[Event]:
        """Remove devices whose lease has ended for sure, as far as `EXPIRED_PER_CALL` goes.

        While `next_deadline` is past, there may be more: call it again.

        Args:
            now: The time.
            drained: Whether no request was left to be read just now.
        """
        self._ledger.begin()
        ended = self._leases.expired(now, EXPIRED_PER_CALL, drained=drained)
        if not ended:
            return []
        time, retry_at = self._time(now), now - self.away + RETRY
        for holder in ended:
            allowed = self._authority.may_stay(holder)
            reason = Reason.EXPIRED if allowed else Reason.REVOKED
            self._ledger.leave(holder, reason, retry_at, time)
        return self._ledger.events

    @property
    def unsettled(self) -> bool:
        """Whether there is a `change`."""
        return self._ledger.unsettled

    @property
    def change(self) -> Change | None:
        """What the latest `handle` or `expire` has changed, if anything.

        After `hold`, what all of them have, since the latest `settle`.
        """
        return self._ledger.change

    def hold(self) -> None:
        """From now on a change waits until it is settled, and others may come to it.

        What a request is answered meanwhile is true only once they are.
        """
        self._ledger.holds = True

    def settle(self) -> None:
        """The `change` is kept."""
        self._ledger.settle()

    def revert(self) -> None:
        """Undo what the latest `handle` or `expire` has changed. Its events have never happened.

        Leases that had ended do so again after `RETRY`.
        """
        self._ledger.revert()

    def revert_all(self) -> None:
        """Undo the `change`, as it could not be kept."""
        self._ledger.revert_all()

    def marker_to_send(self) -> int | None:
        """The number of the marker to send now, or None. Ask after each `expire`.

        A marker is sent to the socket that all requests come to, as one more request. When it is
        read there, its number goes to `marker_read`. See `fairness` for what that proves.
        """
        return self._leases.marker_to_send()

    def marker_read(self, number: int) -> None:
        """A marker has arrived where requests do."""
        self._leases.marker_read(number)

    def tick(self, now: float) -> Tick | None:
        """The tick, if one is due, be it out of turn for those who have just subscribed."""
        if now < min(self._next_tick, self._greet_at):
            return None
        if now >= self._next_tick:
            self._next_tick += self.settings.tick_interval
            if self._next_tick <= now:  # after a pause one tick, not all that were missed
                self._next_tick = now + self.settings.tick_interval
        self._last_tick, self._greet_at = now, math.inf
        return Tick(self.epoch, self.seq, self._time(now))

    def subscribed(self, now: float) -> None:
        """Somebody has subscribed: a `tick` is due at once, or soon after the last one.

        It tells them that they have; without it they would wait for the next regular one.
        """
        self._greet_at = min(self._greet_at, max(now, self._last_tick + GREETING_INTERVAL))

    def bye(self, now: float) -> Bye:
        """The last message of an orderly stop."""
        return Bye(self.epoch, self.seq, self._time(now))

    def next_deadline(self) -> float:
        """When to be back at the latest: something is due, if only a look at the clock."""
        tick = min(self._next_tick, self._greet_at)
        lease = self._leases.next_deadline()
        return tick if lease is None else min(lease, tick)

    # --- what each request means ------------------------------------------------------------

    def _check_alive(self, request: CheckAlive, now: float, peer: str | None) -> Ack | ErrorReply:
        holder = self._registrations.by_uuid.get(request.uuid)
        if holder is None:
            return NOT_RENEWED
        if self._authority.grants is not None:
            if not self._authority.may_end(holder, peer):
                return _anothers(request)
            if not self._authority.may_stay(holder):
                return NOT_RENEWED
        self._ledger.renew(holder, request.alive_timeout, now)
        return _RENEWED

    def _unregister(
        self, request: Unregister, now: float, peer: str | None
    ) -> tuple[Ack | ErrorReply, list[Event]]:
        holder = self._registrations.by_uuid.get(request.uuid)
        if holder is None:
            return NOT_LEFT, []
        if not self._authority.may_end(holder, peer):
            return _anothers(request), []
        self._ledger.cancel(holder, Reason.UNREGISTERED, self._time(now))
        return LEFT, self._ledger.events

    def _register(
        self, request: Register, now: float, peer: str | None
    ) -> tuple[RegisterAck | ErrorReply, list[Event]]:
        here = self._registrations.by_addr.get(request.addr)
        named = self._registrations.by_name.get(request.name) if request.overwrite else None
        if here is not None:
            before = here.request
            again = before is not None and before.instance == request.instance
            if before is None or not again or not self._authority.is_of(here, peer):
                if not request.displace:
                    return _occupied(here.device), []
            elif _asks_for_what_it_has(request, before, here.device.name):
                self._ledger.renew(here, lease_asked_for(request), now)
                return self._register_ack(here), []
        for other in (here, named):
            if other is not None and not self._authority.may_end(other, peer):
                return _belongs_to_another(request, other.device), []
        time = self._time(now)
        if here is not None:
            self._ledger.cancel(here, Reason.REPLACED, time)
        if named is not None and named is not here:
            self._ledger.cancel(named, Reason.REPLACED, time)
        name = self._registrations.free_name(request.name, request.device_type)
        held = len(self._registrations.by_peer.get(peer or "", ()))
        total = len(self._registrations)
        error = self._authority.may_not_register(request, name, peer, held, total)
        if error is not None:
            self._ledger.revert()
            return error, []
        uuid = self._new_uuid()
        holder = self._ledger.enter(request, name, uuid, peer or "", now, time)
        return self._register_ack(holder), self._ledger.events

    def _register_ack(self, holder: Holder) -> RegisterAck:
        return RegisterAck(holder.device.name, holder.uuid, self.epoch, self.seq, holder.lease)

    def _info(self, now: float) -> InfoReply:
        return InfoReply(
            version=PROTOCOL_VERSION,
            epoch=self.epoch,
            seq=self.seq,
            devices=len(self._registrations),
            tick_interval=self.settings.tick_interval,
            uptime=now - self._started,
            history=self.settings.history,
            refused=self.refused,
            events_port=self.settings.events_port,
        )

    def _snapshot(self, request: Snapshot) -> SnapshotReply:
        page, more = self._registrations.page(request.after, min(request.limit, MAX_PAGE))
        return SnapshotReply(self.epoch, self.seq, page, page[-1].revision if more else None)

    def _replay(self, request: Replay) -> EventsReply | CompactedReply:
        events = None
        if request.epoch == self.epoch:
            events = self._ledger.after(request.after, min(request.limit, MAX_PAGE))
        if events is None:
            return CompactedReply(self.epoch, self.seq, self._ledger.history.oldest)
        return EventsReply(self.epoch, self.seq, events)

    def _time(self, now: float) -> float:
        """The time of day, which runs backwards only where the clock was set back."""
        time = math.floor((now + self.wall_offset) * 1e6 + 0.5) / 1e6  # round() takes longer
        if not 0.0 < self._latest_time - time < _JITTER:
            self._latest_time = time
        return self._latest_time


def _asks_for_what_it_has(request: Register, before: Register, name: str) -> bool:
    """Whether a request from the instance registered here is to change nothing.

    Its answer was lost, and it asks again; or an earlier form of the request, in which it wished
    for a name instead of claiming the one it got, comes late.

    Args:
        request: What it asks for.
        before: What it had asked for.
        name: The name that it got.
    """
    of_old = replace(request, displace=before.displace)
    if of_old == before:
        return True
    of_old = replace(of_old, name=before.name, overwrite=before.overwrite)
    return of_old == before and request.name == name


def _occupied(holder: Device) -> ErrorReply:
    return ErrorReply(
        RequestName.REGISTER,
        ErrorCode.OCCUPIED,
        printable(f"{holder.addr} is the address of the {holder.device_type} {holder.name!r} now"),
    )


def _belongs_to_another(request: Register, holder: Device) -> ErrorReply:
    return forbidden(
        request,
        f"the {holder.device_type} {holder.name!r} at {holder.addr} belongs to another key; only "
        "that and an admin's may take its place",
    )


def _anothers(request: CheckAlive | Unregister) -> ErrorReply:
    return forbidden(request, "this uuid was given to another key")
