"""Requests per second with 10 and with 10,000 devices, beside a bare REP loop.

Run it with `make bench`. Each server is a process of its own, and one client keeps a window of
requests under way. The bare loop decodes and encodes the same JSON with the same library and
does nothing else. Rounds are interleaved, so that whatever else the machine is doing strikes
all of them alike; the figures are medians, and only the ratios, each taken within its round, mean
anything.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import zmq

from devicewatch.events.sockets import Context
from devicewatch.registry.commands.demo import running

FEW, MANY = 10, 10_000
WINDOW = 100
ROUNDS = 11
SECONDS = 0.5

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Request(msgspec.Struct):
    event: str
    payload: dict[str, Any]


def serve_bare(port: Connection) -> None:
    """Read a request, write a reply of the same size as the registry's; no bookkeeping."""
    socket = zmq.Context().socket(zmq.REP)
    port.send(socket.bind_to_random_port("tcp://127.0.0.1"))
    read = msgspec.json.Decoder(Request).decode
    while True:
        request = read(socket.recv())
        if request.event == "REGISTER":
            name, uuid = request.payload["name"], "0b5ab2b0-5b1c-4b5e-8f2e-0f0a0a0a0a0a"
            payload = {"name": name, "uuid": uuid, "epoch": uuid, "seq": 1, "alive_timeout": 20.0}
            socket.send(encode({"event": "REGISTER_ACK", "payload": payload}))
        else:
            payload = {"req_event": request.event, "success": True}
            socket.send(encode({"event": "ACK", "payload": payload}))


@contextmanager
def bare_server() -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_bare, args=(theirs,))
    process.start()
    try:
        yield f"tcp://127.0.0.1:{ours.recv()}"
    finally:
        process.kill()
        process.join()


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


def main() -> None:
    """Measure and print."""
    serve = ("serve", "--port", "0", "--events-port", "0", "--history", "0")
    with bare_server() as bare, running(*serve) as few, running(*serve) as many:
        clients = {
            "bare loop": Client(bare),
            f"{FEW} devices": Client(few.next_line().split()[4]),
            f"{MANY:,} devices": Client(many.next_line().split()[4]),
        }
        for client, devices in zip(clients.values(), (FEW, FEW, MANY), strict=True):
            client.fill(devices)
        steps = {"CHECK_ALIVE": Client.renew, "REGISTER": Client.register_again}
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(ROUNDS):
            for request, step in steps.items():
                for server, client in clients.items():
                    rates.setdefault((request, server), []).append(client.rate(step))
    first = f"{FEW} devices"
    print(f"{'':<14}{'':<16}{'requests/s':>12}{'spread':>9}{'/ bare loop':>13}{f'/ {first}':>13}")
    for (request, server), values in rates.items():
        median = statistics.median(values)
        print(
            f"{request:<14}{server:<16}{median:>12,.0f}"
            f"{(max(values) - min(values)) / median:>9.0%}"
            f"{ratio(values, rates[request, 'bare loop']):>13.2f}"
            f"{ratio(values, rates[request, first]):>13.2f}"
        )


def ratio(values: list[float], others: list[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


if __name__ == "__main__":
    main()
