"""A registry's devices in a Qt application: signals in the GUI thread, and models for its views.

    watcher = DeviceWatcher("tcp://controller:5555", parent=window)
    watcher.added.connect(lambda event: print(event.device.name, "is here"))
    table.setModel(DeviceTableModel(watcher))

It needs PySide6 (the extra `qt`).
"""

from ...events.extras import extra

with extra("qt"):
    from .models import DeviceListModel, DeviceRole, DeviceTableModel
    from .watcher import DeviceWatcher

__all__ = ["DeviceListModel", "DeviceRole", "DeviceTableModel", "DeviceWatcher"]
