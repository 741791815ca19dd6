"""The same in QML: `qt_window.qml` shows what this gives it. It needs devicewatch[qt].

python qt_quick.py [REGISTRY]
"""

import sys
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtQml import QQmlApplicationEngine

from devicewatch.subscribers.qt import DeviceListModel, DeviceWatcher

application = QGuiApplication(sys.argv[:1])
watcher = DeviceWatcher(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")
devices = DeviceListModel(watcher)

engine = QQmlApplicationEngine()
engine.rootContext().setContextProperty("registry", watcher)
engine.rootContext().setContextProperty("devices", devices)
engine.load(Path(__file__).with_suffix("").with_name("qt_window.qml"))
status = application.exec() if engine.rootObjects() else 1
del engine  # before what it shows
sys.exit(status)
