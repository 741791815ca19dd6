"""How an asyncio program waits for sockets; nothing here knows the protocol.

A ZeroMQ socket has a file descriptor that becomes readable when *something* has happened to it.
Whoever waits for it has to have read all there is first, up to `zmq.Again`: what arrived before
the last look, or during a send, is not announced again (http://api.zeromq.org/4-3:zmq-getsockopt,
ZMQ_FD).
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence


async def wait_readable(files: Iterable[int], seconds: float) -> None:
    """Wait until one of these file descriptors can be read, or time is up. May be cancelled.

    Args:
        files: Of sockets (`socket.FD`) and bells (`Bell.fileno()`); nobody else may be waiting
            for the same one in this event loop.
        seconds: How long at the most; a day, if it is more.
    """
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    files = list(files)
    timer = loop.call_later(max(0.0, min(seconds, 86_400)), wake)
    try:
        for file in files:
            loop.add_reader(file, wake)
        await woken
    finally:
        timer.cancel()
        for file in files:
            loop.remove_reader(file)


class Lookout:
    """Calls back when a file descriptor can be read, or when it is time to; until it is closed.

    For those who wait again and again: `wait_readable` tells the system of all descriptors each
    time, which takes longer than to read a message.

    Args:
        readable: Called in the running event loop, each time, until there is nothing to read.
        due: Called there when it is time; not again before `watch` has been.
    """

    def __init__(self, readable: Callable[[], None], due: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._readable = readable
        self._when_due = due
        self._files: Sequence[int] = ()
        self._copies: list[int] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, files: Sequence[int], seconds: float) -> None:
        """Look out for these from now on, and no longer for others.

        Args:
            files: File descriptors, in a list that does not change: the same one is the same ones.
            seconds: When to call back if nothing can be read; a day, if it is more.
        """
        self._due = self._loop.time() + max(0.0, min(seconds, 86_400))
        if self._timer is None or self._timer.when() > self._due:
            self._cancel()
            self._timer = self._loop.call_at(self._due, self._ring)
        if files is not self._files:
            self._forget()
            self._files = files
            # ZeroMQ closes its own when it likes, and the system hands out their numbers again.
            for file in files:
                self._copies.append(os.dup(file))
                self._loop.add_reader(self._copies[-1], self._readable)

    def close(self) -> None:
        """Call back no more. May be repeated."""
        self._cancel()
        self._forget()

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._due:  # put off meanwhile: that is seldom worth a new timer
            self._timer = self._loop.call_at(self._due, self._ring)
        else:
            self._when_due()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        for copy in self._copies:
            if not self._loop.is_closed():
                self._loop.remove_reader(copy)
            os.close(copy)
        self._files, self._copies = (), []
