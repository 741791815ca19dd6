"""One watcher for all browsers: what is there, what was, and what happens, ready to be sent.

A watcher can go on after any cursor that the registry's history reaches. So the feed first asks
where the registry is, and then follows it from as far back as it can: its timeline shows the past
hours right after the start, and a browser that was connected to this server's last life gets just
what it missed. A browser that comes back before that is done is kept waiting, with pulses, and
keeps what it shows.

Nobody has a queue. Each browser has a position in the `Backlog`, and is sent what comes after it
as quickly as it takes it; one that is so slow that this has been dropped gets a snapshot again
(see `snapshots`).
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, Final

import attrs

from ...events.errors import RegistryUnreachable
from ...events.keys import Key
from ...events.plain import device_dict, record_dict
from ...events.protocol import DEFAULT_HISTORY
from ...events.records import Added, Cursor, Live, Record, Removed, Stale, State, Status
from ...events.sockets import Context
from ..aio import AsyncWatcher
from ..skew import Skew
from ..timeline import Timeline
from .backlog import Backlog
from .frames import json_list, sent_event, status_dict, timeline_dict, to_json
from .snapshots import NOTHING, Piece, Snapshot, Snapshots, cut_up, in_time

MAX_BROWSERS: Final = 256
"""Streams that are served at a time."""

PULSE: Final = 1.0
"""Seconds between two signs of life to a browser."""

_PASTS: Final = (DEFAULT_HISTORY - 100, 5_000, 2_000, 1_000, 300, 100, 30, 10, 0)
"""Events to go back by, until the registry's history reaches. It goes on moving meanwhile."""

_PACE: Final = 0.05
"""Seconds between two pieces to a browser that has all: a burst is sent in few of them."""

_TURN: Final = 100
"""Records to take in before others have their turn."""

_RETRY: Final = b"retry: 1000\n\n"
"""Milliseconds after which a browser reconnects."""


@attrs.define
class _Reader:
    """Where a browser is.

    Attributes:
        after: The id after which it is to go on, until that was looked up.
        position: Where it is in the backlog; None before it has begun.
        pulse_at: When it is sent the next pulse, on the monotonic clock.
        reads: The snapshot that it is being sent.
    """

    after: str | None
    position: int | None = None
    pulse_at: float = 0.0
    reads: Snapshot | None = None


class Feed:
    """What browsers are told. It belongs to the event loop in which `run` runs.

    Args:
        url: The registry's address.
        key: This program's, and the registry's; None for a registry without keys.
        context: ZeroMQ context (a plain one) to open sockets in; None is pyzmq's global one.

    Attributes:
        url: The registry's address.
        browsers: How many streams there are at present.

    Raises:
        AddressError: The address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
    """

    def __init__(self, url: str, *, key: Key | None = None, context: Context | None = None) -> None:
        self.url = url
        self.browsers = 0
        self._key = key
        self._context = context
        self._began = time.time()
        self._watcher = self._watch(None)
        self._backlog: Backlog | None = None  # until the past has been read
        self._timeline = Timeline()
        self._skew = Skew()
        self._devices: dict[str, bytes] = {}
        self._listed: tuple[int, bytes] = (-1, b"[]")  # after which record, and the devices
        self._snapshots = Snapshots()
        self._news = asyncio.Event()
        self._closed = False

    # --- what is known ------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What the view is worth."""
        status = self._watcher.status
        if self._backlog is None and not self._closed:
            why = status.why or "reading what has happened so far"
            return Status(State.CONNECTING, self._began, why)
        return status

    @property
    def cursor(self) -> Cursor | None:
        """Where the last record has led to; None before there is a view."""
        return None if self._backlog is None else self._backlog.cursor

    @property
    def full(self) -> bool:
        """Whether no more browsers are served."""
        return self.browsers >= MAX_BROWSERS

    def overview(self) -> dict[str, Any]:
        """What the view is worth, in short."""
        return {
            "registry": self.url,
            "status": status_dict(self.status),
            "cursor": _text(self.cursor),
            "now": time.time(),
            "ahead": self._skew.ahead,
        }

    def devices_json(self) -> Sequence[Piece]:
        """What the view is worth, and the devices present."""
        head = to_json(self.overview()).removesuffix(b"}") + b',"devices":'
        return cut_up(head, self._list(), b"}")

    def _list(self) -> bytes:
        """The devices present, as JSON; the same bytes for all while nothing happens."""
        if self._backlog is None:  # they are still being read
            return json_list(self._devices.values())
        if self._listed[0] != self._backlog.end:
            self._listed = (self._backlog.end, json_list(self._devices.values()))
        return self._listed[1]

    # --- following ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the registry until cancelled.

        Raises:
            AuthenticationError: The registry does not let this program in, or is another one.
            RegistryUnreachable: The context was terminated.
        """
        try:
            place = await self._place()
            since = await self._go_back(place)
            await self._follow(since or place, past=since is not None)
            raise self._ended()
        finally:
            self.close()
            await self._watcher.close()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._tell()

    async def _place(self) -> Cursor:
        """Where the registry is."""
        async for record in self._watcher.records():
            if isinstance(record, Live):
                return record.cursor
        raise self._ended()

    def _ended(self) -> RegistryUnreachable:
        """Why there is nothing more to come: nobody else closes the watcher."""
        why = self._watcher.status.why
        return RegistryUnreachable(f"the registry at {self.url} is not followed any more: {why}")

    async def _go_back(self, place: Cursor) -> Cursor | None:
        """Take a watcher from as far back as can be; None if the one that there is has to do."""
        for seq in sorted({max(0, place.seq - past) for past in _PASTS}):
            since = Cursor(place.epoch, seq)
            async with contextlib.AsyncExitStack() as stack:
                watcher = await stack.enter_async_context(self._watch(since))
                await watcher.connect()
                if watcher.resumed:
                    stack.pop_all()
                    await self._watcher.close()
                    self._watcher = watcher
                    return since
        return None

    def _watch(self, since: Cursor | None) -> AsyncWatcher:
        return AsyncWatcher(
            self.url, since=since, existing=False, key=self._key, context=self._context
        )

    async def _follow(self, since: Cursor, *, past: bool) -> None:
        """Take in what the watcher yields.

        Args:
            since: Where it is.
            past: Whether there is a past to be read before anybody is told of anything.
        """
        present = self._watcher.devices
        self._devices = {name: to_json(device_dict(device)) for name, device in present.items()}
        self._timeline = Timeline(present.values())
        self._skew = Skew(live=not past)
        for device in present.values():
            self._skew.witness(device.registered_at, time.time())
        backlog = Backlog(since, life=secrets.token_hex(4))
        if not past:
            self._timeline.known_since = time.time()
            self._publish(backlog)
        taken = 0
        async for record in self._watcher.records():
            if self._timeline.known_since is None:
                self._timeline.known_since = record.time
            self._take(record, backlog)
            if self._backlog is not None or isinstance(record, Live):
                self._publish(backlog)
            taken += 1
            if taken % _TURN == 0:
                await asyncio.sleep(0)  # others want to run as well

    def _publish(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._tell()

    def _take(self, record: Record, backlog: Backlog) -> None:
        if isinstance(record, Added | Removed):
            name = record.device.name
            device = self._watcher.devices.get(name)
            if device is None:
                self._devices.pop(name, None)
            else:
                self._devices[name] = to_json(device_dict(device))
        self._timeline.add(record)
        self._skew.add(record, time.time())
        data = record_dict(record)
        cursor = None if isinstance(record, Stale) else record.cursor
        backlog.add(data["event"], cursor, to_json(data))

    def _tell(self) -> None:
        """Wake all streams."""
        self._news.set()
        self._news = asyncio.Event()

    # --- telling ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def browser(self) -> Iterator[None]:
        """One more browser, for as long as a `with` block."""
        self.browsers += 1
        try:
            yield
        finally:
            self.browsers -= 1

    async def stream(self, after: str | None) -> AsyncGenerator[Piece, None]:
        """What to send to a browser, until it leaves or the feed is closed.

        Args:
            after: The id of the last record that it has; None to begin with a snapshot.

        Raises:
            TooSlow: It took too long to read a snapshot.
        """
        yield _RETRY
        reader = _Reader(after)
        if after is None and self._backlog is None:  # nobody knows for how long
            for piece in self._pieces(NOTHING, again=False):
                yield piece
        while not self._closed:
            news = self._news
            pieces = self._next(reader)
            for piece in in_time(pieces):
                yield piece
            if not pieces:
                await _wait(news, reader.pulse_at)
            elif self._backlog is not None and reader.position == self._backlog.end:
                await asyncio.sleep(_PACE)

    def _next(self, reader: "_Reader") -> Sequence[Piece]:
        """What to send to a browser next; nothing if it has all."""
        reader.reads = None
        backlog = self._backlog
        begun = reader.position is not None
        if time.monotonic() >= reader.pulse_at and (begun or backlog is None):
            reader.pulse_at = time.monotonic() + PULSE
            return [self._pulse()]
        if backlog is None:
            return []
        if reader.position is None and reader.after is not None:
            reader.position = backlog.find(reader.after)
        found = None if reader.position is None else backlog.read(reader.position)
        if found is None:  # it is new, or was away for too long, or is too slow
            now = time.monotonic()
            snapshot = reader.reads = self._snapshots.current(backlog, self._make_snapshot, now)
            again = begun or reader.after is not None
            reader.after, reader.position = None, snapshot.position
            return self._pieces(snapshot, again=again)
        data, reader.position = found
        return [data] if data else []

    def _pulse(self) -> bytes:
        pulse = {
            "now": time.time(),
            "ahead": self._skew.ahead,
            "status": status_dict(self.status),
            "cursor": _text(self.cursor),
        }
        return sent_event("pulse", to_json(pulse))

    def _make_snapshot(self, backlog: Backlog, now: float) -> Snapshot:
        self._timeline.forget(time.time(), self._skew.ahead)
        return Snapshot(
            backlog.end,
            backlog.last_id,
            backlog.cursor,
            self._list(),
            to_json(timeline_dict(self._timeline)),
            now,
        )

    def _pieces(self, snapshot: Snapshot, *, again: bool) -> list[Piece]:
        """A snapshot as a server-sent event; all browsers share what is large in it."""
        head = {"again": again} | self.overview() | {"cursor": _text(snapshot.cursor)}
        return snapshot.pieces(to_json(head))


def _text(cursor: Cursor | None) -> str | None:
    return None if cursor is None else str(cursor)


async def _wait(news: asyncio.Event, until: float) -> None:
    """Wait for news, or for a time on the monotonic clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until - time.monotonic()):
            await news.wait()
