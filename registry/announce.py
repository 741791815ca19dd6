"""`announce`: all that a device's author needs, for programs that use threads.

    with announce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
        serve(camera.name)

What to ask the registry, and when, is decided in `presence`; here is the thread that asks.
"""

import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self
from uuid import uuid4

import zmq

from ..events.errors import AddressError, DevicewatchError, RegistryUnreachable
from ..events.files import Files
from ..events.keys import Key, check_key
from ..events.link import RequestSocket
from ..events.logs import get_logger
from ..events.messages import Register
from ..events.protocol import DEFAULT_LEASE, DEFAULT_REGISTRY
from ..events.records import MetadataValue
from ..events.sockets import Bell, Context, check_address
from ..events.transfer import has_message
from .presence import Presence, PresenceState, PresenceStatus
from .teller import OnChange, Teller

TERMINATED: Final = "the ZeroMQ context was terminated"

_LOGGED: Final = {
    PresenceState.REGISTERING: (logging.WARNING, "registering again"),
    PresenceState.PRESENT: (logging.INFO, "registered"),
    PresenceState.UNREACHABLE: (logging.WARNING, "no registry answers; trying on"),
    PresenceState.DISPLACED: (logging.WARNING, "displaced; standing by"),
    PresenceState.REFUSED: (logging.ERROR, "the registry refuses the device; trying on"),
    PresenceState.LEFT: (logging.INFO, "no longer announced"),
}

log = get_logger(__name__)


def announce(
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
) -> "Announcement":
    """Be present for as long as a `with` block runs: all that a device's author needs.

        with announce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
            serve(camera.name)

    It registers, renews in the background, comes back under its name after the registry was
    restarted or away, or the program suspended, and unregisters on the way out. A device whose
    name was taken from it goes on under another. One whose address was taken, by a second
    instance of itself most likely, stands by until that has gone, and then comes back.

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
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        on_change: Called with a `PresenceStatus` for every change of the state or the name, in
            order and in a thread of its own. One that blocks or raises stops nothing.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: The registry's address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
        TypeError: `on_change` is a coroutine function.
    """
    request = first_request(device_type, addr, name, overwrite, alive_timeout, metadata)
    return Announcement(
        request, registry_url, timeout=timeout, context=context, on_change=on_change, key=key
    )


def first_request(
    device_type: str,
    addr: str,
    name: str,
    overwrite: bool,
    alive_timeout: float,
    metadata: Mapping[str, MetadataValue] | None,
) -> Register:
    """How a device that has just started registers."""
    return Register(
        device_type, addr, name, overwrite, alive_timeout, instance=str(uuid4()), metadata=metadata
    )


class Announcing:
    """What every kind of announcement is: a presence and its socket, without a way to wait.

    Its properties may be read from any thread.
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
        check_address(registry_url)
        check_key(key)
        if inspect.iscoroutinefunction(on_change):
            raise TypeError("on_change cannot be a coroutine function: nothing would await it")
        self._url = registry_url
        self._timeout = timeout
        self._presence = Presence(request, registry_url)
        self._socket = RequestSocket(context or zmq.Context.instance(), registry_url, key)
        self._bell = Bell()
        self._failure: Exception | None = None
        self._was_registered = False

    @property
    def status(self) -> PresenceStatus:
        """How the device stands with the registry, and why, in words."""
        return self._presence.status

    @property
    def name(self) -> str:
        """The name that the registry gave, or gave last; "" before it answered."""
        return self.status.name

    @property
    def registered(self) -> bool:
        """Whether the device holds a registration, as far as it knows."""
        return self.status.registered

    def _turn(self, tell: Callable[[PresenceStatus], object]) -> None:
        """Do all there is to do now, until there is nothing left but to wait."""
        presence = self._presence
        requests = presence.actions()
        while True:
            # First of all: a reply to an earlier request must not pass for one to these.
            for request in requests:
                self._send(request)
            frames = self._socket.receive()
            now = time.monotonic()
            if frames is not None:
                presence.reply_received(frames, now)
            if (refusal := self._socket.refusal()) is not None:
                presence.not_let_in(refusal, now)
            presence.advance(now)
            self._tell(tell)
            requests = presence.actions()
            if frames is None and not requests:
                return

    def _has_news(self) -> bool:
        """Whether not to wait. Only once this has said no may one wait for the socket's files.

        It takes notice of what has happened to the socket, also while nothing is asked. Without
        that its descriptor would stay readable for what is no reply: a connection lost, or made.

        Raises:
            ContextTerminated: The socket's context is.
        """
        socket = self._socket.open
        return socket is not None and has_message(socket)

    def _send(self, request: bytes) -> None:
        try:
            self._socket.send(request)
        except (AddressError, zmq.ZMQError) as error:
            if isinstance(error, zmq.ContextTerminated) or not self._was_registered:
                raise
            # It may pass, as a lack of file descriptors does; the request will be repeated.
            log.warning("could not ask the registry", registry=self._url, why=str(error))

    def _tell(self, tell: Callable[[PresenceStatus], object]) -> None:
        for status in self._presence.changes():
            self._was_registered |= status.registered
            self._log(status)
            tell(status)

    def _fail(self, error: Exception) -> None:
        """It cannot go on."""
        self._failure = error
        self._presence.abandon(str(error))

    def _why_not_entered(self) -> Exception | None:
        """Why the owner's block cannot begin; None if it can."""
        if (error := self._failure or self._presence.error) is not None:
            return error
        if self._was_registered:
            return None
        return RegistryUnreachable(
            f"no registry answered at {self._url} within {self._timeout or 0:g} s. Is it running "
            "there, and is its port open?"
        )

    def _log(self, status: PresenceStatus) -> None:
        if self._presence.ended and not self._was_registered:
            return  # whoever is entering is told
        level, words = _LOGGED[status.state]
        if not status.why:
            log.log(level, words, device=status.name, registry=self._url)
        else:  # all is not as it should be
            level = max(level, logging.WARNING)
            log.log(level, words, device=status.name, registry=self._url, why=status.why)


class Announcement(Announcing):
    """A device's presence, kept up by a thread of its own; made by `announce`.

    Entering it returns once the device is registered, and raises `RegistryUnreachable` after
    `timeout` seconds without a registry, `RequestRefused` if the registry refuses, or
    `AuthenticationError` if it does not let this program in. Leaving it
    takes a second or two at the most, registry or not. Its properties may be read from any thread.
    """

    def __init__(
        self,
        request: Register,
        registry_url: str,
        *,
        timeout: float | None,
        context: Context | None,
        on_change: OnChange | None = None,
        key: Key | None = None,
    ) -> None:
        super().__init__(
            request, registry_url, timeout=timeout, context=context, on_change=on_change, key=key
        )
        self._teller = None if on_change is None else Teller(on_change)
        self._settled = threading.Event()
        self._stopping = False
        self._files: list[int] = []
        self._poller = Files([self._bell.fileno()])
        self._thread = threading.Thread(
            target=self._run, name=f"devicewatch-announce-{request.name}", daemon=True
        )

    def __enter__(self) -> Self:
        self._presence.start(time.monotonic())
        self._thread.start()
        try:
            self._settled.wait(self._timeout)
        except BaseException:
            self._stop()
            raise
        if (error := self._why_not_entered()) is not None:
            self._stop()
            raise error
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._bell.ring()
        self._thread.join()
        self._bell.close()
        if self._teller is not None:
            self._teller.close()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                if self._stopping:
                    self._presence.leave(time.monotonic())
                self._turn(self._changed)
                if self._presence.ended:
                    break
                self._wait()
        except zmq.ContextTerminated:
            self._fail(RegistryUnreachable(TERMINATED))
        except DevicewatchError as error:
            self._fail(error)
        except Exception as error:
            log.exception("the device is no longer announced", device=self.name)
            self._fail(error)
        finally:
            self._socket.close()
            self._tell(self._changed)
            self._settled.set()

    def _changed(self, status: PresenceStatus) -> None:
        if self._teller is not None:
            self._teller.tell(status)
        if status.registered:
            self._settled.set()

    def _wait(self) -> None:
        if self._has_news():
            return
        files = self._socket.files
        if files is not self._files:  # most often it is the same
            self._files, self._poller = files, Files([*files, self._bell.fileno()])
        readable = self._poller.wait(self._presence.next_deadline() - time.monotonic())
        if self._bell.fileno() in readable:
            self._bell.hush()
