"""The registry, as a state machine: requests and time in, replies and events out.

Theory of operation
===================

The core holds who is present and decides what every request means; it has no socket, clock,
log or thread. Whoever drives it (`service` and `loop`, or a test) does six things:

* says when it wakes up, if it has been asleep: `attend(now)`;
* gives it each request, with the time: `handle(request, now)`;
* tells it that time has passed: `expire(now)` for leases, `tick(now)` for ticks and greetings, at
  `next_deadline()` at the latest; and sends the markers that `expire` asks for;
* has each `change` kept by the journal, if it has one, or takes it back with `revert`;
* publishes the events that these return, in order, *before* it sends the reply;
* keeps `wall_offset` up to date.

`now` is in seconds and may start anywhere, but must never run backwards: a monotonic clock.
Leases and ticks know no other; when exactly a lease ends is the business of `fairness`.
`wall_offset` is what to add to `now` to get the time of day; it dates events for people and
decides nothing, so that setting a clock expires nobody (P8); nor does it ever date an event before
the one before.

Every coming and going is an event and has the next `seq`, without holes (P1). `_enter` and `_leave`
are the only places that make one, and, with `_renew`, which may give a lease another length, the
only ones that change what is to be kept. Each notes how to undo what it did. A change is settled by
the next one; until then `revert` undoes it, and it is as if it had never been: for a request it is
all or nothing, as it is in the journal. What displaces
whom is settled in `_register`, in this order: whoever is at the address leaves (or, without
`displace`, stays, and the request is refused), then, with `overwrite`, whoever has the name, and
only then a free name is looked for; so a device that starts again at its address under its name
keeps both (P9).

No request costs more than O(log n) for n devices (see `leases`, `names`, `registrations`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final, assert_never
from uuid import uuid4

import attrs
from attrs import validators

from ..events.messages import (
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
    DEFAULT_HISTORY,
    DEFAULT_LEASE,
    DEFAULT_TICK_INTERVAL,
    MAX_PAGE,
    MAX_TICK_INTERVAL,
    MIN_TICK_INTERVAL,
    PROTOCOL_VERSION,
    ErrorCode,
    Reason,
    RequestName,
)
from ..events.records import Added, Bye, Device, Event, Removed, Tick
from ..events.text import printable
from .fairness import FairLeases
from .history import History
from .journal import Change, Past, Registration
from .registrations import Registrations

GREETING_INTERVAL: Final = 0.01
"""Seconds between greetings: each goes to all subscribers, however many join at once."""

EXPIRED_PER_CALL: Final = 200
"""Leases that one `expire` looks at, so that a crowd of them does not hold up renewals."""

RETRY: Final = 1.0
"""Seconds until the end of a lease, which could not be kept in the journal, is tried again."""

_MAX_HISTORY: Final = 10_000_000

_JITTER: Final = 1.0
"""Seconds by which the time of day may seem to run backwards though nobody has set the clock."""


@attrs.frozen(kw_only=True)
class CoreSettings:
    """What a core may be told about its task.

    Attributes:
        tick_interval: Seconds between ticks, 0.01 to 3600.
        history: Events kept for replay, 0 to 10 million.
        events_port: TCP port of the event stream, for INFO.
    """

    tick_interval: float = attrs.field(
        default=DEFAULT_TICK_INTERVAL,
        converter=float,
        validator=[validators.ge(MIN_TICK_INTERVAL), validators.le(MAX_TICK_INTERVAL)],
    )
    history: int = attrs.field(
        default=DEFAULT_HISTORY,
        validator=[validators.instance_of(int), validators.ge(0), validators.le(_MAX_HISTORY)],
    )
    events_port: int = attrs.field(
        default=0,
        validator=[validators.instance_of(int), validators.ge(0), validators.le(65_535)],
    )


def _random_uuid() -> str:
    return str(uuid4())


class RegistryCore:
    """Who is present. One thread at a time may use it; `devices` may be read from any.

    Args:
        epoch: Names this life of the numbering; never used before.
        now: The time at which the registry starts, in seconds on a monotonic clock.
        settings: See `CoreSettings`.
        new_uuid: Draws the secret of a registration.
        watchful: Whether the driver calls `attend` and sends markers. One that does not, such as
            a test on a virtual clock, is believed to be always at work and to have handled, by
            the time it calls `expire`, whatever had arrived.

    Attributes:
        seq: Number of the latest event, 0 before the first.
        wall_offset: Seconds to add to `now` to get the time since 1970.
    """

    def __init__(
        self,
        epoch: str,
        now: float,
        settings: CoreSettings | None = None,
        new_uuid: Callable[[], str] = _random_uuid,
        *,
        watchful: bool = False,
    ) -> None:
        self.epoch = epoch
        self.settings = settings or CoreSettings()
        self.seq = 0
        self.wall_offset = 0.0
        self._started = now
        self._next_tick = now + self.settings.tick_interval
        self._last_tick = -math.inf
        self._greet_at = math.inf
        self._latest_time = -math.inf
        self._new_uuid = new_uuid
        self._registrations = Registrations()
        self._leases = FairLeases(now, watchful=watchful)
        self._history = History(self.settings.history)
        # What the latest request, or the passing of time, has changed.
        self._events: list[Event] = []
        self._kept: list[Registration] = []
        self._undo: list[Callable[[], None]] = []

    def restore(self, past: Past, now: float) -> None:
        """Go on from what an earlier run has left: every lease starts anew, in full.

        Called before anything else, with the past of this epoch.
        """
        self.seq = past.seq
        events = past.events[-self.settings.history :] if self.settings.history else ()
        self._history = History(self.settings.history, past.seq - len(events))
        for event in events:
            self._history.append(event)
            self._latest_time = event.time
        for registration in past.registrations:
            self._registrations.put(registration)
            self._leases.set(registration.uuid, registration.lease, now)

    @property
    def devices(self) -> dict[str, Device]:
        """The devices present, by name: a copy. May be read from any thread."""
        return self._registrations.devices

    @property
    def away(self) -> float:
        """Seconds for which the driver was held up, in total: every lease was given that time."""
        return self._leases.away

    def attend(self, now: float) -> None:
        """Say that the driver has woken up, as it had promised to by `next_deadline()`."""
        leases = self._leases
        if now - leases.seen > leases.tolerance:
            leases.attend(now, self.next_deadline())
        leases.seen = now

    def handle(self, request: Request, now: float) -> tuple[Reply, list[Event]]:
        """Answer a request, and say what happened: publish the events, then send the reply.

        Where a journal is kept, `change` comes before both.
        """
        self._settle()
        leases = self._leases
        if now - leases.seen > leases.tolerance:
            leases.attend(now)  # held up just now: it shall not lengthen what this request grants
        leases.seen = now
        match request:
            case CheckAlive():
                return self._check_alive(request, now), []
            case Register():
                return self._register(request, now)
            case Unregister():
                return self._unregister(request, now)
            case Info():
                return self._info(now), []
            case Snapshot():
                return self._snapshot(request), []
            case Replay():
                return self._replay(request), []
            case UnknownRequest():
                return Unsupported(request.req_event), []
            case _:
                assert_never(request)

    def expire(self, now: float, *, drained: bool = True) -> list[Event]:
        """Remove devices whose lease has ended for sure, as far as `EXPIRED_PER_CALL` goes.

        While `next_deadline` is past, there may be more: call it again.

        Args:
            now: The time.
            drained: Whether no request was left to be read just now.
        """
        self._settle()
        for uuid in self._leases.expired(now, EXPIRED_PER_CALL, drained=drained):
            self._leave(self._registrations.by_uuid[uuid], Reason.EXPIRED, RETRY, now)
        return list(self._events)

    @property
    def change(self) -> Change | None:
        """What the latest `handle` or `expire` has changed, if anything."""
        return Change(tuple(self._events), tuple(self._kept)) if self._undo else None

    def revert(self) -> None:
        """Undo that change, as it could not be kept. Its events have never happened.

        Leases that had ended do so again after `RETRY`.
        """
        self.seq -= len(self._events)
        for undo in reversed(self._undo):
            undo()
        self._events, self._kept, self._undo = [], [], []

    def _settle(self) -> None:
        """The latest change will not be undone any more."""
        if self._undo:
            for event in self._events:
                self._history.append(event)
            self._events, self._kept, self._undo = [], [], []

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

    def _check_alive(self, request: CheckAlive, now: float) -> Ack:
        registration = self._registrations.by_uuid.get(request.uuid)
        if registration is not None:
            self._renew(registration, request.alive_timeout, now)
        return Ack(RequestName.CHECK_ALIVE, registration is not None)

    def _unregister(self, request: Unregister, now: float) -> tuple[Ack, list[Event]]:
        registration = self._registrations.by_uuid.get(request.uuid)
        if registration is not None:
            self._cancel(registration, Reason.UNREGISTERED, now)
        return Ack(RequestName.UNREGISTER, registration is not None), list(self._events)

    def _register(
        self, request: Register, now: float
    ) -> tuple[RegisterAck | ErrorReply, list[Event]]:
        by_name, here = self._registrations.by_name, self._registrations.by_addr.get(request.addr)
        if here is not None:
            again = request.instance is not None and here.request.instance == request.instance
            if again and _asks_for_what_it_has(request, here):
                return self._register_ack(self._renew(here, _lease(request), now)), []
            if not (again or request.displace):
                return _occupied(here.device), []
            self._cancel(here, Reason.REPLACED, now)
        if request.overwrite and request.name in by_name:
            self._cancel(by_name[request.name], Reason.REPLACED, now)
        name = self._registrations.free_name(request.name, request.device_type)
        registration = self._enter(request, name, now)
        return self._register_ack(registration), list(self._events)

    def _register_ack(self, registration: Registration) -> RegisterAck:
        return RegisterAck(
            name=registration.device.name,
            uuid=registration.uuid,
            epoch=self.epoch,
            seq=self.seq,
            alive_timeout=registration.lease,
        )

    def _info(self, now: float) -> InfoReply:
        return InfoReply(
            version=PROTOCOL_VERSION,
            epoch=self.epoch,
            seq=self.seq,
            devices=len(self._registrations),
            tick_interval=self.settings.tick_interval,
            uptime=now - self._started,
            history=self.settings.history,
            events_port=self.settings.events_port,
        )

    def _snapshot(self, request: Snapshot) -> SnapshotReply:
        page, more = self._registrations.page(request.after, min(request.limit, MAX_PAGE))
        return SnapshotReply(self.epoch, self.seq, page, page[-1].revision if more else None)

    def _replay(self, request: Replay) -> EventsReply | CompactedReply:
        events = None
        if request.epoch == self.epoch:
            events = self._history.after(request.after, min(request.limit, MAX_PAGE))
        if events is None:
            return CompactedReply(self.epoch, self.seq, self._history.oldest)
        return EventsReply(self.epoch, self.seq, events)

    # --- changes ------------------------------------------------------------------------------

    def _enter(self, request: Register, name: str, now: float) -> Registration:
        self.seq += 1
        time = self._time(now)
        device = Device(
            name, request.device_type, request.addr, self.seq, time, request.metadata or {}
        )
        registration = Registration(device, self._new_uuid(), _lease(request), request)
        self._registrations.put(registration)
        self._leases.set(registration.uuid, registration.lease, now)
        self._undo.append(partial(self._take_out, registration))
        self._kept.append(registration)
        self._events.append(Added(self.epoch, self.seq, time, device))
        return registration

    def _cancel(self, registration: Registration, reason: Reason, now: float) -> None:
        """Let a registration end before its lease does."""
        left = self._leases.left(registration.uuid, now)
        self._leases.cancel(registration.uuid)
        self._leave(registration, reason, left, now)

    def _leave(self, registration: Registration, reason: Reason, left: float, now: float) -> None:
        """Take a registration whose lease is gone out of the registry; undone, it has `left`."""
        self.seq += 1
        self._registrations.remove(registration)
        self._undo.append(partial(self._put_in, registration, left, now))
        self._events.append(
            Removed(self.epoch, self.seq, self._time(now), registration.device, reason)
        )

    def _renew(self, registration: Registration, seconds: float, now: float) -> Registration:
        if seconds != registration.lease:
            # Renewing as such needs no keeping: at the length that it had, it counts all the same.
            left = max(self._leases.left(registration.uuid, now), registration.lease)
            self._undo.append(partial(self._put_in, registration, left, now))
            registration = attrs.evolve(registration, lease=seconds)
            self._registrations.put(registration)
            self._kept.append(registration)
        self._leases.set(registration.uuid, seconds, now)
        return registration

    def _put_in(self, registration: Registration, left: float, now: float) -> None:
        self._registrations.put(registration)
        self._leases.set(registration.uuid, left, now)

    def _take_out(self, registration: Registration) -> None:
        self._registrations.remove(registration)
        self._leases.cancel(registration.uuid)

    def _time(self, now: float) -> float:
        """The time of day, which runs backwards only where the clock was set back."""
        time = round(now + self.wall_offset, 6)
        if not 0.0 < self._latest_time - time < _JITTER:
            self._latest_time = time
        return self._latest_time


def _lease(request: Register) -> float:
    return DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout


def _asks_for_what_it_has(request: Register, here: Registration) -> bool:
    """Whether a request from the instance registered here is to change nothing.

    Its answer was lost, and it asks again; or an earlier form of the request, in which it wished
    for a name instead of claiming the one it got, comes late.
    """
    of_old = attrs.evolve(request, displace=here.request.displace)
    if of_old == here.request:
        return True
    of_old = attrs.evolve(of_old, name=here.request.name, overwrite=here.request.overwrite)
    return of_old == here.request and request.name == here.device.name


def _occupied(holder: Device) -> ErrorReply:
    return ErrorReply(
        RequestName.REGISTER,
        ErrorCode.OCCUPIED,
        printable(f"{holder.addr} is the address of the {holder.device_type} {holder.name!r} now"),
    )
