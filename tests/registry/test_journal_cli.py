"""`devicewatch journal`: what is in a journal, and what is wrong with it, without touching it."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devicewatch.registry.cli import main
from devicewatch.registry.sqlite import SqliteJournal, check, show
from devicewatch.registry.sqlite import file as sqlite_file
from devicewatch.registry.sqlite import look as sqlite_look
from tests.support.journals import (
    EPOCH,
    Changes,
    kept_by_another,
    leave_a_killed_one,
    numbers,
    tamper,
)

HOSTILE = "\x1b[2Jgone\u202e"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["journal", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def closed(path: Path, *names: str) -> None:
    journal, changes = SqliteJournal(path), Changes()
    journal.load(EPOCH, 100)
    for name in names:
        journal.append(changes.register(name=name, metadata={"lens": 50}))
    journal.close()


def hashes(path: Path) -> dict[str, str]:
    """Of the journal and its log. Not in the process of whoever has it: that would lose its locks.

    FILE-shm is a table of contents of the log, which whoever reads it may make anew.
    """
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.parent.iterdir()
        if not file.name.endswith("-shm")
    }


# --- check ---------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong_with_a_journal_that_was_closed(path: Path) -> None:
    closed(path, "cam", "arm")
    result = run("check", path)
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert ["journal", str(path)] in lines
    assert ["state", "closed"] in lines
    assert ["devices", "2"] in lines
    assert result.output.splitlines()[-1] == "nothing is wrong with it"
    assert json.loads(run("check", "--json", path).output) == {
        "problems": [],
        "summary": {
            "epoch": EPOCH,
            "seq": 2,
            "devices": 2,
            "events": 2,
            "clean": True,
            "in_use": False,
        },
    }


def test_check_tells_in_use_from_killed(path: Path) -> None:
    with kept_by_another(path, 3) as process:
        assert "in use by a registry" in run("check", path).output
        process.kill()
        process.wait()
    result = run("check", path)
    assert "not closed: its registry was killed" in result.output
    assert result.exit_code == 0


def test_check_gives_every_problem(path: Path) -> None:
    closed(path, "cam", "arm", HOSTILE)
    tamper(path, "UPDATE registrations SET record = '{}' WHERE revision = 1")
    tamper(path, "UPDATE events SET body = 'x' WHERE seq = 2")
    result = run("check", path)
    assert result.exit_code == 1
    problems = [line for line in result.output.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 2
    assert "registration 1" in problems[0]
    assert "event 2" in problems[1]
    result = run("check", "--json", path)
    assert result.exit_code == 1
    assert len(json.loads(result.output)["problems"]) == 2


def test_check_survives_noise(path: Path) -> None:
    closed(path, *(f"cam-{number}" for number in range(300)))
    with path.open("r+b") as file:
        file.seek(8_192)
        file.write(os.urandom(40_960))
    result = run("check", path)
    assert result.exit_code == 1
    assert "problem: its structure is broken" in result.output
    assert json.loads(run("check", "--json", path).output)["problems"]


# --- show ----------------------------------------------------------------------------------------


def test_show_gives_the_devices_and_the_latest_events(path: Path) -> None:
    closed(path, "zoom", "arm", "pump")
    output = run("show", path, "--events", "2").output
    lines = [line.split() for line in output.splitlines()]
    assert [line[0] for line in lines if "lens=50" in line] == ["arm", "pump", "zoom"]
    assert [line[2] for line in lines if "+" in line] == ["arm", "pump"]
    assert run("show", path, "--events", "0").exit_code == 0


def test_show_in_json_is_the_wire_s(path: Path) -> None:
    closed(path, "cam")
    shown = json.loads(run("show", "--json", path).output)
    device = {
        "name": "cam",
        "device_type": "camera",
        "addr": "tcp://1",
        "revision": 1,
        "registered_at": 1e9 + 1,
        "metadata": {"lens": 50},
    }
    assert shown["devices"] == [device]
    assert [event["device"] for event in shown["events"]] == [device]
    assert shown["summary"]["seq"] == 1


@pytest.mark.parametrize("command", [("show",), ("show", "--json"), ("check",)])
def test_no_secret_is_shown_and_no_trick_is_played(path: Path, command: tuple[str, ...]) -> None:
    closed(path, HOSTILE)
    tampering = [(), ("UPDATE registrations SET revision = 7",)]
    for statements in tampering:
        tamper(path, *statements)
        output = run(*command, path).output
        assert "secret-" not in output
        assert not {"\x1b", "\u202e"} & set(output)


# --- without a trace -----------------------------------------------------------------------------


@pytest.mark.parametrize("look", [check, show])
def test_looking_changes_nothing_while_a_registry_has_it(
    path: Path, look: Callable[[Path], object]
) -> None:
    with kept_by_another(path, 20):
        before = hashes(path)
        assert before.keys() == {"journal", "journal-wal", "journal-lock"}
        look(path)
        assert hashes(path) == before


@pytest.mark.parametrize("look", [check, show])
@pytest.mark.parametrize("index", [True, False], ids=["with shm", "without shm"])
def test_looking_changes_nothing_that_a_killed_one_left(
    path: Path, look: Callable[[Path], object], index: bool
) -> None:
    leave_a_killed_one(path, 20)
    if not index:
        path.with_name("journal-shm").unlink()
    before = hashes(path)
    assert "journal-wal" in before
    look(path)
    assert hashes(path) == before
    assert show(path).summary.devices == 20
    journal = SqliteJournal(path)
    assert journal.load(EPOCH, 10).seq == 20
    journal.close()


@pytest.mark.parametrize("look", [check, show])
def test_looking_at_a_closed_one_leaves_no_trace(
    path: Path, look: Callable[[Path], object]
) -> None:
    closed(path, "cam")
    files = sorted(path.parent.iterdir())
    before = hashes(path)
    look(path)
    assert hashes(path) == before
    assert sorted(path.parent.iterdir()) == files


def test_looking_locks_no_registry_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(path, "cam")
    plain = sqlite_file.read
    started: list[SqliteJournal] = []

    def start_meanwhile(connection: sqlite3.Connection) -> sqlite_file.Content:
        if not started:
            journal = SqliteJournal(path)
            started.append(journal)
            changes = Changes(journal.load(EPOCH, 100))
            journal.append(changes.register())
        return plain(connection)

    monkeypatch.setattr(sqlite_look, "read", start_meanwhile)
    shown = show(path)
    assert numbers(shown.events) == [1, 2], "it looks again: the file was opened meanwhile"
    assert shown.summary.in_use
    started[0].close()


# --- what cannot be looked at --------------------------------------------------------------------


def a_newer_one(path: Path) -> None:
    closed(path)
    tamper(path, "PRAGMA user_version = 2")


@pytest.mark.parametrize("command", ["check", "show"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no journal"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.mkdir(), "is no file"),
        (os.mkfifo, "is no file"),
        (lambda path: path.write_text("dear diary"), "is not a journal of devicewatch"),
        (lambda path: tamper(path, "CREATE TABLE diary (a)"), "is not a journal of devicewatch"),
        (a_newer_one, "written by a newer devicewatch"),
    ],
)
def test_what_is_no_journal_is_one_clear_line(
    path: Path, command: str, make: Callable[[Path], object], words: str
) -> None:
    make(path)
    before = sorted(path.parent.iterdir())
    result = run(command, path)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert str(path) in line
    assert sorted(path.parent.iterdir()) == before


def test_show_of_a_damaged_one_is_one_clear_line(path: Path) -> None:
    closed(path, "cam")
    tamper(path, "DELETE FROM registrations")
    result = run("show", path)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "is damaged (event 1 has no registration" in line


@pytest.mark.parametrize("command", ["check", "show"])
def test_the_commands_explain_themselves(command: str) -> None:
    result = CliRunner().invoke(main, ["journal", command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: main journal {command}" in result.output
    assert command in CliRunner().invoke(main, ["journal", "--help"]).output
