"""A link that a test can break: a TCP proxy between a registry and whoever talks to it.

    with FaultProxy(registry.port) as proxy, raw_client(context, proxy.url) as client:
        client.register("tcp://a:1")
        proxy.cut()

What can happen to a link, and what each side sees of it:

* `cut`: every connection is reset, new ones are refused. As if the other machine were off.
* `stall`: nothing gets through for a while, and nothing is lost.
* `black_hole`: what is sent vanishes, and nobody is told. Such a connection is dead for good.
* `delay`, `throttle`: a long way, a thin wire.

Faults add up; `heal` ends them all. When a method returns, what it says is done.

One thread owns all sockets. In each turn it works out what to wait for, waits, and moves bytes;
the methods hand it what to do and ring a bell. A direction of a connection keeps at most 64 KiB;
beyond that the proxy does not read on, so that TCP makes the sender wait.

What it cannot do: the kernel acknowledges what the proxy has not read, so to a sender TCP itself
looks healthy, and no connection dies of time-outs in the kernel.
"""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, Self

import attrs

from devicewatch.events.sockets import Bell
from devicewatch.registry import DeviceRegistry
from tests.support.pipes import BUFFER, HOST, RESET, Connection, Faults, new_socket

_MAX_CONNECTIONS: Final = 256
"""Connections served at a time; more wait until one is over."""

_LONG: Final = 3600.0
"""Seconds to wait when there is nothing to wait for; selectors take no endless number."""


class FaultProxy:
    """A proxy for one port of this machine. All methods may be used from any thread.

    Args:
        target_port: Where to forward connections.

    Attributes:
        target_port: The same; it may be changed, for connections to come.
        port: Where it listens, also after a `cut`.
        accepted: How many connections there have been.
        forwarded: How many bytes went through, in both directions.
        swallowed: How many bytes went into a black hole.
    """

    def __init__(self, target_port: int | str) -> None:
        self.target_port = int(target_port)
        self.accepted = self.forwarded = self.swallowed = 0
        self._faults = Faults()
        self._listener = new_socket()
        self._listener.bind((HOST, 0))
        self._listener.listen()
        self._listening = True
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[Connection] = []
        self._lost: set[socket.socket] = set()  # in a black hole: read, and forget
        self._clients: set[socket.socket] = set()  # of both
        self._selector = selectors.DefaultSelector()
        self._watched: dict[socket.socket, int] = {}
        self._bell = Bell()
        self._selector.register(self._bell.fileno(), selectors.EVENT_READ)
        self._orders: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._ordering = threading.Lock()
        self._stopping = self._closed = False
        self._thread = threading.Thread(target=self._run, name="devicewatch-proxy", daemon=True)
        self._thread.start()

    # --- for the test -------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What to connect to."""
        return f"tcp://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected, dead connections included."""
        return len(self._clients)

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._order(self._cut)

    def stall(self) -> None:
        """Forward nothing. After `heal` all goes on, also with those who connect meanwhile."""
        self._order(lambda: self._change(stalled=True))

    def black_hole(self) -> None:
        """Throw away what is on its way and what comes, also from those who connect meanwhile.

        Their connections stay dead after `heal`. Neither side learns that the other has closed.
        """
        self._order(self._black_hole)

    def delay(self, seconds: float) -> None:
        """Forward everything that much later.

        As a direction keeps 64 KiB, that is also the most that passes within this time.
        """
        assert seconds >= 0, seconds
        self._order(lambda: self._change(delay=seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """Forward no more than this, in each direction of each connection."""
        assert bytes_per_second > 0, bytes_per_second
        self._order(lambda: self._change(rate=bytes_per_second))

    def heal(self) -> None:
        """End every fault."""
        self._order(self._heal)

    def close(self) -> None:
        """Reset every connection and end the thread. May be repeated."""
        self._stopping = True
        with self._ordering:
            self._bell.ring()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _order(self, action: Callable[[], None]) -> None:
        done = Future[None]()
        with self._ordering:
            if self._closed:
                raise RuntimeError("the proxy is closed")
            self._orders.append((action, done))
            self._bell.ring()
        done.result()

    # --- the thread: faults -------------------------------------------------------------------

    def _change(self, **changes: Any) -> None:
        self._faults = attrs.evolve(self._faults, **changes)

    def _cut(self) -> None:
        self._close_all()
        if self._listening:
            self._listening = False
            self._close(self._listener)
            # Bound, it is refused to everyone else; not listening, it refuses everyone.
            self._listener = new_socket()
            self._listener.bind((HOST, self.port))

    def _black_hole(self) -> None:
        self._change(black_hole=True)
        for connection in self._connections:
            self._lost.update(connection.sockets)
            self.swallowed += sum(pipe.size for pipe in connection.pipes)
        self._connections.clear()

    def _heal(self) -> None:
        self._faults = Faults()
        if not self._listening:
            self._listener.listen()
            self._listening = True

    # --- the thread: sockets ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._close_all()
            self._close(self._listener)
            self._selector.close()
            with self._ordering:
                self._closed = True
                self._bell.close()
                for _, done in self._orders:
                    done.set_exception(RuntimeError("the proxy has ended"))

    def _turn(self) -> None:
        if not self._faults.stalled:
            for connection in self._connections:
                if connection.server is None:
                    connection.connect(self.target_port)
        timeout = self._watch(time.monotonic())
        ready = {key.data: events for key, events in self._selector.select(timeout)}
        for connection in list(self._connections):
            self._serve(connection, ready)
        for lost in self._lost & ready.keys():
            self._swallow(lost)
        if self._listener in ready:
            self._accept()
        if None in ready:  # the bell; last, as orders may close what is ready
            self._bell.hush()
            while self._orders:
                self._orders[0][0]()  # taken out when done, so that `_run` finds it if it fails
                self._orders.popleft()[1].set_result(None)

    def _watch(self, now: float) -> float:
        """Tell the selector what to wait for, and give how long."""
        wanted = dict.fromkeys(self._lost, selectors.EVENT_READ)
        if self._listening and len(self._clients) < _MAX_CONNECTIONS:
            wanted[self._listener] = selectors.EVENT_READ
        next_due = now + _LONG
        pipes = [pipe for connection in self._connections for pipe in connection.pipes]
        for pipe in () if self._faults.stalled else pipes:
            if pipe.has_room:
                wanted[pipe.source] = wanted.get(pipe.source, 0) | selectors.EVENT_READ
            if (due := pipe.due(self._faults)) <= now:
                wanted[pipe.sink] = wanted.get(pipe.sink, 0) | selectors.EVENT_WRITE
            else:
                next_due = min(next_due, due)
        for unwanted in self._watched.keys() - wanted.keys():
            self._selector.unregister(unwanted)
        for wish, events in wanted.items():
            if wish not in self._watched:
                self._selector.register(wish, events, wish)
            elif self._watched[wish] != events:
                self._selector.modify(wish, events, wish)
        self._watched = wanted
        return max(0.0, next_due - time.monotonic())

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has left again
            return
        client.setblocking(False)
        self.accepted += 1
        self._clients.add(client)
        if self._faults.black_hole:
            self._lost.add(client)
        else:
            self._connections.append(Connection(client))

    def _serve(self, connection: Connection, ready: dict[socket.socket | None, int]) -> None:
        try:
            for pipe in connection.pipes:
                if ready.get(pipe.source, 0) & selectors.EVENT_READ:
                    pipe.read()
                if ready.get(pipe.sink, 0) & selectors.EVENT_WRITE:
                    self.forwarded += pipe.write(self._faults)
        except BlockingIOError:  # not ready after all
            return
        except OSError:
            self._drop(connection, reset=True)
        else:
            if connection.done:
                self._drop(connection, reset=False)

    def _swallow(self, lost: socket.socket) -> None:
        try:
            data = lost.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.swallowed += len(data)
        if not data:
            self._close(lost)

    def _drop(self, connection: Connection, *, reset: bool) -> None:
        self._connections.remove(connection)
        for end in connection.sockets:
            self._close(end, reset=reset)

    def _close_all(self) -> None:
        for connection in list(self._connections):
            self._drop(connection, reset=True)
        for lost in list(self._lost):
            self._close(lost, reset=True)

    def _close(self, end: socket.socket, *, reset: bool = False) -> None:
        if self._watched.pop(end, None) is not None:
            self._selector.unregister(end)
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.close()
        self._lost.discard(end)
        self._clients.discard(end)


@contextmanager
def proxied(registry: DeviceRegistry) -> Iterator[tuple[FaultProxy, FaultProxy]]:
    """Proxies for a registry's requests and for its event stream.

    `INFO` names the registry's own port for events, so tell a watcher of the proxy's:
    `Watcher(requests.url, events_url=events.url)`.
    """
    with FaultProxy(registry.port) as requests, FaultProxy(registry.events_port) as events:
        yield requests, events
