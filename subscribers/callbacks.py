"""Callbacks on the event stream: `cb(device_type, addr, name)` when a device comes or goes.

Callbacks are guests (P12). Each has a thread of its own, so that one that blocks, is slow or
raises holds up nobody else; and yet the next event is told only after every callback is through
with the one before, so that what is done for a device that comes is done before it goes. There
is a limit to that: a callback may hold up the others for `PATIENCE` at each event, and for half
of the time in the long run. Beyond that it is waited for no longer: it falls behind the others,
and keeps a queue of its own until it has caught up.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Self, TypeAlias

from ..events.keys import Key
from ..events.logs import get_logger
from ..events.protocol import DEFAULT_REGISTRY, Origin, Topic
from ..events.records import Event
from ..events.sockets import Context
from .watcher import Watcher

DeviceCallback: TypeAlias = Callable[[str, str, str], object]
"""Takes device_type, addr and name."""

PATIENCE: Final = 0.05
"""Seconds for which one callback may hold up the others at each event."""

CREDIT: Final = 0.5
"""Seconds for which it may do so in a row; half a second is added every second."""

MAX_BEHIND: Final = 10_000
"""Calls kept for a callback that has fallen behind; what comes after is lost, and logged."""

START_TIMEOUT: Final = 5.0
"""Seconds that `start` waits for the registry."""

STOP_TIMEOUT: Final = 0.5
"""Seconds that `stop` waits for a callback that is running."""

log = get_logger(__name__)


class CallbackAdapter:
    """Calls back for every device that registers or leaves, from the moment of the call to add it.

        with CallbackAdapter("tcp://controller:5555") as adapter:
            adapter.add_new_device_callback(lambda kind, addr, name: print("hello", name))
            ...

    A callback hears of what happens after it was added, and not of the devices that are there
    already. It may do anything, even call the registry, add callbacks, or stop this adapter; an
    exception is logged. All methods may be used from any thread.

    Args:
        url: The registry's address.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says.
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: An address makes no sense.
        AuthenticationError: The key does not say which registry it is for; and, from whatever
            waits for the first view, the registry does not let this program in, or is another one.
    """

    def __init__(
        self,
        url: str = DEFAULT_REGISTRY,
        *,
        context: Context | None = None,
        events_url: str | None = None,
        key: Key | None = None,
    ) -> None:
        self._watcher = Watcher(url, context=context, events_url=events_url, key=key)
        self._lanes: list[_Lane] = []
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def has_callbacks(self) -> bool:
        """Whether any callback was added."""
        return bool(self._lanes)

    def add_new_device_callback(self, callback: DeviceCallback) -> None:
        """Call `callback(device_type, addr, name)` for every device that registers."""
        self._lanes.append(_Lane(Topic.ADDED, callback))

    def add_device_removed_callback(self, callback: DeviceCallback) -> None:
        """Call `callback(device_type, addr, name)` for every device that leaves."""
        self._lanes.append(_Lane(Topic.REMOVED, callback))

    def start(self, *, existing: bool = False, timeout: float | None = START_TIMEOUT) -> None:
        """Begin to call back. On return no event will be missed. May be repeated.

        Args:
            existing: Also call back for the devices that are there already.
            timeout: Seconds to wait for the registry at the most; None is as long as it takes.

        Raises:
            AuthenticationError: The registry does not let this program in, or is another one.
            RegistryUnreachable: It took longer. In either case `start` may be called again.
        """
        with self._lock:
            if self._thread is not None or self._stopped:
                return
            self._watcher.connect(timeout)
            self._thread = threading.Thread(
                target=self._run, args=(existing,), name="devicewatch-callbacks", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Call back no more. A callback that is running is given `STOP_TIMEOUT` to return."""
        self._stopped = True
        self._watcher.close()
        threads = [self._thread, *(lane.stop() for lane in self._lanes)]
        deadline = time.monotonic() + STOP_TIMEOUT
        for thread in threads:
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    log.warning("a callback is still running and is left behind")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _run(self, existing: bool) -> None:
        try:
            for event in self._watcher:
                if existing or event.origin is not Origin.SNAPSHOT:
                    self._tell(event)
        finally:  # the context may have been terminated
            for lane in self._lanes:
                lane.stop()

    def _tell(self, event: Event) -> None:
        lanes = [lane for lane in self._lanes if lane.topic is event.topic]
        prompt = [lane for lane in lanes if lane.put(event)]
        for lane in prompt:
            lane.wait_until_idle()


class _Lane:
    """One callback, the calls it has yet to get, and the thread that makes them."""

    def __init__(self, topic: Topic, callback: DeviceCallback) -> None:
        self.topic = topic
        self._callback = callback
        self._name = getattr(callback, "__qualname__", type(callback).__name__)
        self._calls: deque[Event] = deque()
        self._busy = False
        self._stopped = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._credit = CREDIT
        self._waited_at = time.monotonic()

    def put(self, event: Event) -> bool:
        """Queue a call. False if the callback has fallen behind."""
        with self._changed:
            if self._stopped:
                return False
            behind = self._busy or bool(self._calls)
            if len(self._calls) >= MAX_BEHIND:
                log.error(
                    "a callback is too far behind and misses a device",
                    callback=self._name,
                    device=event.device.name,
                    topic=event.topic,
                )
                return False
            self._calls.append(event)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="devicewatch-callback", daemon=True
                )
                self._thread.start()
            return not behind

    def wait_until_idle(self) -> None:
        """Wait until it has made its calls, as far as patience with it goes."""
        start = time.monotonic()
        self._credit = min(CREDIT, self._credit + (start - self._waited_at) / 2)
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not (self._busy or self._calls),
                min(PATIENCE, self._credit),
            )
        self._waited_at = time.monotonic()
        self._credit = max(0.0, self._credit - (self._waited_at - start))

    def stop(self) -> threading.Thread | None:
        """Make no more calls; the thread, if there is one, ends once the present one returns."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            return self._thread

    def _run(self) -> None:
        while (event := self._next()) is not None:
            device = event.device
            try:
                self._callback(device.device_type, device.addr, device.name)
            except BaseException:
                log.exception("a callback failed", callback=self._name, device=device.name)

    def _next(self) -> Event | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or self._calls)
            if self._stopped:
                return None
            self._busy = True
            return self._calls.popleft()
