"""The bytes of ZMTP 3, ZeroMQ's protocol (rfc.zeromq.org/spec/23), right or wrong, by hand."""

import struct
from collections.abc import Iterable
from typing import Final

SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
MORE: Final = 0x01
LONG: Final = 0x02
COMMAND: Final = 0x04
GREETING: Final = 64
"""Bytes of a greeting."""


def greeting(
    mechanism: bytes = b"NULL", *, major: int = 3, minor: int = 1, server: int = 0
) -> bytes:
    start = SIGNATURE + bytes([major, minor]) + mechanism.ljust(20, b"\0")[:20] + bytes([server])
    return start.ljust(GREETING, b"\0")


def frame(body: bytes, flags: int = 0, *, size: int | None = None) -> bytes:
    """A frame; `size` is what it says of itself, if that is to be a lie."""
    size = len(body) if size is None else size
    if size > 255 or flags & LONG:
        return bytes([flags | LONG]) + struct.pack(">Q", size) + body
    return bytes([flags, size]) + body


def message(*parts: bytes) -> bytes:
    return b"".join(
        frame(part, 0 if index == len(parts) - 1 else MORE) for index, part in enumerate(parts)
    )


def request(body: bytes) -> bytes:
    """As a REQ socket sends it."""
    return message(b"", body)


def command(name: bytes, data: bytes = b"", *, size: int | None = None) -> bytes:
    return frame(bytes([len(name)]) + name + data, COMMAND, size=size)


def prop(name: bytes, value: bytes, *, size: int | None = None) -> bytes:
    """A property of a READY; `size` is what it says of its value, if that is to be a lie."""
    size = len(value) if size is None else size
    return bytes([len(name)]) + name + struct.pack(">I", size) + value


def ready(kind: bytes = b"REQ", more: Iterable[bytes] = ()) -> bytes:
    return command(b"READY", prop(b"Socket-Type", kind) + b"".join(more))


def handshake(kind: bytes = b"REQ", more: Iterable[bytes] = ()) -> bytes:
    """All that a peer has to say before its first message."""
    return greeting() + ready(kind, more)
