"""What the comparison asks of each of those that it compares."""

import asyncio
import enum
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import ClassVar, Final

import attrs

LEASE: Final = 3600.0
"""Seconds for which the devices are registered that are to stay for as long as it takes."""

SILENT_LEASE: Final = 1.0
"""Seconds for which those are registered that then fall silent."""

HISTORY: Final = 10_000
"""Events that are kept for whoever missed them, where that can be said: our own default."""


class News(enum.Enum):
    """What a watcher can be told of a device."""

    CAME = "came"
    WENT = "went"


Told = Callable[[News, int], None]
"""Called with the number of the device that a watcher was told about."""


Work = Callable[[int, float], Awaitable[None]]
"""What one device does."""


class Devices(ABC):
    """Some devices in one process, each of which waits for the answer to its request.

    The methods are coroutines since some clients have no others. Those of the other clients never
    wait anywhere but in their socket.
    """

    @abstractmethod
    async def register(self, number: int, lease: float) -> None:
        """One device registers."""

    @abstractmethod
    async def renew(self, number: int, lease: float) -> None:
        """One device that has registered says that it is still there."""

    async def register_all(self, numbers: range, lease: float, under_way: int) -> None:
        """Many devices register, so many at a time."""
        await _share(self.register, numbers, lease, under_way)

    async def renew_all(self, numbers: range, lease: float, under_way: int) -> None:
        """Many devices renew, so many at a time."""
        await _share(self.renew, numbers, lease, under_way)

    @abstractmethod
    async def close(self) -> None:
        """Leave the connection, and the devices to themselves."""


@attrs.frozen(kw_only=True)
class Way:
    """One of the ways in which a program may use a client.

    Attributes:
        words: What it is called in the table; "" for the usual one.
        under_way: How many requests of one process wait for their answers at a time.
        share: What part of the devices registers, if it takes too long for all.
    """

    words: str = ""
    under_way: int = 1
    share: float = 1.0


USUAL: Final = Way()
"""One connection in a process, and one request at a time."""

MANY: Final = Way(words="16 at a time", under_way=16)
"""Many devices behind one program, which asks for one without waiting for the answer to another."""


class Peer(ABC):
    """A server that runs, and how its clients do the registry's work. It can be pickled.

    Attributes:
        name: What it is called in the table.
        others: Other ways to use its client, for the rates.
        pid: The server's process.
    """

    pid: int

    name: ClassVar[str]
    others: ClassVar[tuple[Way, ...]] = (MANY,)

    @classmethod
    @abstractmethod
    def lacks(cls) -> str | None:
        """What has to be installed before it can be compared; None if nothing."""

    @classmethod
    @abstractmethod
    def serve(cls) -> "AbstractContextManager[Peer]":
        """Run a server, in a process of its own, at a free port of this machine."""

    @property
    @abstractmethod
    def about(self) -> str:
        """Which version it is, and what it keeps, where."""

    @property
    def tells_silence(self) -> bool:
        """Whether a watcher is told of a device that fell silent."""
        return True

    @abstractmethod
    async def connect(self, way: Way) -> Devices:
        """A connection for devices."""

    @abstractmethod
    def follow(self, news: News, told: Told, ready: Callable[[], None]) -> None:
        """Be the only watcher in a process, in a thread that waits for nothing else.

        Args:
            news: What it is after. It may be told more.
            told: Called for everything that it is told.
            ready: Called once nothing can be missed any more.
        """

    @abstractmethod
    async def afollow(self, told: Told, ready: Callable[[], None]) -> None:
        """Be one of many watchers in a process that are after devices that come."""


def name_of(number: int) -> str:
    """What a device is called."""
    return f"cam-{number}"


def number_of(name: str) -> int:
    """Which device is called so."""
    return int(name.rpartition("-")[2])


def addr_of(number: int) -> str:
    """Where a device can be reached."""
    return f"tcp://10.0.0.1:{number}"


async def _share(do: Work, numbers: range, lease: float, under_way: int) -> None:
    if under_way == 1:
        await _in_turn(do, numbers, lease)
    else:
        turns = (_in_turn(do, share, lease) for share in shares(numbers, under_way))
        await asyncio.gather(*turns)


async def _in_turn(do: Work, numbers: range, lease: float) -> None:
    for number in numbers:
        await do(number, lease)


def shares(numbers: range, parts: int) -> Iterator[range]:
    """Deal numbers out to so many."""
    return (numbers[part::parts] for part in range(parts))
