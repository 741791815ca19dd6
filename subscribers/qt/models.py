"""Models of a registry's devices, for Qt's views and for QML.

Devices are in order of arrival, the newest last: so what arrives together is one insertion, however
many there are. A `QSortFilterProxyModel` has them in any other order. A device's row is found by
bisection, as each has a number that rises with its row.

All text is printable. Tooltips are rich text in Qt: theirs is HTML, in which all else is escaped.
"""

import enum
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from PySide6.QtCore import (
    QAbstractListModel,
    QAbstractTableModel,
    QByteArray,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from shiboken6 import isValid

from ...events.html import device_html, summary
from ...events.protocol import MAX_ADDR, MAX_NAME
from ...events.records import Added, Device, Record, Removed
from ...events.text import printable
from .text import moment, variant_map
from .typed import Property
from .watcher import DeviceWatcher

Index: TypeAlias = QModelIndex | QPersistentModelIndex

_USER: Final = int(Qt.ItemDataRole.UserRole)
_TOOLTIP_TEXT: Final = 80
"""Characters of each text in a tooltip."""


class DeviceRole(enum.IntEnum):
    """What a model tells of a device, besides what views show."""

    NAME = _USER + 1
    DEVICE_TYPE = _USER + 2
    ADDR = _USER + 3
    PRESENT_SINCE = _USER + 4
    """A `QDateTime`, on the registry's clock."""
    METADATA = _USER + 5
    """A `QVariantMap`: a dict in Python, an object in QML."""
    LIVE = _USER + 6
    """Whether the view is live; the same for all."""
    DEVICE = _USER + 7
    """The `Device`, whose text is as it came. For Python."""


_ROLE_NAMES: Final = {
    DeviceRole.NAME: b"name",
    DeviceRole.DEVICE_TYPE: b"deviceType",
    DeviceRole.ADDR: b"addr",
    DeviceRole.PRESENT_SINCE: b"presentSince",
    DeviceRole.METADATA: b"metadata",
    DeviceRole.LIVE: b"live",
    DeviceRole.DEVICE: b"device",
}


def _since(device: Device) -> str:
    when = moment(device.registered_at)
    return when.toString("yyyy-MM-dd HH:mm:ss") if when.isValid() else "?"


_COLUMNS: Final[tuple[tuple[str, Callable[[Device], str]], ...]] = (
    ("Name", lambda device: printable(device.name, MAX_NAME)),
    ("Type", lambda device: printable(device.device_type, MAX_NAME)),
    ("Address", lambda device: printable(device.addr, MAX_ADDR)),
    ("Present since", _since),
    ("Metadata", lambda device: summary(device.metadata)),
)

_VALUES: Final[Mapping[int, Callable[[Device], object]]] = {
    DeviceRole.NAME: _COLUMNS[0][1],
    DeviceRole.DEVICE_TYPE: _COLUMNS[1][1],
    DeviceRole.ADDR: _COLUMNS[2][1],
    DeviceRole.PRESENT_SINCE: lambda device: moment(device.registered_at),
    DeviceRole.METADATA: lambda device: variant_map(device.metadata),
    DeviceRole.DEVICE: lambda device: device,
    Qt.ItemDataRole.ToolTipRole: lambda device: device_html(device, _TOOLTIP_TEXT),
}

if TYPE_CHECKING:
    from PySide6.QtCore import QAbstractItemModel as _Base
else:  # Qt's classes do not mix, so what the two models have in common is none of them
    _Base = object


class _DeviceModel(_Base):
    """Rows of devices, as a `DeviceWatcher` tells of them."""

    _columns = 1

    if TYPE_CHECKING:  # defined where Qt looks for it
        liveChanged: Signal

    def _follow(self, watcher: DeviceWatcher) -> None:
        self._watcher = watcher
        self._live = watcher.live
        self._faint: object = None  # a colour, once it is asked for
        self._devices = list(watcher.devices.values())
        self._numbers = list(range(len(self._devices)))  # of each row, rising
        self._number = {device.name: row for row, device in enumerate(self._devices)}
        self._next_number = len(self._devices)
        watcher.received.connect(self._take)
        watcher.statusChanged.connect(self._status_changed)
        # It may go because this is its last owner and goes itself: then there is nobody to tell.
        me = weakref.ref(self)
        watcher.destroyed.connect(lambda: _watcher_gone(me()))

    @property
    def watcher(self) -> DeviceWatcher:
        """Who tells of the devices. The model keeps it."""
        return self._watcher

    # --- what Qt asks -------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - as Qt has it
        """How many devices there are."""
        return 0 if parent.isValid() else len(self._devices)

    def roleNames(self) -> dict[int, QByteArray]:
        """The roles' names in QML."""
        return {**super().roleNames(), **{r: QByteArray(name) for r, name in _ROLE_NAMES.items()}}

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What there is to know of a device."""
        if not index.isValid() or index.row() >= len(self._devices):
            return None
        if role == DeviceRole.LIVE:
            return self._live
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._foreground()
        device = self._devices[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[index.column()][1](device)
        value = _VALUES.get(role)
        return None if value is None else value(device)

    # --- what the watcher tells ---------------------------------------------------------------

    def _take(self, records: list[Record]) -> None:
        events = (record for record in records if isinstance(record, Added | Removed))
        # A model that was made in the middle of these has some of them already: to take in an
        # event twice makes no difference, as long as those after it follow.
        for kind, run in groupby(events, type):
            devices = [event.device for event in run]
            if kind is Added:
                self._insert(devices)
            else:
                self._remove(devices)

    def _insert(self, devices: Iterable[Device]) -> None:
        new: dict[str, Device] = {}
        for device in devices:
            if device.name in self._number:
                self._replace(device)
            else:
                new[device.name] = device
        if not new:
            return
        first, self._next_number = self._next_number, self._next_number + len(new)
        numbers = range(first, self._next_number)
        self.beginInsertRows(QModelIndex(), len(self._devices), len(self._devices) + len(new) - 1)
        self._devices.extend(new.values())
        self._numbers.extend(numbers)
        self._number.update(zip(new, numbers, strict=True))
        self.endInsertRows()

    def _replace(self, device: Device) -> None:
        row = self._row(device.name)
        self._devices[row] = device
        self._changed(row, row)

    def _remove(self, devices: Iterable[Device]) -> None:
        known = (device for device in devices if device.name in self._number)
        # A late one never removes a newer registration (P7).
        rows = {row for device in known if self._devices[row := self._row(device.name)] == device}
        for first, last in _ranges(rows):
            self.beginRemoveRows(QModelIndex(), first, last)
            for device in self._devices[first : last + 1]:
                del self._number[device.name]
            del self._devices[first : last + 1]
            del self._numbers[first : last + 1]
            self.endRemoveRows()

    def _row(self, name: str) -> int:
        return bisect_left(self._numbers, self._number[name])

    def _changed(self, first: int, last: int, *roles: int) -> None:
        column = self._columns - 1
        self.dataChanged.emit(self.index(first, 0), self.index(last, column), list(roles))

    # --- what that is worth -------------------------------------------------------------------

    def _foreground(self) -> object:
        if not self._live and self._faint is None:
            self._faint = _faint()
        return None if self._live else self._faint

    def _get_live(self) -> bool:
        return self._live

    def _status_changed(self) -> None:
        self.become(live=self._watcher.live)

    def become(self, *, live: bool) -> None:
        """Show the devices as of a view that is live, or that is not."""
        if live == self._live:
            return
        self._live, self._faint = live, None
        self.liveChanged.emit(live)
        if self._devices:
            last = len(self._devices) - 1
            self._changed(0, last, DeviceRole.LIVE, Qt.ItemDataRole.ForegroundRole)


class DeviceListModel(_DeviceModel, QAbstractListModel):
    """A registry's devices as a list, for `ListView` in QML, `QListView`, or `QComboBox`.

        view.setModel(DeviceListModel(DeviceWatcher("tcp://controller:5555"), parent=view))

    In QML, the roles are `name`, `deviceType`, `addr`, `presentSince`, `metadata` and `live`; in
    Python, `DeviceRole`. Views show the name, with all else in the tooltip; and while the view of
    the registry is not live (the property `live`), in a fainter colour.

    Args:
        watcher: Who tells of the devices. The model keeps it.
        parent: Who ends it.
    """

    liveChanged = Signal(bool)

    def __init__(self, watcher: DeviceWatcher, parent: QObject | None = None) -> None:
        QAbstractListModel.__init__(self, parent)
        self._follow(watcher)

    live = Property(bool, _DeviceModel._get_live, notify=liveChanged)  # noqa: SLF001


class DeviceTableModel(_DeviceModel, QAbstractTableModel):
    """The same as a table, for `QTableView` and `QTreeView`: a column for each thing known.

    Args:
        watcher: Who tells of the devices. The model keeps it.
        parent: Who ends it.
    """

    _columns = len(_COLUMNS)
    liveChanged = Signal(bool)

    def __init__(self, watcher: DeviceWatcher, parent: QObject | None = None) -> None:
        QAbstractTableModel.__init__(self, parent)
        self._follow(watcher)

    live = Property(bool, _DeviceModel._get_live, notify=liveChanged)  # noqa: SLF001

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - as Qt has it
        """Name, type, address, since when it is present, and metadata."""
        return 0 if parent.isValid() else self._columns

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """The columns' labels."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section][0] if 0 <= section < self._columns else None
        return super().headerData(section, orientation, role)


def _watcher_gone(model: _DeviceModel | None) -> None:
    if model is not None and isValid(model):
        model.become(live=False)


def _ranges(rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of neighbours, from the end: one can go after the other."""
    first = last = -1
    for row in sorted(rows, reverse=True):
        if row != first - 1:
            if first >= 0:
                yield first, last
            last = row
        first = row
    if first >= 0:
        yield first, last


def _faint() -> object:
    """The colour of text that is not to catch the eye, and can still be read."""
    # A program without windows gets by without the system's libraries that QtGui needs.
    from PySide6.QtGui import QGuiApplication, QPalette  # noqa: PLC0415

    if not isinstance(QCoreApplication.instance(), QGuiApplication):
        return None
    return QGuiApplication.palette().brush(QPalette.ColorRole.PlaceholderText)
