"""NATS at the registry's work: a bucket of JetStream's key-value store, with a key for each device.

A key has no lease of its own here. All of a bucket live for as long as the bucket says, from when
they were last put, so that a renewal is a put, of which every watcher is told; and devices that are
to fall silent sooner have a bucket of their own.
"""

import asyncio
import importlib
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import msgspec

from .peer import (
    LEASE,
    SILENT_LEASE,
    Devices,
    News,
    Peer,
    Told,
    Way,
    addr_of,
    name_of,
    number_of,
)
from .servers import executable, running_server, wait_until

_BUCKETS: Final = {LEASE: "devices", SILENT_LEASE: "silent"}

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Nats(Peer):
    """A NATS server, in memory, and nats-py."""

    url: str
    pid: int
    version: str = ""
    marks: bool = False

    name: ClassVar[str] = "NATS"

    @classmethod
    def lacks(cls) -> str | None:
        if executable("nats-server") is None:
            return "nats-server (Debian: apt-get install nats-server), or $NATS_SERVER"
        if importlib.util.find_spec("nats") is None:
            return "Python client of it (pip install nats-py)"
        return None

    @classmethod
    @contextmanager
    def serve(cls) -> "Iterator[Nats]":
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            command = [
                executable("nats-server") or "", "--addr", "127.0.0.1", "--port", "-1",
                "--jetstream", "--store_dir", name, "--ports_file_dir", name,
            ]  # fmt: skip
            with running_server(*command) as process:
                wait_until(lambda: _url_in(directory) is not None, process)
                yield asyncio.run(cls(_url_in(directory) or "", process.pid).prepare())

    @property
    def about(self) -> str:
        return (
            f"{self.version}, JetStream's key-value store in memory, the last value of each key; "
            "names and addresses are not checked"
        )

    @property
    def tells_silence(self) -> bool:
        return self.marks

    async def prepare(self) -> "Nats":
        """Make the buckets, and see what the server can do."""
        connection = await self._open()
        try:
            marks = [await _new_bucket(connection, *bucket) for bucket in _BUCKETS.items()]
            v = connection.connected_server_version
            return attrs.evolve(self, version=f"{v.major}.{v.minor}.{v.patch}", marks=all(marks))
        finally:
            await connection.close()

    async def connect(self, way: Way) -> Devices:
        connection = await self._open()
        stream = connection.jetstream()
        return _Connected(
            connection,
            {lease: await stream.key_value(bucket) for lease, bucket in _BUCKETS.items()},
        )

    def follow(self, news: News, told: Told, ready: Callable[[], None]) -> None:
        lease = SILENT_LEASE if news is News.WENT else LEASE
        asyncio.run(self._follow(lease, told, ready))

    async def afollow(self, told: Told, ready: Callable[[], None]) -> None:
        await self._follow(LEASE, told, ready)

    async def _open(self) -> Any:
        return await importlib.import_module("nats").connect(self.url, allow_reconnect=False)

    async def _follow(self, lease: float, told: Told, ready: Callable[[], None]) -> None:
        connection = await self._open()
        bucket = await connection.jetstream().key_value(_BUCKETS[lease])
        async for entry in await bucket.watchall():
            if entry is None:  # all that were there have been told
                ready()
            else:
                news = News.CAME if entry.operation is None else News.WENT
                told(news, number_of(entry.key))


class _Connected(Devices):
    """One connection for all of them."""

    def __init__(self, connection: Any, buckets: dict[float, Any]) -> None:
        self._connection = connection
        self._buckets = buckets

    async def register(self, number: int, lease: float) -> None:
        name = name_of(number)
        value = _encode({"device_type": "camera", "addr": addr_of(number), "name": name})
        await self._buckets[lease].put(name, value)

    async def renew(self, number: int, lease: float) -> None:
        await self.register(number, lease)

    async def close(self) -> None:
        await self._connection.close()


async def _new_bucket(connection: Any, lease: float, name: str) -> bool:
    """Make a bucket; False if the server (before 2.11) will not tell of keys that expire in it."""
    api = importlib.import_module("nats.js.api")
    errors = importlib.import_module("nats.js.errors")
    stream = connection.jetstream()
    config = api.KeyValueConfig(bucket=name, ttl=lease, storage=api.StorageType.MEMORY)
    try:
        await stream.create_key_value(config, limit_marker_ttl=LEASE)
    except errors.KeyValueLimitMarkerTTLNotSupportedError:
        await stream.create_key_value(config)
        return False
    return True


def _url_in(directory: Path) -> str | None:
    """Where the server listens, as its file of ports says, once it does."""
    for path in directory.glob("*.ports"):
        try:
            url: str = json.loads(path.read_text())["nats"][0]
        except ValueError:  # it is being written
            return None
        return url
    return None
