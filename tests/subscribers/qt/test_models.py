"""The models: what views get to know of devices, and that Qt's own judge of models is content."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QCoreApplication,
    QDateTime,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QBrush
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QListView, QTableView
from shiboken6 import delete

from devicewatch.events import Added, Device, Event, Reason, Removed
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers.qt import DeviceListModel, DeviceRole, DeviceTableModel, DeviceWatcher
from devicewatch.subscribers.snapshot import fold
from tests.support.hostile import DEVICE, SHOWN, TRICKS
from tests.support.live import raw_client
from tests.support.qt import spin_until

Context = zmq.Context[zmq.Socket[bytes]]
Model = DeviceListModel | DeviceTableModel

MODELS: Final = (DeviceListModel, DeviceTableModel)
CAM: Final = Device("cam", "camera", "tcp://a:1", 1, 1e9, {"lens": "wide", "n": 1, "no": None})


class Script(QObject):
    """Stands in for a `DeviceWatcher`: tells what a test wants."""

    received = Signal(list)
    statusChanged = Signal(object)  # noqa: N815

    def __init__(self, *devices: Device, live: bool = True) -> None:
        super().__init__()
        self.devices = {device.name: device for device in devices}
        self.live = live

    def tell(self, *events: Event) -> None:
        for event in events:
            fold(self.devices, event)
        self.received.emit(list(events))

    def become(self, *, live: bool) -> None:
        self.live = live
        self.statusChanged.emit(None)


def of(script: Script, kind: type[Model] = DeviceListModel) -> Model:
    return kind(cast("DeviceWatcher", script))


def device(name: str, revision: int = 1) -> Device:
    return Device(name, "camera", f"tcp://{name}", revision, 1e9)


def added(*devices: Device) -> list[Event]:
    return [Added("e", device.revision, 1.0, device) for device in devices]


def removed(*devices: Device) -> list[Event]:
    return [Removed("e", 9, 1.0, device, Reason.EXPIRED) for device in devices]


def names(model: QAbstractItemModel) -> list[str]:
    return [str(model.data(model.index(row, 0))) for row in range(model.rowCount())]


class Changes:
    """What a model says of itself."""

    def __init__(self, model: QAbstractItemModel) -> None:
        self.inserted: list[tuple[int, int]] = []
        self.removed: list[tuple[int, int]] = []
        self.changed: list[tuple[int, int, list[int]]] = []
        model.rowsInserted.connect(lambda _p, first, last: self.inserted.append((first, last)))
        model.rowsRemoved.connect(lambda _p, first, last: self.removed.append((first, last)))
        model.dataChanged.connect(
            lambda a, b, roles: self.changed.append((a.row(), b.row(), list(roles)))
        )


@pytest.fixture(params=MODELS, ids=["list", "table"])
def kind(request: pytest.FixtureRequest) -> Iterator[type[Model]]:
    return request.param  # type: ignore[no-any-return]


# --- what is told --------------------------------------------------------------------------------


def test_the_roles_tell_what_is_known(kind: type[Model]) -> None:
    model = of(Script(CAM), kind)
    index = model.index(0, 0)
    assert {role: model.data(index, role) for role in DeviceRole} == {
        DeviceRole.NAME: "cam",
        DeviceRole.DEVICE_TYPE: "camera",
        DeviceRole.ADDR: "tcp://a:1",
        DeviceRole.PRESENT_SINCE: QDateTime.fromSecsSinceEpoch(10**9),
        DeviceRole.METADATA: {"lens": "wide", "n": 1, "no": None},
        DeviceRole.LIVE: True,
        DeviceRole.DEVICE: CAM,
    }
    assert {bytes(name.data()) for name in model.roleNames().values()} >= {
        *(b"name", b"deviceType", b"addr", b"presentSince", b"metadata", b"live", b"display")
    }
    assert model.data(index) == "cam"
    assert model.data(index, Qt.ItemDataRole.DecorationRole) is None
    assert model.data(QModelIndex()) is None
    assert model.rowCount(index) == 0


def test_a_table_has_a_column_for_each_thing() -> None:
    model = of(Script(CAM), DeviceTableModel)
    columns = range(model.columnCount(QModelIndex()))
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in columns]
    assert heads == ["Name", "Type", "Address", "Present since", "Metadata"]
    since = QDateTime.fromSecsSinceEpoch(10**9).toString("yyyy-MM-dd HH:mm:ss")
    cells = [model.data(model.index(0, column)) for column in columns]
    assert cells == ["cam", "camera", "tcp://a:1", since, "lens=wide, n=1, no=None"]
    assert model.headerData(0, Qt.Orientation.Vertical) == 1
    assert model.headerData(9, Qt.Orientation.Horizontal) is None


def test_hostile_text_is_harmless_in_every_role(kind: type[Model]) -> None:
    model = of(Script(Device(**DEVICE)), kind)
    index = model.index(0, 0)
    assert model.data(index) == SHOWN
    for role in set(model.roleNames()) | set(DeviceRole) - {DeviceRole.DEVICE}:
        assert not TRICKS & set(str(model.data(index, role)))
    assert not model.data(index, DeviceRole.PRESENT_SINCE).isValid()
    assert model.data(index, DeviceRole.METADATA)["big"] == str(10**300)
    assert model.data(index, DeviceRole.DEVICE) == Device(**DEVICE)


def test_a_tooltip_is_html_with_everything_escaped(kind: type[Model]) -> None:
    model = of(Script(device("<img src='http://evil'>")), kind)
    tip = model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    assert tip.startswith("<table>")
    assert "<img" not in tip
    assert "&lt;img" in tip


def test_a_view_that_is_not_live_is_faint(kind: type[Model], application: object) -> None:
    script = Script(device("a"), device("b"))
    model, index = of(script, kind), QModelIndex()
    changes, told = Changes(model), list[bool]()
    model.liveChanged.connect(told.append)
    index = model.index(1, 0)
    assert model.data(index, Qt.ItemDataRole.ForegroundRole) is None
    script.become(live=False)
    script.become(live=False)
    assert isinstance(model.data(index, Qt.ItemDataRole.ForegroundRole), QBrush)
    assert model.data(index, DeviceRole.LIVE) is False
    assert (model.live, model.property("live"), told) == (False, False, [False])
    roles = [int(DeviceRole.LIVE), int(Qt.ItemDataRole.ForegroundRole)]
    assert changes.changed == [(0, 1, roles)]
    assert names(model) == ["a", "b"]
    script.become(live=True)
    assert model.live


def test_a_watcher_that_is_gone_is_not_live(kind: type[Model]) -> None:
    script = Script(device("a"))
    model = of(script, kind)
    delete(script)
    assert not model.live
    assert names(model) == ["a"]


# --- rows ----------------------------------------------------------------------------------------


def test_what_comes_together_is_one_insertion(kind: type[Model]) -> None:
    script = Script(device("first"))
    model = of(script, kind)
    changes = Changes(model)
    script.tell(*added(*(device(f"cam-{n}") for n in range(1_000))))
    assert changes.inserted == [(1, 1_000)]
    assert names(model)[:3] == ["first", "cam-0", "cam-1"]


def test_neighbours_that_leave_together_are_one_removal(kind: type[Model]) -> None:
    devices = [device(f"cam-{n}") for n in range(10)]
    script = Script(*devices)
    model = of(script, kind)
    changes = Changes(model)
    script.tell(*removed(*(devices[n] for n in (8, 1, 2, 0, 5, 9))))
    assert changes.removed == [(8, 9), (5, 5), (0, 2)]
    assert names(model) == ["cam-3", "cam-4", "cam-6", "cam-7"]
    script.tell(*removed(*script.devices.values()))
    assert changes.removed[-1] == (0, 3)
    assert names(model) == []


def test_a_late_removal_ends_no_newer_registration(kind: type[Model]) -> None:
    script = Script(device("a", 2))
    model = of(script, kind)
    script.tell(*removed(device("a", 1)), *removed(device("unknown")))
    assert names(model) == ["a"]


def test_a_model_made_in_the_middle_of_a_batch_has_nothing_twice(kind: type[Model]) -> None:
    script = Script(device("b", 2), device("c", 3))
    model = of(script, kind)
    events = [*added(device("b", 1)), *removed(device("b", 1)), *added(device("b", 2))]
    script.tell(*events, *added(device("c", 3), device("d", 4)), *removed(device("c", 3)))
    assert sorted(names(model)) == sorted(script.devices) == ["b", "d"]


@pytest.mark.parametrize("kind", MODELS, ids=["list", "table"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans()), max_size=12)))
def test_qt_s_own_judge_is_content_whatever_happens(
    complaints: list[str], kind: type[Model], batches: Sequence[Sequence[tuple[str, bool]]]
) -> None:
    script, revision = Script(), 0
    model = of(script, kind)
    proxy = QSortFilterProxyModel()
    proxy.setSourceModel(model)
    proxy.sort(0, Qt.SortOrder.DescendingOrder)
    testers = [
        QAbstractItemModelTester(judged, QAbstractItemModelTester.FailureReportingMode.Warning)
        for judged in (model, proxy)
    ]
    arrivals: list[str] = []
    for batch in batches:
        events: list[Event] = []
        present = dict(script.devices)
        for name, comes in batch:
            revision += 1
            if comes and name not in present:
                events += added(device(name, revision))
                arrivals.append(name)
            elif not comes and name in present:
                events += removed(present[name])
                arrivals.remove(name)
            else:
                continue
            fold(present, events[-1])
        script.tell(*events)
        script.become(live=not script.live)
        assert names(model) == arrivals
        assert names(proxy) == sorted(arrivals, reverse=True)
        rows = [model.data(model.index(row, 0), DeviceRole.DEVICE) for row in range(len(arrivals))]
        assert rows == [script.devices[name] for name in arrivals]
    assert complaints == []
    del testers


# --- in use --------------------------------------------------------------------------------------


def test_views_of_a_real_registry_follow_it(
    registry: DeviceRegistry, context: Context, follow: Callable[..., DeviceWatcher]
) -> None:
    watcher = follow(registry.url, context=context)
    model = DeviceTableModel(watcher)
    only = QSortFilterProxyModel()
    only.setSourceModel(model)
    only.setFilterKeyColumn(-1)
    only.setFilterFixedString("tcp://b")
    table, plain = QTableView(), QListView()
    table.setModel(only)
    plain.setModel(DeviceListModel(watcher, plain))
    table.show()
    plain.show()
    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "one")
        uuid = client.register("tcp://b:2", "two")["uuid"]
        client.register("tcp://b:1", "three")
        spin_until(lambda: plain.model().rowCount() == 3)
        only.sort(2)
        assert names(only) == ["three", "two"]
        client.ask("UNREGISTER", {"uuid": uuid})
        spin_until(lambda: only.rowCount() == 1)
    assert not table.grab().isNull()
    assert plain.model().index(0, 0).data() == "one"
    for view in (table, plain):
        delete(view)


def test_the_model_keeps_its_watcher_and_both_go_together(
    registry: DeviceRegistry, context: Context, application: QCoreApplication
) -> None:
    model = DeviceListModel(DeviceWatcher(registry.url, context=context))
    assert issubclass(DeviceListModel, QAbstractListModel)
    courier = model.watcher._courier
    del model
    assert courier.stopped
