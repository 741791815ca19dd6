"""Redis at the registry's work: a key that expires for each device, and a stream of who came."""

import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import attrs
import msgspec

from tests.support.live import free_port

from .peer import HISTORY, MANY, Devices, News, Peer, Told, Way, addr_of, name_of, number_of
from .servers import executable, running_server, wait_until

_STREAM: Final = "devices"
_EXPIRED: Final = "__keyevent@0__:expired"
_NO_EVENT: Final = "0-0"

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Redis(Peer):
    """A Redis server, in memory, and redis-py."""

    port: int
    pid: int
    version: str = ""

    name: ClassVar[str] = "Redis"

    @classmethod
    def lacks(cls) -> str | None:
        if executable("redis-server") is None:
            return "redis-server (Debian: apt-get install redis-server), or $REDIS_SERVER"
        if importlib.util.find_spec("redis") is None:
            return "Python client of it (pip install 'redis[hiredis]')"
        return None

    @classmethod
    @contextmanager
    def serve(cls) -> "Iterator[Redis]":
        port = free_port()
        with tempfile.TemporaryDirectory() as directory:
            command = [
                executable("redis-server") or "", "--bind", "127.0.0.1", "--port", port,
                "--dir", directory, "--save", "", "--appendonly", "no",
                "--notify-keyspace-events", "Ex",
            ]  # fmt: skip
            with running_server(*command) as process:
                peer = cls(int(port), process.pid)
                with peer.client() as client:
                    wait_until(lambda: _answers(client), process)
                    version = client.info("server")["redis_version"]
                yield attrs.evolve(peer, version=version)

    @property
    def about(self) -> str:
        return (
            f'{self.version}, in memory (--save "" --appendonly no), the last {HISTORY:,} events '
            "in a stream; names and addresses are not checked"
        )

    def client(self, module: str = "redis") -> Any:
        """A client; the module "redis.asyncio" has the other kind."""
        redis = importlib.import_module(module)
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, protocol=2)

    async def connect(self, way: Way) -> Devices:
        return _Many(self.client("redis.asyncio")) if way == MANY else _Connected(self.client())

    def follow(self, news: News, told: Told, ready: Callable[[], None]) -> None:
        with self.client() as client:
            if news is News.WENT:
                _follow_silence(client, told, ready)
            else:
                last = _last(client.xrevrange(_STREAM, count=1))
                ready()
                while True:
                    last = _tell(client.xread({_STREAM: last}, block=0), told) or last

    async def afollow(self, told: Told, ready: Callable[[], None]) -> None:
        async with self.client("redis.asyncio") as client:
            last = _last(await client.xrevrange(_STREAM, count=1))
            ready()
            while True:
                last = _tell(await client.xread({_STREAM: last}, block=0), told) or last


class _Connected(Devices):
    """One connection for all of them, and one round trip for each request."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def register(self, number: int, lease: float) -> None:
        _transaction(self._client, number, lease).execute()

    async def renew(self, number: int, lease: float) -> None:
        if not self._client.expire(name_of(number), round(lease)):
            raise RuntimeError(f"the lease of device {number} was lost")

    async def close(self) -> None:
        self._client.close()


class _Many(Devices):
    """The client for asyncio, which opens a connection for each request that is under way."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def register(self, number: int, lease: float) -> None:
        await _transaction(self._client, number, lease).execute()

    async def renew(self, number: int, lease: float) -> None:
        if not await self._client.expire(name_of(number), round(lease)):
            raise RuntimeError(f"the lease of device {number} was lost")

    async def close(self) -> None:
        await self._client.aclose()


def _transaction(client: Any, number: int, lease: float) -> Any:
    name = name_of(number)
    value = _encode({"device_type": "camera", "addr": addr_of(number), "name": name})
    both = client.pipeline(transaction=True)
    both.set(name, value, px=round(lease * 1000))
    event = {"event": "added", "name": name, "device": value}
    both.xadd(_STREAM, event, maxlen=HISTORY, approximate=True)
    return both


def _answers(client: Any) -> bool:
    redis = importlib.import_module("redis")
    try:
        client.ping()
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False
    return True


def _last(entries: list[tuple[str, dict[str, str]]]) -> str:
    return entries[0][0] if entries else _NO_EVENT


def _tell(answer: list[tuple[str, list[tuple[str, dict[str, str]]]]], told: Told) -> str | None:
    """Tell of what came out of a stream; give the last event's id, if there was any."""
    last = None
    for _, entries in answer:
        for entry, fields in entries:
            told(News.CAME, number_of(fields["name"]))
            last = entry
    return last


def _follow_silence(client: Any, told: Told, ready: Callable[[], None]) -> None:
    with client.pubsub() as pubsub:
        pubsub.subscribe(_EXPIRED)
        for message in pubsub.listen():
            if message["type"] == "subscribe":
                ready()
            elif message["type"] == "message":
                told(News.WENT, number_of(message["data"]))
