"""Help for tests with real sockets: a raw client, and waiting for conditions."""

import contextlib
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import zmq

PATIENCE = 10.0
"""Seconds after which a test gives up on what should happen in a fraction of one."""

_PORTS: Final = itertools.cycle(random.SystemRandom().sample(range(20_000, 32_000), 12_000))
"""Those that a system gives to no connection of another test, each once before any comes again."""


def wait_until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Poll until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        pause.wait(0.002)


def let_pass(seconds: float) -> None:
    """Wait for the time itself, where that is what a test is about."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, 2 * seconds + PATIENCE)


def free_port() -> str:
    """A TCP port that nobody listens at, and that stays free until it is used."""
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            break
    return str(port)


class RawClient:
    """A REQ socket that speaks JSON by hand, as a program in the field does."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], url: str) -> None:
        self.socket = context.socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.rcvtimeo = int(PATIENCE * 1000)
        self.socket.connect(url)

    def ask(self, event: str, payload: object) -> dict[str, Any]:
        """Send `{"event": …, "payload": …}` and return the reply."""
        return self.send(json.dumps({"event": event, "payload": payload}).encode())

    def send(self, *frames: bytes) -> dict[str, Any]:
        """Send frames as they are and return the reply."""
        self.socket.send_multipart(frames)
        (reply,) = self.socket.recv_multipart()
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def register(self, addr: str, name: str = "", **more: object) -> dict[str, Any]:
        """Register a camera and return the reply's payload."""
        payload = {"device_type": "camera", "addr": addr, "name": name, **more}
        reply = self.ask("REGISTER", payload)
        assert reply["event"] == "REGISTER_ACK", reply
        answer: dict[str, Any] = reply["payload"]
        return answer


@contextmanager
def raw_client(context: zmq.Context[zmq.Socket[bytes]], url: str) -> Iterator[RawClient]:
    """A raw client for as long as a `with` block."""
    client = RawClient(context, url)
    try:
        yield client
    finally:
        client.socket.close()


@contextmanager
def raw_subscriber(
    context: zmq.Context[zmq.Socket[bytes]], url: str
) -> Iterator[Callable[[], dict[str, Any]]]:
    """A plain SUB socket: yields a function that returns the next message's body."""
    stream = context.socket(zmq.SUB)
    stream.linger = 0
    stream.rcvtimeo = int(PATIENCE * 1000)
    stream.subscribe(b"")
    stream.connect(url)

    def receive() -> dict[str, Any]:
        topic, body = stream.recv_multipart()
        message: dict[str, Any] = json.loads(body)
        assert message["event"].encode() == topic
        return message

    try:
        receive()  # the greeting: the subscription has arrived
        yield receive
    finally:
        stream.close()


@contextmanager
def silent_registry(
    context: zmq.Context[zmq.Socket[bytes]], reply: bytes | None = None
) -> Iterator[str]:
    """The address of something that is no registry: it answers `reply`, or nothing, to all."""
    url = f"tcp://127.0.0.1:{free_port()}"
    socket = context.socket(zmq.REP)
    socket.linger = 0
    socket.bind(url)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if socket.poll(20) and reply is not None:
                socket.recv()
                socket.send(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield url
    finally:
        stop.set()
        thread.join()
        socket.close()
