"""What the sockets themselves can do: servers and watchers that keep no books.

They read and write the same JSON as the registry, with the same library, and nothing else. Each is
a process of its own; it says over its pipe where it is, and ends with it.
"""

import enum
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
import zmq

from devicewatch.events.sockets import Context, Socket

from .crowd import Worker
from .servers import Server

ID: Final = "0b5ab2b0-5b1c-4b5e-8f2e-0f0a0a0a0a0a"
"""As long as a uuid, or an epoch."""

_SEQ: Final = 1_234_567

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct):
    event: str
    payload: dict[str, Any]


class Kind(enum.Enum):
    """Which socket a server has."""

    REP = "REP"
    ROUTER = "ROUTER"


@contextmanager
def serving(kind: Kind = Kind.REP) -> Iterator[Server]:
    """Run a bare server for as long as a `with` block."""
    with Worker(serve, kind) as worker:
        port, events_port = worker.answer()
        yield Server(f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{events_port}", worker.pid)


def serve(pipe: Connection, kind: Kind) -> None:
    """Answer requests; publish an event before the reply to one that would cause it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started it ends it
    context: Context = zmq.Context()
    requests = context.socket(zmq.REP if kind is Kind.REP else zmq.ROUTER)
    stream = context.socket(zmq.PUB)
    for socket in (requests, stream):
        socket.set(zmq.SNDHWM, 10_000)  # as the registry has; a ROUTER drops what is more
    ports = [s.bind_to_random_port("tcp://127.0.0.1") for s in (requests, stream)]
    pipe.send(ports)
    if kind is Kind.REP:
        _reply(requests, stream)
    else:
        _route(requests, stream)


def _reply(requests: Socket, stream: Socket) -> None:
    decode = msgspec.json.Decoder(Request).decode
    receive, send = requests.recv, requests.send
    while True:
        send(answer(decode(receive()), stream))


def _route(requests: Socket, stream: Socket) -> None:
    """The same, frame by frame: the envelope's, which is what a ROUTER adds."""
    decode = msgspec.json.Decoder(Request).decode
    receive, send = requests.recv, requests.send
    while True:
        peer = receive()
        receive()  # the delimiter
        reply = answer(decode(receive()), stream)
        send(peer, zmq.SNDMORE)
        send(b"", zmq.SNDMORE)
        send(reply)


def answer(request: Request, stream: Socket) -> bytes:
    """The reply, as long as the registry's, after an event as long as the registry's."""
    name = request.event
    if name == "REGISTER":
        payload = request.payload
        publish(stream, "added", payload)
        return _encode(
            {
                "event": "REGISTER_ACK",
                "payload": {
                    "name": payload["name"],
                    "uuid": ID,
                    "epoch": ID,
                    "seq": _SEQ,
                    "alive_timeout": payload["alive_timeout"],
                },
            }
        )
    if name == "UNREGISTER":
        publish(stream, "removed", _DEVICE, reason="unregistered")
    return _encode({"event": "ACK", "payload": {"req_event": name, "success": True}})


_DEVICE: Final = {"name": "cam-12345", "device_type": "camera", "addr": "tcp://10.0.0.1:12345"}


def publish(stream: Socket, topic: str, device: dict[str, Any], **more: str) -> None:
    now = time.time()
    body = {
        "event": topic,
        "epoch": ID,
        "seq": _SEQ,
        "time": now,
        "device": {
            "name": device["name"],
            "device_type": device["device_type"],
            "addr": device["addr"],
            "revision": _SEQ,
            "registered_at": now,
            "metadata": {},
        },
        **more,
    }
    stream.send(topic.encode(), zmq.SNDMORE)
    stream.send(_encode(body))


def drain(pipe: Connection, events_urls: Sequence[str]) -> None:
    """Be one watcher of each stream, that reads what comes and does nothing with it.

    It answers each of the pipe's questions with how many events of each have come so far.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    context: Context = zmq.Context()
    sockets = [subscriber(context, url) for url in events_urls]
    counts = [0 for _ in sockets]
    poller = zmq.Poller()
    for source in (*sockets, pipe.fileno()):
        poller.register(source, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        for number, socket in enumerate(sockets):
            if socket in ready:
                counts[number] += _empty(socket)
        if pipe.fileno() in ready:
            try:
                pipe.recv()
            except EOFError:
                return
            pipe.send(counts)


def subscriber(context: Context, events_url: str) -> Socket:
    """A raw SUB that hears of those who come and go."""
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    for topic in ("added", "removed"):
        socket.subscribe(topic)
    socket.connect(events_url)
    return socket


def _empty(socket: Socket) -> int:
    """Read all messages that wait, of two frames each; say how many there were."""
    receive, count = socket.recv, 0
    try:
        while True:
            receive(zmq.NOBLOCK)
            receive(zmq.NOBLOCK)
            count += 1
    except zmq.Again:
        return count
