"""A program that gives its device's lease another length as often as it can: `python flood.py …`.

Each is a change, which costs the journal a write of many kilobytes, and is no event. So the journal
is nearly always being written, and its log checkpointed, when the registry is killed; and watchers
do not have to read what would be far too much for them.

It is a process, because the registry is faster than a thread of the test could be.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import zmq

ADDR: Final = "tcp://10.9.9.9:2"
METADATA: Final = {f"notes-{number}": "x" * 1000 for number in range(20)}
LEASES: Final = (3600.0, 7200.0)

WINDOW: Final = 10
"""Requests that are on their way at the same time."""

SILENCE: Final = 200
"""Milliseconds after which what is on its way is lost."""


@contextmanager
def flooding(url: str, uuid: str) -> Iterator[None]:
    """Let it run for as long as a `with` block. It fails if the device is ever unknown."""
    with subprocess.Popen([sys.executable, __file__, url, uuid]) as process:
        try:
            yield
            assert process.poll() is None, "the registry did not know a device"
        finally:
            process.terminate()


def flood(url: str, uuid: str) -> None:
    """Ask, for ever."""
    leases = itertools.cycle(LEASES)
    context = zmq.Context()
    while True:
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(url)
            for _ in range(WINDOW):
                _send(socket, uuid, next(leases))
            while socket.poll(SILENCE):
                _, reply = socket.recv_multipart()
                if not json.loads(reply)["payload"].get("success"):
                    sys.exit(f"flood: {reply!r}")
                _send(socket, uuid, next(leases))


def _send(socket: zmq.Socket[bytes], uuid: str, lease: float) -> None:
    request = {"event": "CHECK_ALIVE", "payload": {"uuid": uuid, "alive_timeout": lease}}
    socket.send_multipart([b"", json.dumps(request).encode()])


if __name__ == "__main__":
    flood(*sys.argv[1:])
