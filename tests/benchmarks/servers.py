"""The registry under test, and the requests that everything is asked."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs
import msgspec

from devicewatch.registry.commands.demo import running

from . import zmtp

LEASE: Final = 3600.0
"""Seconds: nobody's runs out while it is measured."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@attrs.frozen
class Server:
    """A server that runs, in a process of its own.

    Attributes:
        url: Where it answers.
        events_url: Where it publishes.
        pid: Its process.
    """

    url: str
    events_url: str
    pid: int


@contextmanager
def registry(*options: str, history: int = 0) -> Iterator[Server]:
    """Run `devicewatch serve` for as long as a `with` block, without a journal unless told."""
    if "--journal" not in options:
        options = (*options, "--no-journal")
    with running(
        "serve", "--port", "0", "--events-port", "0", "--max-devices", "1000000",
        "--history", str(history), *options,
    ) as serve:  # fmt: skip
        url, events_url = re.findall(r"tcp://[\d.]+:\d+", serve.next_line())
        yield Server(url, events_url, serve.process.pid)


def fill(server: Server, devices: int) -> list[str]:
    """Have so many devices register; gives their uuids."""
    with zmtp.Client(server.url) as client:
        burst = client.all([zmtp.request(register(number)) for number in range(devices)])
    return uuids(burst.replies)


def uuids(replies: Sequence[bytes]) -> list[str]:
    """What devices were given that have registered."""
    return [_decode(reply)["payload"]["uuid"] for reply in replies]


def succeeded(replies: Sequence[bytes]) -> bool:
    """Whether all renewals, or all who left, were known."""
    return all(b'"success":true' in reply for reply in set(replies))


def register(number: int, lease: float = LEASE, name: str = "") -> bytes:
    """The request of a device, which is called "cam-N" unless it has another name."""
    return _encode(
        {
            "event": "REGISTER",
            "payload": {
                "device_type": "camera",
                "addr": f"tcp://10.0.{number >> 16}.1:{number & 0xFFFF}",
                "name": name or f"cam-{number}",
                "alive_timeout": lease,
            },
        }
    )


def renew(uuid: str, lease: float = LEASE) -> bytes:
    """The request of a device that is still there."""
    return _encode({"event": "CHECK_ALIVE", "payload": {"uuid": uuid, "alive_timeout": lease}})


def unregister(uuid: str) -> bytes:
    """The request of a device that leaves."""
    return _encode({"event": "UNREGISTER", "payload": {"uuid": uuid}})
