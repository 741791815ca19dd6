"""Who is registered, and what the latest changes were, for as long as they may have to be undone.

Each coming and going is an event and has the next `seq`, without holes (P1). `enter` and `leave`
are the only places that make one and, with `renew`, which may give a lease another length, the only
ones that change what is to be kept. Each notes how to undo what it did. A change is settled by the
next one or, where there is somebody who `holds` them, with all others that wait for it. Until then
`revert` undoes the latest, `revert_all` all of them, and it is as if they had never been: for a
request it is all or nothing, as it is in the journal.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from ..events.making import maker
from ..events.messages import Register
from ..events.protocol import DEFAULT_LEASE, Reason
from ..events.records import Added, Device, Event, MetadataValue, Removed
from .fairness import FairLeases
from .history import History
from .journal import Change, Past
from .registrations import Holder, Registrations, shared

_NO_METADATA: Final[Mapping[str, MetadataValue]] = {}
_NOWHERE: Final = (0, 0, 0)

_new_device: Final = maker(Device)
_new_added: Final = maker(Added)
_new_removed: Final = maker(Removed)


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
        holds: Whether changes wait for `settle`, however many.
    """

    def __init__(self, epoch: str, leases: FairLeases[Holder], history: int) -> None:
        self.epoch = epoch
        self.seq = 0
        self.registrations = Registrations()
        self.leases = leases
        self.history = History(history)
        self.holds = False
        # All that is not settled, and how long each of these was when the latest change began.
        self._events: list[Event] = []
        self._kept: list[Holder] = []
        self._undo: list[Callable[[], None]] = []
        self._latest = _NOWHERE

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

    # --- changes that are not settled -----------------------------------------------------------

    def begin(self) -> None:
        """A change begins, if one comes at all; those before are settled, unless they are held."""
        if self._undo:
            if self.holds:
                self._latest = len(self._events), len(self._kept), len(self._undo)
            else:
                self.settle()

    @property
    def events(self) -> list[Event]:
        """What has happened in the latest change, in order: a copy."""
        return self._events[self._latest[0] :]

    @property
    def unsettled(self) -> bool:
        """Whether there is a `change`, which takes a while to put together."""
        return bool(self._undo)

    @property
    def change(self) -> Change | None:
        """All that is not settled, as one change: None if there is nothing."""
        if not self._undo:
            return None
        gone = {event.device.revision for event in self._events if isinstance(event, Removed)}
        kept = {holder.device.revision: holder for holder in self._kept}
        return Change(
            tuple(self._events),
            tuple(kept[revision].registration for revision in kept if revision not in gone),
        )

    def settle(self) -> None:
        """What has changed will not be undone any more."""
        if self._undo:
            for event in self._events:
                self.history.append(event)
            self._events.clear()
            self._kept.clear()
            self._undo.clear()
            self._latest = _NOWHERE

    def revert(self) -> None:
        """Undo the latest change. Its events have never happened."""
        events, kept, undo = self._latest
        self.seq -= len(self._events) - events
        while len(self._undo) > undo:
            self._undo.pop()()
        del self._events[events:]
        del self._kept[kept:]

    def revert_all(self) -> None:
        """Undo all that is not settled."""
        self._latest = _NOWHERE
        self.revert()

    def after(self, seq: int, limit: int) -> list[Event] | None:
        """As in `History`, but with the events that are not settled."""
        held = self._events
        if not held:
            return self.history.after(seq, limit)
        number = seq - (held[0].seq - 1)
        if number >= 0:
            return held[number : number + limit] if seq <= self.seq else None
        events = self.history.after(seq, limit)
        return None if events is None else [*events, *held[: limit - len(events)]]

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
        device = _new_device(
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
        self._events.append(_new_added(self.epoch, self.seq, time, device))
        return holder

    def cancel(self, holder: Holder, reason: Reason, time: float) -> None:
        """Let a registration end before its lease does."""
        deadline = holder.deadline
        self.leases.cancel(holder)
        self.leave(holder, reason, deadline, time)

    def leave(self, holder: Holder, reason: Reason, deadline: float, time: float) -> None:
        """Take out one whose lease is gone.

        Args:
            holder: It.
            reason: Why it ends.
            deadline: When its lease ends if this is undone, on the leases' own clock: by then the
                registry may have been held up.
            time: The time of day.
        """
        self.seq += 1
        self.registrations.remove(holder)
        self._undo.append(partial(self._put_back, holder, deadline))
        self._events.append(_new_removed(self.epoch, self.seq, time, holder.device, reason))

    def renew(self, holder: Holder, seconds: float, now: float) -> None:
        """Let a lease begin anew, with that length from now on."""
        if seconds != holder.lease:
            # Renewing as such needs no keeping: at the length that it had, it counts all the same.
            before = holder.lease
            deadline = max(holder.deadline, now - self.leases.away + before)
            self._undo.append(partial(self._restore_lease, holder, before, deadline))
            holder.lease = shared(seconds)
            self._kept.append(holder)
        self.leases.set(holder, seconds, now)

    def _restore_lease(self, holder: Holder, seconds: float, deadline: float) -> None:
        holder.lease = seconds
        self.leases.put_back(holder, deadline)

    def _put_in(self, holder: Holder, left: float, now: float) -> None:
        self.registrations.put(holder)
        self.leases.set(holder, left, now)

    def _put_back(self, holder: Holder, deadline: float) -> None:
        self.registrations.put(holder)
        self.leases.put_back(holder, deadline)

    def _take_out(self, holder: Holder) -> None:
        self.registrations.remove(holder)
        self.leases.cancel(holder)


def lease_asked_for(request: Register) -> float:
    """The length of the lease that a request asks for, in seconds."""
    return DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout
