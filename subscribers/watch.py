"""`watch()` and `awatch()`: follow a registry for as long as somebody iterates.

Each is a generator around a view (`watcher`, `aio`), which it opens and closes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Literal, overload

from ..events.keys import Key
from ..events.protocol import DEFAULT_REGISTRY
from ..events.records import Cursor, Event, Record
from ..events.sockets import Context
from .aio import AsyncWatcher
from .watcher import Watcher

__all__ = ["AsyncWatcher", "Watcher", "awatch", "watch"]


@overload
def watch(
    url: str = ...,
    *,
    since: Cursor | None = ...,
    status: Literal[False] = ...,
    existing: bool = ...,
    device_type: str | None = ...,
    context: Context | None = ...,
    events_url: str | None = ...,
    key: Key | None = ...,
) -> Generator[Event, None, None]: ...


@overload
def watch(
    url: str = ...,
    *,
    since: Cursor | None = ...,
    status: Literal[True],
    existing: bool = ...,
    device_type: str | None = ...,
    context: Context | None = ...,
    events_url: str | None = ...,
    key: Key | None = ...,
) -> Generator[Record, None, None]: ...


def watch(
    url: str = DEFAULT_REGISTRY,
    *,
    since: Cursor | None = None,
    status: bool = False,
    existing: bool = True,
    device_type: str | None = None,
    context: Context | None = None,
    events_url: str | None = None,
    key: Key | None = None,
) -> Generator[Record, None, None]:
    """Yield `Added` and `Removed` events: first the devices that are there, then what happens.

        for event in watch("tcp://controller:5555"):
            print(event.topic, event.device.name)

    It goes on until its context is terminated, and waits for a registry that is not there (yet).
    For a view that can be closed, or asked for its devices, see `Watcher`.

    Args:
        url: The registry's address.
        since: Go on after the event that had this `cursor`, in this program or an earlier run of
            it, with nothing lost and nothing repeated, as far as the registry's history reaches.
            If it does not, what is known is void: the devices that are there are yielded, with
            origin `RESYNC`.
        status: Also yield `Live` whenever the view has become right, and `Stale` whenever it may
            not be right any longer.
        existing: Whether to yield the devices that are there at the beginning.
        device_type: Follow devices of this type only.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says:
            through a tunnel, say.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: An address makes no sense.
        AuthenticationError: The key does not say which registry it is for; and, from whatever
            waits for the first view, the registry does not let this program in, or is another one.
        MessageError: `since` cannot be put into a request.
        TypeError: `since` is no `Cursor`; `Cursor.parse` reads one.
    """
    watcher = Watcher(
        url,
        since=since,
        existing=existing,
        device_type=device_type,
        context=context,
        events_url=events_url,
        key=key,
    )
    return _until_done(watcher, watcher.records() if status else watcher)


def _until_done(watcher: Watcher, records: Iterator[Record]) -> Generator[Record, None, None]:
    with watcher:
        yield from records


@overload
def awatch(
    url: str = ...,
    *,
    since: Cursor | None = ...,
    status: Literal[False] = ...,
    existing: bool = ...,
    device_type: str | None = ...,
    context: Context | None = ...,
    events_url: str | None = ...,
    key: Key | None = ...,
) -> AsyncGenerator[Event, None]: ...


@overload
def awatch(
    url: str = ...,
    *,
    since: Cursor | None = ...,
    status: Literal[True],
    existing: bool = ...,
    device_type: str | None = ...,
    context: Context | None = ...,
    events_url: str | None = ...,
    key: Key | None = ...,
) -> AsyncGenerator[Record, None]: ...


def awatch(
    url: str = DEFAULT_REGISTRY,
    *,
    since: Cursor | None = None,
    status: bool = False,
    existing: bool = True,
    device_type: str | None = None,
    context: Context | None = None,
    events_url: str | None = None,
    key: Key | None = None,
) -> AsyncGenerator[Record, None]:
    """`watch()` for asyncio: the same events, options and promises.

        async for event in awatch("tcp://controller:5555"):
            print(event.topic, event.device.name)

    Cancel the task that iterates to end it; after a `break`, its sockets are closed once the event
    loop gets round to it, or at once with `contextlib.aclosing`. For a view that can be closed, or
    asked for its devices, see `AsyncWatcher`.

    Args:
        url: The registry's address.
        since: Go on after this cursor; see `watch`.
        status: Also yield `Live` and `Stale`.
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
    watcher = AsyncWatcher(
        url,
        since=since,
        existing=existing,
        device_type=device_type,
        context=context,
        events_url=events_url,
        key=key,
    )
    return _until_all_done(watcher, watcher.records() if status else watcher)


async def _until_all_done(
    watcher: AsyncWatcher, records: AsyncIterator[Record]
) -> AsyncGenerator[Record, None]:
    async with watcher:
        async for record in records:
            yield record
