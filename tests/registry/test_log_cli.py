"""`devicewatch log`, in processes of its own: signals, a full disk, and who reads its output."""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.cli import main
from devicewatch.registry.commands.demo import running
from tests.support.live import PATIENCE, RawClient, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

ROOM = 3_000
"""Bytes: a few lines."""


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


def seqs(*paths: Path) -> list[int]:
    """Of the lines that are whole."""
    texts = (path.read_text().rpartition("\n")[0] for path in paths)
    lines = (json.loads(line) for text in texts for line in text.splitlines())
    return [line["seq"] for line in lines if "seq" in line]


def has(path: Path, kind: str) -> bool:
    return path.exists() and f'"event": "{kind}"' in path.read_text()


def test_lines_on_stdout_until_a_signal_comes(client: RawClient, registry: DeviceRegistry) -> None:
    client.register("tcp://a:1", "cam")
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        with running("log", "--registry", registry.url) as log:
            lines = [json.loads(log.next_line()) for _ in range(3)]
            log.process.send_signal(number)
            assert log.process.wait(PATIENCE) == 0
            lines.append(json.loads(log.next_line()))
        assert [line["event"] for line in lines] == ["start", "added", "live", "stop"]


def test_it_ends_when_nobody_reads_its_output_any_more(registry: DeviceRegistry) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "devicewatch.registry", "log", "--registry", registry.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as log:  # fmt: skip
        assert log.stdout is not None
        assert log.stderr is not None
        assert b"start" in log.stdout.readline()
        assert b"live" in log.stdout.readline()
        log.stdout.close()
        assert log.wait(PATIENCE) == 1
        assert log.stderr.read() == b""


def test_sighup_opens_the_file_anew_and_sigterm_ends_it(
    client: RawClient, registry: DeviceRegistry, path: Path
) -> None:
    old = path.with_name("events.log.1")
    with running("log", "--registry", registry.url, "--output", str(path)) as log:
        wait_until(lambda: has(path, "live"))
        client.register("tcp://a:1")
        wait_until(lambda: has(path, "added"))
        path.rename(old)
        uuid = client.register("tcp://a:2")["uuid"]
        wait_until(lambda: seqs(old) == [1, 2])
        log.process.send_signal(signal.SIGHUP)
        wait_until(path.exists)
        client.ask("UNREGISTER", {"uuid": uuid})
        wait_until(lambda: has(path, "removed"))
        second = CliRunner().invoke(
            main, ["log", "--registry", registry.url, "--output", str(path)]
        )
        assert second.exit_code == 1
        (line,) = second.output.splitlines()
        assert line.startswith("Error: another logger writes to ")
        log.process.terminate()
        assert log.process.wait(PATIENCE) == 0
        assert "".join(log.errors) == ""
    assert seqs(old, path) == [1, 2, 3]
    assert path.read_text().splitlines()[-1].find('"stop"') > 0


def test_a_full_disk_is_said_once_and_waited_for(
    client: RawClient, registry: DeviceRegistry, path: Path
) -> None:
    """Nobody needs to be root for a limit to the size of files, which does the same."""
    with running("log", "--registry", registry.url, "--output", str(path)) as log:
        wait_until(lambda: has(path, "live"))
        before = resource.prlimit(log.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(log.process.pid, resource.RLIMIT_FSIZE, (ROOM, before[1]))
        for number in range(1, 21):  # one by one, until there is no room for another
            client.register(f"tcp://a:{number}")
            wait_until(lambda number=number: log.errors or number in seqs(path))  # type: ignore[misc]
        assert path.read_bytes().endswith(b"}\n")
        assert ROOM - 500 < path.stat().st_size <= ROOM
        resource.prlimit(log.process.pid, resource.RLIMIT_FSIZE, before)
        log.process.send_signal(signal.SIGHUP)
        wait_until(lambda: seqs(path) == list(range(1, 21)))
        log.process.terminate()
        assert log.process.wait(PATIENCE) == 0
        messages: list[dict[str, Any]] = [json.loads(line) for line in log.errors]
    said = [message["event"] for message in messages]
    assert said == [
        "cannot write the log, and tries on",
        "the log is written again, and nothing is missing",
    ]
    assert "File too large" in messages[0]["why"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "missing/folder/events.log"], "No such file or directory"),
        (["--output", "."], "is no file"),
        (["--registry", "controller"], "looks like tcp://127.0.0.1:5555"),
        (["--registry", "controller", "--output", "events.log"], "looks like tcp://"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["log", *arguments])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert words in line


def test_a_line_for_people_has_no_colours_in_a_file(
    client: RawClient, registry: DeviceRegistry, path: Path
) -> None:
    client.register("tcp://a:1", "cam")
    arguments = ("--format", "console", "--type", "camera", "--durability", "power")
    with running("log", "--registry", registry.url, "--output", str(path), *arguments):
        wait_until(lambda: path.exists() and " live " in path.read_text())
    assert "added    name=cam type=camera addr=tcp://a:1" in path.read_text()
    assert "\x1b" not in path.read_text()
