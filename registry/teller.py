"""Telling a device's owner of changes, from a thread that nobody waits for."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from ..events.logs import get_logger
from .presence import PresenceStatus

OnChange: TypeAlias = Callable[[PresenceStatus], object]

MAX_UNTOLD: Final = 100
"""Changes kept for a callback that is busy. If there are more, it misses the oldest."""

CLOSE_TIMEOUT: Final = 0.5
"""Seconds that a callback is given, at the end, to hear of the last changes."""

FAILED: Final = "an on_change callback failed"

log = get_logger(__name__)


class Teller:
    """Calls a callback with one change after the other, in a thread of its own.

    A callback is a guest: one that blocks or raises holds up nothing but the calls to come.
    """

    def __init__(self, callback: OnChange) -> None:
        self._callback = callback
        self._untold: deque[PresenceStatus] = deque()
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def tell(self, status: PresenceStatus) -> None:
        """Have the callback called. Does not wait for it."""
        with self._changed:
            if len(self._untold) >= MAX_UNTOLD:
                missed = self._untold.popleft()
                log.error("an on_change callback is too far behind", missed=missed.state)
            self._untold.append(status)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="devicewatch-on-change", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Let the last calls be made, as far as that takes no longer than `CLOSE_TIMEOUT`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(CLOSE_TIMEOUT)
        if thread.is_alive():
            log.warning("an on_change callback is still running and is left behind")
            with self._changed:
                self._untold.clear()

    def _run(self) -> None:
        while (status := self._next()) is not None:
            try:
                self._callback(status)
            except BaseException:
                log.exception(FAILED, state=status.state, device=status.name)

    def _next(self) -> PresenceStatus | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._untold)
            return self._untold.popleft() if self._untold else None
