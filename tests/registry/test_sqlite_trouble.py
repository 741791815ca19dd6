"""The journal in a file, when something is in the way: full disks, power cuts, damage."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devicewatch.events.durability import Durability
from devicewatch.events.errors import JournalError
from devicewatch.registry.journal import Change, Past
from devicewatch.registry.sqlite.journal import SqliteJournal, Uncertain
from tests.support.journals import (
    EPOCH,
    Changes,
    small_disk,
    tamper,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(path)
    yield journal
    journal.close()


def loaded(path: Path, boot: str | None = "boot-1", history: int = 100) -> Past:
    """What a registry that is started on the machine's so-manieth start goes on from."""
    journal = SqliteJournal(path, boot_id=lambda: boot)
    try:
        return journal.load(EPOCH, history)
    finally:
        journal.close()


# --- files that are no use -----------------------------------------------------------------------


def a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def below_a_file(path: Path) -> Path:
    path.touch()
    return path / "journal"


def below_what_is_below_a_file(path: Path) -> Path:
    path.touch()
    return path / "folder" / "journal"


def where_nobody_can_write(path: Path) -> Path:
    return Path("/proc/journal")


def some_text(path: Path) -> Path:
    path.write_text("dear diary, today nothing happened\n")
    return path


def some_longer_text(path: Path) -> Path:
    path.write_text("dear diary, today nothing happened\n" * 1_000)
    return path


def another_program_s_database(path: Path) -> Path:
    tamper(path, "CREATE TABLE diary (entry TEXT)")
    return path


def one_of_a_newer_version(path: Path) -> Path:
    loaded(path)
    tamper(path, "PRAGMA user_version = 2")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (a_folder, "it is a folder"),
        (below_a_file, "is not a folder"),
        (below_what_is_below_a_file, "is not a folder"),
        (where_nobody_can_write, "name another"),
        (some_text, "is not a journal of devicewatch"),
        (some_longer_text, "is not a journal of devicewatch"),
        (another_program_s_database, "is not a journal of devicewatch"),
        (one_of_a_newer_version, "written by a newer devicewatch"),
    ],
)
def test_a_file_that_is_no_use_is_one_clear_sentence(
    path: Path, make: Callable[[Path], Path], words: str
) -> None:
    path = make(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=words) as caught:
        SqliteJournal(path).load(EPOCH, 10)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value), "it says what to do"
    if content is not None:
        assert path.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_one_clear_sentence(path: Path) -> None:
    loaded(path)
    path.chmod(0o400)
    with pytest.raises(JournalError, match="permission denied"):
        loaded(path)


def test_after_a_failed_load_it_may_be_loaded(path: Path) -> None:
    path.write_text("dear diary")
    journal = SqliteJournal(path)
    for _ in range(2):
        with pytest.raises(JournalError, match="not a journal"):
            journal.load(EPOCH, 10)
    path.unlink()
    assert journal.load(EPOCH, 10).seq == 0
    journal.close()


def test_a_creation_that_was_broken_off_is_no_obstacle(path: Path) -> None:
    tamper(path, "PRAGMA journal_mode = WAL")
    assert loaded(path).seq == 0


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE registrations SET record = 'x' WHERE revision = 2", "registration 2 cannot be"),
        ("UPDATE registrations SET record = 7 WHERE revision = 2", "registration 2 cannot be"),
        ("UPDATE registrations SET record = x'ff' WHERE revision = 2", "registration 2 cannot be"),
        ("UPDATE registrations SET revision = 9 WHERE revision = 3", "registration 9 is that of 3"),
        ("DELETE FROM registrations WHERE revision = 2", "event 2 has no registration"),
        ("DELETE FROM events WHERE seq = 2", "event 3 follows event 1"),
        ("DELETE FROM events WHERE seq = 5", "registration 5 is not among events 1 to 4"),
        ("UPDATE events SET body = '{}' WHERE seq = 3", "event 3 cannot be read"),
        ("UPDATE events SET body = 5 WHERE seq = 3", "event 3 cannot be read"),
        ("UPDATE events SET body = replace(body, '\"seq\":4', '\"seq\":8')", "event 4 "),
        ("UPDATE events SET body = replace(body, 'epoch-1', 'epoch-2')", "of another epoch"),
        ("UPDATE registrations SET record = replace(record, 'cam-1', 'cam-2')", "the same name"),
        ("UPDATE registrations SET record = replace(record, 'p://1', 'p://2')", "the same address"),
        (
            "UPDATE registrations SET record = replace(record, 'secret-5', 'secret-2')",
            "registrations 2 and 5 have the same uuid",
        ),
        ("UPDATE events SET body = replace(body, 'cam-1', 'cam-9')", "not what event 5 says"),
        ("UPDATE meta SET record = '{}'", "where the numbering is cannot be read"),
        ("UPDATE meta SET record = replace(record, '\"ceiling\":1', '\"ceiling\":-1')", "cannot"),
        ("DELETE FROM meta", "there are 0 records of where the numbering is"),
        ("DROP TABLE events", "it has no table of events"),
    ],
)
def test_a_damaged_journal_is_not_trusted(path: Path, statement: str, words: str) -> None:
    journal, changes = SqliteJournal(path), Changes()
    journal.load(EPOCH, 10)
    for change in [changes.register() for _ in range(3)]:
        journal.append(change)
    journal.append(changes.replace(1))
    journal.close()
    tamper(path, statement)
    with pytest.raises(JournalError, match=words) as caught:
        loaded(path)
    assert f"the journal {path} is damaged (" in str(caught.value)
    assert "move it away" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_pages_full_of_noise_are_damage(path: Path) -> None:
    journal, changes = SqliteJournal(path), Changes()
    journal.load(EPOCH, 1_000)
    journal.append(changes.register_many(500))
    journal.close()
    with path.open("r+b") as file:
        file.seek(8_192)
        file.write(os.urandom(40_960))
    with pytest.raises(JournalError, match="is damaged"):
        loaded(path)


def test_by_another_name_it_is_the_same_journal(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.load(EPOCH, 10)
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(JournalError, match="is in use by another registry"):
        loaded(link)
    journal.close()
    assert loaded(link) == Past(EPOCH)


def test_what_is_no_file_is_no_journal(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(JournalError, match="it is no file"):
        loaded(path)


def test_nobody_else_may_read_it_even_if_it_was_there_before(path: Path) -> None:
    path.touch(mode=0o644)
    journal = SqliteJournal(path)
    journal.load(EPOCH, 10)
    journal.append(Changes().register())
    files = list(path.parent.glob("journal*"))
    assert len(files) == 4
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    journal.close()


# --- a full disk ---------------------------------------------------------------------------------


def refusal(journal: SqliteJournal, change: Change) -> str:
    """Why a change is not kept; empty if it is."""
    try:
        journal.append(change)
    except JournalError as error:
        return str(error)
    return ""


def fill(journal: SqliteJournal, changes: Changes) -> Change:
    """Append until it fails; gives the change that was not kept."""
    note = {"note": "x" * 900}
    change = changes.register(metadata=note)
    while not (why := refusal(journal, change)):
        change = changes.register(metadata=note)
    assert "the disk is full" in why
    return change


def test_what_finds_no_room_is_not_kept_and_what_does_is(
    path: Path, journal: SqliteJournal
) -> None:
    changes = Changes()
    journal.load(EPOCH, 10_000)
    journal._connection.execute("PRAGMA max_page_count = 40")
    refused = fill(journal, changes)
    with pytest.raises(JournalError, match="the disk is full"):
        journal.append(refused)
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    journal.append(refused)
    journal.append(changes.replace(1))
    journal.close()
    past = loaded(path, history=10_000)
    assert past.seq == changes.seq
    assert sorted(r.uuid for r in past.registrations) == sorted(
        registration.uuid for registration in changes.present.values()
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.mark.parametrize("durability", Durability)
def test_a_disk_that_is_really_full_is_no_different(disk: Path, durability: Durability) -> None:
    path, filler = disk / "journal", disk / "filler"
    journal, changes = SqliteJournal(path, durability=durability), Changes()
    journal.load(EPOCH, 10_000)
    filler.write_bytes(b"x" * 400_000)
    refused = fill(journal, changes)
    with pytest.raises(JournalError, match="the disk is full"):
        journal.append(refused)
    filler.unlink()
    journal.append(refused)
    journal.close()
    past = loaded(path, history=10_000)
    assert past.seq == changes.seq == len(past.registrations)


def test_a_disk_without_room_for_a_journal_is_one_clear_sentence(disk: Path) -> None:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4_096):
            pass
    journal = SqliteJournal(disk / "journal")
    with pytest.raises(JournalError, match=r"cannot be used .*(full|space)"):
        journal.load(EPOCH, 10)
    filler.unlink()
    assert journal.load(EPOCH, 10).seq == 0
    journal.close()


class Trouble(sqlite3.Connection):
    """A connection whose disk fails: after everything of a transaction has been written."""

    failing = 0

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        if self.failing and sql.startswith(("COMMIT", "UPDATE meta")):
            self.failing -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return super().execute(sql, *arguments)  # type: ignore[arg-type]


@pytest.fixture
def troubled(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteJournal]:
    plain = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        options["factory"] = Trouble
        return plain(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("sqlite3.connect", connect)
    journal = SqliteJournal(path)
    yield journal
    journal.close()


def test_a_disk_that_fails_once_costs_one_change(troubled: SqliteJournal, path: Path) -> None:
    changes = Changes()
    troubled.load(EPOCH, 10)
    troubled.append(changes.register())
    refused = changes.register()
    assert isinstance(troubled._connection, Trouble)
    troubled._connection.failing = 1
    with pytest.raises(JournalError, match="the disk reports an error"):
        troubled.append(refused)
    troubled.append(refused)
    troubled.close()
    assert loaded(path).seq == 2


def test_where_nobody_knows_whether_a_change_is_kept_nobody_says_it_is_not(
    troubled: SqliteJournal,
) -> None:
    changes = Changes()
    troubled.load(EPOCH, 10)
    assert isinstance(troubled._connection, Trouble)
    troubled._connection.failing = 2
    with pytest.raises(Uncertain, match="may or may not have kept a change"):
        troubled.append(changes.register())


def test_what_cannot_be_written_as_json_is_not_kept(path: Path, journal: SqliteJournal) -> None:
    changes = Changes()
    journal.load(EPOCH, 10)
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        journal.append(changes.register(name="\ud800"))
    journal.append(Changes().register())
    journal.close()
    assert loaded(path).seq == 1
