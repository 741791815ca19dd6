"""Who is registered, and what the latest change was, for as long as it may have to be undone.

Each coming and going is an event and has the next `seq`, without holes (P1). `enter` and `leave`
are the only places that make one and, with `renew`, which may give a lease another length, the only
ones that change what is to be kept. Each notes how to undo what it did. A change is settled by the
next one; until then `revert` undoes it, and it is as if it had never been: for a request it is all
or nothing, as it is in the journal.
"""

from collections.abc import Callable
from functools import partial

import attrs

from ..events.messages import Register
from ..events.protocol import DEFAULT_LEASE, Reason
from ..events.records import Added, Device, Event, Removed
from .fairness import FairLeases
from .history import History
from .journal import Change, Past, Registration
from .registrations import Registrations


class Ledger:
    """The registrations, their leases, and the history. Times are on a monotonic clock.

    Args:
        epoch: The life of the numbering.
        leases: When registrations end, by uuid.
        history: How many events to keep.

    Attributes:
        epoch: As given.
        seq: Number of the latest event, 0 before the first.
        registrations: Who is registered. Read it, do not change it.
        leases: As given.
        history: The latest events that are settled.
    """

    def __init__(self, epoch: str, leases: FairLeases, history: int) -> None:
        self.epoch = epoch
        self.seq = 0
        self.registrations = Registrations()
        self.leases = leases
        self.history = History(history)
        self._events: list[Event] = []
        self._kept: list[Registration] = []
        self._undo: list[Callable[[], None]] = []

    def restore(self, past: Past, now: float) -> None:
        """Go on from what an earlier run has left: every lease starts anew, in full."""
        capacity = self.history.capacity
        events = past.events[-capacity:] if capacity else ()
        self.seq = past.seq
        self.history = History(capacity, past.seq - len(events))
        for event in events:
            self.history.append(event)
        for registration in past.registrations:
            self._put_in(registration, registration.lease, now)

    # --- the latest change ----------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """What has happened in the latest change, in order: a copy."""
        return list(self._events)

    @property
    def change(self) -> Change | None:
        """The latest change, if it is not settled yet."""
        return Change(tuple(self._events), tuple(self._kept)) if self._undo else None

    def settle(self) -> None:
        """The latest change will not be undone any more."""
        if self._undo:
            for event in self._events:
                self.history.append(event)
            self._events, self._kept, self._undo = [], [], []

    def revert(self) -> None:
        """Undo the latest change. Its events have never happened."""
        self.seq -= len(self._events)
        for undo in reversed(self._undo):
            undo()
        self._events, self._kept, self._undo = [], [], []

    # --- changing it ----------------------------------------------------------------------------

    def enter(
        self, request: Register, name: str, uuid: str, peer: str, now: float, time: float
    ) -> Registration:
        """Register a device.

        Args:
            request: What it asked for.
            name: The name that it gets, which is free, as its address is.
            uuid: Its secret.
            peer: Who asked.
            now: The time.
            time: The time of day.
        """
        self.seq += 1
        device = Device(
            name, request.device_type, request.addr, self.seq, time, request.metadata or {}
        )
        registration = Registration(device, uuid, lease_asked_for(request), request, peer)
        self._put_in(registration, registration.lease, now)
        self._undo.append(partial(self._take_out, registration))
        self._kept.append(registration)
        self._events.append(Added(self.epoch, self.seq, time, device))
        return registration

    def cancel(self, registration: Registration, reason: Reason, now: float, time: float) -> None:
        """Let a registration end before its lease does."""
        left = self.leases.left(registration.uuid, now)
        self.leases.cancel(registration.uuid)
        self.leave(registration, reason, left, now, time)

    def leave(
        self, registration: Registration, reason: Reason, left: float, now: float, time: float
    ) -> None:
        """Take a registration out whose lease is gone.

        Args:
            registration: It.
            reason: Why it ends.
            left: How many seconds its lease has if this is undone.
            now: The time.
            time: The time of day.
        """
        self.seq += 1
        self.registrations.remove(registration)
        self._undo.append(partial(self._put_in, registration, left, now))
        self._events.append(Removed(self.epoch, self.seq, time, registration.device, reason))

    def renew(self, registration: Registration, seconds: float, now: float) -> Registration:
        """Let a lease begin anew, with that length from now on."""
        if seconds != registration.lease:
            # Renewing as such needs no keeping: at the length that it had, it counts all the same.
            left = max(self.leases.left(registration.uuid, now), registration.lease)
            self._undo.append(partial(self._put_in, registration, left, now))
            registration = attrs.evolve(registration, lease=seconds)
            self.registrations.put(registration)
            self._kept.append(registration)
        self.leases.set(registration.uuid, seconds, now)
        return registration

    def _put_in(self, registration: Registration, left: float, now: float) -> None:
        self.registrations.put(registration)
        self.leases.set(registration.uuid, left, now)

    def _take_out(self, registration: Registration) -> None:
        self.registrations.remove(registration)
        self.leases.cancel(registration.uuid)


def lease_asked_for(request: Register) -> float:
    """The length of the lease that a request asks for, in seconds."""
    return DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout
