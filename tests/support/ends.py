"""Help for tests that hold both ends of a connection through a proxy."""

import socket
from typing import TypeAlias

import pytest

from tests.support.live import PATIENCE
from tests.support.pipes import RESET
from tests.support.proxy import FaultProxy

Ends: TypeAlias = tuple[socket.socket, socket.socket]

QUIET = 0.1
"""Seconds to listen before a test believes that nothing comes."""


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)


def accept(target: socket.socket) -> socket.socket:
    server, _ = target.accept()
    server.settimeout(PATIENCE)
    return server


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    data = bytearray()
    while len(data) < size:
        more = end.recv(size - len(data))
        assert more, f"the connection ended after {len(data)} of {size} bytes"
        data += more
    return bytes(data)


def assert_quiet(end: socket.socket) -> None:
    """Nothing comes, not even the end."""
    end.settimeout(QUIET)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(PATIENCE)


def assert_alive(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sender.sendall(b"hello")
        assert receive(receiver, 5) == b"hello"


def assert_works(proxy: FaultProxy, target: socket.socket) -> None:
    """New connections work."""
    with connect(proxy) as client, accept(target) as server:
        assert_alive((client, server))


def reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    end.close()


def fill(sender: socket.socket, data: bytes) -> int:
    """Send until nothing more can be sent for a while; give how much it was."""
    sent = 0
    sender.settimeout(QUIET)
    try:
        while sent < len(data):
            sent += sender.send(data[sent : sent + 65_536])
    except TimeoutError:
        sender.settimeout(PATIENCE)
        return sent
    raise AssertionError("there was room for all of it")
