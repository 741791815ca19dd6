"""Devices with names that do harm, and registries that are none and say whatever a test wants."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import zmq

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.journal import MemoryJournal
from tests.support import journals

EPOCH: Final = "\x1b[2Je\u202e\n\x9b"

HOSTILE: Final = "\x1b[2Jgone\u202e\n2026 forged\r\x9b\x7f\u2028\U000e0041"
"""It clears a screen, turns text round, forges a line, and hides a letter."""
TRICKS: Final = set("\x1b\u202e\r\x9b\x7f\u2028\U000e0041\x07")
"""Its characters that must not get to a terminal. (Line breaks get there, between lines.)"""
SHOWN: Final = "\\u001b[2Jgone\\u202e\\u000a2026 forged\\u000d\\u009b\\u007f\\u2028\\U000e0041"

DEVICE: Final[dict[str, Any]] = {
    "name": HOSTILE,
    "device_type": f"type {HOSTILE}",
    "addr": f"tcp://{HOSTILE}",
    "revision": 1,
    "registered_at": 1e300,
    "metadata": {HOSTILE: HOSTILE, "[bold]": "=1+1", "big": 10**300, "small": -1e-300},
}

INFO: Final[dict[str, Any]] = {
    "version": 10**300,
    "epoch": EPOCH,
    "seq": 1,
    "devices": -(10**300),
    "tick_interval": 0.05,
    "uptime": 1e300,
    "history": 10**300,
}

REPLIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "SNAPSHOT": {
        "event": "SNAPSHOT",
        "payload": {"epoch": EPOCH, "seq": 1, "devices": [DEVICE], "next": None},
    },
    "REGISTER": {
        "event": "REGISTER_ACK",
        "payload": {"name": HOSTILE, "uuid": HOSTILE, "epoch": EPOCH, "seq": -1},
    },
    "CHECK_ALIVE": {"event": "ACK", "payload": {"req_event": HOSTILE, "success": True}},
    "UNREGISTER": {"event": "ACK", "payload": {"req_event": HOSTILE, "success": True}},
}


def error(message: str = HOSTILE, code: str = f"CODE {HOSTILE}") -> dict[str, Any]:
    """An `ERROR` that is one of the lies."""
    return {"event": "ERROR", "payload": {"req_event": HOSTILE, "code": code, "message": message}}


@contextmanager
def registry_of_old(device: Mapping[str, Any]) -> Iterator[DeviceRegistry]:
    """A registry whose journal was written when text did not have to print."""
    journal = MemoryJournal()
    journal.load(journals.EPOCH, 10)
    journal.append(journals.Changes().register(**device))
    journal.close()
    with DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", journal=journal) as registry:
        yield registry


@contextmanager
def lying_registry(
    context: zmq.Context[zmq.Socket[bytes]],
    replies: Mapping[str, Mapping[str, Any]] = REPLIES,
    *,
    time: float = 1.0,
    events_url: str | None = None,
) -> Iterator[str]:
    """The address of a registry that gives these replies, by the request's name.

    The one to `INFO` is `INFO` unless it is among them. It has an event stream, with ticks, unless
    that is said to be elsewhere.
    """
    with context.socket(zmq.REP) as requests, context.socket(zmq.PUB) as stream:
        requests.linger = stream.linger = 0
        port = requests.bind_to_random_port("tcp://127.0.0.1")
        events_port = stream.bind_to_random_port("tcp://127.0.0.1")
        place = {"events_port": events_port} if events_url is None else {"events_url": events_url}
        answers: dict[str, Mapping[str, Any]] = {"INFO": {"event": "INFO", "payload": INFO | place}}
        answers |= dict(replies)
        tick = {"event": "tick", "epoch": EPOCH, "seq": 1, "time": time}
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                if requests.poll(10):
                    asked = json.loads(requests.recv())["event"]
                    requests.send(json.dumps(answers[asked]).encode())
                stream.send_multipart([b"tick", json.dumps(tick).encode()])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            stop.set()
            thread.join()
