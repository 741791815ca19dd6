"""A client that costs next to nothing: it speaks the wire itself, over a plain TCP socket.

What is to be measured is how many requests a server can take, and a client in Python with a socket
of ZeroMQ cannot send that many: with a DEALER of pyzmq a bare loop seems to serve 53,000 requests a
second, with this client it serves 215,000. So the requests are prepared beforehand, as the bytes
that a REQ would send (ZMTP 3.0, https://rfc.zeromq.org/spec/23/); a window of them is under way at
a time; replies are only counted, and read when time no longer counts. To the server it is a REQ
like any other, that has many requests under way.
"""

import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Final, Self

import attrs

WINDOW: Final = 100
"""Requests under way at a time."""

SHARE: Final = 4
"""A window is filled up when one part in so many is free: where each reply was followed by one more
request, this client would be slower than a bare loop, and set its pace."""

PATIENCE: Final = 20.0
"""Seconds that a server may say nothing."""

_MORE, _LONG, _COMMAND = 0x01, 0x02, 0x04
_GREETING: Final = (
    b"\xff" + bytes(8) + b"\x7f"  # the signature
    + b"\x03\x00"  # version 3.0
    + b"NULL".ljust(20, b"\0")  # no security
    + bytes(1 + 31)  # not the server, which only matters with security; filler
)  # fmt: skip
_DELIMITER: Final = bytes([_MORE, 0])
"""The empty frame before what a REQ has to say, and a REP to answer."""

_END: Final = b"}}"
"""How each reply ends. Those to what is asked here have it nowhere else, and to look for it costs
less than to go from frame to frame."""

_CHUNK: Final = 1 << 20


def request(body: bytes) -> bytes:
    """The bytes of a request on the wire."""
    return _DELIMITER + _frame(0, body)


def _frame(flags: int, body: bytes) -> bytes:
    if len(body) > 0xFF:
        return struct.pack(">BQ", flags | _LONG, len(body)) + body
    return bytes([flags, len(body)]) + body


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


_READY: Final = _frame(
    _COMMAND, b"\x05READY" + _property(b"Socket-Type", b"REQ") + _property(b"Identity", b"")
)


@attrs.frozen
class Burst:
    """Some requests, and what became of them.

    Attributes:
        answered: How many were answered in the time that counts.
        seconds: How long that was.
        replies: All replies, the stragglers' too, in the order of the requests.
    """

    answered: int
    seconds: float
    replies: list[bytes]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.answered / self.seconds


class Client:
    """A connection to a server.

    Args:
        url: The server's address: tcp://HOST:PORT.
    """

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("tcp://").split(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel's own time-out: with that of Python each call is two to the system.
        self._socket.settimeout(None)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(PATIENCE), 0)
        )
        self._socket.sendall(_GREETING)
        self._read(len(_GREETING))
        self._socket.sendall(_READY)
        _, size = self._read(2)
        self._read(size)

    def all(self, requests: Sequence[bytes], window: int = WINDOW) -> Burst:
        """Send these requests, and wait for the replies to all."""
        return self._exchange(_Queue(requests, len(requests)), window, math.inf)

    def some(self, requests: Sequence[bytes], seconds: float, window: int = WINDOW) -> Burst:
        """Send these requests for some time, after the last from the first again."""
        return self._exchange(_Queue(requests, None), window, seconds)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _exchange(self, todo: "_Queue", window: int, seconds: float) -> Burst:
        replies = _Replies()
        since = now = time.perf_counter()
        end = since + seconds
        self._socket.sendall(todo.take(window))
        answered = 0
        while answered < todo.taken and now < end:
            answered += replies.add(self._socket.recv(_CHUNK))
            now = time.perf_counter()
            room = window - (todo.taken - answered)
            if room >= window // SHARE and (more := todo.take(room)):
                self._socket.sendall(more)
        late = answered
        while late < todo.taken:
            late += replies.add(self._socket.recv(_CHUNK))
        return Burst(answered, now - since, replies.bodies())

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the server hung up")
            data += chunk
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Queue:
    """Requests to send: so many, or without an end, from the first again after the last."""

    def __init__(self, requests: Sequence[bytes], number: int | None) -> None:
        self._requests = requests
        self._number = number
        self.taken = 0

    def take(self, number: int) -> bytes:
        """The next of them, as many as there are left."""
        if self._number is not None:
            number = min(number, self._number - self.taken)
        start = self.taken % len(self._requests)
        taken = self._requests[start : start + number]
        while len(taken) < number:
            taken = [*taken, *self._requests[: number - len(taken)]]
        self.taken += number
        return b"".join(taken)


class _Replies:
    """What has arrived."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, chunk: bytes) -> int:
        """Take what has arrived; say how many replies it completes."""
        if not chunk:
            raise ConnectionError("the server hung up")
        seen = max(0, len(self._data) - len(_END) + 1)
        self._data += chunk
        return self._data.count(_END, seen)

    def bodies(self) -> list[bytes]:
        """All replies."""
        data, position = bytes(self._data), 0
        found = []
        while position < len(data):
            sizes = position + 3
            start = sizes + (8 if data[position + 2] & _LONG else 1)
            position = start + int.from_bytes(data[sizes:start])
            found.append(data[start:position])
        return found
