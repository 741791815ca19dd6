"""A client with a socket of pyzmq, that has many requests under way: for what compares registries.

What a bare loop can do it cannot show, as it is slower than that; see `zmtp`.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import zmq

from devicewatch.events.sockets import Context

FEW: Final = 10
"""Devices."""

WINDOW: Final = 100
"""Requests under way."""

SECONDS: Final = 0.5
"""For how long a rate is measured."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Client:
    """Keeps `WINDOW` requests under way, each in its own slot."""

    def __init__(self, url: str) -> None:
        context: Context = zmq.Context.instance()
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(url)
        self.uuids: list[str] = []

    def fill(self, devices: int) -> None:
        for number in range(devices):
            self.send("REGISTER", register(number))
        self.uuids = [self.receive()["uuid"] for _ in range(devices)]

    def rate(self, step: Callable[["Client", int], None]) -> float:
        """Requests per second, when `step` sends each next request."""
        sent = 0
        for _ in range(WINDOW):
            step(self, sent)
            sent += 1
        since = time.perf_counter()
        before = sent
        while time.perf_counter() - since < SECONDS:
            for _ in range(WINDOW):
                self._socket.recv_multipart()
                step(self, sent)
                sent += 1
        passed = time.perf_counter() - since
        for _ in range(WINDOW):
            self._socket.recv_multipart()
        return (sent - before) / passed

    def renew(self, number: int) -> None:
        self.send("CHECK_ALIVE", {"uuid": self.uuids[number % len(self.uuids)]})

    def register_again(self, number: int) -> None:
        """Displaces the device at that address: two events and a reply."""
        self.send("REGISTER", register(number % FEW))

    def send(self, event: str, payload: dict[str, Any]) -> None:
        self._socket.send_multipart([b"", encode({"event": event, "payload": payload})])

    def receive(self) -> dict[str, Any]:
        payload: dict[str, Any] = decode(self._socket.recv_multipart()[1])["payload"]
        return payload


def register(number: int) -> dict[str, Any]:
    return {
        "device_type": "camera",
        "addr": f"tcp://10.0.0.1:{number}",
        "name": f"cam-{number}",
        "alive_timeout": 3600,
    }
