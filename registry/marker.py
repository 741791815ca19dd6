"""Markers: what the registry sends to itself, on the way that all requests take.

What they prove is explained in `fairness`. A device's request goes from the kernel, through
ZeroMQ's own thread, into the queue of the socket for requests; a marker goes through both parts of
this, one after the other. Through the kernel it goes over a TCP connection of the registry with
itself, which the same thread of ZeroMQ reads, in order of arrival; into the queue over inproc.
Nobody else can take part: the connection is made in the constructor, and then nothing listens.
"""

import contextlib
import socket as _socket
from typing import Final
from uuid import uuid4

import zmq

from ..events.logs import get_logger
from ..events.sockets import Context
from ..events.transfer import has_message

ONE_IO_THREAD: Final = 1
"""ZMQ_AFFINITY of the socket for requests: a context may have several threads that read, and a
marker proves nothing of what another one has to read than its own."""

_CONNECT_TIMEOUT: Final = 2.0

log = get_logger(__name__)


class Marker:
    """Sends markers and knows them when they come. For the thread of the socket for requests.

    Args:
        context: ZeroMQ context to open sockets in.
        inproc: Address at which the socket for requests, a ROUTER, can be reached in `context`.

    Attributes:
        stream: What to poll: something happens there when `forward` has something to do.
        secret: What a marker begins with.
    """

    def __init__(self, context: Context, inproc: str) -> None:
        # Nobody else can know it, and it is no JSON, so no request can be taken for a marker.
        self.secret = f"marker {uuid4()} ".encode()
        self._queue = context.socket(zmq.DEALER)
        self._queue.linger = 0
        self.stream = context.socket(zmq.STREAM)
        self.stream.linger = 0
        self.stream.set(zmq.AFFINITY, ONE_IO_THREAD)
        self.stream.set(zmq.RECONNECT_IVL, -1)
        self.stream.set(zmq.STREAM_NOTIFY, 0)
        self._rope: _socket.socket | None = None
        self._received = b""
        try:
            self._queue.connect(inproc)
            self._rope = self._connect()
        except BaseException:
            self.close()
            raise

    def send(self, number: int) -> None:
        """Send a marker on its way. Never blocks."""
        if self._rope is None:
            self._enqueue(number)
        else:
            with contextlib.suppress(OSError):
                self._rope.send(b"%d\n" % number)

    def forward(self) -> None:
        """Put the markers that have come through the kernel into the queue.

        To be called when something has happened at `stream`.
        """
        while has_message(self.stream):
            _, data = self.stream.recv_multipart()
            *numbers, self._received = (self._received + data).split(b"\n")
            for number in numbers:
                self._enqueue(int(number))

    def read(self, frames: list[bytes]) -> int:
        """The number of the marker that a request which begins with its secret is."""
        return int(frames[0].removeprefix(self.secret))

    def close(self) -> None:
        """Close its sockets."""
        self._queue.close(linger=0)
        self.stream.close(linger=0)
        if self._rope is not None:
            self._rope.close()

    def _enqueue(self, number: int) -> None:
        with contextlib.suppress(zmq.Again):
            self._queue.send_multipart([b"", self.secret + b"%d" % number], zmq.NOBLOCK)

    def _connect(self) -> _socket.socket | None:
        try:
            with _socket.create_server(("127.0.0.1", 0)) as server:
                server.settimeout(_CONNECT_TIMEOUT)
                self.stream.connect(f"tcp://127.0.0.1:{server.getsockname()[1]}")
                rope, _ = server.accept()
        except OSError as error:
            log.warning(
                "the registry cannot connect to itself, so a renewal that ZeroMQ has not read yet "
                "when a lease ends does not count",
                why=str(error),
            )
            return None
        rope.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        rope.setblocking(False)
        return rope
