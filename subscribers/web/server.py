"""`WebServer`: the web page, served by uvicorn in a thread of its own.

In a thread, as uvicorn then leaves signals to whoever handles them already, and so that `start`
can say at once that a port is in use. Connections are bounded in number, and in how long one may
say nothing, or not take what it is sent: uvicorn itself would wait for ever.
"""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ...events.errors import BindError
from ...events.hosts import is_loopback
from ...events.keys import Key
from ...events.logs import get_logger
from ...events.sockets import Context
from ...events.text import printable
from .app import create_app
from .feed import MAX_BROWSERS, Feed

MAX_CONNECTIONS: Final = MAX_BROWSERS + 256
"""Connections at a time. For one more the quietest of those that want nothing has to go; if all
want something, the new one."""

SILENCE: Final = 5.0
"""Seconds in which a peer has to say what it wants."""

PATIENCE: Final = 20.0
"""Seconds in which a peer has to take what it was sent, and may be quiet after an answer."""

_INSPECTION: Final = 1.0  # seconds between two looks at a connection
_END: Final = 1  # seconds in which streams have to end

log = get_logger(__name__)


class WebServer:
    """The web page of a registry, from `start` to `stop`, or for as long as a `with` block.

    Args:
        registry: The registry's address.
        host: Address or name of the interface to listen at; "*" for all of them. At a loopback
            address it serves only those who ask for `localhost`, or for such an address.
        port: TCP port; 0 picks a free one.
        allowed_hosts: Names under which browsers may ask for it where it listens beyond this
            machine, beside addresses, `localhost`, and this machine's own name, also with `.local`.
        key: This program's, and the registry's; None for a registry without keys.
        context: ZeroMQ context (a plain one) to open sockets in; None is pyzmq's global one.

    Attributes:
        url: The page's address, once it has started.
        error: Why it has ended by itself, if it has.
    """

    def __init__(
        self,
        registry: str,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        allowed_hosts: Iterable[str] = (),
        key: Key | None = None,
        context: Context | None = None,
    ) -> None:
        self.url = ""
        self.error: Exception | None = None
        self._registry = registry
        self._host = host
        self._port = port
        self._allowed = {name.strip().lower().removesuffix(".") for name in allowed_hosts}
        self._key = key
        self._context = context
        self._ready = threading.Event()
        self._lock = threading.Lock()  # over who starts, and who stops
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and serve in a thread.

        Raises:
            AddressError: The registry's address makes no sense.
            AuthenticationError: The key does not say which registry it is for.
            BindError: The page's address is taken, or not this machine's. It has not started, and
                `start` may be called again.
            RuntimeError: It was started before, or stopped.
        """
        with self._lock:
            if self._thread is not None or self._stopping:
                raise RuntimeError("a web server starts once; make a new one to start again")
            listener = listen(self._host, self._port)
            address, port = listener.getsockname()[:2]
            local = is_loopback(address)
            hosts = None if local else self._allowed | _own_names()
            self.url = f"http://{_shown(address)}:{port}/"
            self._thread = threading.Thread(
                target=self._run, args=(listener, hosts), name="devicewatch-web", daemon=True
            )
            self._thread.start()
        self._ready.wait()
        if self.error is not None:
            self._thread.join()
            raise self.error
        if not local:
            log.warning("whoever can reach this machine sees the page", address=self.url)

    def stop(self) -> None:
        """End all connections. From any thread, at any time, and as often as one likes."""
        with self._lock:
            self._stopping = True
            loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(self._stop.set)
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join()

    def is_alive(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- in the thread ------------------------------------------------------------------------

    def _run(self, listener: socket.socket, hosts: set[str] | None) -> None:
        try:
            asyncio.run(self._serve(listener, hosts))
        except Exception as error:  # noqa: BLE001 (for whoever started it)
            self.error = error
        finally:
            listener.close()
            self._ready.set()

    async def _serve(self, listener: socket.socket, hosts: set[str] | None) -> None:
        feed = Feed(self._registry, key=self._key, context=self._context)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(feed, hosts=hosts),
                http=_Connection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_END,
            )
        )
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._stopping:  # before there was anything to stop
                self._stop.set()
        following = asyncio.create_task(feed.run())
        serving = asyncio.create_task(server.serve([listener]))
        stopping = asyncio.create_task(self._stop.wait())
        self._ready.set()
        await asyncio.wait({following, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        feed.close()
        server.should_exit = True
        await serving
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, and does not wait for ever for those who vanish without a word.

    Raises:
        BindError: It cannot.
    """
    listener = _bind(host, port)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(PATIENCE * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listener


def _bind(host: str, port: int) -> socket.socket:
    try:
        if host == "*":
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            return socket.create_server(("", port), family=family, dualstack_ipv6=both)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        why = getattr(error, "strerror", None) or str(error)
        if number == errno.EADDRINUSE:
            why = "it is in use: choose another port, or 0"
        raise BindError(
            number, f"cannot serve a page at {printable(host, 200)}, port {port}: {why}"
        ) from None


def _own_names() -> set[str]:
    """What this machine calls itself, and is called in its network."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"}


def _shown(address: str) -> str:
    """An address as it stands in a URL, for whoever is to open it."""
    found = ip_address(address)
    if found.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if found.version == 6 else address


class _Connection(H11Protocol):
    """A connection that is given up when its peer says nothing, or takes nothing, for too long."""

    quiet_since = 0.0
    _stuck_since: float | None = None
    _inspection: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.quiet_since = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS and not self._make_room():
            transport.abort()
            return
        # What a peer has not taken by the time that more is to be sent is not to pile up.
        transport.set_write_buffer_limits(high=0)
        self._inspect()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._inspection is not None:
            self._inspection.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer has yet to take something."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has taken all."""
        self._stuck_since = None
        super().resume_writing()

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or the answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return self._stuck_since is not None or (cycle is not None and not cycle.response_complete)

    def _make_room(self) -> bool:
        """Have another one go, if need be; False if there is none that can."""
        there = [one for one in self.connections if not one.transport.is_closing()]
        if len(there) <= MAX_CONNECTIONS:
            return True  # some are about to go
        others = [one for one in there if isinstance(one, _Connection) and one is not self]
        idle = [one for one in others if not one.is_busy]
        if not idle:
            return False
        min(idle, key=lambda one: one.quiet_since).transport.abort()
        return True

    def _inspect(self) -> None:
        now = self.loop.time()
        cycle: RequestResponseCycle | None = self.cycle
        since, limit = self.quiet_since, SILENCE if cycle is None else PATIENCE
        if self._stuck_since is not None:
            since, limit = self._stuck_since, PATIENCE
        elif self.is_busy:
            since = self.quiet_since = now  # it waits for us
        if now - since > limit:
            self.transport.abort()
        else:
            self._inspection = self.loop.call_later(_INSPECTION, self._inspect)
