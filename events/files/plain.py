"""How one waits in Python, by poll(2), or by ZeroMQ's own where there is none."""

import math
import select
from collections.abc import Iterable

import zmq


class Files:
    """File descriptors to wait for; of a socket it is the one that `has_message` speaks of.

    A `zmq.Poller` of sockets would ask each of them twice, before and after.
    """

    def __init__(self, files: Iterable[int]) -> None:
        # ZeroMQ's can wait for files, too, and does where the system has no such call.
        self._poller = select.poll() if hasattr(select, "poll") else zmq.Poller()
        for file in files:
            self._poller.register(file, zmq.POLLIN)

    def wait(self, seconds: float) -> list[int]:
        """Wait until one can be read, or time is up; say which can."""
        return [file for file, _ in self._poller.poll(poll_timeout(seconds))]


class LastingFiles(Files):
    """The same for those that stay open until this is closed, and are waited for very often.

    Where one is closed before, nobody hears of it any more, nor of what gets its number then. The
    compiled build opens two descriptors for each of these.

    Args:
        files: Each of them once.

    Raises:
        OSError: No more files may be opened, or one of these is not open.
    """

    def close(self) -> None:
        """Wait no more. May be repeated."""


def poll_timeout(seconds: float) -> int:
    """Milliseconds to poll for, so as to wake after a deadline and not just before it.

    A day at the most, which is too early for some deadlines and longer than ZeroMQ's limit for
    none.
    """
    if seconds >= 86_400:
        return 86_400_000
    return math.ceil(seconds * 1000) if seconds > 0 else 0  # also where it is no number
