"""The registry, as a state machine: requests and time in, replies and events out.

Theory of operation
===================

The core holds who is present and decides what every request means; it has no socket, clock,
log or thread. Whoever drives it (`server`, or a test) does five things:

* says when it wakes up, if it has been asleep: `attend(now)`;
* gives it each request, with the time: `handle(request, now)`;
* tells it that time has passed: `expire(now)` for leases, `tick(now)` for ticks and greetings, at
  `next_deadline()` at the latest; and sends the markers that `expire` asks for;
* publishes the events that these return, in order, *before* it sends the reply;
* keeps `wall_offset` up to date.

`now` is in seconds and may start anywhere, but must never run backwards: a monotonic clock.
Leases and ticks know no other; when exactly a lease ends is the business of `fairness`.
`wall_offset` is what to add to `now` to get the time of day; it dates events for people and
decides nothing, so that setting a clock expires nobody (P8); nor does it ever date an event before
the one before.

Every change is an event and has the next `seq`, without holes (P1). A registration is known by
its name, its address, its uuid and its revision, each in an index of its own; `_enter` and
`_leave` are the only places that touch them, and each makes exactly one event. What displaces
whom is settled in `_register`, in this order: whoever is at the address leaves (or, without
`displace`, stays, and the request is refused), then, with `overwrite`, whoever has the name, and
only then a free name is looked for; so a device that starts again at its address under its name
keeps both (P9).

No request costs more than O(log n) for n devices (see `leases`, `names`; the index by revision
is sorted, for paging).
"""

import math
from collections.abc import Callable
from itertools import islice
from typing import Final, assert_never
from uuid import uuid4

import attrs
from attrs import validators
from sortedcontainers import SortedDict

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
from .fairness import FairLeases
from .history import History
from .names import NumberedNames

GREETING_INTERVAL: Final = 0.01
"""Seconds between greetings: each goes to all subscribers, however many join at once."""

EXPIRED_PER_CALL: Final = 200
"""Leases that one `expire` looks at, so that a crowd of them does not hold up renewals."""

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


@attrs.frozen(eq=False)
class _Registration:
    device: Device
    uuid: str = attrs.field(repr=False)
    alive_timeout: float
    request: Register


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
        self._by_name: dict[str, _Registration] = {}
        self._by_addr: dict[str, _Registration] = {}
        self._by_uuid: dict[str, _Registration] = {}
        self._by_revision: SortedDict[int, _Registration] = SortedDict()
        self._numbered = NumberedNames()
        self._leases = FairLeases(now, watchful=watchful)
        self._history = History(self.settings.history)

    @property
    def devices(self) -> dict[str, Device]:
        """The devices present, by name: a copy. May be read from any thread."""
        # Copying a dict of strings is one step to other threads; a comprehension over it is not.
        present = self._by_name.copy()
        return {name: registration.device for name, registration in present.items()}

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
        """Answer a request, and say what it changed: publish the events, then send the reply."""
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
        return [
            self._leave(self._by_uuid[uuid], Reason.EXPIRED, now)
            for uuid in self._leases.expired(now, EXPIRED_PER_CALL, drained=drained)
        ]

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
        known = request.uuid in self._by_uuid
        if known:
            self._leases.set(request.uuid, request.alive_timeout, now)
        return Ack(RequestName.CHECK_ALIVE, known)

    def _unregister(self, request: Unregister, now: float) -> tuple[Ack, list[Event]]:
        registration = self._by_uuid.get(request.uuid)
        if registration is None:
            return Ack(RequestName.UNREGISTER, False), []
        self._leases.cancel(registration.uuid)
        event = self._leave(registration, Reason.UNREGISTERED, now)
        return Ack(RequestName.UNREGISTER, True), [event]

    def _register(
        self, request: Register, now: float
    ) -> tuple[RegisterAck | ErrorReply, list[Event]]:
        here = self._by_addr.get(request.addr)
        events: list[Event] = []
        if here is not None:
            again = request.instance is not None and here.request.instance == request.instance
            if again and _asks_for_what_it_has(request, here):
                self._leases.set(here.uuid, here.alive_timeout, now)
                return self._register_ack(here), []
            if not (again or request.displace):
                return _occupied(here.device), []
            events.append(self._displace(here, now))
        if request.overwrite and request.name in self._by_name:
            events.append(self._displace(self._by_name[request.name], now))
        registration, added = self._enter(request, self._free_name(request), now)
        events.append(added)
        return self._register_ack(registration), events

    def _register_ack(self, registration: _Registration) -> RegisterAck:
        return RegisterAck(
            name=registration.device.name,
            uuid=registration.uuid,
            epoch=self.epoch,
            seq=self.seq,
            alive_timeout=registration.alive_timeout,
        )

    def _free_name(self, request: Register) -> str:
        if not request.name:
            return self._numbered.first_free(request.device_type, 0)
        if request.name in self._by_name:
            return self._numbered.first_free(request.name, 1)
        return request.name

    def _info(self, now: float) -> InfoReply:
        return InfoReply(
            version=PROTOCOL_VERSION,
            epoch=self.epoch,
            seq=self.seq,
            devices=len(self._by_name),
            tick_interval=self.settings.tick_interval,
            uptime=now - self._started,
            history=self.settings.history,
            events_port=self.settings.events_port,
        )

    def _snapshot(self, request: Snapshot) -> SnapshotReply:
        limit = min(request.limit, MAX_PAGE)
        revisions = self._by_revision.irange(request.after, inclusive=(False, True))
        page = [self._by_revision[revision].device for revision in islice(revisions, limit)]
        last = page[-1].revision if page else None
        more = last is not None and last != self._by_revision.peekitem(-1)[0]
        return SnapshotReply(self.epoch, self.seq, page, last if more else None)

    def _replay(self, request: Replay) -> EventsReply | CompactedReply:
        events = None
        if request.epoch == self.epoch:
            events = self._history.after(request.after, min(request.limit, MAX_PAGE))
        if events is None:
            return CompactedReply(self.epoch, self.seq, self._history.oldest)
        return EventsReply(self.epoch, self.seq, events)

    # --- changes ------------------------------------------------------------------------------

    def _enter(self, request: Register, name: str, now: float) -> tuple[_Registration, Added]:
        self.seq += 1
        time = self._time(now)
        device = Device(
            name, request.device_type, request.addr, self.seq, time, request.metadata or {}
        )
        alive_timeout = DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout
        registration = _Registration(device, self._new_uuid(), alive_timeout, request)
        self._by_name[name] = registration
        self._by_addr[device.addr] = registration
        self._by_uuid[registration.uuid] = registration
        self._by_revision[device.revision] = registration
        self._numbered.add(name)
        self._leases.set(registration.uuid, alive_timeout, now)
        event = Added(self.epoch, self.seq, time, device)
        self._history.append(event)
        return registration, event

    def _displace(self, registration: _Registration, now: float) -> Removed:
        self._leases.cancel(registration.uuid)
        return self._leave(registration, Reason.REPLACED, now)

    def _leave(self, registration: _Registration, reason: Reason, now: float) -> Removed:
        """Take a registration whose lease is gone out of the registry."""
        self.seq += 1
        device = registration.device
        del self._by_name[device.name]
        del self._by_addr[device.addr]
        del self._by_uuid[registration.uuid]
        del self._by_revision[device.revision]
        self._numbered.discard(device.name)
        event = Removed(self.epoch, self.seq, self._time(now), device, reason)
        self._history.append(event)
        return event

    def _time(self, now: float) -> float:
        """The time of day, which runs backwards only where the clock was set back."""
        time = round(now + self.wall_offset, 6)
        if not 0.0 < self._latest_time - time < _JITTER:
            self._latest_time = time
        return self._latest_time


def _asks_for_what_it_has(request: Register, here: _Registration) -> bool:
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
        f"{holder.addr} is the address of the {holder.device_type} {holder.name!r} now",
    )
