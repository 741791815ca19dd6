"""`DeviceWatcher`: what happens to a registry's devices, as signals in the GUI thread.

A thread reads the registry, and touches nothing of Qt (see `courier`). A `QSocketNotifier` wakes
the thread in which the `DeviceWatcher` was made. There, each time, as much is told as a moment has
room for, and the rest after whatever else the event loop has to do: ten thousand devices that come
at once freeze no window.

The thread ends with the object, however that ends: by `stop`, with its parent, with the
application, or when Python has no more use for it.
"""

import time
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

import attrs
from PySide6.QtCore import QCoreApplication, QDateTime, QObject, QSocketNotifier, QThread, Signal
from shiboken6 import isValid

from ...events.errors import AuthenticationError
from ...events.keys import Key
from ...events.protocol import DEFAULT_REGISTRY
from ...events.records import Added, Device, Live, Record, Removed, Stale, State, Status
from ...events.sockets import Context
from ...events.text import LONGEST_MESSAGE, printable
from ..snapshot import fold
from ..watcher import Watcher
from .courier import Courier, Ended, Item
from .text import moment
from .typed import Property

TURN: Final = 0.01
"""Seconds that may be spent on telling before the event loop gets its turn."""

MAX_BATCH: Final = 256
"""Records that are told before it does, at the most."""

MIN_BATCH: Final = 8
"""Fewer it are not, while each takes next to no time. How much work views have with a batch, one
that sorts above all, is seen only afterwards: the next one is smaller then, or larger."""


class DeviceWatcher(QObject):
    """A view of a registry, as signals. It begins at once, and what comes waits for the event loop.

        watcher = DeviceWatcher("tcp://controller:5555", parent=window)
        watcher.added.connect(lambda event: print(event.device.name, "is here"))

    Signals come in the thread that made it, in order, each event once; `devices` and `status` are
    as of the signal that was emitted last. To a slot that does not return (one that waits in a
    dialog's `exec`, say) nothing more is told until it does.

    Args:
        url: The registry's address.
        parent: Who ends it.
        device_type: Follow devices of this type only.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says.
        key: This program's, and the registry's; None for a registry without keys.

    Signals:
        added: A device registered, or was there at the beginning: an `Added`.
        removed: A device left: a `Removed`.
        statusChanged: What the view is worth, as a `Status`; the properties `live`, `state`,
            `since` and `why` are the same for QML.
        errorOccurred: Why there is no view, if trying on may not help: an `AuthenticationError`
            (it tries on, and works once the key is let in), or a fault of our own.
        received: After these, everything that they told since the event loop's last turn, as a
            list of records. For models.

    Raises:
        AddressError: An address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
        RuntimeError: There is no `QCoreApplication` yet, or this is not its thread.
    """

    added = Signal(object)
    removed = Signal(object)
    statusChanged = Signal(object)
    errorOccurred = Signal(object)
    received = Signal(list)

    def __init__(
        self,
        url: str = DEFAULT_REGISTRY,
        parent: QObject | None = None,
        *,
        device_type: str | None = None,
        context: Context | None = None,
        events_url: str | None = None,
        key: Key | None = None,
    ) -> None:
        application = QCoreApplication.instance()
        if application is None or application.thread() is not QThread.currentThread():
            raise RuntimeError("make a QApplication (or a QCoreApplication) first, in this thread")
        watcher = Watcher(
            url, device_type=device_type, context=context, events_url=events_url, key=key
        )
        super().__init__(parent)  # nothing raises from here on: no parent gets half a child
        self._url = url
        self._status = Status(State.CONNECTING, time.time(), watcher.status.why)
        self._devices: dict[str, Device] = {}
        self._telling = False
        self._batch = MAX_BATCH
        self._told: list[Record] = []  # since `received` was emitted
        self._error = ""
        self._courier = courier = Courier(watcher)
        # No child of this object: Python may collect that in any thread, a notifier must not go in
        # another one than its own.
        self._notifier = notifier = QSocketNotifier(
            courier.fileno(), QSocketNotifier.Type.Read, application
        )
        notifier.activated.connect(self._tell)
        notifier.destroyed.connect(lambda: courier.close())
        application.aboutToQuit.connect(self._application_quits)
        # Neither may hold on to this object. The first is for C++, which may delete it while
        # Python still has a reference; the second for Python, whose last reference may go first.
        self.destroyed.connect(lambda: _end(courier, notifier))
        weakref.finalize(self, _end, courier, notifier)

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after the signals emitted so far: live, read-only."""
        return MappingProxyType(self._devices)

    @property
    def status(self) -> Status:
        """What the view is worth, since when, and why it is not live."""
        return self._status

    def stop(self) -> None:
        """End it: no signal comes after this, except `statusChanged`. May be repeated.

        Where a slot calls it, `received` still tells what was told before.
        """
        self._stop("it was stopped")

    # --- for QML ------------------------------------------------------------------------------

    def _get_url(self) -> str:
        return self._url

    def _get_live(self) -> bool:
        return self._status.state is State.LIVE

    def _get_state(self) -> str:
        return str(self._status.state)

    def _get_since(self) -> QDateTime:
        return moment(self._status.since)

    def _get_why(self) -> str:
        return printable(self._status.why, LONGEST_MESSAGE)

    url = Property(str, _get_url, notify=statusChanged)
    live = Property(bool, _get_live, notify=statusChanged)
    state = Property(str, _get_state, notify=statusChanged)
    since = Property(QDateTime, _get_since, notify=statusChanged)
    why = Property(str, _get_why, notify=statusChanged)

    # --- telling ------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Emit signals for what waits, as much as there is time for."""
        if self._telling:  # a slot runs an event loop of its own
            return
        courier, notifier = self._courier, self._notifier
        self._telling = True
        notifier.setEnabled(False)
        begin = time.monotonic()
        while (item := courier.take()) is not None:
            self._emit(item)
            if not isValid(self):  # a slot has deleted it
                return
            if len(self._told) >= self._batch or time.monotonic() >= begin + TURN:
                break
        told, self._told = self._told, []
        if told:
            self.received.emit(told)
        if isValid(self):
            self._telling = False
            slow = time.monotonic() > begin + TURN
            self._batch = (
                max(MIN_BATCH, self._batch // 2) if slow else min(MAX_BATCH, self._batch * 2)
            )
            if not courier.stopped:
                notifier.setEnabled(True)

    def _emit(self, item: Item) -> None:
        match item:
            case Added():
                self._told.append(item)
                fold(self._devices, item)
                self.added.emit(item)
            case Removed():
                self._told.append(item)
                fold(self._devices, item)
                self.removed.emit(item)
            case Live():
                self._told.append(item)
                self._become(Status(State.LIVE, item.time, ""))
            case Stale():
                self._told.append(item)
                self._lose(item)
            case AuthenticationError():
                self._fail(item)
            case Ended():
                self._fail(item.error)
                if isValid(self):
                    self._stop(item.why)
            case _:
                assert_never(item)

    def _lose(self, stale: Stale) -> None:
        if self._status.state is State.LIVE:
            self._become(Status(State.STALE, stale.time, stale.why))
        else:
            self._become(attrs.evolve(self._status, why=stale.why))

    def _fail(self, error: Exception | None) -> None:
        """Once for each reason: it is tried again and again."""
        if error is not None and str(error) != self._error:
            self._error = str(error)
            self.errorOccurred.emit(error)

    def _become(self, status: Status) -> None:
        if status.state is State.LIVE:
            self._error = ""
        if status != self._status:
            self._status = status
            self.statusChanged.emit(status)

    def _application_quits(self) -> None:
        self._stop("the application quits")

    def _stop(self, why: str) -> None:
        if not self._courier.stopped:
            _end(self._courier, self._notifier)
            self._become(Status(State.CLOSED, time.time(), why))


def _end(courier: Courier, notifier: QSocketNotifier) -> None:
    """Stop reading. From any thread, and at any time; may be repeated."""
    courier.stop()
    if isValid(notifier):  # else the application is gone
        if notifier.thread() is QThread.currentThread():
            notifier.setEnabled(False)
        notifier.deleteLater()
