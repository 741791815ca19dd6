"""The last N events, for those who missed some."""

from ..events.records import Event


class History:
    """A ring of the newest events, whose seq rises by one from each to the next.

    Args:
        capacity: How many events to keep; 0 keeps none.
        seq: Number of the last event before the first one that will be appended.
    """

    def __init__(self, capacity: int, seq: int = 0) -> None:
        self.capacity = capacity
        self._ring: list[Event] = []
        self._first = seq + 1
        self._last = seq

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def oldest(self) -> int:
        """Number of the oldest event kept, or of the next one to come if none is."""
        return self._last - len(self._ring) + 1

    def append(self, event: Event) -> None:
        """Keep the next event, in place of the oldest when the ring is full."""
        self._last = event.seq
        if len(self._ring) < self.capacity:
            self._ring.append(event)
        elif self.capacity:
            self._ring[self._index(event.seq)] = event

    def after(self, seq: int, limit: int) -> list[Event] | None:
        """Up to `limit` events that followed number `seq`; None if that cannot be told.

        It cannot where some of them are gone, or where `seq` has not happened yet.
        """
        if not self.oldest - 1 <= seq <= self._last:
            return None
        end = min(self._last, seq + limit)
        return [self._ring[self._index(number)] for number in range(seq + 1, end + 1)]

    def _index(self, seq: int) -> int:
        return (seq - self._first) % self.capacity
