"""Signals that end a command: noted in the handler, dealt with where the command waits.

A handler that raises an exception, as Python's own for Ctrl-C does, raises it anywhere: between
two steps that belong together, or in the midst of dealing with the first one. So ours only notes
the signal, a bell rings, and the command polls that. The bell is rung by Python's own handler in C:
one in Python may have to wait until the main thread's poll has ended.
"""

import contextlib
import select
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Self

from ...events.logs import get_logger
from ...events.sockets import Bell

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command: Ctrl-C, `kill`, and a terminal that is closed."""

log = get_logger(__name__)


class Signals:
    """Takes note of the signals that end a command, for as long as a `with` block.

    For the main thread, the only one that may handle signals.

    Args:
        outlive_hangup: Whether SIGHUP, to which many services read their settings anew, ends
            nothing and gets a line in the log.
        on_hangup: What `wait` is to call at SIGHUP, which then ends nothing either.

    Attributes:
        received: Their numbers, in the order in which they came.
    """

    def __init__(
        self, *, outlive_hangup: bool = False, on_hangup: Callable[[], object] | None = None
    ) -> None:
        self.received: list[int] = []
        self._on_hangup = on_hangup or (_log_hangup if outlive_hangup else None)
        self._hangups = 0
        self._told = 0
        self._bell = Bell()
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._bell.rope(), warn_on_full_buffer=False)
        for number in ENDING:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._bell.close()

    def wait(self, done: Callable[[], bool] = lambda: False) -> None:
        """Wait for the next signal that this was not told of yet, or until something else is done.

        Args:
            done: Whether it is; looked at when a signal comes, and when `ring_after` rings.
        """
        while len(self.received) == self._told and not done():
            self._bell.wait(seconds=86_400)
            self._bell.hush()
            self._answer_hangups()
        self._told = len(self.received)

    def ring_after(self, block: Callable[[], object]) -> None:
        """Let `wait` look again when a call that blocks has returned, or raised."""

        def run() -> None:
            try:
                block()
            finally:
                self._bell.ring()

        threading.Thread(target=run, name="devicewatch-waiting", daemon=True).start()

    def lookout(self, end: Callable[[], object]) -> "Lookout":
        """Call `end` from another thread when a signal comes or nobody reads our output any more.

        For a command that cannot `wait` here because it waits elsewhere.
        """
        return Lookout(self._bell, end)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._on_hangup is not None and number == signal.SIGHUP:
            self._hangups += 1
        else:
            self.received.append(number)

    def _answer_hangups(self) -> None:
        """Here and not in the handler, which may have interrupted whoever writes to the log."""
        if self._hangups and self._on_hangup is not None:
            self._hangups = 0
            self._on_hangup()


def _log_hangup() -> None:
    log.info("SIGHUP: nothing to reload")


class Lookout:
    """Watches a bell and stdout, in a thread of its own, for as long as a `with` block.

    Args:
        bell: When it rings, `end` is called.
        end: Called once at the most.

    Attributes:
        nobody_reads: Whether it was called because whoever read stdout is gone.
    """

    def __init__(self, bell: Bell, end: Callable[[], object]) -> None:
        self.nobody_reads = False
        self._bell = bell
        self._end = end
        self._over = Bell()
        self._thread = threading.Thread(target=self._run, name="devicewatch-lookout", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.ring()
        self._thread.join()
        self._over.close()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        poll.register(self._over.fileno(), select.POLLIN)
        with contextlib.suppress(OSError, ValueError):  # a test's stdout is no file
            poll.register(sys.stdout.fileno(), 0)  # errors are told of unasked
        found = dict(poll.poll())
        if self._over.fileno() not in found:
            self.nobody_reads = self._bell.fileno() not in found
            self._end()
