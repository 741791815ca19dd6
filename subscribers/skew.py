"""What time it is at the registry, for whoever shows its times next to their own. Pure.

Many a machine in a lab has no clock of its own. Events bear the registry's time, and nobody can ask
for it; but an event that has just happened tells it.
"""

from typing import Final

from ..events.protocol import Origin
from ..events.records import Added, Live, Record, Removed

NOISE: Final = 2.0
"""Seconds by which clocks must differ to be taken for different: less is the way that it took."""


class Skew:
    """How far the registry's clock is ahead, learnt from what a watcher yields.

    Args:
        live: Whether the view is live already.

    Attributes:
        ahead: By how many seconds it is ahead of ours, as far as is known; negative if it is
            behind, and 0 as long as the difference is none to speak of. It changes only with a
            difference that is more than noise.
    """

    def __init__(self, *, live: bool = False) -> None:
        self.ahead = 0.0
        self._live = live

    def add(self, record: Record, now: float) -> None:
        """Take in what a watcher has yielded. `now` is our time, in seconds since 1970."""
        if isinstance(record, Added | Removed):
            happening = self._live and record.origin is Origin.LIVE
            self._learn(record.time - now, happening=happening)
        else:
            self._live = isinstance(record, Live)

    def witness(self, time: float, now: float) -> None:
        """Take in a time of the registry's, which is past."""
        self._learn(time - now, happening=False)

    def _learn(self, lead: float, *, happening: bool) -> None:
        # What is caught up with tells of the past, but nothing tells of the future.
        if not happening and lead <= max(self.ahead, NOISE):
            return
        if abs(lead) <= NOISE:
            self.ahead = 0.0
        elif abs(lead - self.ahead) > NOISE:
            self.ahead = lead
