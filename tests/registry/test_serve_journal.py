"""`devicewatch serve` and its journal, in processes of their own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import pytest
import zmq

from devicewatch.registry.commands.demo import RunningCommand, running
from tests.support.journals import small_disk, tamper
from tests.support.live import PATIENCE, free_port, raw_client, raw_subscriber

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a command keeps its state by itself."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "devicewatch"


def serving(*options: str, port: str = "0") -> AbstractContextManager[RunningCommand]:
    return running("serve", "--port", port, "--events-port", "0", *options)


def url(command: RunningCommand) -> str:
    return command.next_line().split()[4]


def stop(command: RunningCommand) -> str:
    """Ends it in good order, and gives its log."""
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(PATIENCE) == 0
    return "".join(command.errors)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devicewatch.registry", *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


# --- where it is ----------------------------------------------------------------------------------


def test_it_keeps_a_journal_for_its_port_by_itself(context: Context, state: Path) -> None:
    port = free_port()
    with serving(port=port) as first, raw_client(context, url(first)) as client:
        device = client.register("tcp://a:1", "cam")
        stop(first)
    assert (state / f"registry-{port}.journal").is_file()
    with serving(port=port) as second, raw_client(context, url(second)) as client:
        renewal = client.ask("CHECK_ALIVE", {"uuid": device["uuid"]})
        assert renewal["payload"]["success"]
        assert client.ask("INFO", {})["payload"]["epoch"] == device["epoch"]
        assert client.register("tcp://b:1", "cam")["name"] == "cam-1"
        assert "journal loaded" in stop(second)


@pytest.mark.parametrize(
    "options", [(), ("--no-journal", "--port", "0")], ids=["any free port", "--no-journal"]
)
def test_it_keeps_none(options: tuple[str, ...], state: Path) -> None:
    with serving(*options) as serve:
        url(serve)
        stop(serve)
    assert not state.exists()


def test_one_is_kept_for_any_port_if_it_is_named(context: Context, tmp_path: Path) -> None:
    journal = tmp_path / "folder" / "journal"
    with serving("--journal", str(journal)) as first, raw_client(context, url(first)) as client:
        client.register("tcp://a:1", "cam")
        first.process.kill()
        first.process.wait(PATIENCE)
    with serving("--journal", str(journal)) as second, raw_client(context, url(second)) as client:
        (device,) = client.ask("SNAPSHOT", {})["payload"]["devices"]
        assert device["name"] == "cam"
        stop(second)


# --- trouble at the start -------------------------------------------------------------------------


def a_newer_one(path: Path) -> None:
    with serving("--journal", str(path)) as serve:
        url(serve)
        stop(serve)
    tamper(path, "PRAGMA user_version = 99")


def a_damaged_one(path: Path) -> None:
    with serving("--journal", str(path)) as serve:
        url(serve)
        stop(serve)
    tamper(path, "DROP TABLE events")


TROUBLE: list[tuple[Callable[[Path], object], str]] = [
    (Path.mkdir, "it is a folder"),
    (lambda path: path.write_text("dear diary"), "is not a journal of devicewatch"),
    (a_newer_one, "was written by a newer devicewatch"),
    (a_damaged_one, "is damaged"),
]


@pytest.mark.parametrize(("prepare", "why"), TROUBLE, ids=["folder", "other", "newer", "damaged"])
def test_trouble_is_one_clear_line(
    tmp_path: Path, prepare: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "journal"
    prepare(path)
    result = run("serve", "--port", "0", "--events-port", "0", "--journal", str(path))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert why in line


def test_a_journal_in_use_is_one_clear_line(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with serving("--journal", path) as serve:
        url(serve)
        result = run("serve", "--port", "0", "--events-port", "0", "--journal", path)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert f"the journal {path} is in use by another registry" in line
        stop(serve)


def test_a_journal_and_none_exclude_each_other(tmp_path: Path) -> None:
    result = run("serve", "--no-journal", "--journal", str(tmp_path / "journal"))
    assert result.returncode == 2
    assert "exclude each other" in result.stderr


# --- a full disk ----------------------------------------------------------------------------------


def test_with_a_full_disk_changes_are_refused_and_renewals_go_on(
    context: Context, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path, filler = disk / "journal", disk / "filler"
        filler.write_bytes(b"x" * 400_000)
        with (
            serving("--journal", str(path), "--tick", "0.2") as serve,
            raw_client(context, url(serve)) as client,
        ):
            port = client.ask("INFO", {})["payload"]["events_port"]
            with raw_subscriber(context, f"tcp://127.0.0.1:{port}") as receive:
                assert receive()["event"] == "tick"
                first = client.register("tcp://first:1", "cam")
                accepted = fill(client.ask, "tcp://large", 1_000) + fill(client.ask, "tcp://small")
                info = client.ask("INFO", {})["payload"]
                assert (info["seq"], info["devices"]) == (1 + accepted, 1 + accepted)
                renewal = client.ask("CHECK_ALIVE", {"uuid": first["uuid"]})
                assert renewal["payload"]["success"]
                refused = client.ask("UNREGISTER", {"uuid": first["uuid"]})
                assert refused["payload"]["code"] == "UNAVAILABLE"
                filler.unlink()
                last = client.register("tcp://last:1", "last")
                assert last["seq"] == info["seq"] + 1
                seqs: list[int] = []
                while not seqs or seqs[-1] < last["seq"]:
                    message = receive()
                    seqs += [message["seq"]] if message["event"] != "tick" else []
                assert seqs == list(range(1, last["seq"] + 1))
            log = stop(serve)
        assert "changes cannot be kept" in log
        assert "changes are kept again" in log
        assert "Traceback" not in log
        found = json.loads(run("journal", "check", "--json", str(path)).stdout)
        assert found["problems"] == []
        assert found["summary"]["seq"] == last["seq"]


def fill(ask: Callable[[str, object], dict[str, object]], addr: str, ballast: int = 0) -> int:
    """Register devices until one cannot be kept; how many were."""
    for number in count():
        payload = {
            "device_type": "camera",
            "addr": f"{addr}:{number}",
            "name": "",
            "metadata": {"ballast": "x" * ballast},
        }
        reply = ask("REGISTER", payload)
        if reply["event"] == "ERROR":
            payload_of_error = reply["payload"]
            assert isinstance(payload_of_error, dict)
            assert payload_of_error["code"] == "UNAVAILABLE"
            assert "the disk is full" in payload_of_error["message"]
            return number
    raise AssertionError
