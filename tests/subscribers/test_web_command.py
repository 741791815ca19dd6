"""`devicewatch web`, as a command."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zmq
from click.testing import CliRunner

from devicewatch.events.protocol import Role
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.cli import main
from devicewatch.registry.commands.demo import running
from devicewatch.subscribers.web.server import WebServer
from tests.support.browser import browser, get
from tests.support.keys import guarded
from tests.support.live import PATIENCE, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


def test_it_says_where_it_is_and_ends_promptly_with_browsers_connected() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Of usual ticks: on a busy machine a view of quick ones is stale for a moment, and logs it.
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    with registry, ExitStack() as stack:  # all at once, as it takes a while to start them
        started = [
            stack.enter_context(running("web", "--port", "0", "--registry", registry.url))
            for _ in numbers
        ]
        for web, number in zip(started, numbers, strict=True):
            words = web.next_line(2 * PATIENCE).split()
            assert words[:5] == ["devicewatch", "web", "page", "ready", "at"]
            assert words[6:] == ["(registry", f"{registry.url})"]
            with browser(words[5]) as one, browser(words[5]) as two:
                for each in (one, two):
                    each.next("snapshot")
                since = time.monotonic()
                web.process.send_signal(number)
                assert web.process.wait(PATIENCE) == 0
                assert time.monotonic() - since < 5
                for each in (one, two):
                    assert {sent.kind for sent in each.sent()} <= {"pulse", "snapshot", "live"}
            assert web.errors == []


def test_a_registry_that_does_not_let_it_in_is_one_clear_line(tmp_path: Path) -> None:
    with guarded(tmp_path / "authorized") as site:
        result = CliRunner().invoke(
            main, ["web", "--port", "0", "--registry", site.registry.url], catch_exceptions=False
        )
    assert result.exit_code == 1
    assert result.stdout.startswith("devicewatch web page ready at ")
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.output
    assert "key" in line


def test_what_makes_no_sense_is_one_clear_line(registry: DeviceRegistry) -> None:
    port = registry.url.rpartition(":")[2]
    for arguments, code, words in (
        (["--port", port], 1, f"port {port}: it is in use"),
        (["--host", "no.such.host.invalid"], 1, "no.such.host.invalid"),
        (["--registry", "controller"], 1, "looks like tcp://127.0.0.1:5555"),
        (["--port", "65536"], 2, "--port"),
    ):
        result = CliRunner().invoke(main, ["web", "--port", "0", *arguments])
        assert result.exit_code == code
        assert words in result.output
        assert "Traceback" not in result.output
        assert code == 2 or len(result.output.splitlines()) == 1


def test_with_a_viewer_s_key_it_is_let_in(tmp_path: Path, context: Context) -> None:
    with guarded(tmp_path / "authorized") as site:
        key = site.let_in("viewer", Role.VIEWER)
        with WebServer(site.registry.url, port=0, key=key, context=context) as web:
            wait_until(lambda: get(web.url, "/healthz").status == 200)


def test_names_are_allowed(registry: DeviceRegistry) -> None:
    allowed = ("--allow-host", "lab.example", "--allow-host", "other.example")
    command = ("web", "--port", "0", "--host", "0.0.0.0", "--registry", registry.url)
    with running(*command, *allowed) as web:
        port = urlsplit(web.next_line(2 * PATIENCE).split()[5]).port
        for host, status in (("lab.example", 200), ("other.example", 200), ("evil.example", 421)):
            assert get(f"http://127.0.0.1:{port}/", "/", Host=host).status == status


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_a_missing_library_is_one_clear_line(library: str) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from devicewatch.registry.cli import main; main(['web'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=os.environ,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line == (
        f"Error: this needs the library {library!r}, which is not installed; "
        "install it with: pip install 'devicewatch[web]'"
    )
