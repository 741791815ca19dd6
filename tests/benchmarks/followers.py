"""The processes of `watching`: those who follow, as programs do it, and as raw sockets.

Each is a function that runs in a process of its own. It says "live" over its pipe once all of its
watchers are, and from then on, for each event, when the last of them had it: on the monotonic
clock, which all processes of a machine share.
"""

import asyncio
import signal
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
import zmq

from devicewatch.events import Added, Live, Removed
from devicewatch.events.sockets import Context
from devicewatch.registry.descriptors import raise_limit
from devicewatch.subscribers import AsyncWatcher, watch

from .bare import subscriber

PROBE: Final = "probe"
"""What a device is called that registers only to find out who hears of it."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Tally:
    """Who of some watchers has had what.

    Args:
        pipe: Where to say so.
        number: How many there are.
    """

    def __init__(self, pipe: Connection, number: int) -> None:
        self._pipe = pipe
        self._number = number
        self._live: set[int] = set()
        self._heard: Counter[int] = Counter()  # events, by the watcher
        self._left: Counter[int] = Counter()  # watchers that have had it, by the event

    def live(self, watcher: int) -> None:
        """This one follows."""
        if watcher not in self._live:
            self._live.add(watcher)
            if len(self._live) == self._number:
                self._pipe.send("live")

    def heard(self, watcher: int) -> None:
        """This one has had its next event, just now."""
        self._heard[watcher] += 1
        event = self._heard[watcher]
        self._left[event] += 1
        if self._left[event] == self._number:
            self._pipe.send(time.monotonic())
            del self._left[event]


def watch_one(pipe: Connection, url: str) -> None:
    """Be one program with `watch()`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for record in watch(url, existing=False, status=True):
        if isinstance(record, Added | Removed):
            pipe.send(time.monotonic())
        elif isinstance(record, Live):
            pipe.send("live")


def hear_one(pipe: Connection, events_url: str) -> None:
    """Be one raw SUB."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    context: Context = zmq.Context()
    socket = subscriber(context, events_url)
    live = False
    while True:
        _, body = socket.recv_multipart()
        event = _decode(body)
        now = time.monotonic()
        if event["device"]["name"] != PROBE:
            pipe.send(now)
        elif not live:
            live = True
            pipe.send("live")


def watch_many(pipe: Connection, url: str, number: int) -> None:
    """Be one program with many watchers: on asyncio, as nobody wants hundreds of threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_limit()
    asyncio.run(_watch_many(pipe, url, number))


async def _watch_many(pipe: Connection, url: str, number: int) -> None:
    context = _context()
    tally = Tally(pipe, number)

    async def follow(which: int) -> None:
        async with AsyncWatcher(url, existing=False, context=context) as watcher:
            async for record in watcher.records():
                if isinstance(record, Added | Removed):
                    tally.heard(which)
                elif isinstance(record, Live):
                    tally.live(which)

    async with asyncio.TaskGroup() as tasks:
        for which in range(number):
            tasks.create_task(follow(which))


def hear_many(pipe: Connection, events_url: str, number: int) -> None:
    """Be as many raw SUBs, at one poller."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_limit()
    context, poller = _context(), zmq.Poller()
    numbers = {subscriber(context, events_url): which for which in range(number)}
    for socket in numbers:
        poller.register(socket, zmq.POLLIN)
    tally = Tally(pipe, number)
    while True:
        for socket, _ in poller.poll():
            _, body = socket.recv_multipart()
            if _decode(body)["device"]["name"] == PROBE:
                tally.live(numbers[socket])
            else:
                tally.heard(numbers[socket])


def _context() -> Context:
    context: Context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 10_000)
    return context
