"""`devicewatch serve` under a service manager: a socket that stands in for systemd's."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import zmq

from devicewatch.registry import DeviceRegistry, service_manager
from devicewatch.registry.commands.demo import RunningCommand, running
from devicewatch.registry.service_manager import ServiceManager
from tests.support.live import PATIENCE, RawClient, let_pass, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

SERVE = ("serve", "--port", "0", "--events-port", "0")

WATCHDOG = 1.0
"""Seconds within which the service manager wants a sign of life."""

ALIVE = "WATCHDOG=1"


class Manager:
    """What systemd does: it binds a socket, names it in the environment, and listens.

    Attributes:
        told: What it was told, in order, line by line.
    """

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)
        self.told: list[str] = []

    def listen(self) -> str:
        """Wait for the next line; where several come at once, only the last is returned."""
        lines = self.socket.recv(10_000).decode().splitlines()
        self.told += lines
        return lines[-1]

    def listen_for(self, sought: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.listen() != sought:
            assert time.monotonic() < deadline, self.told

    def told_since(self, something: Callable[[], object]) -> list[str]:
        """What it is told from now on until something has been done."""
        self._hear_all()
        before = len(self.told)
        something()
        self._hear_all()
        return self.told[before:]

    def _hear_all(self) -> None:
        self.socket.setblocking(False)
        try:
            while True:
                self.listen()
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", f"{WATCHDOG * 1_000_000:.0f}")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield manager
    manager.socket.close()


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def url_of(serve: RunningCommand) -> str:
    return serve.next_line().split()[4]


def errors_of(serve: RunningCommand) -> str:
    serve.end()
    return "".join(serve.errors)


# --- what it is told ------------------------------------------------------------------------------


def test_it_is_told_from_the_start_to_the_stop(manager: Manager) -> None:
    with running(*SERVE) as serve:
        url = url_of(serve)
        manager.listen_for(f"STATUS=0 devices at {url}; seq 0")
        assert manager.told[0] == "READY=1"
        manager.listen_for(ALIVE)
        with running("announce", "camera", "tcp://a:1", "--registry", url):
            manager.listen_for(f"STATUS=1 device at {url}; seq 1")
        manager.listen_for(f"STATUS=0 devices at {url}; seq 2")
        serve.process.terminate()
        manager.listen_for("STOPPING=1")
        assert serve.process.wait(PATIENCE) == 0
    assert manager.told[-2:] == ["STATUS=stopping", "STOPPING=1"]
    assert manager.told.count("READY=1") == 1


def test_signs_of_life_come_in_less_than_half_of_the_time(
    manager: Manager, registry: DeviceRegistry
) -> None:
    heard: list[float] = []
    with ServiceManager(registry):
        while len(heard) < 6:
            if manager.listen() == ALIVE:
                heard.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(heard)]
    assert max(gaps) < WATCHDOG / 2


def test_the_status_comes_when_it_has_changed_and_not_too_often(
    manager: Manager,
    registry: DeviceRegistry,
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_manager, "STATUS_INTERVAL", 0.5)
    monkeypatch.setenv("WATCHDOG_USEC", "50000")
    since = time.monotonic()
    with ServiceManager(registry):
        while (seq := registry.seq) < 40 or f"STATUS=1 device at {registry.url}; seq {seq}" not in (
            manager.told
        ):
            if seq < 40:
                client.register("tcp://a:1")
            manager.listen()
    passed = time.monotonic() - since
    told = [line for line in manager.told if line.startswith("STATUS=") and "seq" in line]
    assert len(told) == len(set(told))
    assert len(told) <= passed / 0.5 + 1


def test_without_a_watchdog_there_are_no_signs_of_life(
    manager: Manager,
    registry: DeviceRegistry,
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    monkeypatch.setattr(service_manager, "STATUS_INTERVAL", 0.02)
    with ServiceManager(registry):
        manager.listen_for(f"STATUS=0 devices at {registry.url}; seq 0")
        client.register("tcp://a:1")
        manager.listen_for(f"STATUS=1 device at {registry.url}; seq 1")
    assert ALIVE not in manager.told


def test_a_watchdog_for_another_process_is_none_of_its_business(
    manager: Manager, registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with ServiceManager(registry):
        manager.listen_for(f"STATUS=0 devices at {registry.url}; seq 0")
    assert ALIVE not in manager.told


# --- a sign of life means that the loop comes round -----------------------------------------------

STUCK_ON_INFO = """
import threading
from devicewatch.registry.cli import main
from devicewatch.registry.core import RegistryCore
RegistryCore._info = lambda *_: threading.Event().wait()
main()
"""


def test_a_process_that_is_stopped_gives_no_sign_of_life(manager: Manager) -> None:
    with running(*SERVE) as serve:
        manager.listen_for(ALIVE)
        serve.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(serve.process.pid, os.WUNTRACED)[1])
        assert manager.told_since(lambda: let_pass(WATCHDOG)) == []
        serve.process.send_signal(signal.SIGCONT)
        manager.listen_for(ALIVE)


@contextmanager
def stuck(manager: Manager, context: Context) -> Iterator["subprocess.Popen[str]"]:
    """A process whose loop is stuck, while its main thread lives."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK_ON_INFO, *SERVE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[4]
            manager.listen_for(ALIVE)
            with raw_client(context, url) as client:
                client.socket.send(b'{"event":"INFO","payload":{}}')
                manager.listen_for("STATUS=the registry's loop does not come round")
                yield process
        finally:
            process.kill()


@pytest.mark.interpreted
def test_a_process_whose_loop_is_stuck_gives_none_though_its_main_thread_lives(
    manager: Manager, context: Context
) -> None:
    with stuck(manager, context) as process:
        assert manager.told_since(lambda: let_pass(WATCHDOG)) == []
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        log = iter(process.stderr.readline, "")
        assert any("nothing to reload" in line for line in log)


@pytest.mark.interpreted
def test_what_kills_a_stuck_registry_makes_it_say_where_it_stood(
    manager: Manager, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit sets the variable, and systemd sends the signal."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    with stuck(manager, context) as process:
        process.send_signal(signal.SIGABRT)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGABRT
        assert "in do_round" in errors


# --- without, and with one that is of no use ------------------------------------------------------


def test_outside_of_systemd_nothing_is_started_and_nothing_imported() -> None:
    script = (
        "import sys, threading\n"
        "from devicewatch.registry import DeviceRegistry\n"
        "from devicewatch.registry.service_manager import ServiceManager\n"
        "with DeviceRegistry(addr='127.0.0.1', port='0', events_port='0') as registry:\n"
        "    before = threading.active_count()\n"
        "    with ServiceManager(registry):\n"
        "        print(threading.active_count() - before, 'systemd_watchdog' in sys.modules)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=True, env=environment,
    )  # fmt: skip
    assert result.stdout.split() == ["0", "False"]


def test_without_the_extra_it_says_what_to_install_and_serves(manager: Manager) -> None:
    script = (
        "import sys; sys.modules['systemd_watchdog'] = None\n"
        "from devicewatch.registry.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *SERVE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[4]
            subprocess.run(
                [sys.executable, "-m", "devicewatch.registry", "info", "--registry", url],
                timeout=PATIENCE, check=True, capture_output=True,
            )  # fmt: skip
            process.terminate()
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    (line,) = [line for line in errors.splitlines() if "service manager" in line]
    assert "pip install 'devicewatch[systemd]'" in line
    assert process.returncode == 0
    assert manager.told_since(lambda: None) == []


@pytest.mark.parametrize(
    "microseconds", ["", "0", "-1", "soon", "1e6", "\u00b2", "\u0663", "9" * 30, "9" * 5000]
)
def test_a_watchdog_that_makes_no_sense_is_none(
    manager: Manager,
    registry: DeviceRegistry,
    monkeypatch: pytest.MonkeyPatch,
    microseconds: str,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    with ServiceManager(registry):
        manager.listen_for(f"STATUS=0 devices at {registry.url}; seq 0")
    assert manager.told[0] == "READY=1"
    assert ALIVE not in manager.told


@pytest.mark.parametrize("microseconds", ["1", "9" * 18])
def test_a_watchdog_may_be_very_short_or_very_long(
    manager: Manager,
    registry: DeviceRegistry,
    monkeypatch: pytest.MonkeyPatch,
    microseconds: str,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    with ServiceManager(registry):
        manager.listen_for(ALIVE)


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@nobody-listens", "vsock:2:1", "x" * 200])
def test_a_service_manager_that_does_not_listen_is_no_trouble(
    registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "50000")
    with ServiceManager(registry) as service:
        notifier = service._notifier
        assert notifier is not None
        wait_until(lambda: not notifier._listens)
        assert registry.responds(PATIENCE)


def test_one_that_does_not_read_what_it_is_told_holds_up_nobody(
    manager: Manager, registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "50000")
    with ServiceManager(registry) as service:
        notifier = service._notifier
        assert notifier is not None
        wait_until(lambda: not notifier._listens)
        manager.listen_for(ALIVE)
        manager.told_since(lambda: None)
        wait_until(lambda: notifier._listens)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a namespace of Linux")
def test_one_in_the_abstract_namespace_hears_it_too(
    registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"devicewatch-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(PATIENCE)
        with ServiceManager(registry):
            assert listening.recv(100) == b"READY=1\n"
