"""One request, one reply, in limited time; and the questions that anyone may ask a registry."""

import time
from typing import Final, Self, TypeVar

import zmq

from ..events.codec import decode_reply, encode_request
from ..events.errors import RegistryUnreachable
from ..events.files import Files
from ..events.keys import Key, check_key
from ..events.link import RequestSocket
from ..events.messages import (
    ErrorReply,
    Info,
    InfoReply,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Unsupported,
)
from ..events.protocol import MAX_PAGE
from ..events.records import Device
from ..events.sockets import Bell, Context, check_address
from .refusal import refusal

T = TypeVar("T")

REPLY_TIMEOUT: Final = 5.0
"""Seconds to wait for a reply before giving up, or before asking anew."""


class Requester:
    """Asks one registry. For one thread.

    Args:
        context: ZeroMQ context to open a socket in; None is pyzmq's global one.
        url: The registry's address.
        bell: Ends the wait for a reply when it rings.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: The address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
    """

    def __init__(
        self,
        context: Context | None,
        url: str,
        bell: Bell | None = None,
        *,
        key: Key | None = None,
    ) -> None:
        check_address(url)
        check_key(key)
        self.url = url
        self._socket = RequestSocket(context or zmq.Context.instance(), url, key)
        self._bell = bell
        self._files: list[int] = []
        self._poller = Files([])

    def ask(self, request: Request, timeout: float = REPLY_TIMEOUT) -> Reply:
        """Send a request and wait for its reply. A request without a reply is given up on.

        Args:
            request: What to ask.
            timeout: Seconds to wait.

        Raises:
            AuthenticationError: The registry does not let this program in, or it is another one.
            RegistryUnreachable: No reply in time, or the bell rang.
            RequestRefused: The registry answered `ERROR`, or does not know such a request.
            MessageError: The reply is none: something else answers at this address.
        """
        self._socket.send(encode_request(request))
        return self._wait(timeout)

    @property
    def waiting(self) -> bool:
        """Whether a reply may still come: the latest request was sent and not answered."""
        return self._socket.waiting is not None

    def late_reply(self, timeout: float) -> Reply:
        """Wait, some more, for the reply to the latest request.

        Args:
            timeout: Seconds to wait.

        Raises:
            DevicewatchError: As `ask` does.
        """
        if (frames := self._socket.receive()) is not None:
            return self._read(frames)
        if (refusal := self._socket.refusal()) is not None:
            raise refusal
        return self._wait(timeout)

    def close(self) -> None:
        """Close the socket at once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _wait(self, timeout: float) -> Reply:
        """Wait for the reply. To be called after `send`, or when nothing was there."""
        socket, bell = self._socket, self._bell
        deadline = time.monotonic() + timeout
        left = timeout
        while left > 0:
            if (files := socket.files) is not self._files:  # most often it is the same
                waited_for = files if bell is None else [*files, bell.fileno()]
                self._files, self._poller = files, Files(waited_for)
            readable = self._poller.wait(left)
            if (frames := socket.receive()) is not None:
                return self._read(frames)
            if (refusal := socket.refusal()) is not None:
                raise refusal
            if bell is not None and bell.fileno() in readable:
                break
            left = deadline - time.monotonic()
        raise RegistryUnreachable(
            f"no registry answered at {self.url} within {timeout:g} s. Is it running there, "
            "and is its port open?"
        )

    def _read(self, frames: list[bytes]) -> Reply:
        reply = decode_reply(frames)
        if type(reply) is ErrorReply or type(reply) is Unsupported:
            raise refusal(reply, self.url)
        return reply


def query_info(
    context: Context | None,
    registry_url: str,
    timeout: float = REPLY_TIMEOUT,
    *,
    key: Key | None = None,
) -> InfoReply:
    """What a registry says of itself.

    Raises:
        DevicewatchError: As `Requester.ask` does.
    """
    with Requester(context, registry_url, key=key) as requester:
        return expect(InfoReply, requester.ask(Info(), timeout), registry_url)


def query_devices(
    context: Context | None,
    registry_url: str,
    timeout: float = REPLY_TIMEOUT,
    *,
    key: Key | None = None,
) -> list[Device]:
    """The devices present, in the order in which they registered.

    More than a page of them (250) are fetched in several steps, and each is as it was at its
    step; `Watcher` gives the picture of one moment.

    Raises:
        DevicewatchError: As `Requester.ask` does.
    """
    devices: dict[str, Device] = {}
    after: int | None = None
    with Requester(context, registry_url, key=key) as requester:
        while True:
            request = Snapshot(after=after, limit=MAX_PAGE)
            page = expect(SnapshotReply, requester.ask(request, timeout), registry_url)
            for device in page.devices:  # a later holder of a name is the one to believe
                devices.pop(device.name, None)
                devices[device.name] = device
            if page.next is None:
                return list(devices.values())
            after = page.next


def expect(kind: type[T], reply: Reply, url: str) -> T:
    """The reply, if it is of the kind asked for.

    Raises:
        MessageError: It is not.
    """
    if isinstance(reply, kind):
        return reply
    raise refusal(reply, url)
