"""Help for tests of Qt: an event loop that runs until something has happened."""

import threading
import time
from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent

from tests.support.live import PATIENCE


def spin_until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Let Qt work until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        pause.wait(0.001)


def spin_for(seconds: float) -> None:
    """Let Qt work for a while, where a test is about nothing happening in it."""
    over = time.monotonic() + seconds
    spin_until(lambda: time.monotonic() > over)
