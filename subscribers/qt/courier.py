"""A registry, followed in a thread for a program whose own thread has another loop to run.

The thread knows nothing of that loop, and touches nothing of it. What it has received waits in a
queue, and a file descriptor is readable for as long as something does: any loop can wait for that.
So nothing can be delivered to what is no longer there, and the loop takes as much at a time as it
likes. The queue is short: while it is full the thread stops reading, and the watcher makes up for
what it misses meanwhile, as for any reader who is slow.
"""

import threading
from collections import deque
from typing import Final, TypeAlias

import attrs

from ...events.errors import AuthenticationError
from ...events.logs import get_logger
from ...events.records import Record
from ...events.sockets import Bell
from ..watcher import Watcher

MAX_WAITING: Final = 2_000
"""Records that wait to be taken."""

STOP_TIMEOUT: Final = 5.0
"""Seconds that `stop` waits for the thread, which needs a few milliseconds."""

log = get_logger(__name__)


@attrs.frozen
class Ended:
    """Nothing more will come, though nobody has called `stop`.

    Attributes:
        why: In words.
        error: What has gone wrong; None where the context was terminated.
    """

    why: str
    error: Exception | None = None


Item: TypeAlias = Record | AuthenticationError | Ended
"""What is delivered. After an `AuthenticationError` it tries on."""


class Courier:
    """Reads a watcher, which it owns from then on. All methods may be used from any thread."""

    def __init__(self, watcher: Watcher, limit: int = MAX_WAITING) -> None:
        self._watcher = watcher
        self._limit = limit
        self._items: deque[Item] = deque()
        self._stopped = False
        # Reentrant: the garbage collector may call `stop` in the middle of anything.
        self._changed = threading.Condition(threading.RLock())
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name="devicewatch-qt", daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def fileno(self) -> int:
        """What is readable while something waits to be taken."""
        return self._bell.fileno()

    def take(self) -> Item | None:
        """The next item; None if there is none for now, or ever since `stop`."""
        with self._changed:
            item = self._items.popleft() if self._items else None
            if not self._items:
                self._bell.hush()
            if len(self._items) == self._limit // 2:
                # Not for each that is taken: the two threads would only wait for each other.
                self._changed.notify_all()
            return item

    def stop(self) -> None:
        """Stop reading, and close the sockets. What was not taken is lost. May be repeated."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()
        self._watcher.close()
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    def close(self) -> None:
        """Close the file descriptor, once it has been stopped and nobody waits for it any more."""
        self._bell.close()

    def _run(self) -> None:
        item: Item | None = None
        while not isinstance(item, Ended):
            item = self._next()
            if not self._put(item):
                return

    def _next(self) -> Item:
        try:
            for record in self._watcher.records():
                return record
        except AuthenticationError as error:
            return error
        except Exception as error:
            log.exception("a watcher failed")
            self._watcher.close()
            return Ended(f"{type(error).__name__}: {error}", error)
        return Ended(self._watcher.status.why)

    def _put(self, item: Item) -> bool:
        with self._changed:
            if len(self._items) >= self._limit:
                self._changed.wait_for(
                    lambda: self._stopped or len(self._items) <= self._limit // 2
                )
            if not self._stopped:
                self._items.append(item)
                if len(self._items) == 1:
                    self._bell.ring()
            return not self._stopped
