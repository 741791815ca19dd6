"""The processes of the clients: devices, and watchers. Each does what it is told over a pipe."""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection

from .peer import Devices, News, Peer, Way, Work


def devices(pipe: Connection) -> None:
    """Be some devices, of as many servers as it is told."""
    _leave_ctrl_c()
    with asyncio.Runner() as runner:
        crowd = _Crowd(runner)
        commands: dict[str, Callable[..., object]] = {
            "connect": crowd.connect,
            "close": crowd.close,
            "register": crowd.register,
            "renew": crowd.renew,
            "register_slowly": crowd.register_slowly,
        }
        while True:
            try:
                command, *arguments = pipe.recv()
            except EOFError:
                return
            pipe.send(commands[command](*arguments))


class _Crowd:
    """The devices in one process, and their connections, of which one at a time is at work."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._connected: dict[tuple[str, Way], Devices] = {}

    def connect(self, peer: Peer, way: Way) -> None:
        self._connected[peer.name, way] = self._runner.run(peer.connect(way))

    def close(self, name: str, way: Way) -> None:
        self._runner.run(self._connected.pop((name, way)).close())

    def register(self, name: str, way: Way, numbers: range, lease: float, at: float) -> float:
        """All register, from a moment on; says when they had."""
        do = self._connected[name, way].register_all
        return self._runner.run(_from(at, lambda: do(numbers, lease, way.under_way)))

    def renew(self, name: str, way: Way, numbers: range, lease: float, at: float) -> float:
        """All renew, from a moment on; says when they had."""
        do = self._connected[name, way].renew_all
        return self._runner.run(_from(at, lambda: do(numbers, lease, way.under_way)))

    def register_slowly(
        self, name: str, way: Way, numbers: range, lease: float, interval: float
    ) -> dict[int, float]:
        """All register, one at each interval; says when each asked."""
        return self._runner.run(
            _slowly(self._connected[name, way].register, numbers, lease, interval)
        )


async def _from(at: float, do: Callable[[], Awaitable[None]]) -> float:
    await asyncio.sleep(at - time.monotonic())
    await do()
    return time.monotonic()


async def _slowly(work: Work, numbers: range, lease: float, interval: float) -> dict[int, float]:
    asked = {}
    due = time.monotonic()
    for number in numbers:
        await asyncio.sleep(due - time.monotonic())
        asked[number] = time.monotonic()
        await work(number, lease)
        due += interval
    return asked


def watchers(pipe: Connection, peer: Peer, number: int, news: News) -> None:
    """Be one watcher, or many; answers how many are ready, and then what it is asked.

    "count" gives how many devices the one that was told of the fewest was told of, "told" gives
    each watcher's devices with the moments at which it was first told of them, and forgets them.
    """
    _leave_ctrl_c()
    seen = [_Seen(news) for _ in range(number)]
    follow = _follow_alone if number == 1 else _follow_together
    threading.Thread(target=follow, args=(peer, news, seen), daemon=True).start()
    for one in seen:
        one.ready.wait()
    pipe.send(number)
    while True:
        try:
            (command,) = pipe.recv()
        except EOFError:
            return
        if command == "count":
            pipe.send(min(len(one.when) for one in seen))
        else:
            pipe.send([one.taken() for one in seen])


class _Seen:
    """What one watcher was told of, and when."""

    def __init__(self, news: News) -> None:
        self._news = news
        self.when: dict[int, float] = {}
        self.ready = threading.Event()

    def tell(self, news: News, number: int) -> None:
        if news is self._news:
            self.when.setdefault(number, time.monotonic())

    def taken(self) -> dict[int, float]:
        when, self.when = self.when, {}
        return when


def _follow_alone(peer: Peer, news: News, seen: Sequence[_Seen]) -> None:
    peer.follow(news, seen[0].tell, seen[0].ready.set)


def _follow_together(peer: Peer, _news: News, seen: Sequence[_Seen]) -> None:
    async def together() -> None:
        await asyncio.gather(*(peer.afollow(one.tell, one.ready.set) for one in seen))

    asyncio.run(together())


def _leave_ctrl_c() -> None:
    """Let whoever started this process end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
