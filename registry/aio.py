"""`aannounce`: `announce` for asyncio programs.

    async with aannounce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
        await serve(camera.name)

The same state machine decides, the same kind of socket asks; only the waiting is asyncio's. One
task does all of it, so that no cancellation can lose a reply.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Self

import zmq

from ..events.aio import wait_readable
from ..events.errors import DevicewatchError, RegistryUnreachable
from ..events.keys import Key
from ..events.logs import get_logger
from ..events.messages import Register
from ..events.protocol import DEFAULT_LEASE, DEFAULT_REGISTRY
from ..events.records import MetadataValue
from ..events.sockets import Context
from .announce import TERMINATED, Announcing, first_request
from .presence import PresenceStatus
from .teller import FAILED, OnChange

log = get_logger(__name__)


def aannounce(
    device_type: str,
    addr: str,
    name: str = "",
    registry_url: str = DEFAULT_REGISTRY,
    *,
    overwrite: bool = False,
    alive_timeout: float = DEFAULT_LEASE,
    metadata: Mapping[str, MetadataValue] | None = None,
    timeout: float | None = None,
    context: Context | None = None,
    on_change: OnChange | None = None,
    key: Key | None = None,
) -> "AsyncAnnouncement":
    """Be present for as long as an `async with` block runs: `announce` for asyncio.

        async with aannounce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
            await serve(camera.name)

    It does what `announce` does, in a task of the running event loop. A loop that is blocked for
    longer than a lease loses the registration, and has it back when it runs on.

    Args:
        device_type: What it is: "camera".
        addr: Where it can be reached. When entering, it displaces a device that is registered
            from there.
        name: The name it would like; "" for the next free `<device_type>-N`.
        registry_url: The registry's address.
        overwrite: Take the name even from the device that holds it. Only when entering: a device
            that is displaced later does not fight for its name.
        alive_timeout: Length of the lease in seconds: how long it takes the registry to notice
            that the device has died.
        metadata: More to know about it: up to 32 strings, numbers, truth values or None by name.
        timeout: Seconds to wait for a registry when entering; None waits until one answers.
        context: ZeroMQ context to open a socket in, a plain one or pyzmq's for asyncio; None is
            pyzmq's global one.
        on_change: Called with a `PresenceStatus` for every change of the state or the name, in
            order and in the event loop, so it must not block. What it raises is logged. A plain
            function: from there, `create_task` starts whatever has to be awaited.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: The registry's address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
        TypeError: `on_change` is a coroutine function.
    """
    request = first_request(device_type, addr, name, overwrite, alive_timeout, metadata)
    return AsyncAnnouncement(
        request, registry_url, timeout=timeout, context=context, on_change=on_change, key=key
    )


class AsyncAnnouncement(Announcing):
    """A device's presence, kept up by a task; made by `aannounce`.

    Entering it returns once the device is registered, and raises `RegistryUnreachable` after
    `timeout` seconds without a registry, `RequestRefused` if the registry refuses, or
    `AuthenticationError` if it does not let this program in. Leaving it
    takes a second or two at the most, registry or not; so does cancelling its entering, since a
    registration that is under way has to be taken back. A second cancellation, or one while it
    leaves, ends it at once, and the lease by itself.
    """

    def __init__(
        self,
        request: Register,
        registry_url: str,
        *,
        timeout: float | None,
        context: Context | None,
        on_change: OnChange | None,
        key: Key | None = None,
    ) -> None:
        # A shadow makes plain sockets, whatever kind of context it is of.
        plain: Context | None = None if context is None else zmq.Context(context)
        super().__init__(
            request, registry_url, timeout=timeout, context=plain, on_change=on_change, key=key
        )
        self._on_change = on_change
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._presence.start(time.monotonic())
        self._task = asyncio.create_task(self._run(), name=f"devicewatch-announce-{self._url}")
        try:
            async with asyncio.timeout(self._timeout):
                await self._settled.wait()
        except TimeoutError:
            pass  # see below
        except BaseException:
            await self._stop(self._task)
            raise
        if (error := self._why_not_entered()) is not None:
            await self._stop(self._task)
            raise error
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            await self._stop(self._task)

    async def _stop(self, task: asyncio.Task[None]) -> None:
        """Leave. When this returns or raises, the task has ended."""
        self._presence.leave(time.monotonic())
        self._bell.ring()
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
                task.cancel()
        if cancelled is not None:
            raise cancelled

    # --- the task -----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            self._turn(self._changed)
            while not self._presence.ended:
                await self._wait()
                self._turn(self._changed)
        except asyncio.CancelledError:
            self._fail(RegistryUnreachable("the announcement was cancelled"))
            raise
        except zmq.ContextTerminated:
            self._fail(RegistryUnreachable(TERMINATED))
        except DevicewatchError as error:
            self._fail(error)
        except Exception as error:
            log.exception("the device is no longer announced", device=self.name)
            self._fail(error)
        finally:
            self._socket.close()
            self._bell.close()
            self._tell(self._changed)
            self._settled.set()

    def _changed(self, status: PresenceStatus) -> None:
        if status.registered:
            self._settled.set()
        if self._on_change is not None:
            try:
                self._on_change(status)
            except Exception:
                log.exception(FAILED, state=status.state, device=status.name)

    async def _wait(self) -> None:
        if self._has_news():
            return
        files = [self._bell.fileno(), *self._socket.files]
        await wait_readable(files, self._presence.next_deadline() - time.monotonic())
        self._bell.hush()
