"""`AsyncWatcher`: a view of a registry that stays right, for asyncio programs.

The event loop calls back when something has arrived, and what the mirror makes of it is handed to
whoever waits: a reader that is cancelled can so lose nothing, since an event is taken from the
mirror in the very step in which it is returned. This goes on while nobody waits, so that `status`
is always up to date; events wait in the mirror's queue, which is bounded: a reader who is too slow
for it gets what it missed from the registry's history, or the difference.

One task does nothing but wait for the end, which may be that of the event loop.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Self

import zmq

from ..events.aio import Lookout
from ..events.errors import RegistryUnreachable
from ..events.html import view_html
from ..events.keys import Key
from ..events.protocol import DEFAULT_REGISTRY
from ..events.records import Cursor, Device, Event, Record, State, Status
from ..events.sockets import Context, check_address
from .mirror import Mirror
from .transport import Transport


class AsyncWatcher:
    """`Watcher` for asyncio: an asynchronous iterator of events, and the devices they lead to.

        async with AsyncWatcher("tcp://controller:5555") as watcher:
            async for event in watcher:
                show(watcher.devices)

    It belongs to the event loop in which it is first used, and one task at a time may wait for
    events. Any wait may be cancelled, and loses nothing. Close it before its context is
    terminated from the event loop's thread, which would wait for it in vain.

    Args:
        url: The registry's address.
        since: Go on after this cursor; see `watch`.
        existing: Whether to yield the devices that are there at the beginning.
        device_type: Follow devices of this type only.
        context: ZeroMQ context (a plain one) to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: An address makes no sense.
        AuthenticationError: The key does not say which registry it is for; and, from whatever
            waits for the first view, the registry does not let this program in, or is another one.
        MessageError: `since` cannot be put into a request.
        TypeError: `since` is no `Cursor`; `Cursor.parse` reads one.
    """

    def __init__(
        self,
        url: str = DEFAULT_REGISTRY,
        *,
        since: Cursor | None = None,
        existing: bool = True,
        device_type: str | None = None,
        context: Context | None = None,
        events_url: str | None = None,
        key: Key | None = None,
    ) -> None:
        if events_url is not None:
            check_address(events_url)
        self._url = url
        self._mirror = Mirror(
            url, events_url=events_url, since=since, existing=existing, device_type=device_type
        )
        self._view = self._mirror.view
        self._transport = Transport(self._mirror, url, context, key)
        self._lookout: Lookout | None = None
        self._next_step: asyncio.Handle | None = None
        self._waiting: list[asyncio.Future[None]] = []  # for news
        self._task: asyncio.Task[None] | None = None
        self._closed_at: float | None = None
        self._closed_why = ""
        self._error: Exception | None = None  # our own fault

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after the events yielded so far: live, read-only."""
        return self._view.devices

    @property
    def cursor(self) -> Cursor | None:
        """The place in the event stream after the events yielded so far; None before any."""
        return self._view.cursor

    @property
    def status(self) -> Status:
        """What the view is worth, since when, and why it is not live.

        It is up to date, and so ahead of `devices` by the events that were not read yet.
        """
        if self._closed_at is not None:
            return Status(State.CLOSED, self._closed_at, self._closed_why)
        return self._view.status

    @property
    def resumed(self) -> bool | None:
        """Whether it has gone on at `since`; see `Watcher.resumed`."""
        return self._view.resumed

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the context terminated."""
        return self._closed_at is not None

    async def connect(self, timeout: float | None = None) -> None:
        """Wait until the view is live. The events so far stay queued for iteration.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Raises:
            RegistryUnreachable: It took longer, or the watcher was closed; the message says what
                was in the way.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._closed_at is None and self._view.state is not State.LIVE:
                    await self._news()
        except TimeoutError:
            raise RegistryUnreachable(
                f"no live view of the registry at {self._url} within {timeout:g} s: "
                f"{self._view.trouble}"
            ) from None
        if self.closed:
            raise RegistryUnreachable(f"no live view of {self._url}: {self._closed_why}")

    async def get(self, timeout: float | None = None) -> Event | None:
        """The next event.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Returns:
            None if there was none in time, or the watcher is closed.
        """
        if timeout is None:
            return await self._next_event()
        try:
            async with asyncio.timeout(timeout):
                return await self._next_event()
        except TimeoutError:
            return None

    async def get_record(self, timeout: float | None = None) -> Record | None:
        """The next event, or word on the view: `get`, with `Live` and `Stale` among the events.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Returns:
            None if there was none in time, or the watcher is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._next()
        except TimeoutError:
            return None

    async def records(self) -> AsyncIterator[Record]:
        """Iterate over the events, with `Live` and `Stale` among them."""
        while (record := await self._next()) is not None:
            yield record

    async def close(self) -> None:
        """End the iteration, and close the sockets."""
        self._end("it was closed")
        if self._task is None:
            self._release()
            return
        self._wake()  # the task does so too, unless it has not begun: then nothing in it runs
        self._task.cancel()
        await asyncio.wait([self._task])

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._next_event()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncWatcher of {self._url}: {self.status.state}, {len(self.devices)} devices>"

    def _repr_html_(self) -> str:
        """A table, for notebooks. From any thread."""
        return view_html(self._url, self.status, self.devices)

    def __del__(self) -> None:
        if hasattr(self, "_error"):  # else the constructor failed
            self._release()

    # --- who waits ----------------------------------------------------------------------------

    async def _next_event(self) -> Event | None:
        while True:
            record = await self._next()
            if record is None or isinstance(record, Event):
                return record

    async def _next(self) -> Record | None:
        while self._closed_at is None:
            record = self._view.next_record()
            if record is not None:
                if self._view.state is not State.LIVE:
                    self._serve_soon()  # there may be room again, to fetch more
                return record
            await self._news()
        if self._error is not None:
            raise self._error
        return None

    def _news(self) -> asyncio.Future[None]:
        """What to await: there is news then, or the watcher is closed."""
        self._start()
        if (refusal := self._mirror.take_refusal()) is not None:
            raise refusal
        news = asyncio.get_running_loop().create_future()
        self._waiting = [other for other in self._waiting if not other.done()]  # given up on
        self._waiting.append(news)
        return news

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():
                news.set_result(None)

    # --- at work ------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None and not self.closed:
            self._task = asyncio.create_task(self._run(), name="devicewatch-watcher")

    async def _run(self) -> None:
        """Work until this is cancelled, as it is when the event loop ends."""
        loop = asyncio.get_running_loop()
        self._lookout = Lookout(partial(self._do, self._follow), partial(self._do, self._serve))
        self._serve_soon()
        try:
            await loop.create_future()
        finally:
            self._end("its task was ended")
            self._release()
            self._wake()

    def _do(self, step: Callable[[], bool]) -> None:
        """Do a step of the work; go on soon unless that was all, and not at all if it fails.

        An event goes to whoever waits for it before anything else is done, if there is.
        """
        if self._closed_at is not None:
            return
        try:
            if not step():
                self._serve_soon()
        except zmq.ContextTerminated:
            self._fail("its ZeroMQ context was terminated")
        except Exception as error:  # noqa: BLE001 - for whoever waits
            self._error = error
            self._fail("its task was ended")
        if self._waiting and self._mirror.has_news:
            self._wake()

    def _follow(self) -> bool:
        """Give the mirror the next message of the stream; say whether that was all."""
        return self._transport.follow() and not self._transport.has_more

    def _serve_soon(self) -> None:
        """Go on once others have run."""
        if self._next_step is None:
            loop = asyncio.get_running_loop()
            self._next_step = loop.call_soon(self._do, self._serve)

    def _serve(self) -> bool:
        """Give the mirror what has arrived, and the time; say whether that was all."""
        self._next_step = None
        transport = self._transport
        served = transport.serve()
        transport.advance()
        if not served and self._lookout is not None:
            self._lookout.watch(transport.files, transport.seconds_to_deadline())
        return not served

    def _fail(self, why: str) -> None:
        self._end(why)
        if self._task is not None:
            self._task.cancel()

    def _end(self, why: str) -> None:
        if self._closed_at is None:
            self._closed_why = why
            self._closed_at = time.time()

    def _release(self) -> None:
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        if self._lookout is not None:
            self._lookout.close()
        self._transport.close()
