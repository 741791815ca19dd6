"""Who is registered, and what the latest change was, for as long as it may have to be undone.

Each coming and going is an event and has the next `seq`, without holes (P1). `enter` and `leave`
are the only places that make one and, with `renew`, which may give a lease another length, the only
ones that change what is to be kept. Each notes how to undo what it did. A change is settled by the
next one; until then `revert` undoes it, and it is as if it had never been: for a request it is all
or nothing, as it is in the journal.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from ..events.messages import Register
from ..events.protocol import DEFAULT_LEASE, Reason
from ..events.records import Added, Device, Event, MetadataValue, Removed
from .fairness import FairLeases
from .history import History
from .journal import Change, Past
from .registrations import Holder, Registrations, shared

_NO_METADATA: Final[Mapping[str, MetadataValue]] = {}


class Ledger:
    """The registrations, their leases, and the history. Times are on a monotonic clock.

    Args:
        epoch: The life of the numbering.
        leases: When registrations end.
        history: How many events to keep.

    Attributes:
        epoch: As given.
        seq: Number of the latest event, 0 before the first.
        registrations: Who is registered. Read it, do not change it.
        leases: As given.
        history: The latest events that are settled.
    """

    def __init__(self, epoch: str, leases: FairLeases[Holder], history: int) -> None:
        self.epoch = epoch
        self.seq = 0
        self.registrations = Registrations()
        self.leases = leases
        self.history = History(history)
        self._events: list[Event] = []
        self._kept: list[Holder] = []
        self._undo: list[Callable[[], None]] = []

    def restore(self, past: Past, now: float) -> None:
        """Go on from what an earlier run has left: every lease starts anew, in full."""
        capacity = self.history.capacity
        events = past.events[-capacity:] if capacity else ()
        self.seq = past.seq
        self.history = History(capacity, past.seq - len(events))
        for event in events:
            self.history.append(event)
        for kept in past.registrations:
            holder = Holder(kept.device, kept.uuid, kept.lease, kept.request, kept.peer)
            self._put_in(holder, holder.lease, now)

    # --- the latest change ----------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """What has happened in the latest change, in order: a copy."""
        return list(self._events)

    @property
    def change(self) -> Change | None:
        """The latest change, if it is not settled yet."""
        if not self._undo:
            return None
        return Change(tuple(self._events), tuple(holder.registration for holder in self._kept))

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
    ) -> Holder:
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
            name,
            shared(request.device_type),
            request.addr,
            self.seq,
            time,
            request.metadata or _NO_METADATA,
        )
        holder = Holder(device, uuid, lease_asked_for(request), request, peer)
        self._put_in(holder, holder.lease, now)
        self._undo.append(partial(self._take_out, holder))
        self._kept.append(holder)
        self._events.append(Added(self.epoch, self.seq, time, device))
        return holder

    def cancel(self, holder: Holder, reason: Reason, now: float, time: float) -> None:
        """Let a registration end before its lease does."""
        left = self.leases.left(holder, now)
        self.leases.cancel(holder)
        self.leave(holder, reason, left, now, time)

    def leave(self, holder: Holder, reason: Reason, left: float, now: float, time: float) -> None:
        """Take out one whose lease is gone.

        Args:
            holder: It.
            reason: Why it ends.
            left: How many seconds its lease has if this is undone.
            now: The time.
            time: The time of day.
        """
        self.seq += 1
        self.registrations.remove(holder)
        self._undo.append(partial(self._put_in, holder, left, now))
        self._events.append(Removed(self.epoch, self.seq, time, holder.device, reason))

    def renew(self, holder: Holder, seconds: float, now: float) -> None:
        """Let a lease begin anew, with that length from now on."""
        if seconds != holder.lease:
            # Renewing as such needs no keeping: at the length that it had, it counts all the same.
            before, left = holder.lease, max(self.leases.left(holder, now), holder.lease)
            self._undo.append(partial(self._restore_lease, holder, before, left, now))
            holder.lease = shared(seconds)
            self._kept.append(holder)
        self.leases.set(holder, seconds, now)

    def _restore_lease(self, holder: Holder, seconds: float, left: float, now: float) -> None:
        holder.lease = seconds
        self.leases.set(holder, left, now)

    def _put_in(self, holder: Holder, left: float, now: float) -> None:
        self.registrations.put(holder)
        self.leases.set(holder, left, now)

    def _take_out(self, holder: Holder) -> None:
        self.registrations.remove(holder)
        self.leases.cancel(holder)


def lease_asked_for(request: Register) -> float:
    """The length of the lease that a request asks for, in seconds."""
    return DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout
