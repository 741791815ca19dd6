"""Deadlines: which lease ends next, at any number of leases.

A heap with lazy deletion, an idea taken from python-zeroconf's record expiry. A renewal, by far
the most frequent operation, only writes the new deadline down: the lease's entry in the heap
stays where it is, too early, and is put right when it comes up. What no longer counts stays in
the heap until it comes up, too; where leases are cancelled long before their time, that would
grow without bound, so a heap that is mostly stale is moved, a few entries with each call, into
a new one. No call costs more than O(log n).
"""

from heapq import heappop, heappush
from typing import Final, TypeAlias

_Entry: TypeAlias = tuple[float, str]

_MOVED_PER_CALL: Final = 4
_STALE_TOLERATED: Final = 64


class Leases:
    """Deadlines by key. Times are seconds on whatever clock the caller uses throughout."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        # When the one entry that counts for a key comes up, never after its deadline.
        self._queued: dict[str, float] = {}
        self._heap: list[_Entry] = []
        self._old: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: str, deadline: float) -> None:
        """Grant a lease, or move its deadline to an earlier or later time."""
        self._deadlines[key] = deadline
        queued = self._queued.get(key)
        if queued is None or deadline < queued:
            self._queue(key, deadline)
            self._tidy()

    def deadline(self, key: str) -> float:
        """When a lease ends.

        Raises:
            KeyError: There is none by that key.
        """
        return self._deadlines[key]

    def cancel(self, key: str) -> None:
        """Forget a lease.

        Raises:
            KeyError: There is none by that key.
        """
        del self._deadlines[key]
        del self._queued[key]
        self._tidy()

    def next_deadline(self) -> float | None:
        """The earliest time at which `expired` may find something; None if it never will.

        Never later than the earliest deadline, but it may be earlier, where a lease was renewed
        or cancelled.
        """
        heap = self._next_heap()
        return heap[0][0] if heap else None

    def any_ended(self, now: float, limit: int) -> bool:
        """Whether a lease ended at or before `now`. It is not cancelled.

        Like `expired` it looks at `limit` entries: as long as `next_deadline` is past, False
        may mean only that it has to be asked again.
        """
        for _ in range(limit):
            heap = self._due_heap(now)
            if not heap:
                break
            if self._first_ended(heap):
                return True
        return False

    def expired(self, now: float, limit: int) -> list[str]:
        """Cancel leases that ended at or before `now`, earliest first.

        It looks at `limit` entries of the heap and no more: after a crowd of renewals most of
        them only have to be put right. As long as `next_deadline` is past there may be more.
        """
        keys: list[str] = []
        for _ in range(limit):
            heap = self._due_heap(now)
            if not heap:
                break
            if self._first_ended(heap):
                _, key = heappop(heap)
                self.cancel(key)
                keys.append(key)
        return keys

    def _due_heap(self, now: float) -> list[_Entry]:
        """The heap whose first entry is the next one, empty if that has not come up yet."""
        heap = self._next_heap()
        return heap if heap and heap[0][0] <= now else []

    def _first_ended(self, heap: list[_Entry]) -> bool:
        """Whether a heap's first entry is that of a lease which has ended; if not, put it right."""
        came_up, key = heap[0]
        if not self._counts(heap[0]):
            heappop(heap)
            return False
        deadline = self._deadlines[key]
        if deadline > came_up:
            heappop(heap)
            self._queue(key, deadline)
            return False
        return True

    def _queue(self, key: str, deadline: float) -> None:
        self._queued[key] = deadline
        heappush(self._heap, (deadline, key))

    def _counts(self, entry: _Entry) -> bool:
        return self._queued.get(entry[1]) == entry[0]

    def _next_heap(self) -> list[_Entry]:
        if self._old and (not self._heap or self._old[0] < self._heap[0]):
            return self._old
        return self._heap

    def _tidy(self) -> None:
        if not self._old and len(self._heap) > 2 * len(self._queued) + _STALE_TOLERATED:
            self._old, self._heap = self._heap, []
        # A heap without its last element is still a heap.
        for _ in range(min(_MOVED_PER_CALL, len(self._old))):
            entry = self._old.pop()
            if self._counts(entry):
                heappush(self._heap, entry)
