"""Deadlines: which lease ends next, at any number of leases.

A heap with lazy deletion, an idea taken from python-zeroconf's record expiry. A renewal, by far
the most frequent operation, only writes the new deadline down: the lease's entry in the heap
stays where it is, too early, and is put right when it comes up, together with those that come up
soon after: or each of them would wake up whoever waits for it, once for every renewal or two.
What no longer counts stays in the heap until it comes up, too; where leases are cancelled long
before their time, that would grow without bound, so a heap that is mostly stale is moved, a few
entries with each change, into a new one. No change costs more than O(log n).

A lease is an object that its holder keeps, so that a renewal looks nothing up.
"""

import math
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from .entries import Entry

_MOVED_PER_CHANGE: Final = 4
_STALE_TOLERATED: Final = 64

EARLY: Final = 0.1
"""Seconds by which an entry may be put right before it comes up."""


class Lease:
    """One deadline, on whatever clock the caller uses throughout. `Leases` looks after it.

    Attributes:
        deadline: When it ends, in seconds, once it was granted.
        entry: The entry in the heap that counts for it, which comes up no later than that. None
            before it is granted, and once it has ended.
    """

    __slots__ = ("deadline", "entry")

    deadline: float

    def __init__(self) -> None:
        self.entry: Entry | None = None


_NOBODYS: Final = Lease()
"""The lease of entries that no longer count, so that they do not keep whoever held it."""

L = TypeVar("L", bound=Lease)


class Leases(Generic[L]):
    """Those that were granted and have not ended. Times are in seconds."""

    def __init__(self) -> None:
        self._number = 0
        self._heap: list[Entry] = []
        self._old: list[Entry] = []

    def __len__(self) -> int:
        return self._number

    def set(self, lease: L, deadline: float) -> None:
        """Grant a lease, or move its deadline to an earlier or later time."""
        if lease.entry is None:
            self._number += 1
            lease.deadline = deadline
            self._queue(lease)
            return
        before, lease.deadline = lease.deadline, deadline
        # Its entry, elsewhere in memory, need not be looked at: it comes up by then at the latest.
        if deadline < before and deadline < lease.entry:
            self._queue(lease)

    def cancel(self, lease: L) -> None:
        """End a lease that was granted."""
        _disown_entry(lease)
        lease.entry = None
        lease.deadline = -math.inf  # which may have been the entry, and a circle
        self._number -= 1
        self._tidy(1)

    def next_deadline(self) -> float | None:
        """The earliest time at which `expired` may find something; None if it never will.

        Never later than the earliest deadline, but it may be earlier, where a lease was renewed
        or cancelled.
        """
        heap = self._next_heap()
        return heap[0] if heap else None

    def any_ended(self, now: float, limit: int) -> bool:
        """Whether a lease ended at or before `now`. It is not cancelled.

        Like `expired` it looks at `limit` entries: as long as `next_deadline` is past, False
        may mean only that it has to be asked again. After those that have come up it puts right
        those of the next `EARLY` seconds, up to one of a lease that was not renewed.
        """
        for _ in range(limit):
            heap = self._due_heap(now + EARLY)
            if not heap:
                break
            if self._first_ended(heap):
                return heap[0] <= now
        return False

    def expired(self, now: float, limit: int) -> list[L]:
        """Cancel leases that ended at or before `now`, earliest first.

        It looks at `limit` entries of the heap and no more: after a crowd of renewals most of
        them only have to be put right. As long as `next_deadline` is past there may be more.
        """
        ended: list[L] = []
        for _ in range(limit):
            heap = self._due_heap(now)
            if not heap:
                break
            if self._first_ended(heap):
                lease = heappop(heap).lease
                lease.entry = None
                lease.deadline = -math.inf
                ended.append(lease)
        self._number -= len(ended)
        self._tidy(len(ended))
        return ended

    def _due_heap(self, now: float) -> list[Entry]:
        """The heap whose first entry is the next one, empty if that has not come up yet."""
        heap = self._next_heap()
        return heap if heap and heap[0] <= now else []

    def _first_ended(self, heap: list[Entry]) -> bool:
        """Whether a heap's first entry is that of a lease which has ended; if not, put it right."""
        entry = heap[0]
        lease = entry.lease
        if lease.entry is not entry:
            heappop(heap)
            return False
        if lease.deadline > entry:
            heappop(heap)
            self._queue(lease)
            return False
        return True

    def _queue(self, lease: L) -> None:
        _disown_entry(lease)
        # The deadline is the entry, as long as it is not moved: one number in memory, not two.
        lease.deadline = lease.entry = entry = Entry(lease.deadline)
        entry.lease = lease
        heappush(self._heap, entry)
        self._tidy(1)

    def _next_heap(self) -> list[Entry]:
        if self._old and (not self._heap or self._old[0] < self._heap[0]):
            return self._old
        return self._heap

    def _tidy(self, changes: int) -> None:
        """Keep what is stale within bounds, after so many leases were granted, moved or ended."""
        if not self._old:
            if len(self._heap) <= 2 * self._number + _STALE_TOLERATED:
                return
            self._old, self._heap = self._heap, []
        # A heap without its last element is still a heap.
        for _ in range(min(_MOVED_PER_CHANGE * changes, len(self._old))):
            entry = self._old.pop()
            if entry.lease.entry is entry:
                heappush(self._heap, entry)


def _disown_entry(lease: Lease) -> None:
    if lease.entry is not None:
        lease.entry.lease = _NOBODYS
