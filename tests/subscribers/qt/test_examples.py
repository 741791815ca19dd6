"""The example windows, without a screen."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtQml import QQmlApplicationEngine
from PySide6.QtQuick import QQuickItem
from PySide6.QtWidgets import QLineEdit, QTableView
from shiboken6 import delete

from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers.qt import DeviceListModel, DeviceWatcher
from tests.support.live import raw_client
from tests.support.qt import spin_until

Context = zmq.Context[zmq.Socket[bytes]]

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("qt_window")
    del sys.modules["qt_window"]


def test_the_window_shows_filters_and_says_what_it_is_worth(
    example: ModuleType, registry: DeviceRegistry, context: Context, application: QCoreApplication
) -> None:
    window: Any = example.Devices(registry.url)
    window.show()
    table = window.findChild(QTableView)
    words = window.findChild(QLineEdit)
    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "<b>one</b>", metadata={"room": "A"})
        client.register("tcp://a:2", "two", metadata={"room": "B"})
        spin_until(lambda: window.watcher.live and window.count.text() == "2 of 2 devices")
    words.setText("room=b")
    assert window.count.text() == "1 of 2 devices"
    assert table.model().index(0, 0).data() == "two"
    assert window.state.text().startswith("live since ")
    registry.stop()
    spin_until(lambda: window.state.text().endswith(": the registry has stopped"))
    assert table.model().index(0, 0).data(Qt.ItemDataRole.ForegroundRole) is not None
    window.watcher.stop()
    window.deleteLater()


def test_the_qml_window_shows_devices(
    registry: DeviceRegistry, context: Context, follow: Callable[..., DeviceWatcher]
) -> None:
    watcher = follow(registry.url, context=context)
    devices = DeviceListModel(watcher)
    engine = QQmlApplicationEngine()
    engine.rootContext().setContextProperty("registry", watcher)
    engine.rootContext().setContextProperty("devices", devices)
    engine.load(EXAMPLES / "qt_window.qml")
    (window,) = engine.rootObjects()
    rows = window.findChild(QQuickItem, "list")
    assert rows is not None
    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "cam")
        spin_until(lambda: rows.property("currentItem") and watcher.live)
    row = rows.property("currentItem")
    assert row.property("name") == "cam"
    spin_until(lambda: row.property("live"))
    assert window.property("footer").property("text").startswith("live since ")
    delete(engine)  # before what it shows


def test_the_qml_program_is_python() -> None:
    compile((EXAMPLES / "qt_quick.py").read_text(), "qt_quick.py", "exec")
