"""A QML list of devices, without a screen."""

from collections.abc import Callable

import zmq
from PySide6.QtQml import QQmlApplicationEngine
from PySide6.QtQuick import QQuickItem
from shiboken6 import delete

from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers.qt import DeviceListModel, DeviceWatcher
from tests.support.live import raw_client
from tests.support.qt import spin_until

Context = zmq.Context[zmq.Socket[bytes]]

PAGE = """
import QtQuick

Window {
    visible: true
    property string status: devices.live + " " + registry.state + " " + registry.why
    ListView {
        objectName: "list"
        width: 300; height: 300
        model: devices
        delegate: Text {
            required property string name
            required property string deviceType
            required property string addr
            required property date presentSince
            required property var metadata
            required property bool live
            textFormat: Text.PlainText
            text: [name, deviceType, addr, presentSince.getFullYear(), metadata.lens, live].join()
        }
    }
}
"""


def test_a_list_view_shows_the_roles(
    registry: DeviceRegistry, context: Context, follow: Callable[..., DeviceWatcher]
) -> None:
    watcher = follow(registry.url, context=context)
    model = DeviceListModel(watcher)
    engine = QQmlApplicationEngine()
    engine.rootContext().setContextProperty("devices", model)
    engine.rootContext().setContextProperty("registry", watcher)
    engine.loadData(PAGE.encode())
    (window,) = engine.rootObjects()
    view = window.findChild(QQuickItem, "list")
    assert view is not None
    content = view.property("contentItem")

    def shown() -> list[str]:
        texts = [item.property("text") for item in content.childItems()]
        return sorted(text for text in texts if text)

    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "<b>cam</b>", metadata={"lens": "wide"})
        client.register("tcp://a:2", "two", metadata={"lens": 3})
        spin_until(lambda: len(shown()) == 2 and watcher.live)
    year = watcher.since.date().year()
    assert shown() == [
        f"<b>cam</b>,camera,tcp://a:1,{year},wide,true",
        f"two,camera,tcp://a:2,{year},3,true",
    ]
    assert window.property("status") == "true live "
    watcher.stop()
    spin_until(lambda: all(text.endswith("false") for text in shown()))
    assert window.property("status") == "false closed it was stopped"
    delete(engine)  # before what it shows
