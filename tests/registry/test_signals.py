"""How the command ends: by signals at any moment, two at once, and when nobody reads on (P13)."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import zmq

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.commands.demo import RunningCommand, running
from devicewatch.registry.commands.signals import ENDING, Signals
from devicewatch.subscribers import Watcher
from tests.support.live import PATIENCE, free_port, let_pass, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

SERVE = ("serve", "--port", "0", "--events-port", "0")

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")


def catches_signals(pid: int) -> bool:
    """Whether a process has its handlers in place."""
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    caught = int(status["SigCgt"], 16)
    return all(caught >> (number - 1) & 1 for number in ENDING)


@contextmanager
def promptly(seconds: float = 3.0) -> Iterator[None]:
    since = time.monotonic()
    yield
    assert time.monotonic() - since < seconds


def output_of(command: RunningCommand) -> str:
    command.end()
    return "".join(command.errors)


# --- noted, not raised ----------------------------------------------------------------------------


def test_signals_are_noted_in_order_and_each_is_told_of() -> None:
    with Signals() as signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        signals.wait()
        assert signals.received == [signal.SIGTERM, signal.SIGINT]
        signal.raise_signal(signal.SIGHUP)
        signals.wait()
        assert signals.received[2:] == [signal.SIGHUP]


def test_a_wait_ends_when_what_blocks_in_another_thread_has_returned() -> None:
    done = threading.Event()
    with Signals() as signals:
        signals.ring_after(done.set)
        signals.wait(done.is_set)
    assert signals.received == []


def test_afterwards_signals_mean_what_they_did() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with Signals():
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_a_hangup_may_be_outlived() -> None:
    done = threading.Event()
    with Signals(outlive_hangup=True) as signals:
        signal.raise_signal(signal.SIGHUP)
        signals.ring_after(done.set)
        signals.wait(done.is_set)
        assert signals.received == []
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        signals.wait()
        assert signals.received == [signal.SIGTERM]


def test_a_lookout_calls_for_a_signal_and_not_without() -> None:
    called = threading.Event()
    with Signals() as signals:
        with signals.lookout(called.set):
            pass
        assert not called.is_set()
        with signals.lookout(called.set) as lookout:
            signal.raise_signal(signal.SIGTERM)
            assert called.wait(PATIENCE)
        assert not lookout.nobody_reads


# --- the commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["serve", "watch", "announce"])
def test_two_signals_at_once_end_a_command_as_one_does(
    command: str, second: signal.Signals, registry: DeviceRegistry
) -> None:
    arguments = {
        "serve": SERVE,
        "watch": ("watch", "--json", "--registry", registry.url),
        "announce": ("announce", "camera", "tcp://a:1", "--registry", registry.url),
    }[command]
    device = running("announce", "arm", "tcp://a:2", "--name", "arm", "--registry", registry.url)
    with device as arm, running(*arguments) as ended:
        arm.next_line()
        ended.next_line()
        # At once, however busy the machine is: between the two the command could have ended.
        for number in (signal.SIGSTOP, signal.SIGINT, second, signal.SIGCONT):
            ended.process.send_signal(number)
        assert ended.process.wait(PATIENCE) == 0
        errors = output_of(ended)
        assert registry.devices.keys() == {"arm"}
    assert "Traceback" not in errors
    assert command != "serve" or "registry stopped" in errors


@linux
@pytest.mark.parametrize("command", ["serve", "watch", "announce"])
def test_a_signal_in_the_first_moment_ends_a_command(command: str) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    arguments, code = {
        "serve": (SERVE, 0),
        "watch": (("watch", "--registry", url), 0),
        "announce": (("announce", "camera", "tcp://a:1", "--registry", url), 130),
    }[command]
    with running(*arguments) as ended:
        wait_until(lambda: catches_signals(ended.process.pid))
        with promptly():
            ended.process.send_signal(signal.SIGINT)
            assert ended.process.wait(PATIENCE) == code
        errors = output_of(ended)
    assert "Traceback" not in errors
    assert "Error" not in errors


def test_what_is_done_at_sighup_is_done_and_ends_nothing() -> None:
    done: list[str] = []
    with Signals(on_hangup=lambda: done.append("reopened")) as signals:
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(number)
        signals.wait()
        assert signals.received == [signal.SIGTERM]
        signal.raise_signal(signal.SIGHUP)
        signals.wait(lambda: len(done) > 0)
    assert done == ["reopened"]


def test_a_registry_outlives_sighup_and_says_so(context: Context) -> None:
    with running(*SERVE) as serve:
        url = serve.next_line().split()[4]
        with raw_client(context, url) as client:
            client.register("tcp://a:1", "cam")
            for count in (1, 2):
                serve.process.send_signal(signal.SIGHUP)
                wait_until(partial(has_lines, serve, "nothing to reload", count))
            assert client.ask("INFO", {})["payload"]["devices"] == 1
        serve.process.terminate()
        assert serve.process.wait(PATIENCE) == 0
    assert "registry stopped" in output_of(serve)


def has_lines(command: RunningCommand, what: str, count: int) -> bool:
    return sum(what in line for line in command.errors.copy()) == count


def test_sigterm_ends_a_registry_within_a_second_whoever_is_connected(context: Context) -> None:
    """Watchers, devices, a subscriber that reads nothing, a request half sent."""
    with running(*SERVE) as serve, ExitStack() as stack:
        ready = serve.next_line().split()
        url, events_url = ready[4], ready[6].rstrip(")")
        for number in range(10):
            stack.enter_context(Watcher(url, context=context)).connect(PATIENCE)
            stack.enter_context(raw_client(context, url)).register(f"tcp://a:{number}")
        stalled = stack.enter_context(socket.create_connection(address_of(events_url)))
        half = stack.enter_context(socket.create_connection(address_of(url)))
        for connection in (stalled, half):
            connection.settimeout(PATIENCE)
            assert connection.recv(1)  # ZeroMQ's greeting: it has been accepted
            connection.sendall(b"\xff\x00\x00")
        with promptly(1.0):
            serve.process.terminate()
            assert serve.process.wait(PATIENCE) == 0


def address_of(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("tcp://").split(":")
    return host, int(port)


@linux
def test_a_device_that_is_told_to_leave_while_it_registers_leaves_nothing_behind(
    registry: DeviceRegistry,
) -> None:
    for pause in (0.0, 0.001, 0.003, 0.006):
        with running("announce", "camera", "tcp://a:1", "--registry", registry.url) as ended:
            wait_until(partial(catches_signals, ended.process.pid))
            let_pass(pause)
            ended.process.terminate()
            ended.process.wait(PATIENCE)
            assert "Traceback" not in output_of(ended)
        assert registry.devices == {}


def test_watch_ends_when_nobody_reads_its_output_any_more(registry: DeviceRegistry) -> None:
    arm = running("announce", "arm", "tcp://a:2", "--registry", registry.url)
    with arm as device:
        device.next_line()
        process = subprocess.Popen(
            [sys.executable, "-m", "devicewatch.registry", "watch", "--registry", registry.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            assert b"arm" in process.stdout.readline()
            process.stdout.close()
            assert process.wait(PATIENCE) == 1
            assert process.stderr.read() == b""


def test_watch_for_a_time_without_a_registry_is_an_error() -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    result = subprocess.run(
        [sys.executable, "-m", "devicewatch.registry", "watch", "--timeout", "0.3",
         "--registry", url],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: no live view of the registry at {url} within 0.3 s")


def test_many_signals_to_a_command_end_it_for_good(registry: DeviceRegistry) -> None:
    """The first Ctrl-C is for the command to deal with; this one does not, so a second ends it."""
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('running', flush=True)\n"
        "signal.pause()\n"
    )
    with running(
        "announce", "camera", "tcp://a:1", "--registry", registry.url,
        "--", sys.executable, "-c", script,
    ) as announce:  # fmt: skip
        assert announce.next_line() == "running"
        os.kill(announce.process.pid, signal.SIGINT)
        os.kill(announce.process.pid, signal.SIGHUP)
        assert announce.process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert registry.devices == {}
