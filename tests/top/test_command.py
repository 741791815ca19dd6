"""`devicewatch top` in a terminal: how it begins, and how it leaves the terminal behind."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.cli import main
from tests.support.keys import guarded
from tests.support.live import PATIENCE, free_port

RESTORED = "\x1b[?1049l"
"""Leave the alternate screen."""
CURSOR = "\x1b[?25h"
BOLD, DIM, UNDERLINED, REVERSED = 1, 2, 4, 7
DEFAULT_COLOURS = (39, 49)

LAUNCHER = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'devicewatch.registry', *sys.argv[1:]])\n"
)


class Terminal:
    """A terminal of 80 by 24 with the command in it.

    Attributes:
        output: All that it was sent so far.
        process: The command.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.output = ""
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(self._ours, (24, 80))
        self._before = termios.tcgetattr(self._ours)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"} | environment,
        )
        os.close(theirs)

    def shows(self, words: str) -> None:
        """Wait until some words were sent."""
        deadline = time.monotonic() + 2 * PATIENCE
        while words not in self.output:
            assert time.monotonic() < deadline, f"waited in vain; so far: {self.output!r}"
            self._read()

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait until the command has ended, and left the terminal as it was; its exit code."""
        since = time.monotonic()
        while self.process.poll() is None:
            assert time.monotonic() - since < PATIENCE, "it does not end"
            self._read()
        while self._read():
            pass
        assert termios.tcgetattr(self._ours) == self._before
        return self.process.returncode

    def hang_up(self) -> None:
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.05)[0]:
            return False
        try:
            self.output += os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # nobody has it open any more
            return False
        return True


@contextmanager
def terminal(*arguments: str, **environment: str) -> Iterator[Terminal]:
    running = Terminal(*arguments, **environment)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("how", ["\x03", signal.SIGTERM, signal.SIGHUP])
def test_it_ends_promptly_and_leaves_the_terminal_as_it_was(
    registry: DeviceRegistry, how: str | signal.Signals
) -> None:
    with terminal("top", "--registry", registry.url) as screen:
        screen.shows("LIVE")
        since = time.monotonic()
        if isinstance(how, str):
            screen.type(how)
        else:
            screen.process.send_signal(how)
        assert screen.end() == 0
        assert time.monotonic() - since < PATIENCE / 2
        assert RESTORED in screen.output
        assert screen.output.rindex(CURSOR) > screen.output.rindex("LIVE")
        assert "Traceback" not in screen.output


def test_it_ends_when_its_terminal_is_gone(registry: DeviceRegistry) -> None:
    with terminal("top", "--registry", registry.url) as screen:
        screen.shows("LIVE")
        screen.hang_up()
        screen.process.wait(PATIENCE)


def test_a_registry_that_refuses_is_one_line(tmp_path: Path) -> None:
    with (
        guarded(tmp_path / "list") as closed,
        terminal("top", "--registry", closed.registry.url) as screen,
    ):
        screen.shows("Error: ")
        assert screen.end() == 1
        said = screen.output[screen.output.rindex(RESTORED) :]
        assert said.count("Error: ") == 1
        assert said[said.index("Error: ") :].count("\n") == 1
        assert "Traceback" not in screen.output


def test_without_colours(registry: DeviceRegistry) -> None:
    with terminal("top", "--registry", registry.url, NO_COLOR="1") as screen:
        screen.shows("LIVE")
        screen.type("q")
        assert screen.end() == 0
        styles = {
            int(n) for s in re.findall(r"\x1b\[([\d;]+)m", screen.output) for n in s.split(";")
        }
        assert styles <= {0, BOLD, DIM, UNDERLINED, REVERSED, *DEFAULT_COLOURS}
        assert BOLD in styles


def test_a_bad_address_is_one_line_before_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.commands.top._on_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    result = CliRunner().invoke(main, ["top", "--registry", "controller"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert "looks like tcp://127.0.0.1:5555" in line


def test_where_there_is_no_terminal() -> None:
    result = CliRunner().invoke(main, ["top", "--registry", f"tcp://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "needs a terminal" in line


@pytest.mark.parametrize("kind", ["dumb", "unknown", ""])
def test_a_terminal_that_can_do_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.commands.top._on_terminal", lambda: True)
    monkeypatch.setenv("TERM", kind)
    result = CliRunner().invoke(main, ["top"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "move its cursor" in line


def test_without_textual(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("devicewatch.subscribers.top")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    for name in [name for name in sys.modules if name.startswith("textual.")]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(main, ["top"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "pip install 'devicewatch[tui]'" in line
