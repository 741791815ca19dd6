"""What `devicewatch serve` tells the service manager that started it: systemd, mostly.

It is ready once the registry's loop comes round, and not before; it is well for as long as that
goes on. Asking the loop is the point: a process whose main thread lives, while the loop is stuck in
a disk that does not answer, is to be restarted like one that stands still as a whole.

Without a service manager (there is no NOTIFY_SOCKET in the environment) nothing is started and
nothing imported.
"""

import os
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

from ..events.logs import get_logger
from .server import DeviceRegistry

if TYPE_CHECKING:
    from systemd_watchdog.systemd_watchdog import WatchDog

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE: Final = "WATCHDOG_USEC"

EXTRA: Final = "pip install 'devicewatch[systemd]'"
"""Brings the library that speaks to systemd."""

STATUS_INTERVAL: Final = 2.0
"""Seconds between two looks at the registry, or less if the service manager wants to hear more
often than that."""

_SIGNS_OF_LIFE: Final = 5
"""Looks in the time in which the service manager wants one sign of life. A look may take as long as
the pause before it, so between two signs there are at most two fifths of that time."""

_SHORTEST: Final = 0.01
"""Seconds between two looks at the very least, whatever the service manager wants."""

log = get_logger(__name__)


class ServiceManager:
    """Tells the service manager of a registry, for as long as a `with` block, from a thread.

    To be entered when the registry has been started, and left before it is stopped.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: DeviceRegistry) -> None:
        self._registry = registry
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._manager: WatchDog | None = None
        self._socket: socket.socket | None = None
        self._watched = False
        self._interval = STATUS_INTERVAL
        self._ready = False
        self._status: str | None = None
        self._responds = True
        self._heard = True

    def __enter__(self) -> Self:
        if os.environ.get(SOCKET_VARIABLE):
            self._connect()
        if self._manager is not None:
            self._thread = threading.Thread(
                target=self._run, name="devicewatch-service-manager", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            # The library has no call for this; what is said may be several lines, though.
            self._say("stopping\nSTOPPING=1")
        if self._socket is not None:
            self._socket.close()

    def _connect(self) -> None:
        try:
            # Only here: most programs that use the registry need no such library.
            from systemd_watchdog.systemd_watchdog import WatchDog  # noqa: PLC0415
        except ImportError:
            log.warning(
                "a service manager waits to hear that the registry is ready, which cannot be said "
                f"without {EXTRA}"
            )
            return
        self._watched = _watchdog_wanted()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # one that does not read must not hold us up
        self._manager = WatchDog(sock=self._socket)
        if self._watched:
            interval = self._manager.timeout / 1_000_000 / _SIGNS_OF_LIFE
            self._interval = max(_SHORTEST, min(STATUS_INTERVAL, interval))

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._look()
            if self._over.wait(self._interval):
                return

    def _look(self) -> None:
        responds = self._registry.responds(self._interval)
        if self._over.is_set():
            return
        if responds:
            self._tell_ready()
            if self._watched:
                self._tell_alive()
            self._say(self._description())
        else:
            self._say("the registry's loop does not come round")
        if responds is not self._responds:
            self._responds = responds
            if responds:
                log.info("the registry's loop comes round again")
            else:
                log.warning("the registry's loop does not come round; see what holds it up")
