"""One application for all tests of Qt, without a screen; whatever Qt or a slot complains of fails.

Where PySide6, or a library of the system that it needs, is missing, `test_needs` says so, and the
other files are left out.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_QUICK_BACKEND", "software")

try:
    from PySide6.QtCore import QCoreApplication, QEvent, QtMsgType, qInstallMessageHandler
    from PySide6.QtWidgets import QApplication

    from devicewatch.subscribers.qt import DeviceWatcher
except ImportError:
    collect_ignore_glob = ["test_[!n]*.py"]
else:

    @pytest.fixture(scope="session")
    def application() -> QCoreApplication:
        return QCoreApplication.instance() or QApplication([])

    @pytest.fixture(autouse=True)
    def complaints(
        application: QCoreApplication, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[list[str]]:
        """What Qt warns of, and what slots have raised; a test that means it clears the list."""
        heard: list[str] = []

        def raised(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            heard.append(f"{kind.__name__}: {error}")

        def said(kind: QtMsgType, _where: object, message: str) -> None:
            if kind is not QtMsgType.QtDebugMsg and "propagateSizeHints" not in message:
                heard.append(message)

        monkeypatch.setattr(sys, "excepthook", raised)
        before = qInstallMessageHandler(said)
        yield heard
        gc.collect()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        application.processEvents()
        qInstallMessageHandler(before)
        assert heard == []

    @pytest.fixture
    def follow(application: QCoreApplication) -> Iterator[Callable[..., DeviceWatcher]]:
        """Make a `DeviceWatcher` that is stopped after the test."""
        made: list[DeviceWatcher] = []

        def make(*arguments: Any, **options: Any) -> DeviceWatcher:
            made.append(DeviceWatcher(*arguments, **options))
            return made[-1]

        yield make
        for watcher in made:
            watcher._courier.stop()
