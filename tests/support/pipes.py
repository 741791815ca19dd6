"""What a fault proxy is made of: the faults of a link, and a connection with its two directions.

Nothing here waits; `proxy.py` says when.
"""

import math
import socket
import struct
import time
from collections import deque
from typing import Final

import attrs

HOST: Final = "127.0.0.1"

BUFFER: Final = 65_536
"""Bytes that a direction of a connection keeps, and that the kernel keeps before it."""

_SEGMENT: Final = 1460
"""Bytes in a TCP segment, as on an Ethernet. With the loopback's, of 64 KiB, the kernel queues
megabytes at a sender before it lets it wait."""

_SLICES: Final = 50
"""Portions per second in which a throttled direction sends."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a RST and drops what has not left."""


@attrs.frozen
class Faults:
    """What is wrong with the link, apart from being cut."""

    stalled: bool = False
    black_hole: bool = False
    delay: float = 0.0
    rate: float = math.inf

    @property
    def portion(self) -> int:
        """Bytes to send at a time."""
        return BUFFER if math.isinf(self.rate) else max(1, int(self.rate / _SLICES))


class Pipe:
    """One direction of a connection.

    Attributes:
        source: Where it reads.
        sink: Where it sends.
        size: How many bytes wait.
        done: Whether all has been sent, the end as well.
    """

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.size = 0
        self.done = False
        self._ended = False
        self._waiting: deque[tuple[float, bytes]] = deque()  # came when, what; no bytes is the end
        self._sent = (-math.inf, 0)  # when the last portion left, and its size

    @property
    def has_room(self) -> bool:
        return not self._ended and self.size < BUFFER

    def due(self, faults: Faults) -> float:
        """When to send what comes next; never, if there is nothing."""
        if not self._waiting:
            return math.inf
        arrived, _ = self._waiting[0]
        sent_at, size = self._sent
        # Not more than a portion of today: a faster link's would make a slow one wait for long.
        return max(arrived + faults.delay, sent_at + min(size, faults.portion) / faults.rate)

    def read(self) -> None:
        data = self.source.recv(BUFFER - self.size)
        self._waiting.append((time.monotonic(), data))
        self.size += len(data)
        self._ended = not data

    def write(self, faults: Faults) -> int:
        """Send the next portion, and say how many bytes of it went."""
        arrived, data = self._waiting[0]
        if not data:
            self.sink.shutdown(socket.SHUT_WR)
            self.done = True
            self._waiting.clear()
            return 0
        sent = self.sink.send(data[: faults.portion])
        self.size -= sent
        self._sent = (time.monotonic(), sent)
        if sent < len(data):
            self._waiting[0] = (arrived, data[sent:])
        else:
            self._waiting.popleft()
        return sent


class Connection:
    """A client's connection; to the target as well, unless the link stalled when it came."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.pipes: tuple[Pipe, ...] = ()

    @property
    def sockets(self) -> list[socket.socket]:
        return [self.client] if self.server is None else [self.client, self.server]

    @property
    def done(self) -> bool:
        return bool(self.pipes) and all(pipe.done for pipe in self.pipes)

    def connect(self, port: int) -> None:
        """Begin to connect. If that fails, reading from `server` will."""
        self.server = new_socket()
        self.pipes = (Pipe(self.client, self.server), Pipe(self.server, self.client))
        self.server.connect_ex((HOST, port))


def new_socket() -> socket.socket:
    """A socket to listen or to connect with; those it accepts are set up the same."""
    new = socket.socket()
    new.setblocking(False)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # before it is connected
    new.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
    new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # only the test may delay
    return new
