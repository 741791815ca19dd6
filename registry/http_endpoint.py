"""A small web server for a page or two, which strangers cannot hold up, nor fill.

It is `wsgiref`, from the standard library, with what that leaves out: a limit for how many
connections there are at a time, and for how long one may take in all, whatever it does meanwhile
(it may send a byte now and then, or not read). Where there are too many, the oldest has to go:
those who come to look are done in milliseconds. One thread accepts, and each connection has one of
its own; nothing wakes up while there is nothing to do.
"""

import contextlib
import errno
import io
import math
import selectors
import socket
import socketserver
import threading
import time
from ipaddress import ip_address
from typing import Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

from ..events.errors import BindError
from ..events.logs import get_logger
from ..events.sockets import Bell

MAX_CONNECTIONS: Final = 16
"""At a time; of more than that, the oldest is cut."""

LONGEST: Final = 10.0
"""Seconds that a connection may take in all."""

_QUIET: Final = 5.0
"""Seconds for which a connection may stand still."""

_MAX_THREADS: Final = 2 * MAX_CONNECTIONS
"""Those of connections that were cut may still be busy for a moment; beyond this nobody gets in."""

_PATIENCE: Final = 2.0
"""Seconds in which all of them have to be over when the server ends. They are on nobody's way."""

_PAUSE: Final = 0.1
"""Seconds until the next attempt, where a connection cannot be accepted: descriptors are short."""

log = get_logger(__name__)


class HttpEndpoint:
    """Serves an application, from `start` to `stop`, in threads of its own.

    Args:
        app: What to serve. It is called from several threads.
        addr: Address of the interface to listen at; "*" is all of them.
        port: TCP port; 0 picks a free one.
    """

    def __init__(self, app: WSGIApplication, addr: str, port: int) -> None:
        self._app = app
        self.addr = addr
        self.port = port
        self._server: _Server | None = None
        self._bell = Bell()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="devicewatch-metrics", daemon=True)

    @property
    def url(self) -> str:
        """Where it is, as seen from this machine if `addr` is "*"."""
        host = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(  # noqa: S104
            self.addr, self.addr
        )
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Listen.

        Raises:
            BindError: The port is in use, or the address is none of this machine's.
        """
        try:
            self._server = _Server(self.addr, self.port)
        except (OSError, OverflowError, TypeError, UnicodeError) as error:
            raise _bind_error(error, self.addr, self.port) from None
        self._server.set_app(self._app)
        self.port = self._server.server_port
        self._thread.start()

    def stop(self) -> None:
        """Cut all connections, and end the threads. May be repeated."""
        self._stopping = True
        self._bell.ring()
        if self._server is not None:
            self._thread.join()
        self._bell.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _run(self) -> None:
        server = self._server
        assert server is not None  # noqa: S101 (see `start`)
        with selectors.DefaultSelector() as selector, server:
            selector.register(server, selectors.EVENT_READ, server)
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._stopping:
                overdue = server.cut_overdue()
                timeout = None if overdue == math.inf else max(0.0, overdue - time.monotonic())
                if any(key.data is server for key, _ in selector.select(timeout)):
                    server.handle_request()
                    if server.cannot_accept:
                        self._bell.wait(_PAUSE)
            server.end()


class _Connection:
    """One that is being served."""

    def __init__(self, request: socket.socket, serve: Any) -> None:
        self.request = request
        self.deadline = time.monotonic() + LONGEST
        self.is_cut = False
        self.thread = threading.Thread(
            target=serve, args=(self,), name="devicewatch-metrics-request", daemon=True
        )

    def cut(self) -> None:
        """End it, as its peer could; whoever reads or writes notices."""
        self.is_cut = True
        with contextlib.suppress(OSError):  # it has ended
            self.request.shutdown(socket.SHUT_RDWR)


class _Server(WSGIServer):
    """Accepts connections, and knows them."""

    timeout = 0  # `handle_request` is called when there is something to do
    request_queue_size = 128

    def __init__(self, addr: str, port: int) -> None:
        self.cannot_accept = False
        self._lock = threading.Lock()  # short, and of these threads only
        self._connections: list[_Connection] = []
        self.address_family = _family(addr)
        super().__init__(("" if addr == "*" else addr, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the DNS for a name that nobody needs.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        self.cannot_accept = True
        accepted = super().get_request()
        self.cannot_accept = False
        return accepted

    def process_request(self, request: Any, client_address: Any) -> None:
        connection = _Connection(request, lambda it: self._serve(it, client_address))
        with self._lock:
            alive = [other for other in self._connections if not other.is_cut]
            if len(alive) >= MAX_CONNECTIONS:
                alive[0].cut()
            if len(self._connections) >= _MAX_THREADS:
                self.shutdown_request(request)
                return
            self._connections.append(connection)
        try:
            connection.thread.start()
        except RuntimeError:  # threads are short
            self._done(connection)

    def _serve(self, connection: _Connection, client_address: Any) -> None:
        try:
            self.finish_request(connection.request, client_address)
        except Exception as error:  # noqa: BLE001 (garbage, or nothing, from a stranger)
            log.debug("a connection came to nothing", why=str(error))
        finally:
            self._done(connection)

    def _done(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.remove(connection)
            self.shutdown_request(connection.request)

    def cut_overdue(self) -> float:
        """Cut those that have taken too long, and say when to look again."""
        now = time.monotonic()
        with self._lock:
            for connection in self._connections:
                if not connection.is_cut and connection.deadline <= now:
                    connection.cut()
            return min((c.deadline for c in self._connections if not c.is_cut), default=math.inf)

    def end(self) -> None:
        """Cut all, and wait for their threads."""
        with self._lock:
            connections = self._connections.copy()
            for connection in connections:
                connection.cut()
        until = time.monotonic() + _PATIENCE
        for connection in connections:
            connection.thread.join(max(0.0, until - time.monotonic()))

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Nothing: what strangers do is no trouble of ours."""


class _Handler(WSGIRequestHandler):
    timeout = _QUIET

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (as it is called)
        """Nothing: whoever is looked at every few seconds need not write that down."""

    def get_stderr(self) -> io.StringIO:
        """Where `wsgiref` writes tracebacks, about peers that have gone, say."""
        return io.StringIO()


def _family(addr: str) -> socket.AddressFamily:
    with contextlib.suppress(ValueError):
        if ip_address(addr).version == 6:
            return socket.AF_INET6
    return socket.AF_INET


def _bind_error(error: Exception, addr: str, port: int) -> BindError:
    number = error.errno if isinstance(error, OSError) else None
    match number:
        case errno.EADDRINUSE:
            hint = "it is in use: choose another port, or 0"
        case errno.EADDRNOTAVAIL:
            hint = "that is no address of this machine"
        case errno.EACCES:
            hint = "this needs more rights; ports below 1024 usually do"
        case _:
            hint = getattr(error, "strerror", None) or str(error)
    return BindError(number or 0, f"cannot serve metrics on port {port} at {addr!r}: {hint}")
