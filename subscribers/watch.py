"""`watch()` and `Watcher`: follow a registry, from any thread, on a poller.

A watcher has no thread of its own. It works while its owner waits for the next event, in the
owner's thread; meanwhile ZeroMQ's queues keep what arrives. An owner who is too slow for them
loses messages there, and the mirror notices and catches up.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Self

import zmq

from ..events.errors import AddressError, RegistryUnreachable
from ..events.logs import get_logger
from ..events.protocol import DEFAULT_REGISTRY
from ..events.records import Cursor, Device, Event
from ..events.sockets import (
    Bell,
    Context,
    RequestSocket,
    Socket,
    check_address,
    connect,
    poll_timeout,
)
from .mirror import Ask, Listen, Mirror, Phase

_BATCH: Final = 100
"""Messages of the stream that are read in a row before a reply and the deadlines get their turn."""

log = get_logger(__name__)


def watch(
    url: str = DEFAULT_REGISTRY,
    *,
    context: Context | None = None,
    events_url: str | None = None,
) -> Iterator[Event]:
    """Yield `Added` and `Removed` events: first the devices that are there, then what happens.

        for event in watch("tcp://controller:5555"):
            print(event.topic, event.device.name)

    It goes on until its context is terminated, and waits for a registry that is not there (yet).
    For a view that can be closed, or asked for its devices, see `Watcher`.

    Args:
        url: The registry's address.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says:
            through a tunnel, say.

    Raises:
        AddressError: An address makes no sense.
    """
    return _until_done(Watcher(url, context=context, events_url=events_url))


def _until_done(watcher: "Watcher") -> Iterator[Event]:
    with watcher:
        yield from watcher


class Watcher:
    """A view of a registry that stays right: an iterator of events, and the devices they lead to.

        with Watcher("tcp://controller:5555") as watcher:
            for event in watcher:
                show(watcher.devices)

    One thread at a time may wait for events; `close` and `devices` may be used from any.

    Args:
        url: The registry's address.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says.

    Raises:
        AddressError: An address makes no sense.
    """

    def __init__(
        self,
        url: str = DEFAULT_REGISTRY,
        *,
        context: Context | None = None,
        events_url: str | None = None,
    ) -> None:
        check_address(url)
        if events_url is not None:
            check_address(events_url)
        self._url = url
        self._mirror = Mirror(url, events_url=events_url)
        self._context: Context = context or zmq.Context.instance()
        self._request = RequestSocket(self._context, url)
        self._stream: Socket | None = None
        self._bell = Bell()
        self._started = False
        self._closing = False
        self._in_use = threading.Lock()
        self._was_live = False
        self._was_stale = False

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after the events yielded so far: live, read-only.

        Another thread than the one that waits for events should read a `.copy()`.
        """
        return self._mirror.devices

    @property
    def cursor(self) -> Cursor | None:
        """The place in the event stream after the events yielded so far; None before any."""
        return self._mirror.cursor

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the context terminated."""
        return self._closing

    def connect(self, timeout: float | None = None) -> None:
        """Wait until the view is live. The events so far stay queued for iteration.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Raises:
            RegistryUnreachable: It took longer; the message says what was in the way.
        """
        if not self._work(lambda: self._mirror.phase is Phase.LIVE, timeout) and not self.closed:
            raise RegistryUnreachable(
                f"no live view of the registry at {self._url} within {timeout:g} s: "
                f"{self._mirror.trouble}"
            )

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Returns:
            None if there was none in time, or the watcher is closed.
        """
        event: Event | None = None

        def found() -> bool:
            nonlocal event
            event = self._mirror.next_event()
            return event is not None

        self._work(found, timeout)
        return event

    def close(self) -> None:
        """End the iteration, wherever it waits, and close the sockets. From any thread."""
        self._closing = True
        self._bell.ring()
        self._release()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_in_use"):  # else the constructor failed
            self.close()

    # --- at work ------------------------------------------------------------------------------

    def _work(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Serve the mirror until `done()`; False if time ran out or the watcher was closed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._in_use.acquire(blocking=False):
            if self._closing:
                return False
            raise RuntimeError("another thread is waiting for this watcher's events")
        try:
            in_time = True
            while not self._closing:
                if done():
                    return True
                if not in_time:
                    return False
                self._step(deadline)
                in_time = deadline is None or time.monotonic() < deadline
        except zmq.ContextTerminated:
            self._closing = True
        finally:
            self._in_use.release()
            if self._closing:
                self._release()
        return False

    def _release(self) -> None:
        """Close the sockets, unless someone is at work: they will do it on their way out."""
        if self._in_use.acquire(blocking=False):
            try:
                self._request.close()
                if self._stream is not None:
                    self._stream.close()
                self._bell.close()
            finally:
                self._in_use.release()

    def _step(self, deadline: float | None) -> None:
        """Do what the mirror wants, then give it the next thing that arrives, or the time."""
        mirror = self._mirror
        if not self._started:
            self._started = True
            mirror.start(time.monotonic())
        self._act()
        if not self._receive():
            due = mirror.next_deadline()
            self._sleep_until(due if deadline is None else min(due, deadline))
            self._receive()
        mirror.advance(time.monotonic())
        if (live := mirror.phase is Phase.LIVE) != self._was_live:
            self._was_live = live
            if live and self._was_stale:
                log.warning("the view is live again", registry=self._url)
            elif live:
                log.info("the view is live", registry=self._url)
            else:
                log.warning("the view is stale", registry=self._url, why=mirror.trouble)
                self._was_stale = True

    def _act(self) -> None:
        for action in self._mirror.actions():
            self._do(action)

    def _do(self, action: Ask | Listen) -> None:
        if isinstance(action, Ask):
            self._request.send(action.request)
            return
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        try:
            self._stream = connect(self._context, zmq.SUB, action.url)
        except AddressError as error:  # the registry's fault: the mirror will try again
            log.warning("the registry names a bad address", registry=self._url, why=str(error))

    def _receive(self) -> bool:
        """Give the mirror what waits, as far as a batch goes; say whether there was anything.

        The stream comes first: a reply tells of events that the stream may have brought already.
        """
        received = False
        for _ in range(_BATCH):
            if not self._receive_message():
                break
            received = True
            self._act()
        reply = self._request.receive()
        if reply is not None:
            self._mirror.reply_received(reply, time.monotonic())
        return received or reply is not None

    def _receive_message(self) -> bool:
        if self._stream is None:
            return False
        try:
            frames = self._stream.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._mirror.stream_received(frames, time.monotonic())
        return True

    def _sleep_until(self, due: float) -> None:
        poller = zmq.Poller()
        for source in (self._bell.fileno(), self._request.waiting, self._stream):
            if source is not None:
                poller.register(source, zmq.POLLIN)
        poller.poll(poll_timeout(due - time.monotonic()))
