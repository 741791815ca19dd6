"""The registry itself, in the comparison."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar
from uuid import uuid4

import attrs
import zmq

from devicewatch.events import Added, Live, Record, Removed
from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import Ack, CheckAlive, Register, RegisterAck, Reply, Request
from devicewatch.events.sockets import Context
from devicewatch.registry import AliveCheckState, register_device, send_alive_check
from devicewatch.registry.commands.demo import running
from devicewatch.registry.requester import Requester, expect
from devicewatch.subscribers import awatch, watch

from .peer import HISTORY, MANY, Devices, News, Peer, Told, Way, addr_of, name_of, number_of

_EACH_ANEW = Way(words="a socket each", share=0.1)
"""A connection for each request; a system runs out of ports when all do so."""


@attrs.frozen
class Devicewatch(Peer):
    """`devicewatch serve`, in memory."""

    url: str
    pid: int

    name: ClassVar[str] = "devicewatch"
    others: ClassVar[tuple[Way, ...]] = (MANY, _EACH_ANEW)

    @classmethod
    def lacks(cls) -> str | None:
        return None

    @classmethod
    @contextmanager
    def serve(cls) -> "Iterator[Devicewatch]":
        options = ("--port", "0", "--events-port", "0", "--no-journal", "--history", str(HISTORY))
        with running("serve", *options) as command:
            yield cls(command.next_line().split()[4], command.process.pid)

    @property
    def about(self) -> str:
        return (
            f"in memory (--no-journal), the last {HISTORY:,} events kept for replay; a connection "
            "is kept as `announce` keeps one"
        )

    async def connect(self, way: Way) -> Devices:
        if way == MANY:
            return _Gateway(self.url)
        return _Each(self.url) if way == _EACH_ANEW else _Connected(self.url)

    def follow(self, news: News, told: Told, ready: Callable[[], None]) -> None:
        for record in watch(self.url, status=True, existing=False):
            _tell(record, told, ready)

    async def afollow(self, told: Told, ready: Callable[[], None]) -> None:
        async for record in awatch(self.url, status=True, existing=False):
            _tell(record, told, ready)


def _register(number: int, lease: float) -> Register:
    return Register(
        "camera", addr_of(number), name_of(number), alive_timeout=lease, instance=str(uuid4())
    )


def _tell(record: Record, told: Told, ready: Callable[[], None]) -> None:
    match record:
        case Added(device=device):
            told(News.CAME, number_of(device.name))
        case Removed(device=device):
            told(News.WENT, number_of(device.name))
        case Live():
            ready()


class _Connected(Devices):
    """One connection for all of them, kept; each request is made and checked as a device's is."""

    def __init__(self, url: str) -> None:
        self._requester = Requester(None, url)
        self._uuids: dict[int, str] = {}

    async def register(self, number: int, lease: float) -> None:
        reply = self._requester.ask(_register(number, lease))
        ack = expect(RegisterAck, reply, self._requester.url)
        self._uuids[number] = ack.uuid

    async def renew(self, number: int, lease: float) -> None:
        reply = self._requester.ask(CheckAlive(self._uuids[number], lease))
        if not expect(Ack, reply, self._requester.url).success:
            raise RuntimeError(f"the lease of device {number} was lost")

    async def close(self) -> None:
        self._requester.close()


class _Gateway(Devices):
    """What stands for many devices: a DEALER, which may ask again before it was answered.

    The library has no such client; this is what a program does that speaks the protocol itself.
    """

    def __init__(self, url: str) -> None:
        context: Context = zmq.Context.instance()
        self._url = url
        self._socket = context.socket(zmq.DEALER)
        self._socket.connect(url)
        self._uuids: dict[int, str] = {}

    async def register(self, number: int, lease: float) -> None:
        await self.register_all(range(number, number + 1), lease, 1)

    async def renew(self, number: int, lease: float) -> None:
        await self.renew_all(range(number, number + 1), lease, 1)

    async def register_all(self, numbers: range, lease: float, under_way: int) -> None:
        replies = self._ask((_register(number, lease) for number in numbers), under_way)
        for number, reply in zip(numbers, replies, strict=True):
            self._uuids[number] = expect(RegisterAck, reply, self._url).uuid

    async def renew_all(self, numbers: range, lease: float, under_way: int) -> None:
        requests = (CheckAlive(self._uuids[number], lease) for number in numbers)
        for reply in self._ask(requests, under_way):
            if not expect(Ack, reply, self._url).success:
                raise RuntimeError("a lease was lost")

    async def close(self) -> None:
        self._socket.close(linger=0)

    def _ask(self, requests: Iterator[Request], under_way: int) -> Iterator[Reply]:
        """The replies, in the order of the requests."""
        asked = sum(self._send(request) for request in islice(requests, under_way))
        while asked:
            _, *frames = self._socket.recv_multipart()
            asked += sum(self._send(request) for request in islice(requests, 1)) - 1
            yield decode_reply(frames)

    def _send(self, request: Request) -> bool:
        self._socket.send_multipart([b"", encode_request(request)])
        return True


class _Each(Devices):
    """The functions that programs in the field call: each opens a connection, and closes it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._uuids: dict[int, str] = {}

    async def register(self, number: int, lease: float) -> None:
        _, self._uuids[number] = register_device(
            None, "camera", addr_of(number), name_of(number), self._url, alive_timeout=lease
        )

    async def renew(self, number: int, lease: float) -> None:
        state = send_alive_check(None, self._uuids[number], self._url, lease)
        if state is not AliveCheckState.ok:
            raise RuntimeError(f"the lease of device {number} was lost")

    async def close(self) -> None:
        pass
