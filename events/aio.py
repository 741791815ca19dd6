"""How an asyncio program waits for sockets; nothing here knows the protocol.

A ZeroMQ socket has a file descriptor that becomes readable when *something* has happened to it.
Whoever waits for it has to have read all there is first, up to `zmq.Again`: what arrived before
the last look, or during a send, is not announced again (http://api.zeromq.org/4-3:zmq-getsockopt,
ZMQ_FD).
"""

import asyncio
from collections.abc import Iterable


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
