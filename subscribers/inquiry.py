"""What a mirror asks the registry: one request at a time, and pauses where it comes to nothing."""

from collections.abc import Callable
from typing import Final

from ..events.messages import Info, Request

REPLY_TIMEOUT: Final = 2.0
LONGEST_TIMEOUT: Final = 10.0
"""Seconds to wait for a reply before the request is taken for lost, growing with every failure: a
new connection over a slow link needs several times as long as a message."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts, growing from the first to the longest."""

ATTEMPTS: Final = 3
"""Failed requests after which the registry is looked for anew, stream and all."""


class Inquiry:
    """The request under way, or the next one. Times are in seconds on a monotonic clock.

    Args:
        jitter: Gives numbers from 0 to 1, which spread out the attempts of many watchers.

    Attributes:
        request: What is asked, or will be.
        reply_due: By when a reply has to come; None while none is awaited.
        ask_at: When to ask; None while a reply is awaited, or there is nothing to ask.
        failures: How many requests in a row have come to nothing.
        losses: How many live views in a row have not lasted.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.request: Request = Info()
        self.reply_due: float | None = None
        self.ask_at: float | None = None
        self.failures = 0
        self.losses = 0
        self._jitter = jitter

    def plan(self, request: Request, now: float) -> None:
        """Ask this at once."""
        self._plan(request, now)

    def plan_after_failure(self, request: Request, now: float) -> None:
        """Ask this after a pause that grows with every failure."""
        self.failures += 1
        self._plan(request, now + self._pause(self.failures))

    def plan_after_loss(self, request: Request, now: float) -> None:
        """Ask this at once; but after a pause if no live view has lasted lately."""
        pause = self._pause(self.losses - 1) if self.losses > 1 else 0.0
        self._plan(request, now + pause)

    @property
    def timeout(self) -> float:
        """Seconds to wait for an answer."""
        return min(REPLY_TIMEOUT * 2.0 ** min(self.failures, 10), LONGEST_TIMEOUT)

    def sent(self, now: float) -> None:
        """The request has gone out."""
        self.ask_at = None
        self.reply_due = now + self.timeout

    def cancel(self) -> None:
        """There is nothing to ask any more."""
        self.ask_at = self.reply_due = None

    def _plan(self, request: Request, at: float) -> None:
        # An earlier appointment stands: whatever comes in between cannot put it off for ever.
        self.ask_at = at if self.ask_at is None else min(at, self.ask_at)
        self.reply_due = None
        self.request = request

    def _pause(self, failures: int) -> float:
        pause = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE)
        return pause * (0.5 + self._jitter() / 2)
