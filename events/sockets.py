"""How sockets are set up here, for all who need one; and a bell to wake whoever waits at them.

Nothing in this file knows the protocol. It stands in `events` because the other two packages
both need it, and neither may import the other.
"""

import socket as _socket
from typing import Final, Self, TypeAlias

import zmq

from .errors import AddressError
from .files import poll_timeout
from .keys import Key
from .protocol import MAX_FRAME_BYTES
from .text import printable

Context: TypeAlias = zmq.Context[zmq.Socket[bytes]]
Socket: TypeAlias = zmq.Socket[bytes]

RECEIVE_QUEUE: Final = 10_000
"""Messages that ZeroMQ keeps for a reader that is busy; then it drops, and the reader resyncs."""

HEARTBEAT_INTERVAL: Final = 2_000
HEARTBEAT_TIMEOUT: Final = 6_000
"""Milliseconds after which a connection that says nothing is given up by both ends, and sought
anew by this one: TCP by itself would keep it for hours when a cable is pulled (half-open)."""

HANDSHAKE_TIMEOUT: Final = 6_000
"""Milliseconds in which both ends of a new connection have to introduce themselves."""


def check_address(url: str) -> None:
    """See whether an address makes sense, as far as that shows without using it.

    Raises:
        AddressError: It does not.
    """
    scheme, separator, rest = url.partition("://")
    if not (separator and rest) or scheme not in ("tcp", "ipc", "inproc"):
        raise _address_error(url, "no transport that devicewatch can use")
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
            raise _address_error(url, "it ends in no port from 1 to 65535")
        if host in ("", "*"):
            raise _address_error(url, "it names no host")


def _address_error(url: str, why: str) -> AddressError:
    return AddressError(
        f"cannot connect to '{printable(url, 200)}': {printable(why, 200)}. "
        "An address looks like tcp://127.0.0.1:5555"
    )


def open_socket(context: Context, kind: int) -> Socket:
    """Open a socket without linger.

    Raises:
        ContextTerminated: The context has been.
    """
    try:
        socket = context.socket(kind)
    except zmq.ZMQError as error:  # pyzmq does not say so itself here
        if error.errno in (zmq.ETERM, zmq.ENOTSUP):
            raise zmq.ContextTerminated from None
        raise
    socket.set(zmq.LINGER, 0)
    return socket


def new_socket(context: Context, kind: int, key: Key | None = None) -> Socket:
    """Open a socket without linger, bounded in what it keeps and accepts, for `connect`.

    A connection that falls silent, though nobody has closed it, is noticed and made anew.

    Args:
        context: ZeroMQ context to open it in.
        kind: `zmq.REQ`, `zmq.SUB`; a SUB subscribes to everything.
        key: What to show, and whom to trust (see `check_key`); None talks without encryption.
    """
    socket = open_socket(context, kind)
    socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
    socket.set(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    # What counts is what is set before `connect`. The registry needs no settings of its own: it
    # is told the time to live with each ping.
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
    socket.set(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT)
    if key is not None and key.registry is not None:
        socket.set(zmq.CURVE_SERVERKEY, key.registry.encode())
        socket.set(zmq.CURVE_PUBLICKEY, key.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, key.secret.encode())
    if kind == zmq.SUB:
        socket.set(zmq.SUBSCRIBE, b"")
    return socket


def connect(socket: Socket, url: str) -> None:
    """Have a socket connect, in the background, for as long as it is open.

    Raises:
        AddressError: ZeroMQ cannot connect to the address.
    """
    try:
        socket.connect(url)
    except zmq.ContextTerminated:
        raise
    except (zmq.ZMQError, TypeError, ValueError) as error:
        raise _address_error(url, str(error)) from None


class Bell:
    """Wakes a poller from another thread, or from a signal handler.

    Poll `fileno()` for reading. Ringing twice before it is heard counts once.
    """

    def __init__(self) -> None:
        self._ear, self._rope = _socket.socketpair()
        self._ear.setblocking(False)
        self._rope.setblocking(False)

    def fileno(self) -> int:
        """What to poll; -1 once closed."""
        return self._ear.fileno()

    def rope(self) -> int:
        """A file descriptor that rings it when something is written to it.

        For `signal.set_wakeup_fd`: a signal that comes just before Python goes to sleep in a poll
        would otherwise not be heard until that ends.
        """
        return self._rope.fileno()

    def ring(self) -> None:
        """Wake the poller. Does nothing on a closed bell."""
        try:
            self._rope.send(b"\0")
        except OSError:  # closed, or so full of rings that one more makes no difference
            return

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, or until time is up (a day at the most); say whether it rang."""
        poller = zmq.Poller()
        poller.register(self._ear, zmq.POLLIN)
        return bool(poller.poll(poll_timeout(seconds)))

    def hush(self) -> None:
        """Forget the rings so far."""
        try:
            while self._ear.recv(4096):
                pass
        except OSError:
            return

    def close(self) -> None:
        """Close it. May be repeated."""
        self._ear.close()
        self._rope.close()

    def __del__(self) -> None:
        if hasattr(self, "_rope"):  # else the constructor was interrupted
            self.close()  # an owner that was made and never used has nothing else to close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
