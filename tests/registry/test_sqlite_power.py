"""The journal in a file when the machine goes down: no number is ever given out twice."""

import logging
import os
import shutil
import threading
from pathlib import Path

import pytest

from devicewatch.events.durability import Durability
from devicewatch.registry.journal import Past
from devicewatch.registry.sqlite import checkpoints
from devicewatch.registry.sqlite.checkpoints import Checkpoints
from devicewatch.registry.sqlite.journal import CEILING_STEP, SqliteJournal, read_boot_id
from tests.support.journals import (
    EPOCH,
    Changes,
    leave_a_killed_one,
    meta_of,
    numbers,
    registrations_of,
)
from tests.support.live import wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def start(
    path: Path, boot: str | None, durability: Durability = Durability.PROCESS
) -> tuple[SqliteJournal, Past]:
    """A registry that starts: its journal, and what it goes on from."""
    journal = SqliteJournal(path, durability=durability, boot_id=lambda: boot)
    return journal, journal.load(EPOCH, 1_000)


def after_a_power_cut(path: Path, journal: SqliteJournal) -> Path:
    """A journal as the disk has it when it is in use, and the power fails. Nothing is lost."""
    there = path.with_name("after")
    shutil.copy(path, there)
    shutil.copy(path.with_name("journal-wal"), there.with_name("after-wal"))
    journal.close()
    return there


def kept(path: Path, number: int, durability: Durability) -> tuple[SqliteJournal, Changes]:
    journal, past = start(path, "boot-1", durability)
    changes = Changes(past)
    for _ in range(number):
        journal.append(changes.register())
    return journal, changes


# --- where numbering goes on ---------------------------------------------------------------------


@pytest.mark.parametrize("boot", ["boot-2", None])
def test_after_a_power_cut_numbering_jumps_past_all_that_was_published(
    path: Path, boot: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    journal, changes = kept(path, 5, Durability.PROCESS)
    ceiling = meta_of(path)["ceiling"]
    there = after_a_power_cut(path, journal)
    with caplog.at_level(logging.WARNING):
        journal, past = start(there, boot)
    assert past.seq == ceiling >= CEILING_STEP
    assert list(past.events) == []
    assert registrations_of(past) == registrations_of(
        Past(EPOCH, registrations=tuple(changes.present.values()))
    )
    (record,) = [r for r in caplog.records if "machine went down" in r.message]
    assert record.__dict__["next_seq"] == ceiling + 1
    later = Changes(past)
    journal.append(later.register())
    journal.close()
    journal, past = start(there, boot)  # it was closed in order: no jump
    assert (past.seq, numbers(past.events)) == (ceiling + 1, [ceiling + 1])
    journal.close()


@pytest.mark.parametrize("arrived", [0.0, 0.3, 0.77, 0.999])
def test_the_numbers_of_what_is_lost_are_not_given_out_again(path: Path, arrived: float) -> None:
    journal, _ = kept(path, 3, Durability.PROCESS)
    journal.close()
    journal, past = start(path, "boot-1")
    log = path.with_name("journal-wal")
    synced = log.stat().st_size
    changes = Changes(past)
    for _ in range(50):  # published, and lost in part
        journal.append(changes.register())
    written = log.stat().st_size
    there = after_a_power_cut(path, journal)
    os.truncate(there.with_name("after-wal"), synced + int(arrived * (written - synced)))
    journal, past = start(there, "boot-2")
    assert past.seq > changes.seq
    assert 3 <= len(past.registrations) < 53
    assert (len(past.registrations) == 3) == (arrived == 0)
    journal.close()


def test_the_ceiling_is_raised_before_it_is_passed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicewatch.registry.sqlite.journal.CEILING_STEP", 10)
    journal, past = start(path, "boot-1")
    changes = Changes(past)
    waits: list[str] = []
    journal._connection.set_trace_callback(waits.append)
    for _ in range(35):
        journal.append(changes.register())
        assert changes.seq <= meta_of(path)["ceiling"] <= changes.seq + 10
    journal._connection.set_trace_callback(None)
    # Those that raised it, and no others, waited for the disk.
    assert [s for s in waits if "synchronous" in s].count("PRAGMA synchronous = FULL") == 3
    (mode,) = journal._connection.execute("PRAGMA synchronous").fetchone()
    assert mode == 1
    journal.close()


@pytest.mark.parametrize(
    ("durability", "boot"),
    [(Durability.PROCESS, "boot-1"), (Durability.POWER, "boot-2"), (Durability.POWER, None)],
)
def test_a_registry_that_was_killed_or_waited_for_the_disk_loses_no_number(
    path: Path, durability: Durability, boot: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    journal, _ = kept(path, 5, durability)
    there = after_a_power_cut(path, journal)
    journal, past = start(there, boot)
    assert past.seq == 5
    assert numbers(past.events) == [1, 2, 3, 4, 5]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    journal.close()


def test_what_was_asked_for_when_it_was_written_counts(path: Path) -> None:
    journal, _ = kept(path, 5, Durability.PROCESS)
    there = after_a_power_cut(path, journal)
    journal, past = start(there, "boot-2", Durability.POWER)
    assert past.seq > 5
    journal.close()


def test_a_second_power_cut_jumps_again(path: Path) -> None:
    journal, _ = kept(path, 5, Durability.PROCESS)
    first = after_a_power_cut(path, journal)
    journal, past = start(first, "boot-2")
    ceiling = meta_of(first)["ceiling"]
    assert ceiling == past.seq + CEILING_STEP
    second = first.with_name("second")
    for end in ("", "-wal"):
        shutil.copy(f"{first}{end}", f"{second}{end}")
    journal.close()
    journal, past = start(second, "boot-3")
    assert past.seq == ceiling
    journal.close()


def test_a_machine_that_was_not_started_anew_is_known_by_itself(path: Path) -> None:
    leave_a_killed_one(path, 3)
    journal = SqliteJournal(path)
    expected = 3 if read_boot_id() else CEILING_STEP
    assert journal.load(EPOCH, 10).seq == expected
    journal.close()


def test_with_power_every_change_waits_for_the_disk(path: Path) -> None:
    journal, _ = start(path, "boot-1", Durability.POWER)
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


# --- the thread ----------------------------------------------------------------------------------


def in_file_proper(path: Path) -> int:
    """How many pages the file has without its log."""
    return path.stat().st_size // 4_096


def test_what_is_appended_is_put_on_the_disk_by_the_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        plain(descriptor)
        waited.append(threading.current_thread().name)

    monkeypatch.setattr(checkpoints, "EARLY", 1)
    monkeypatch.setattr(os, "fsync", fsync)
    journal, past = start(path, "boot-1")
    journal.append(Changes(past).register())
    wait_until(lambda: waited)
    journal.close()
    assert set(waited) == {"devicewatch-journal"}


def test_a_long_log_gets_into_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EARLY", 1)
    monkeypatch.setattr(checkpoints, "LONG_LOG", 100_000)
    journal, past = start(path, "boot-1")
    before = in_file_proper(path)
    journal.append(Changes(past).register_many(500))
    wait_until(lambda: in_file_proper(path) > before)
    journal.close()


def test_a_log_that_has_grown_long_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EARLY", 1)
    monkeypatch.setattr(checkpoints, "LONG_LOG", 100_000)
    monkeypatch.setattr(checkpoints, "TOO_LONG", 400_000)
    journal, past = start(path, "boot-1")
    changes = Changes(past)

    def begun_anew() -> bool:
        for _ in range(100):
            journal.append(changes.register(metadata={"note": "x" * 1_000}))
        with path.with_name("journal-wal").open("rb") as log:
            return int.from_bytes(log.read(16)[12:]) >= 2  # the log's header counts how often

    wait_until(begun_anew)
    journal.close()
    journal, past = start(path, "boot-1")
    assert past.seq == changes.seq == len(past.registrations)
    journal.close()


def test_trouble_of_the_thread_is_told_once_and_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "EARLY", 1)
    attempts: list[int] = []
    plain = Checkpoints._wait_for_the_disk

    def fail(self: Checkpoints) -> int:
        attempts.append(1)
        if len(attempts) <= 3:
            raise OSError("the disk is gone")
        return plain(self)

    monkeypatch.setattr(Checkpoints, "_wait_for_the_disk", fail)
    journal, past = start(path, "boot-1")
    changes = Changes(past)

    def tried(times: int) -> bool:
        journal.append(changes.register())
        return len(attempts) >= times

    wait_until(lambda: tried(5))
    journal.close()
    messages = [r.message for r in caplog.records if "journal's file" in r.message]
    assert len(messages) == 1
    journal, past = start(path, "boot-1")
    assert past.seq == changes.seq
    journal.close()
