"""`Watcher`: a view of a registry that stays right, on a poller, in whichever thread uses it.

A watcher has no thread of its own. It works while its owner waits for the next event, in the
owner's thread; meanwhile ZeroMQ's queues keep what arrives. An owner who is too slow for them
loses messages there, and the mirror notices and catches up.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self, TypeVar

import zmq

from ..events.errors import RegistryUnreachable
from ..events.files import Files
from ..events.html import view_html
from ..events.keys import Key
from ..events.protocol import DEFAULT_REGISTRY
from ..events.records import Cursor, Device, Event, Record, State, Status
from ..events.sockets import Bell, Context, check_address
from .mirror import Mirror
from .transport import Transport

T = TypeVar("T")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


class Watcher:
    """A view of a registry that stays right: an iterator of events, and the devices they lead to.

        with Watcher("tcp://controller:5555") as watcher:
            for event in watcher:
                show(watcher.devices)

    One thread at a time may wait for events; `close`, `devices` and `status` may be used from any.

    Args:
        url: The registry's address.
        since: Go on after this cursor; see `watch`. `devices` then begins with those that were
            present at it.
        existing: Whether to yield the devices that are there at the beginning. `devices` has them
            either way.
        device_type: Follow devices of this type only.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
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
        self._bell = Bell()
        self._files = Files(())  # to wait for
        self._follows = False  # whether nothing is to be done but to wait for more
        self._closed_at: float | None = None
        self._closed_why = ""
        self._in_use = threading.Lock()

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after the events yielded so far: live, read-only.

        Another thread than the one that waits for events should read a `.copy()`.
        """
        return self._view.devices

    @property
    def cursor(self) -> Cursor | None:
        """The place in the event stream after the events yielded so far; None before any."""
        return self._view.cursor

    @property
    def status(self) -> Status:
        """What the view is worth, since when, and why it is not live.

        It is as of the last moment when somebody waited for events, and ahead of `devices` by
        what has arrived since and was not read yet.
        """
        if self._closed_at is not None:
            return Status(State.CLOSED, self._closed_at, self._closed_why)
        return self._view.status

    @property
    def resumed(self) -> bool | None:
        """Whether it has gone on at `since`, so that what was known then still counts.

        None without `since`, and before the view was live; False if the history did not reach.
        """
        return self._view.resumed

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the context terminated."""
        return self._closed_at is not None

    def connect(self, timeout: float | None = None) -> None:
        """Wait until the view is live. The events so far stay queued for iteration.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Raises:
            RegistryUnreachable: It took longer, or the watcher was closed; the message says what
                was in the way.
        """
        if self._work(lambda: self._view.state is State.LIVE or None, _deadline(timeout)):
            return
        if self.closed:
            raise RegistryUnreachable(f"no live view of {self._url}: {self._closed_why}")
        raise RegistryUnreachable(
            f"no live view of the registry at {self._url} within {timeout:g} s: "
            f"{self._view.trouble}"
        )

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Returns:
            None if there was none in time, or the watcher is closed.
        """
        deadline = _deadline(timeout)
        while True:
            record = self._next(deadline)
            if record is None or isinstance(record, Event):
                return record

    def get_record(self, timeout: float | None = None) -> Record | None:
        """The next event, or word on the view: `get`, with `Live` and `Stale` among the events.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes, and 0 gives what has
                arrived already.

        Returns:
            None if there was none in time, or the watcher is closed.
        """
        return self._next(_deadline(timeout))

    def records(self) -> Iterator[Record]:
        """Iterate over the events, with `Live` and `Stale` among them."""
        return iter(self._next, None)

    def close(self) -> None:
        """End the iteration, wherever it waits, and close the sockets. From any thread."""
        self._end("it was closed")
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

    def __repr__(self) -> str:
        return f"<Watcher of {self._url}: {self.status.state}, {len(self.devices)} devices>"

    def _repr_html_(self) -> str:
        """A table, for notebooks. From any thread."""
        return view_html(self._url, self.status, self.devices)

    def __del__(self) -> None:
        if hasattr(self, "_in_use"):  # else the constructor failed
            self.close()

    # --- at work ------------------------------------------------------------------------------

    def _next(self, deadline: float | None = None) -> Record | None:
        return self._work(self._view.next_record, deadline)

    def _work(self, look: Callable[[], T], deadline: float | None) -> T | None:
        """Serve the mirror until `look` finds something; None if time ran out or it is closed."""
        if not self._in_use.acquire(blocking=False):
            if self.closed:
                return None
            raise RuntimeError("another thread is waiting for this watcher's events")
        try:
            in_time = True
            while self._closed_at is None:
                if (found := look()) is not None:
                    return found
                if (refusal := self._mirror.take_refusal()) is not None:
                    raise refusal
                if not in_time:
                    return None
                self._step(deadline)
                in_time = deadline is None or time.monotonic() < deadline
        except zmq.ContextTerminated:
            self._end("its ZeroMQ context was terminated")
        finally:
            self._in_use.release()
            if self.closed:
                self._release()
        return None

    def _step(self, deadline: float | None) -> None:
        """Give the mirror the next thing that arrives, or the time."""
        transport = self._transport
        if not self._follows or transport.has_more:
            served = transport.serve()
            transport.advance()
            if served:
                self._follows = False  # what it asks for now may come by another socket
                return
            self._files = Files((self._bell.fileno(), *transport.files))
        pause = transport.seconds_to_deadline()
        if deadline is not None:
            pause = min(pause, deadline - time.monotonic())
        self._files.wait(pause)
        self._follows = transport.follow()  # an event is handed on at once, all else can wait

    def _end(self, why: str) -> None:
        if self._closed_at is None:
            self._closed_why = why
            self._closed_at = time.time()

    def _release(self) -> None:
        """Close the sockets, unless someone is at work: they will do it on their way out."""
        if self._in_use.acquire(blocking=False):
            try:
                self._transport.close()
                self._bell.close()
            finally:
                self._in_use.release()
