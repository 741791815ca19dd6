"""Who somebody is, the registry finds out for itself; what they say of themselves counts nothing.

ZMTP's handshake has room for properties, in which each side may write what it likes. ZeroMQ hands
them on with every message, next to those by which the registry tells its peers apart. Its own API
keeps programs from writing just those; bytes by hand do not.
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any, Final

from devicewatch.events.keys import Key
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.limits import Limits
from tests.support.live import PATIENCE

from .parties import Pair

SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
"""https://rfc.zeromq.org/spec/23/"""

MORE, COMMAND = 1, 4


class ByHand:
    """A REQ that speaks ZMTP by hand, over a TCP connection from an address of its choice.

    Attributes:
        ready: What the registry says at the end of the handshake; nothing if it hangs up.
    """

    def __init__(
        self,
        port: str,
        properties: dict[str, str],
        *,
        host: str = "127.0.0.1",
        mechanism: bytes = b"NULL",
    ) -> None:
        self._tcp = socket.create_connection(("127.0.0.1", int(port)), PATIENCE, (host, 0))
        self._stream = self._tcp.makefile("rwb")
        ready = b"\x05READY" + b"".join(
            bytes([len(name)]) + name.encode() + struct.pack(">I", len(value)) + value.encode()
            for name, value in ({"Socket-Type": "REQ"} | properties).items()
        )
        greeting = SIGNATURE + b"\x03\x00" + mechanism.ljust(20, b"\0") + bytes(32)
        self._write(greeting + _frame(COMMAND, ready))
        try:
            self._stream.read(64)
            self.ready = self._read()
        except ConnectionError:
            self.ready = b""

    def ask(self, event: str, payload: object) -> dict[str, Any]:
        message = json.dumps({"event": event, "payload": payload}).encode()
        self._write(_frame(MORE, b"") + _frame(0, message))
        assert self._read() == b""
        answer: dict[str, Any] = json.loads(self._read())
        return answer

    def close(self) -> None:
        self._stream.close()
        self._tcp.close()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()

    def _read(self) -> bytes:
        flags = self._stream.read(1)
        if not flags:
            return b""
        size = ">Q" if flags[0] & 2 else ">B"
        (length,) = struct.unpack(size, self._stream.read(struct.calcsize(size)))
        return self._stream.read(length)


def _frame(flags: int, body: bytes) -> bytes:
    assert len(body) < 256 or not flags & COMMAND
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


CLAIMS: Final = {
    "User-Id": "somebody-else",
    "Peer-Address": "10.9.8.7",
    "__fd": "0",
    "X-Peer-Address": "10.9.8.7",
}


def test_without_keys_an_address_cannot_be_made_up() -> None:
    device = {"device_type": "camera", "name": "cam", "addr": "tcp://a:1"}
    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", limits=Limits(devices_per_peer=1)
    ) as registry:
        honest, liar = ByHand(registry.port, {}), ByHand(registry.port, CLAIMS)
        elsewhere = ByHand(registry.port, {"Peer-Address": "127.0.0.1"}, host="127.0.0.3")
        try:
            assert honest.ask("REGISTER", device)["event"] == "REGISTER_ACK"
            refused = liar.ask("REGISTER", device | {"addr": "tcp://a:2"})
            assert refused["payload"]["code"] == "TOO_MANY"
            accepted = elsewhere.ask("REGISTER", device | {"addr": "tcp://a:3"})
            assert accepted["event"] == "REGISTER_ACK"
        finally:
            for one in (honest, liar, elsewhere):
                one.close()


def test_with_keys_the_name_of_one_opens_no_door(home: Path) -> None:
    admin = Pair.new()
    authorized = home / "authorized"
    authorized.write_text(f"admin {admin.public} *\n")
    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", key=Key.new(), authorized=authorized
    ) as registry:
        for mechanism in (b"NULL", b"PLAIN", b"CURVE"):
            stranger = ByHand(
                registry.port, CLAIMS | {"User-Id": admin.public}, mechanism=mechanism
            )
            try:
                assert stranger.ready == b""
            finally:
                stranger.close()
        assert registry.seq == 0
