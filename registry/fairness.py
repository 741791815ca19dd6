"""When a lease may end: only once all that arrived in time has been read, and never for our fault.

Theory of operation
===================

A renewal counts from the moment at which it reaches the registry's machine (P8), but the registry
sees it later: it may wait in the kernel until ZeroMQ's own thread comes to read it, and then in
ZeroMQ's queue until the registry does. "The queue is empty" says nothing of the kernel, and under
load the queue is never empty. How long to wait to be safe depends on how busy the machine is, so
no number of milliseconds is right. Three rules decide instead.

* **Markers.** When a deadline has passed, the registry sends itself a request, a marker, on the
  way that all requests take, over a connection of its own. What reached the kernel before it is
  in ZeroMQ's queue when the marker is. There each connection gets a turn in each lap, in an order
  in which the last may become the first; but between two turns of the marker's own, everyone has
  had one. So when a second marker, sent when the first was read, is read too, every device's
  request that was there when the first was sent has been handled. Leases that had ended by then,
  end.
* **Shared connections.** A program that speaks for many devices on one connection may have many
  requests waiting there, of which a lap reads one. So after the markers the queue has to have run
  empty, too, unless it does not within `DRAIN_GRACE`.
* **Hold-ups.** While the process is stopped, or gets no processor, a device that has to connect
  anew cannot even send its renewal. So a lease does not run while the registry is held up: leases
  have a clock of their own, which is `now` less the time that the registry was `away`. Whoever
  drives it says when it wakes up, in `attend`, and had promised to by the next deadline; where it
  is later than that by more than `TOLERANCE`, or where as much time passes while it is awake
  without it doing anything, it was held up.

Setting the clock forward by the time away moves every lease at once, at no cost.
"""

import math
from typing import Final, Generic

import attrs

from .leases import L, Leases

TOLERANCE: Final = 0.05
"""Seconds by which a driver may be late as a matter of course: such delays hold up nobody."""

LOOK: Final = 0.5
"""Seconds between two looks at the clock while there are leases, to notice a hold-up by."""

_NOTHING: Final = 0.01

LAPS: Final = 2
"""Markers, one after the other, that prove that all was read; see above."""

DRAIN_GRACE: Final = 0.05
"""Seconds for which, after a deadline, the queue may take to run empty: of the 100 ms that a lease
may end late, the other half is left to the markers."""

MARKER_PATIENCE: Final = 5.0
"""Seconds after which a marker is taken for lost, so that nobody stays for ever (it never is,
short of a firewall that forbids this machine to talk to itself)."""


@attrs.define
class _Check:
    """Some leases seem to have ended: is there really no renewal?"""

    since: float
    laps_left: int


class FairLeases(Generic[L]):
    """Leases, on a clock that stands still while the registry is held up.

    Args:
        now: The time, in seconds on a monotonic clock, as in all methods.
        watchful: Whether the driver calls `attend` and sends markers. One that does not, such as
            a test on a virtual clock, is believed to be always at work and to have handled, by
            the time it calls `expired`, whatever had arrived.

    Attributes:
        away: Seconds for which the registry was held up, in total.
        stalls: How often it was.
        seen: When the driver was last known to be at work.
        tolerance: Seconds without a sign of life that are no hold-up.
    """

    def __init__(self, now: float, *, watchful: bool) -> None:
        self.away = 0.0
        self.stalls = 0
        self.seen = now
        self.tolerance = TOLERANCE if watchful else math.inf
        self._look = LOOK if watchful else math.inf
        self._laps = LAPS if watchful else 0
        self._leases = Leases[L]()
        self._check: _Check | None = None
        # On the leases' clock. What came by then was read: by the markers' proof, and all of it.
        self._proven_until = -math.inf
        self._empty_until = -math.inf
        self._marker = 0
        self._marker_waits = False

    def __len__(self) -> int:
        return len(self._leases)

    def set(self, lease: L, seconds: float, now: float) -> None:
        """Grant a lease, or renew it, for a time from now."""
        self._leases.set(lease, now - self.away + seconds)

    def left(self, lease: L, now: float) -> float:
        """How many seconds a lease that was granted has left, 0 or less if it may end."""
        return lease.deadline - (now - self.away)

    def put_back(self, lease: L, deadline: float) -> None:
        """Grant a lease again with a `deadline` that it had, whatever the time is now."""
        self._leases.set(lease, deadline)

    def cancel(self, lease: L) -> None:
        """End a lease that was granted."""
        self._leases.cancel(lease)

    # --- hold-ups -----------------------------------------------------------------------------

    def attend(self, now: float, promised: float = -math.inf) -> None:
        """Note that the driver is at work.

        Args:
            now: The time.
            promised: By when it would wake up, if it was asleep.
        """
        woken_by = max(promised, self.seen)
        late = now - woken_by
        if late > self.tolerance:
            self.away += late + self._unseen(late, woken_by - self.seen)
            self.stalls += 1
        self.seen = now

    def _unseen(self, late: float, slept: float) -> float:
        """How much of a sleep that was too long counts as a hold-up, which may have begun in it.

        All of it after a long hold-up. After a short one half of it, so that each lease has at
        least half as long left as before, in which devices can connect, and yet the clock moves on
        where every sleep is a little too long; and nothing of a sleep of no length to speak of,
        or a lease's end would come closer for ever and never be reached.
        """
        if late >= LOOK:
            return slept
        return min(late, slept / 2) if slept > _NOTHING else 0.0

    # --- markers ------------------------------------------------------------------------------

    def marker_to_send(self) -> int | None:
        """The number of the marker to send now, if there is one. Each is given once."""
        if not self._marker_waits:
            return None
        self._marker_waits = False
        return self._marker

    def marker_read(self, number: int) -> None:
        """A marker has come through the queue; one that was given up on counts no more."""
        if self._check is not None and number == self._marker:
            self._check.laps_left -= 1
            self._next_marker(self._check)

    def _next_marker(self, check: _Check) -> None:
        self._marker += 1
        self._marker_waits = check.laps_left > 0

    # --- ends ---------------------------------------------------------------------------------

    def expired(self, now: float, limit: int, *, drained: bool) -> list[L]:
        """Cancel leases that have ended for sure, earliest first.

        Args:
            now: The time.
            limit: How many to look at; while `next_deadline` is past there may be more.
            drained: Whether the queue of requests was empty just now.
        """
        self.attend(now)
        clock = now - self.away
        if self._check is None:
            due = self._leases.next_deadline()
            if due is None or due > clock:  # as nearly always
                return []
        self._conclude(clock, drained=drained)
        ended = self._leases.expired(self._until(clock), limit)
        if not ended and self._check is None and self._unproven_end(clock, limit):
            self._check = _Check(clock, self._laps)
            self._next_marker(self._check)
            self._conclude(clock, drained=drained)
            ended = self._leases.expired(self._until(clock), limit)
        return ended

    def _conclude(self, clock: float, *, drained: bool) -> None:
        check = self._check
        if check and (check.laps_left == 0 or clock >= check.since + MARKER_PATIENCE):
            self._proven_until = check.since
            self._check = None
            self._marker_waits = False
        if drained:
            self._empty_until = self._proven_until

    def _until(self, clock: float) -> float:
        return max(self._empty_until, min(self._proven_until, clock - DRAIN_GRACE))

    def _unproven_end(self, clock: float, limit: int) -> bool:
        if not self._leases.any_ended(clock, limit):
            return False
        earliest = self._leases.next_deadline()
        return earliest is not None and earliest > self._proven_until

    def next_deadline(self) -> float | None:
        """When to call `expired` again, or only to look at the clock; None without leases."""
        due = self._leases.next_deadline()
        if due is None:
            return None
        if self._check is not None:
            due = self._check.since + MARKER_PATIENCE
        return min(due + self.away, self.seen + self._look)
