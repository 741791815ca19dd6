"""Who was present when: what a watcher yields, as bars on a time axis, for whoever draws them.

Flapping is seen, not read: a device that comes and goes is a row of short bars. There is a lane
for each name, with a span for each registration under it, and the gaps are the times in which the
watcher could not know. Pure: time comes with the records. What ended long ago is forgotten, and so
is the oldest of what is too much to keep.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, assert_never

import attrs

from ..events.protocol import Origin, Reason
from ..events.records import Added, Device, Live, Record, Removed, Stale

KEEP: Final = 6 * 3600.0
"""Seconds for which a span is kept after its end."""

MAX_ENDED: Final = 20_000
"""Spans that are kept after their end: a registry that flaps must not fill the memory."""

MAX_GAPS: Final = 1_000
"""Times without a live view that are kept."""


@attrs.frozen
class Span:
    """One registration, from its beginning to its end. Times are seconds since 1970.

    Attributes:
        device: Who it was.
        start: When it registered, on the registry's clock.
        end: When it left, on the registry's clock; None while it is present.
        reason: Why it left; None while it is present.
        exact: Whether `end` is when it left. Otherwise its leaving was missed, and `end` is when
            the registry was last heard before that was found out.
    """

    device: Device
    start: float
    end: float | None = None
    reason: Reason | None = None
    exact: bool = True


@attrs.frozen
class Gap:
    """A time in which the view was not live. Times are seconds since 1970, on the watcher's clock.

    Attributes:
        start: When it became stale.
        why: What was in the way, as was known at first.
        end: When it was live again; None while it is not.
    """

    start: float
    why: str
    end: float | None = None


class Timeline:
    """Spans and gaps. Each `add` costs O(1).

    Args:
        devices: Who is present already, and will not be told of: a watcher's that resumes.
        keep: Seconds for which a span is kept after its end.
        max_ended: How many spans are kept after their end.

    Attributes:
        known_since: When it begins, in seconds since 1970: who had left before is not known. None
            before anybody has said.
    """

    def __init__(
        self, devices: Iterable[Device] = (), *, keep: float = KEEP, max_ended: int = MAX_ENDED
    ) -> None:
        self.known_since: float | None = None
        self._keep = keep
        self._max_ended = max_ended
        self._lanes: dict[str, deque[Span]] = {}
        self._ended: deque[tuple[str, float]] = deque()  # name and end, oldest first
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        for device in devices:
            self._begin(device)

    @property
    def lanes(self) -> Mapping[str, Sequence[Span]]:
        """The spans of each name, oldest first; only the last one may still go on."""
        return self._lanes

    @property
    def gaps(self) -> Sequence[Gap]:
        """The times without a live view, oldest first; only the last one may still go on."""
        return self._gaps

    def add(self, record: Record) -> None:
        """Take in what a watcher has yielded."""
        match record:
            case Added():
                self._begin(record.device)
            case Removed():
                self._end(record)
            case Stale():
                if not self._gaps or self._gaps[-1].end is not None:
                    self._gaps.append(Gap(record.time, record.why))
            case Live():
                if self._gaps and self._gaps[-1].end is None:
                    self._gaps[-1] = attrs.evolve(self._gaps[-1], end=record.time)
            case _:
                assert_never(record)

    def departures(self, name: str, after: float) -> int:
        """How often who has this name has left since a time, in seconds since 1970."""
        spans = self._lanes.get(name, ())
        return sum(span.end is not None and span.end > after for span in spans)

    def forget(self, now: float, ahead: float = 0.0) -> None:
        """Let go of what ended too long ago.

        Args:
            now: The watcher's time, in seconds since 1970.
            ahead: By how many seconds the registry's clock is ahead of it.
        """
        horizon = now - self._keep
        while self._ended and self._ended[0][1] < horizon + ahead:
            self._drop_oldest()
        while self._gaps and (end := self._gaps[0].end) is not None and end < horizon:
            self._gaps.popleft()

    def _begin(self, device: Device) -> None:
        self._lanes.setdefault(device.name, deque()).append(Span(device, device.registered_at))

    def _end(self, removed: Removed) -> None:
        device = removed.device
        lane = self._lanes.setdefault(device.name, deque())
        if lane and lane[-1].end is None:
            lane.pop()
        lane.append(
            Span(
                device,
                device.registered_at,
                # The registry's clock may have been set back meanwhile.
                max(removed.time, device.registered_at),
                removed.reason,
                exact=removed.origin is not Origin.RESYNC,
            )
        )
        self._ended.append((device.name, removed.time))
        if len(self._ended) > self._max_ended:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        name, _end = self._ended.popleft()
        lane = self._lanes[name]
        lane.popleft()
        if not lane:
            del self._lanes[name]
