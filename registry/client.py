"""A device's side: register, renew, unregister; or `announce`, which does all of it.

    with announce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
        serve(camera.name)

The three functions keep the names and the order of arguments that programs in the field call
them with. They may be called from any thread.
"""

import enum
import threading
import time
from collections.abc import Mapping
from typing import Final, Self
from uuid import uuid4

import attrs
import zmq

from ..events.errors import DevicewatchError, MessageError, RegistryUnreachable, RequestRefused
from ..events.logs import get_logger
from ..events.messages import Ack, CheckAlive, Register, RegisterAck, Unregister
from ..events.protocol import DEFAULT_LEASE, DEFAULT_REGISTRY
from ..events.records import MetadataValue
from ..events.sockets import Bell, Context
from .requester import REPLY_TIMEOUT, Requester, expect

RENEWALS_PER_LEASE: Final = 3
"""`announce` renews at a third of the lease, so that two renewals may get lost."""

LEAVE_TIMEOUT: Final = 1.0
"""Seconds that `announce` waits, on the way out, for the registry to take note."""

log = get_logger(__name__)


class AliveCheckState(enum.Enum):
    """What came of renewing a lease."""

    ok = "ok"
    """Renewed."""
    unknown = "unknown"
    """The registry does not know the uuid (any more): register again."""
    unreachable = "unreachable"
    """No registry answered: try again."""


def register_device(
    context: Context | None,
    device_type: str,
    addr: str,
    name: str,
    registry_url: str,
    overwrite: bool = False,
    *,
    alive_timeout: float | None = None,
    metadata: Mapping[str, MetadataValue] | None = None,
    timeout: float | None = None,
) -> tuple[str, str]:
    """Register a device, which then has to be kept alive with `send_alive_check`.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        device_type: What it is: "camera".
        addr: Where it can be reached. It displaces a device registered from there before.
        name: The name it would like; "" for the next free `<device_type>-N`.
        registry_url: The registry's address.
        overwrite: Take the name even from the device that holds it.
        alive_timeout: Length of the lease in seconds; None for the registry's default, 20.
        metadata: More to know about it: up to 32 strings, numbers, truth values or None by name.
        timeout: Seconds to wait for a registry; None waits until one answers.

    Returns:
        The name that it got, and its uuid: the secret with which to renew and unregister.
        `("", "")` if no registry answered in time, or it refused, which is logged.

    Raises:
        AddressError: The registry's address makes no sense.
    """
    # The instance makes it harmless to ask again when the answer was lost.
    request = Register(
        device_type, addr, name, overwrite, alive_timeout, instance=str(uuid4()), metadata=metadata
    )
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        with Requester(context, registry_url) as requester:
            while True:
                left = REPLY_TIMEOUT if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return "", ""
                try:
                    reply = requester.ask(request, min(left, REPLY_TIMEOUT))
                except RegistryUnreachable:
                    log.warning("no registry answers", registry=registry_url, device=name)
                    continue
                ack = expect(RegisterAck, reply, registry_url)
                return ack.name, ack.uuid
    except (RequestRefused, MessageError) as error:
        log.error("registration failed", device=name, why=str(error))
    except zmq.ContextTerminated:
        log.info("the ZeroMQ context was terminated during registration", device=name)
    return "", ""


def unregister_device(
    context: Context | None, uuid: str, registry_url: str, *, timeout: float = REPLY_TIMEOUT
) -> bool:
    """Take a device out of the registry.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        uuid: What `register_device` returned.
        registry_url: The registry's address.
        timeout: Seconds to wait for its answer.

    Returns:
        The registry's own answer: False for a uuid that it does not know (any more). False also
        if none came in time, or none that makes sense, which is logged.

    Raises:
        AddressError: The registry's address makes no sense.
    """
    try:
        with Requester(context, registry_url) as requester:
            return expect(Ack, requester.ask(Unregister(uuid), timeout), registry_url).success
    except (RegistryUnreachable, RequestRefused, MessageError) as error:
        log.warning("could not unregister", why=str(error))
    except zmq.ContextTerminated:
        log.info("the ZeroMQ context was terminated while unregistering")
    return False


def send_alive_check(
    context: Context | None,
    uuid: str,
    registry_url: str,
    alive_timeout: float = DEFAULT_LEASE,
    *,
    timeout: float = REPLY_TIMEOUT,
) -> AliveCheckState:
    """Renew a device's lease.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        uuid: What `register_device` returned.
        registry_url: The registry's address.
        alive_timeout: Seconds from now until the lease ends.
        timeout: Seconds to wait for the registry's answer.

    Raises:
        AddressError: The registry's address makes no sense.
        RequestRefused: The registry refuses the uuid or a lease of this length.
        MessageError: Something that is no registry answers there.
    """
    try:
        with Requester(context, registry_url) as requester:
            reply = requester.ask(CheckAlive(uuid, alive_timeout), timeout)
    except (RegistryUnreachable, zmq.ContextTerminated):
        return AliveCheckState.unreachable
    known = expect(Ack, reply, registry_url).success
    return AliveCheckState.ok if known else AliveCheckState.unknown


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
) -> "Announcement":
    """Be present for as long as a `with` block runs: all that a device's author needs.

        with announce("camera", "tcp://10.0.0.5:7000", "cam") as camera:
            serve(camera.name)

    It registers, renews in the background, registers again when the registry no longer knows it
    (because that was restarted, say), and unregisters on the way out.

    Args:
        device_type: What it is: "camera".
        addr: Where it can be reached. It displaces a device registered from there before.
        name: The name it would like; "" for the next free `<device_type>-N`.
        registry_url: The registry's address.
        overwrite: Take the name even from the device that holds it. Only when entering: a device
            that is displaced later does not fight for its name.
        alive_timeout: Length of the lease in seconds: how long it takes the registry to notice
            that the device has died.
        metadata: More to know about it: up to 32 strings, numbers, truth values or None by name.
        timeout: Seconds to wait for a registry when entering; None waits until one answers.
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.

    Raises:
        AddressError: The registry's address makes no sense.
    """
    request = Register(
        device_type, addr, name, overwrite, alive_timeout, instance=str(uuid4()), metadata=metadata
    )
    return Announcement(request, registry_url, timeout=timeout, context=context)


class Announcement:
    """A device's presence, kept up by a thread of its own; made by `announce`.

    Entering it returns once the device is registered, and raises `RegistryUnreachable` after
    `timeout` seconds without a registry, or `RequestRefused` if the registry refuses. Leaving it
    takes a second or two at the most, registry or not. Its properties may be read from any thread.
    """

    def __init__(
        self,
        request: Register,
        registry_url: str,
        *,
        timeout: float | None,
        context: Context | None,
    ) -> None:
        self._request = request
        self._lease = DEFAULT_LEASE if request.alive_timeout is None else request.alive_timeout
        self._url = registry_url
        self._timeout = timeout
        self._bell = Bell()
        self._requester = Requester(context, registry_url, self._bell)
        self._name = ""
        self._uuid = ""
        self._error: Exception | None = None
        self._reachable = True
        self._stopping = False
        self._settled = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"devicewatch-announce-{request.name}", daemon=True
        )

    @property
    def name(self) -> str:
        """The name that the registry gave, or gave last; "" before it answered."""
        return self._name

    @property
    def registered(self) -> bool:
        """Whether the device holds a registration, as far as it knows."""
        return bool(self._uuid)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            settled = self._settled.wait(self._timeout)
        except BaseException:
            self._stop()
            raise
        if self._error is not None:
            self._stop()
            raise self._error
        if not settled:
            self._stop()
            raise RegistryUnreachable(
                f"no registry answered at {self._url} within {self._timeout:g} s. Is it running "
                "there, and is its port open?"
            )
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._bell.ring()
        self._thread.join()
        self._bell.close()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._requester:
                while not self._stopping and self._error is None:
                    self._bell.wait(self._step())
                self._leave()
        except zmq.ContextTerminated:
            log.info("the ZeroMQ context was terminated; the device is no longer announced")
            self._error = RegistryUnreachable("the ZeroMQ context was terminated")
        except Exception as error:
            log.exception("the device is no longer announced", device=self._name)
            self._error = error
        finally:
            self._uuid = ""
            self._settled.set()

    def _step(self) -> float:
        """Register or renew, whichever is due; say how many seconds to wait until the next."""
        try:
            pause = self._renew() if self._uuid else self._register()
        except RegistryUnreachable:
            if self._reachable and not self._stopping:
                log.warning("no registry answers; trying on", registry=self._url)
            self._reachable = False
            return 0.0  # time enough has passed
        except (RequestRefused, MessageError) as error:
            if not self._settled.is_set():
                self._error = error  # for whoever is entering
                return 0.0
            log.error("the device is not registered", device=self._name, why=str(error))
            return self._renewal_interval
        if not self._reachable:
            log.info("the registry answers again", registry=self._url)
        self._reachable = True
        return pause

    @property
    def _renewal_interval(self) -> float:
        return self._lease / RENEWALS_PER_LEASE

    def _register(self) -> float:
        reply = self._requester.ask(self._request)
        ack = expect(RegisterAck, reply, self._url)
        if ack.alive_timeout is not None:
            self._lease = ack.alive_timeout
        self._name, self._uuid = ack.name, ack.uuid
        # The name is taken from others once, if at all.
        self._request = attrs.evolve(self._request, overwrite=False)
        self._settled.set()
        log.info("registered", device=self._name, registry=self._url)
        return self._renewal_interval

    def _renew(self) -> float:
        timeout = min(REPLY_TIMEOUT, self._renewal_interval)
        reply = self._requester.ask(CheckAlive(self._uuid, self._lease), timeout)
        if expect(Ack, reply, self._url).success:
            return self._renewal_interval
        log.warning(
            "the registry no longer knows the device: it was restarted, or another device took "
            "the name or the address",
            device=self._name,
        )
        self._uuid = ""
        return 0.0

    def _leave(self) -> None:
        self._bell.hush()
        try:
            if not self._uuid and self._requester.waiting:
                # It was told to leave while it registered: the registry may have done its part.
                reply = self._requester.late_reply(LEAVE_TIMEOUT)
                self._uuid = expect(RegisterAck, reply, self._url).uuid
            if self._uuid:
                self._requester.ask(Unregister(self._uuid), LEAVE_TIMEOUT)
        except DevicewatchError as error:
            if self._uuid:
                log.warning("could not unregister; the lease will end", why=str(error))
