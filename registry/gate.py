"""The gate of a registry with keys: who is let in; and cutting off those who no longer are.

Each connection shows its key in its handshake, and ZeroMQ asks the gate about it, in a protocol of
its own called ZAP (https://rfc.zeromq.org/spec/27/), which `zmq.auth` speaks for us. From then on
every message carries the key that it came with, so a key that is revoked can do nothing from that
moment on; what it is still sent, over connections that are there already, ends when they are cut.

ZeroMQ has no call to close one connection of many. But they are sockets of this process, and
shutting one down is what a cable does: both ends notice, and the other end is told why when it
tries to come back. The gate notes which connection each key's messages come over, and cuts those of
keys that are not let in any more, and those over which nothing has come yet. Whoever is cut without
need connects again.

All of it runs in the registry's thread, between two requests.
"""

import contextlib
import os
import socket as _socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import zmq
from zmq.auth import Authenticator

from ..events.errors import BindError
from ..events.keys import Key, fingerprint
from ..events.logs import get_logger
from ..events.sockets import Context, Socket
from .authorized import AuthorizedKeys
from .security import Grants
from .tally import Tally

_DOMAIN: Final = "devicewatch"

KNOWN_BY: Final = ("User-Id", "__fd")
"""What the gate has to know of a message: whose key it came with, and over which descriptor."""

_BATCH: Final = 50
"""Handshakes decided in a row before requests get their turn."""

_OPEN_FILES: Final = Path("/dev/fd")
"""Has an entry for each open file of this process."""

log = get_logger(__name__)


class Gate:
    """Lets in whoever is on the list. For the thread of the sockets that it guards.

    Args:
        context: The context of these sockets, in which nobody else may decide about handshakes.
        key: The registry's own.
        authorized: The list.

    Attributes:
        grants: Who is let in, and what for.
        refused: How many handshakes were refused since this was last set to 0.

    Raises:
        BindError: Somebody else decides about handshakes in this context.
        KeyFileError: The list cannot be read.
    """

    def __init__(self, context: Context, key: Key, authorized: AuthorizedKeys) -> None:
        self.grants: Grants = authorized.load()
        self.refused = 0
        self._key = key
        self._authorized = authorized
        self._tally = Tally()
        self._ports: set[int] = set()
        self._seen: dict[str, tuple[str, object]] = {}
        self._zap = Authenticator(context)
        self._zap.configure_curve_callback(_DOMAIN, self)
        try:
            self._zap.start()
        except zmq.ZMQError as error:
            self._zap.stop()
            raise BindError(
                error.errno,
                "somebody else decides about handshakes (ZAP) in the registry's ZeroMQ context: "
                "give the registry a context of its own",
            ) from None

    @property
    def stream(self) -> Socket:
        """What to poll: readable when `admit` has something to do."""
        return self._zap.zap_socket

    @property
    def next_look(self) -> float:
        """When to call `has_changed` again, on the monotonic clock."""
        return self._authorized.next_look

    def guard(self, socket: Socket) -> None:
        """Have a socket ask for keys. To be called before it is bound."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_PUBLICKEY, self._key.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, self._key.secret.encode())
        socket.set_string(zmq.ZAP_DOMAIN, _DOMAIN)

    def bound(self, port: int) -> None:
        """Say at which TCP port a socket that it guards was bound."""
        self._ports.add(port)

    def admit(self) -> None:
        """Decide about the handshakes that wait for it."""
        with contextlib.suppress(zmq.Again):
            for _ in range(_BATCH):
                frames = self.stream.recv_multipart(zmq.NOBLOCK)
                # It awaits nothing, unless the callback does.
                with contextlib.suppress(StopIteration):
                    self._zap.handle_zap_message(frames).send(None)

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether a key is let in; what `zmq.auth` asks."""
        public = key.decode()
        if public in self.grants:
            return True
        self.refused += 1
        times = self._tally.note(public, time.monotonic())
        if times:
            log.warning("a key is not let in", peer=fingerprint(public), key=public, times=times)
        return False

    def peer(self, known: Sequence[str | None], *, first: bool = False) -> str | None:
        """Whose message it is: a public key; None for this process itself.

        Args:
            known: What ZeroMQ says of the message, of all that is in `KNOWN_BY`.
            first: Whether it is one that comes over a connection once.
        """
        public, connection = known
        if public is not None and connection is not None:
            seen = self._seen.get(connection)
            if first or seen is None or seen[0] != public:
                self._seen[connection] = (public, _other_end(int(connection)))
        return public

    def has_changed(self) -> bool:
        """Whether the list has changed since the last look; if so, `grants` has."""
        grants = self._authorized.look(time.monotonic())
        if grants is None:
            return False
        self.grants = grants
        return True

    def cut(self) -> None:
        """Cut all connections but those known to be of keys that are let in."""
        cut = 0
        for number in _open_files():
            with _connection(number) as connection, contextlib.suppress(OSError):  # it is gone now
                if connection is None or connection.getsockname()[1] not in self._ports:
                    continue
                public, other_end = self._seen.get(str(number), ("", None))
                if public not in self.grants or connection.getpeername() != other_end:
                    self._seen.pop(str(number), None)
                    connection.shutdown(_socket.SHUT_RDWR)
                    cut += 1
        log.info("the list of keys has changed", keys=len(self.grants), connections_cut=cut)

    def close(self) -> None:
        """Decide no more."""
        self._zap.stop()


def _open_files() -> list[int]:
    try:
        return [int(entry.name) for entry in _OPEN_FILES.iterdir()]
    except OSError as error:  # a system without it
        log.error("connections of revoked keys cannot be cut: restart the registry", why=str(error))
        return []


@contextlib.contextmanager
def _connection(number: int) -> Iterator[_socket.socket | None]:
    """A file of this process as the TCP connection that it is, or None.

    It is a duplicate, so it stays that connection whatever ZeroMQ does to its own meanwhile.
    """
    connection = _duplicate(number)
    if connection is None:
        yield None
        return
    with connection:
        yield connection if _is_connected(connection) else None


def _is_connected(connection: _socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:  # it listens, or is gone already
        return False
    return True


def _duplicate(number: int) -> _socket.socket | None:
    try:
        duplicate = os.dup(number)
    except OSError:
        return None
    try:
        connection = _socket.socket(fileno=duplicate)
    except OSError:  # no socket
        os.close(duplicate)
        return None
    if connection.family == _socket.AF_INET:
        return connection
    connection.close()
    return None


def _other_end(number: int) -> object:
    with _connection(number) as connection, contextlib.suppress(OSError):  # it is gone now
        return None if connection is None else connection.getpeername()
    return None
