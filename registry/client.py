"""A device's side, step by step: register, renew, unregister. `announce` does all of it.

The three functions keep the names and the order of arguments that programs in the field call
them with. They may be called from any thread.
"""

import enum
import time
from collections.abc import Mapping
from uuid import uuid4

import zmq

from ..events.errors import MessageError, RegistryUnreachable, RequestRefused
from ..events.keys import Key
from ..events.logs import get_logger
from ..events.messages import Ack, CheckAlive, Register, RegisterAck, Unregister
from ..events.protocol import DEFAULT_LEASE
from ..events.records import MetadataValue
from ..events.sockets import Context
from .requester import REPLY_TIMEOUT, Requester, expect

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
    key: Key | None = None,
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
        key: This program's, and the registry's; None for a registry without keys.

    Returns:
        The name that it got, and its uuid: the secret with which to renew and unregister.
        `("", "")` if no registry answered in time, or it refused, which is logged.

    Raises:
        AddressError: The registry's address makes no sense.
        AuthenticationError: The registry does not let this program in, or it is another one.
    """
    # The instance makes it harmless to ask again when the answer was lost.
    request = Register(
        device_type, addr, name, overwrite, alive_timeout, instance=str(uuid4()), metadata=metadata
    )
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        with Requester(context, registry_url, key=key) as requester:
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
    context: Context | None,
    uuid: str,
    registry_url: str,
    *,
    timeout: float = REPLY_TIMEOUT,
    key: Key | None = None,
) -> bool:
    """Take a device out of the registry.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        uuid: What `register_device` returned.
        registry_url: The registry's address.
        timeout: Seconds to wait for its answer.
        key: This program's, and the registry's; None for a registry without keys.

    Returns:
        The registry's own answer: False for a uuid that it does not know (any more). False also
        if none came in time, or none that makes sense, which is logged.

    Raises:
        AddressError: The registry's address makes no sense.
        AuthenticationError: The registry does not let this program in, or it is another one.
    """
    try:
        with Requester(context, registry_url, key=key) as requester:
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
    key: Key | None = None,
) -> AliveCheckState:
    """Renew a device's lease.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        uuid: What `register_device` returned.
        registry_url: The registry's address.
        alive_timeout: Seconds from now until the lease ends.
        timeout: Seconds to wait for the registry's answer.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: The registry's address makes no sense.
        AuthenticationError: The registry does not let this program in, or it is another one.
        RequestRefused: The registry refuses the uuid or a lease of this length.
        MessageError: Something that is no registry answers there.
    """
    try:
        with Requester(context, registry_url, key=key) as requester:
            reply = requester.ask(CheckAlive(uuid, alive_timeout), timeout)
    except (RegistryUnreachable, zmq.ContextTerminated):
        return AliveCheckState.unreachable
    known = expect(Ack, reply, registry_url).success
    return AliveCheckState.ok if known else AliveCheckState.unknown
