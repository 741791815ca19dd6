"""Whether the tests of Qt can run here, and what becomes of a program where Qt is missing."""

import subprocess
import sys

from tests.support.needs import needs

MISSING = """
import sys
sys.modules["PySide6"] = None
import devicewatch.subscribers
from devicewatch.events import MissingExtra
try:
    import devicewatch.subscribers.qt
except MissingExtra as missing:
    print(missing)
"""


def test_pyside6_is_here() -> None:
    try:
        import PySide6.QtQuick  # noqa: PLC0415
        import PySide6.QtWidgets  # noqa: PLC0415
    except ImportError as error:
        needs(f"PySide6-Essentials and the libraries of the system that it needs ({error})", None)
    else:
        assert PySide6.__version__


def test_without_it_there_is_one_clear_line() -> None:
    said = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stderr == ""
    (line,) = said.stdout.splitlines()
    assert "'PySide6'" in line
    assert "pip install 'devicewatch[qt]'" in line
