"""A watcher that joins: until it knows all devices, what it costs it, and who waits meanwhile.

What is put beside it is a bare loop that gives out the same pages, and a program that fetches them
and keeps the devices in a dict.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import attrs
import msgspec
import zmq

from devicewatch.events.protocol import MAX_PAGE
from devicewatch.events.sockets import Context

from . import crew, zmtp
from .bare import Request, serving
from .crowd import Worker
from .figures import Figure, Of, alone, at_most, beside, worst
from .profile import Profile
from .servers import Server, register, registry

_GOALS: Final = {100_000: (at_most(2, Of.VALUE), at_most(10, Of.VALUE))}
"""By the number of devices: until it is live, in seconds, and to wait meanwhile, in ms."""

_ID: Final = "0b5ab2b0-5b1c-4b5e-8f2e-0f0a0a0a0a0a"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@attrs.frozen
class Round:
    """How one watcher, and the bare one, joined."""

    joined: crew.Joined
    bare: crew.Joined
    waited: float
    """The longest wait for the reply to a renewal while the watcher joined; in seconds."""
    waited_bare: float
    """The same at a bare loop, while one more watcher joined the registry."""
    failed: int


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    sizes = [size for size in (1_000, 10_000, 100_000) if size <= profile.devices[-1]]
    sizes = sizes[:2] if profile.quick else sizes
    with ExitStack() as stack:
        server, bare = stack.enter_context(registry()), stack.enter_context(serving())
        ours, theirs = (stack.enter_context(crew.Asker(one.url)) for one in (server, bare))
        already = 0
        for size in sizes or profile.devices[-1:]:
            with zmtp.Client(server.url) as client:
                numbers = range(already, size)
                client.all([zmtp.request(register(number)) for number in numbers])
            already = size
            with serving_pages(size) as pages:
                rounds = [
                    _round(server, pages, (ours, theirs), size)
                    for _ in range(min(profile.rounds, 2 if profile.quick else 3))
                ]
            yield from _figures(size, rounds)


def _figures(size: int, rounds: list[Round]) -> Iterator[Figure]:
    until, waiting = _GOALS.get(size, (None, None))
    row = f"watcher joins {size:,} devices"
    yield beside(
        f"{row}: live, all told", "s",
        [r.joined.seconds for r in rounds], [r.bare.seconds for r in rounds],
        until, "beside one who fetches the same pages from a bare loop, into a dict",
    )  # fmt: skip
    failed = sum(r.failed for r in rounds)
    yield worst(
        f"{row}: worst CHECK_ALIVE", "ms",
        [1e3 * r.waited for r in rounds], [1e3 * r.waited_bare for r in rounds],
        waiting, "beside a bare loop, asked while another watcher joins the registry"
        + (f"; {failed} renewals failed" if failed else ""),
    )  # fmt: skip
    yield beside(
        f"{row}: its processors' time", "s",
        [r.joined.processor for r in rounds], [r.bare.processor for r in rounds],
    )  # fmt: skip
    yield alone(
        f"{row}: its memory per device", "B", [r.joined.memory / size for r in rounds],
    )  # fmt: skip


def _round(
    server: Server, pages: str, askers: tuple[crew.Asker, crew.Asker], devices: int
) -> Round:
    with ExitStack() as stack:
        watchers = [
            stack.enter_context(Worker(join, url, devices))
            for join, url in (
                (fetch, pages), (crew.join, server.url), (crew.join, server.url)
            )
        ]  # fmt: skip
        for watcher in watchers:
            watcher.answer()
        bare: crew.Joined = watchers[0].ask("begin")
        joined, waited, failed = [], [], 0
        for watcher, asker in zip(watchers[1:], askers, strict=True):
            with asker.asking() as waits:
                one: crew.Joined = watcher.ask("begin")
            joined.append(one)
            waited.append(waits[0].worst(one.began, one.ended))
            failed += waits[0].failed
    return Round(joined[0], bare, waited[0], waited[1], failed)


# --- the bare loop --------------------------------------------------------------------------------


@contextmanager
def serving_pages(devices: int) -> Iterator[str]:
    """Run a bare loop that gives out so many devices for as long as a `with` block."""
    with Worker(serve_pages, devices) as worker:
        yield f"tcp://127.0.0.1:{worker.answer()}"


def serve_pages(pipe: Connection, devices: int) -> None:
    """Give out pages of devices."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    everybody = [_device(number) for number in range(devices)]
    context: Context = zmq.Context()
    socket = context.socket(zmq.REP)
    pipe.send(socket.bind_to_random_port("tcp://127.0.0.1"))
    decode = msgspec.json.Decoder(Request).decode
    while True:
        after = decode(socket.recv()).payload["after"]
        following = after + MAX_PAGE
        payload = {
            "epoch": _ID,
            "seq": devices,
            "devices": everybody[after:following],
            "next": following if following < devices else None,
        }
        socket.send(_encode({"event": "SNAPSHOT", "payload": payload}))


def _device(number: int) -> dict[str, Any]:
    return {
        "name": f"cam-{number}",
        "device_type": "camera",
        "addr": f"tcp://10.0.0.1:{number}",
        "revision": number + 1,
        "registered_at": time.time(),
        "metadata": {},
    }


def fetch(pipe: Connection, url: str, _devices: int) -> None:
    """When told to, fetch all pages, and give `crew.Joined`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(None)
    pipe.recv()
    context: Context = zmq.Context()
    joining = crew.Joining()
    known: dict[str, Any] = {}
    socket = context.socket(zmq.REQ)
    socket.connect(url)
    after: int | None = 0
    while after is not None:
        request = {"event": "SNAPSHOT", "payload": {"after": after, "limit": MAX_PAGE}}
        socket.send(_encode(request))
        page = _decode(socket.recv())["payload"]
        known.update((device["name"], device) for device in page["devices"])
        after = page["next"]
    pipe.send(joining.done())
