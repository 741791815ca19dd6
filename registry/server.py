"""The registry on its sockets: a ROUTER for requests, an XPUB for the event stream, one thread.

The stream's socket is an XPUB, a PUB that hears of its subscribers, so that each can be greeted
with a tick: a new watcher then knows that its subscription has arrived, and waits no longer.
"""

import contextlib
import errno
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

import attrs
import zmq

from ..events.errors import BindError
from ..events.keys import Key
from ..events.logs import get_logger
from ..events.protocol import (
    DEFAULT_EVENTS_PORT,
    DEFAULT_HISTORY,
    DEFAULT_PORT,
    DEFAULT_TICK_INTERVAL,
    MAX_FRAME_BYTES,
)
from ..events.sockets import HANDSHAKE_TIMEOUT, Context, Socket
from ..subscribers.callbacks import CallbackAdapter, DeviceCallback
from .authorized import AuthorizedKeys, authorized_path
from .core import RegistryCore
from .counts import Counts, Figures
from .doorbell import Doorbell
from .gate import Gate
from .journal import Journal, JournalInFiles, MemoryJournal
from .limits import KEYED, Limits
from .loop import Loop
from .marker import ONE_IO_THREAD, Marker
from .settings import CoreSettings
from .watchers import Watchers

_SEND_QUEUE: Final = 10_000
"""Messages kept for a subscriber that is slow; what comes after is dropped, and it resyncs."""

_KEEPALIVE: Final = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 60,
    zmq.TCP_KEEPALIVE_INTVL: 15,
    zmq.TCP_KEEPALIVE_CNT: 4,
}
"""A peer that vanished without a word (its cable was cut, say) is dropped after two minutes.

Not by ZeroMQ's own heartbeats: programs in the field may be too old to answer them.
"""

_LONGEST_SUBSCRIPTION: Final = 4_096
"""Bytes of a frame that a subscriber may send. Topics have a few; ZeroMQ takes some fifty bytes of
memory for each byte of one, and the registry's own thread is held up while it enters them."""

_LINGER: Final = 200
"""Milliseconds that the last replies and the `bye` are given to get out when all is over."""

log = get_logger(__name__)


class DeviceRegistry(threading.Thread):
    """A registry in a thread of its own.

        with DeviceRegistry(port="0", events_port="0") as registry:
            print(registry.url, registry.devices)

    All methods and properties may be used from any thread, callbacks included.

    Args:
        context: ZeroMQ context to open the sockets in. None makes one, ended by `stop`. If yours
            is terminated, the registry stops by itself.
        addr: Address of the interface to listen at; "*" is all of them.
        port: TCP port for requests; "0" picks a free one.
        events_port: TCP port for the event stream; "0" picks a free one.
        history: How many past events to keep for replay.
        tick_interval: Seconds between two ticks.
        journal: Keeps who is registered: a registry that is started with the journal of one that
            has ended, in whatever way, goes on in its place, and nobody notices. It belongs to
            the registry from `start` to the end. None keeps it in memory, for another registry of
            this program; `NoJournal()` keeps nothing, which saves memory and time.
        key: The registry's own key: it lets in only those whose keys are authorized, and everything
            is encrypted. None lets in everybody who can connect.
        authorized: The file that lists the keys that are let in (see `docs/security.md`); None is
            the one that `devicewatch keys authorize` writes. It is read again when it changes.
        limits: How much it takes, in all and from one peer; None is `Limits()` or, with a key,
            `KEYED`.

    Raises:
        ValueError: `history` or `tick_interval` is out of range.
    """

    def __init__(
        self,
        context: Context | None = None,
        addr: str = "*",
        port: str | int = DEFAULT_PORT,
        events_port: str | int = DEFAULT_EVENTS_PORT,
        *,
        history: int = DEFAULT_HISTORY,
        tick_interval: float = DEFAULT_TICK_INTERVAL,
        journal: Journal | None = None,
        key: Key | None = None,
        authorized: str | Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(name="devicewatch-registry", daemon=True)
        if limits is None:
            limits = Limits() if key is None else KEYED
        self._settings = CoreSettings(history=history, tick_interval=tick_interval, limits=limits)
        self._key = key
        self._authorized = authorized_path() if authorized is None else Path(authorized)
        self._gate: Gate | None = None
        self._zmq_context: Context = context or zmq.Context()
        self._owns_context = context is None
        self._addr = addr
        self._ports = (str(port), str(events_port))
        self._journal = journal or MemoryJournal()
        self._core: RegistryCore | None = None
        self._requests: Socket | None = None
        self._stream: Socket | None = None
        self._marker: Marker | None = None
        self._bell: Doorbell | None = None
        self._watchers: Watchers | None = None
        self._counts = Counts()
        self._started_at: float | None = None
        self._stopping = threading.Event()
        # Not join(): interrupted by Ctrl-C, it may take the thread for ended (before Python 3.13).
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self._stoppers: set[int] = set()
        inproc = f"inproc://devicewatch-{uuid4()}"
        self._inproc = (inproc, f"{inproc}-events")
        self._callbacks = CallbackAdapter(
            self._inproc[0], context=self._zmq_context, events_url=self._inproc[1]
        )

    # --- for its owner ------------------------------------------------------------------------

    @property
    def addr(self) -> str:
        """The interface it listens at, as given."""
        return self._addr

    @property
    def port(self) -> str:
        """TCP port of the requests; after `start`, the real one."""
        return self._ports[0]

    @property
    def events_port(self) -> str:
        """TCP port of the event stream; after `start`, the real one."""
        return self._ports[1]

    @property
    def context(self) -> Context:
        """The ZeroMQ context its sockets are in."""
        return self._zmq_context

    @property
    def journal(self) -> Journal:
        """What it keeps its state in. Once it has stopped, another one may be started with it."""
        return self._journal

    @property
    def url(self) -> str:
        """Where to send requests, and what to `watch`; from this machine if `addr` is "*"."""
        return f"tcp://{self._host}:{self._ports[0]}"

    @property
    def events_url(self) -> str:
        """Where the event stream is, as seen from this machine if `addr` is "*"."""
        return f"tcp://{self._host}:{self._ports[1]}"

    @property
    def devices(self) -> dict[str, tuple[str, str]]:
        """The devices present, name -> (device_type, addr): a copy.

        It may be ahead of the event stream by what the journal is just about to keep.
        """
        devices = {} if self._core is None else self._core.devices
        return {name: (device.device_type, device.addr) for name, device in devices.items()}

    def get_devices(self) -> dict[str, tuple[str, str]]:
        """The same as `devices`."""
        return self.devices

    @property
    def seq(self) -> int:
        """Number of the latest event, 0 before the first."""
        return 0 if self._core is None else self._core.seq

    @property
    def key(self) -> str | None:
        """Its public key, which programs need to have to talk to it; None without keys."""
        return None if self._key is None else self._key.public

    def responds(self, timeout: float) -> bool:
        """Whether its loop comes round within so many seconds; at once, unless it is held up.

        A thread that is alive may still be stuck, in a disk that does not answer, say. False also
        before `start` and after `stop`. Not to be called from the registry's own thread.
        """
        bell = self._bell
        return bell is not None and bell.is_answered(timeout)

    def figures(self) -> Figures:
        """How it is doing, in numbers; see `metrics`. At once, also while its loop is held up.

        What happens is counted from the first call on: until somebody wants to know it, nobody pays
        for it.
        """
        self._counts.wanted = True
        if self._core is None:
            return Figures(
                devices_limit=self._settings.limits.devices,
                history_limit=self._settings.history,
                counts=self._counts,
            )
        size = self._journal.size() if isinstance(self._journal, JournalInFiles) else None
        return attrs.evolve(
            self._core.figures(self._counts),
            started=self._started_at,
            watchers=0 if self._watchers is None else len(self._watchers),
            journal_bytes=size,
        )

    def add_new_device_callback(self, callback: DeviceCallback) -> None:
        """Call `callback(device_type, addr, name)` for every device that registers from now on.

        It runs in a thread of its own and may do anything, even call back into the registry
        or stop it; see `CallbackAdapter`. On return it will miss nothing.
        """
        self._add_callback(self._callbacks.add_new_device_callback, callback)

    def add_device_removed_callback(self, callback: DeviceCallback) -> None:
        """Call `callback(device_type, addr, name)` for every device that leaves from now on."""
        self._add_callback(self._callbacks.add_device_removed_callback, callback)

    def start(self) -> None:
        """Listen. Returns once requests are answered and the event stream is there.

        Raises:
            BindError: A port is in use, or the address is none of this machine's. The registry
                has not started, and `start` may be called again.
            JournalError: The journal is in use, damaged or not to be written. The same goes.
            KeyFileError: The list of keys cannot be used. The same goes.
            RuntimeError: It was started before.
            RegistryUnreachable: It runs, but its own callbacks hear nothing of it, as it was
                stopped meanwhile.
        """
        if self.ident is not None or self._stopping.is_set():
            raise RuntimeError("a registry starts once; make a new one to start again")
        with contextlib.ExitStack() as undo:  # where there is no thread, nobody else closes them
            if self._key is not None:
                authorized = AuthorizedKeys(self._authorized)
                self._gate = Gate(self._zmq_context, self._key, authorized)
                undo.callback(self._gate.close)
            requests = self._listen(zmq.ROUTER, self._ports[0], self._inproc[0])
            undo.callback(_discard, requests, self._inproc[0])
            stream = self._listen(zmq.XPUB, self._ports[1], self._inproc[1])
            undo.callback(_discard, stream, self._inproc[1])
            self._watchers = Watchers(self._zmq_context, stream)
            undo.callback(self._watchers.close)
            stream.set(zmq.XPUB_VERBOSE, 1)
            ports = (_bound_port(requests), _bound_port(stream))
            self._core = self._restore(int(ports[1]))
            undo.callback(self._journal.close)
            self._marker = Marker(self._zmq_context, self._inproc[0])
            undo.callback(self._marker.close)
            self._ports, self._started_at = ports, time.time()
            self._requests, self._stream, self._bell = requests, stream, Doorbell()
            super().start()
            undo.pop_all()
        devices = len(self._core.devices)
        log.info("registry started", url=self.url, events_url=self.events_url, devices=devices)
        if self._key is None and not _is_local(self._addr):
            log.warning(
                "this registry is open: whoever can connect can register, and take the place of "
                "any device; keys close it (devicewatch serve --curve, see docs/security.md)",
                listens_at=self._addr,
            )
        if self._callbacks.has_callbacks:
            self._callbacks.start(existing=True)  # whoever is there came after they were added

    def _restore(self, events_port: int) -> RegistryCore:
        past = self._journal.load(str(uuid4()), self._settings.history)
        settings = attrs.evolve(self._settings, events_port=events_port)
        now = time.monotonic()
        core = RegistryCore(past.epoch, now, settings, watchful=True)
        core.restore(past, now)
        if self._gate is not None:
            core.authorize(self._gate.grants, now)
        return core

    def stop(self) -> None:
        """Say `bye` to the subscribers, close the sockets and end the thread. May be repeated.

        May also be called from a signal handler, even one that interrupts `stop` itself.
        """
        me = threading.get_ident()
        if me in self._stoppers:  # interrupted by a signal handler, it goes on after that
            return
        self._stoppers.add(me)
        try:
            self._end()
        finally:
            self._stoppers.discard(me)

    def _end(self) -> None:
        self._callbacks.stop()
        self._stopping.set()
        if self._bell is not None:
            self._bell.ring()
        if self.ident is not None and threading.current_thread() is not self:
            self._ended.wait()
        if self._owns_context:
            with self._ending:  # two at once would wait for each other for ever
                self._zmq_context.term()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- setting up ---------------------------------------------------------------------------

    @property
    def _host(self) -> str:
        return "127.0.0.1" if self._addr in ("*", "0.0.0.0") else self._addr  # noqa: S104

    def _add_callback(
        self, add: Callable[[DeviceCallback], None], callback: DeviceCallback
    ) -> None:
        add(callback)
        if self.is_alive():
            self._callbacks.start()

    def _listen(self, kind: int, port: str, inproc: str) -> Socket:
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536):
            raise _bind_error(
                zmq.ZMQError(errno.EINVAL), self._addr, port
            )  # ZeroMQ reads 80x as 80
        socket = self._zmq_context.socket(kind)
        socket.linger = _LINGER
        largest = _LONGEST_SUBSCRIPTION if kind == zmq.XPUB else MAX_FRAME_BYTES
        socket.set(zmq.MAXMSGSIZE, largest)
        # Each connection takes a file descriptor, and where there are none left nobody can connect.
        # Those who say nothing would by default keep theirs for half a minute.
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT)
        socket.set(zmq.SNDHWM, _SEND_QUEUE)
        socket.set(zmq.AFFINITY, ONE_IO_THREAD)
        for option, value in _KEEPALIVE.items():
            socket.set(option, value)
        if self._gate is not None:
            self._gate.guard(socket)
        try:
            socket.bind(inproc)
            socket.bind(f"tcp://{self._addr}:{port}")  # last: see `_bound_port`
            if self._gate is not None:
                self._gate.bound(int(_bound_port(socket)))
        except zmq.ZMQError as error:
            _discard(socket, inproc)
            raise _bind_error(error, self._addr, port) from None
        return socket

    # --- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """The loop. Called by `start`."""
        core, requests, stream = self._core, self._requests, self._stream
        marker, bell, watchers = self._marker, self._bell, self._watchers
        if core is None or requests is None or stream is None or marker is None or bell is None:
            raise RuntimeError("call start(), not run()")
        if watchers is None:
            raise RuntimeError("call start(), not run()")
        try:
            Loop(
                core, self._journal, requests, stream, marker, bell, watchers, self._counts,
                self._stopping, self._gate,
            ).run()  # fmt: skip
        except zmq.ContextTerminated:
            log.info("the ZeroMQ context was terminated; the registry stops")
        except Exception:
            log.exception("the registry stops: its loop failed")
            raise
        finally:
            watchers.close()
            requests.close()
            stream.close()
            marker.close()
            bell.close()
            if self._gate is not None:
                self._gate.close()
            try:
                self._journal.close()
            except Exception:  # whoever wrote it; those who wait for the end wait all the same
                log.exception("the journal could not be closed")
            log.info("registry stopped", url=self.url)
            self._ended.set()


def _discard(socket: Socket, inproc: str) -> None:
    """Close a socket that was to be used; its name in this process is free again at once."""
    with contextlib.suppress(zmq.ZMQError):  # it has none
        socket.unbind(inproc)  # as ZeroMQ closes in its own time
    socket.close(linger=0)


def _bound_port(socket: Socket) -> str:
    endpoint = socket.get_string(zmq.LAST_ENDPOINT)
    return endpoint.rpartition(":")[2]


def _is_local(addr: str) -> bool:
    """Whether only this machine can connect to an address or interface."""
    try:
        return ip_address(addr).is_loopback
    except ValueError:
        return addr in ("lo", "localhost")


def _bind_error(error: zmq.ZMQError, addr: str, port: str) -> BindError:
    where = f"port {port} at {addr or repr(addr)}"
    match error.errno:
        case errno.EADDRINUSE:
            hint = "it is in use. Is another registry running? Choose another port, or 0"
        case errno.EADDRNOTAVAIL | errno.ENODEV:
            hint = f"{addr!r} is no IPv4 address or interface of this machine"
        case errno.EACCES:
            hint = "this needs more rights; ports below 1024 usually do"
        case errno.EINVAL:
            hint = 'expected an address such as "127.0.0.1" or "*", and a port from 0 to 65535'
        case _:
            hint = str(error)
    return BindError(error.errno, f"cannot listen on {where}: {hint}")
