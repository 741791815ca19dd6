"""What `devicewatch serve` tells the service manager that started it: systemd, mostly.

It is ready once the registry's loop comes round, and not before; it is well for as long as that
goes on. Asking the loop is the point: a process whose main thread lives, while the loop is stuck in
a disk that does not answer, is to be restarted like one that stands still as a whole.

Without a service manager (there is no NOTIFY_SOCKET in the environment) nothing is started and
nothing imported.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from ..events.logs import get_logger
from .server import DeviceRegistry

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE: Final = "WATCHDOG_USEC"
WATCHDOG_PID_VARIABLE: Final = "WATCHDOG_PID"

STATUS_INTERVAL: Final = 2.0
"""Seconds between two accounts of how many devices there are, if that has changed; and between two
looks at the registry, unless the service manager wants to hear more often than that."""

_SIGNS_OF_LIFE: Final = 5
"""Looks in the time in which the service manager wants one sign of life. A look may take as long as
the pause before it, so between two signs there are at most two fifths of that time."""

_SHORTEST: Final = 0.01
"""Seconds between two looks at the very least, whatever the service manager wants."""

_DIGITS: Final = 18
"""A WATCHDOG_USEC of more than these makes no sense: that would be thirty thousand years."""

_MUTE: Final = (
    "a service manager waits to be told that the registry is ready, and that it is well. "
    "That needs a library: pip install 'devicewatch[systemd]'"
)
_STUCK: Final = "the registry's loop does not come round"
_GOES_ON: Final = "the registry's loop comes round again"

log = get_logger(__name__)


class ServiceManager:
    """Tells the service manager of a registry, for as long as a `with` block, from a thread.

    To be entered when the registry has been started, and left before it is stopped.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: DeviceRegistry) -> None:
        self._registry = registry
        self._notifier: _Notifier | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="devicewatch-service-manager", daemon=True
        )
        self._interval = STATUS_INTERVAL
        self._is_well = True

    def __enter__(self) -> Self:
        if os.environ.get(SOCKET_VARIABLE):
            try:
                self._notifier = _Notifier()
            except ImportError:
                log.warning(_MUTE)
            else:
                interval = self._notifier.watchdog / _SIGNS_OF_LIFE
                self._interval = max(_SHORTEST, min(STATUS_INTERVAL, interval))
                self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._notifier is not None:
            self._over.set()
            self._thread.join()
            self._notifier.stopping()
            self._notifier.close()

    def _run(self) -> None:
        while not self._over.is_set():
            is_well = self._registry.responds(self._interval)
            if not self._over.is_set() and self._notifier is not None:
                self._tell(self._notifier, is_well)
            self._over.wait(self._interval)

    def _tell(self, notifier: "_Notifier", is_well: bool) -> None:
        if is_well:
            notifier.well()
            notifier.status(self._describe)
        elif not self._registry.is_alive():  # it has ended by itself, and so will the process
            return
        else:
            notifier.status(lambda: _STUCK, at_once=True)
        if is_well is not self._is_well:
            self._is_well = is_well
            (log.info if is_well else log.warning)(_GOES_ON if is_well else _STUCK)

    def _describe(self) -> str:
        seq, count = self._registry.seq, len(self._registry.devices)
        return f"{count} device{'' if count == 1 else 's'} at {self._registry.url}; seq {seq}"


class _Notifier:
    """Speaks to the service manager, and takes it lightly if that does not listen.

    Attributes:
        watchdog: Seconds within which the service manager wants a sign of life each time; infinite
            if it wants none.

    Raises:
        ImportError: The library for it is not installed.
    """

    def __init__(self) -> None:
        # Imported only here: most programs with a registry in them need no such library.
        from systemd_watchdog.systemd_watchdog import WatchDog  # noqa: PLC0415

        wanted = _watchdog_wanted()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # a service manager that is busy must not hold us up
        self._manager = WatchDog(sock=self._socket)
        self.watchdog = self._manager.timeout / 1_000_000 if wanted else math.inf
        self._ready = False
        self._status = ""
        self._next_status = -math.inf
        self._listens = True

    def well(self) -> None:
        """Say that the registry is ready, if that is new, and give the sign of life it wants."""
        if not self._ready:
            self._ready = self._send(self._manager.ready)
        if self.watchdog < math.inf:
            self._send(self._manager.notify)

    def status(self, describe: Callable[[], str], *, at_once: bool = False) -> None:
        """Give an account in a line, if it has changed; not too often, unless it is to be now."""
        if not at_once and time.monotonic() < self._next_status:
            return
        text = describe()
        if text != self._status and self._send(lambda: self._manager.status(text)):
            self._status = text
            self._next_status = time.monotonic() + STATUS_INTERVAL

    def stopping(self) -> None:
        """Say that this is the end."""
        # The library has no call for it; but whatever is said may be several lines.
        self._send(lambda: self._manager.status("stopping\nSTOPPING=1"))

    def close(self) -> None:
        """Say no more."""
        self._socket.close()

    def _send(self, send: Callable[[], None]) -> bool:
        try:
            send()
        except OSError as error:
            if self._listens:
                log.warning("the service manager does not listen", why=str(error))
            self._listens = False
        else:
            self._listens = True
        return self._listens


def _watchdog_wanted() -> bool:
    """Whether the service manager wants signs of life, and from this process.

    What makes no sense is taken out of the environment, as the library may stumble over it.
    """
    microseconds = os.environ.get(WATCHDOG_VARIABLE)
    if microseconds is None:
        return False
    makes_sense = microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= _DIGITS
    if not (makes_sense and int(microseconds)):
        log.warning("WATCHDOG_USEC makes no sense: nobody gets signs of life", found=microseconds)
        del os.environ[WATCHDOG_VARIABLE]
        return False
    return os.environ.get(WATCHDOG_PID_VARIABLE, str(os.getpid())) == str(os.getpid())
