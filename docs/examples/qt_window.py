"""A window with a registry's devices, and what the picture is worth. It needs devicewatch[qt].

python qt_window.py [REGISTRY]
"""

import sys

from PySide6.QtCore import QLocale, QSortFilterProxyModel, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMainWindow,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from devicewatch.subscribers.qt import DeviceTableModel, DeviceWatcher

COLOURS = {"live": "#2e9d4f", "connecting": "#d9a400", "stale": "#d9a400", "closed": "#c0392b"}


class Devices(QMainWindow):
    def __init__(self, registry: str) -> None:
        super().__init__()
        self.setWindowTitle(f"Devices at {registry}")
        self.resize(900, 480)

        self.watcher = DeviceWatcher(registry, parent=self)
        self.shown = QSortFilterProxyModel(self)
        self.shown.setSourceModel(DeviceTableModel(self.watcher, self.shown))
        self.shown.setFilterKeyColumn(-1)  # all of them
        self.shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.shown.setSortCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

        words = QLineEdit(placeholderText="Filter: a name, a type, an address, a room …")
        words.setClearButtonEnabled(True)
        words.textChanged.connect(self.shown.setFilterFixedString)
        layout = QVBoxLayout()
        layout.addWidget(words)
        layout.addWidget(self.table())
        page = QWidget()
        page.setLayout(layout)
        self.setCentralWidget(page)

        self.state, self.count = QLabel(), QLabel()
        for label in (self.state, self.count):
            label.setTextFormat(Qt.TextFormat.PlainText)  # no label is to take tags for its own
        self.light = QLabel("\N{BLACK CIRCLE}")
        self.statusBar().addWidget(self.light)
        self.statusBar().addWidget(self.state, stretch=1)
        self.statusBar().addPermanentWidget(self.count)
        self.watcher.statusChanged.connect(self.say_status)
        self.shown.rowsInserted.connect(self.say_count)
        self.shown.rowsRemoved.connect(self.say_count)
        self.say_status()
        self.say_count()

    def table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.shown)
        table.setSortingEnabled(True)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setAlternatingRowColors(True)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(24)
        table.horizontalHeader().setStretchLastSection(True)
        for column, width in enumerate((150, 110, 200, 160)):
            table.setColumnWidth(column, width)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        return table

    def say_status(self) -> None:
        watcher = self.watcher
        since = QLocale().toString(watcher.since.time(), "HH:mm:ss")
        why = f": {watcher.why}" if watcher.why else ""
        self.state.setText(f"{watcher.state} since {since}{why}")
        self.light.setStyleSheet(f"color: {COLOURS[watcher.state]}")

    def say_count(self) -> None:
        there, shown = len(self.watcher.devices), self.shown.rowCount()
        self.count.setText(f"{shown} of {there} devices")


if __name__ == "__main__":
    application = QApplication(sys.argv[:1])
    window = Devices(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")
    window.show()
    sys.exit(application.exec())
