"""What the file of a `SqliteJournal` looks like, and what can be wrong with one.

It is a SQLite database in WAL mode: changes go to the end of a log beside the file (`FILE-wal`),
and from there into the file itself, later. One row of `meta` says where the numbering is; the other
two tables are what their names say, each record as JSON. A registry that has the file open holds a
lock on `FILE-lock`, which the system lets go when the process ends, however it does.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import msgspec

from ...events.codec import decode_event
from ...events.durability import Durability
from ...events.errors import JournalError, MessageError
from ...events.messages import Seq
from ...events.records import Added, Event, Removed
from ..consistency import contradictions
from ..journal import Past, Registration

APPLICATION_ID: Final = 0x64657677
"""In the header of every file of ours: "devw"."""
SCHEMA_VERSION: Final = 1

_TABLES: Final = ("events", "meta", "registrations")
SCHEMA: Final = (
    # `repairs` is there to be changed when nothing else is to be: see `SqliteJournal`.
    "CREATE TABLE meta (id INTEGER PRIMARY KEY, record TEXT NOT NULL, repairs INTEGER NOT NULL)",
    "CREATE TABLE registrations (revision INTEGER PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_LOCK_ATTEMPTS: Final = 5
_LOCK_PAUSE: Final = 0.02


@attrs.frozen
class Meta:
    """Where a journal's numbering is.

    Attributes:
        epoch: The life of the numbering.
        seq: Where it began; the events say how far it has come since.
        ceiling: No number beyond it has ever been given out. It is on the disk for certain.
        clean: Whether the last registry that had the journal closed it.
        durability: What that registry asked for.
        boot_id: Names the time since the machine was last started; None where it has no name.
    """

    epoch: str
    seq: Seq
    ceiling: Seq
    clean: bool
    durability: Durability
    boot_id: str | None


_metas: Final = msgspec.json.Decoder(Meta)
_registrations: Final = msgspec.json.Decoder(Registration)


@attrs.frozen
class Content:
    """What stands in a file.

    Attributes:
        meta: Where its numbering is; None where that cannot be read.
        past: Everything that can be read, all events included.
        problems: All that cannot be read and all that cannot be, a clause each.
    """

    meta: Meta | None
    past: Past
    problems: tuple[str, ...]


def connect(path: Path, options: str = "mode=rw", patience: float = 1.0) -> sqlite3.Connection:
    """Open a file that is there, whatever it may be; to be used by one thread at a time.

    Args:
        path: The file.
        options: How, as SQLite's URIs put it.
        patience: Seconds to wait for whoever else is at it.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes  # in a damaged file it may be no text at all
    return connection


def is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a file is a journal that this version can read; False if it is empty.

    Raises:
        JournalError: It is something else.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or version or tables:
            raise not_a_journal(path)
        return False
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"the journal {path} was written by a newer devicewatch (its format is {version}, this "
            f"version's is {SCHEMA_VERSION}): install that version, or use another journal"
        )
    return True


def read(connection: sqlite3.Connection) -> Content:
    """Read all there is, and find all that is wrong with it."""
    problems = _missing_tables(connection)
    if problems:
        return Content(None, Past(""), tuple(problems))
    meta = None
    rows = connection.execute("SELECT record FROM meta").fetchall()
    try:
        if len(rows) != 1:
            problems.append(f"there are {len(rows)} records of where the numbering is")
        else:
            meta = _metas.decode(rows[0][0])
    except (ValueError, TypeError) as error:
        problems.append(f"the record of where the numbering is cannot be read: {error}")
    registrations = tuple(_read_registrations(connection, problems))
    events = tuple(_read_events(connection, problems))
    if meta is None:
        return Content(None, Past("", 0, registrations, events), tuple(problems))
    seq = events[-1].seq if events else meta.seq
    if seq < meta.seq:
        problems.append(f"the last event is number {seq}, before {meta.seq}")
    if seq > meta.ceiling:
        problems.append(f"numbering is at {seq}, beyond its ceiling of {meta.ceiling}")
    past = Past(meta.epoch, seq, registrations, events)
    if not problems:  # what is missing would seem to contradict what is there
        problems.extend(contradictions(past))
    return Content(meta, past, tuple(problems))


def _missing_tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    there = {name.decode(errors="replace") for (name,) in rows}
    return [f"it has no table of {name}" for name in _TABLES if name not in there]


def _read_registrations(
    connection: sqlite3.Connection, problems: list[str]
) -> Iterator[Registration]:
    rows = connection.execute("SELECT revision, record FROM registrations ORDER BY revision")
    for revision, record in rows:
        try:
            registration = _registrations.decode(record)
        except (ValueError, TypeError) as error:
            problems.append(f"registration {revision} cannot be read: {error}")
            continue
        if registration.device.revision != revision:
            problems.append(f"registration {revision} is that of {registration.device.revision}")
        yield registration


def _read_events(connection: sqlite3.Connection, problems: list[str]) -> Iterator[Event]:
    for seq, body in connection.execute("SELECT seq, body FROM events ORDER BY seq"):
        try:
            event = decode_body(body)
        except (MessageError, TypeError, AttributeError) as error:
            problems.append(f"event {seq} cannot be read: {error}")
            continue
        if event.seq != seq:
            problems.append(f"event {seq} is number {event.seq}")
        yield event


def decode_body(body: bytes) -> Event:
    """Read an event as it is kept, which is as it was published.

    Raises:
        MessageError: It is none.
    """
    topic = Removed.topic if body.startswith(b'{"event":"removed"') else Added.topic
    event = decode_event([topic.encode(), body])
    assert isinstance(event, Added | Removed)  # noqa: S101 (by its topic)
    return event


# --- in use or not ---------------------------------------------------------------------------


def lock_path(path: Path) -> Path:
    """The file whose lock says that a registry has the journal."""
    return path.with_name(path.name + "-lock")


def lock(path: Path) -> int:
    """Take possession of a journal; closing the file descriptor that this gives ends it.

    Raises:
        JournalError: Another registry has it.
        OSError: It cannot be locked.
    """
    with contextlib.ExitStack() as failing:
        descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT, 0o600)
        failing.callback(os.close, descriptor)
        for attempt in range(_LOCK_ATTEMPTS):
            if attempt:  # somebody may only have been looking whether it is in use
                time.sleep(_LOCK_PAUSE)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                failing.pop_all()
                return descriptor
    raise JournalError(
        f"the journal {path} is in use by another registry: "
        "stop that one, or give this one a journal of its own"
    )


def in_use(path: Path) -> bool:
    """Whether a registry has a journal open."""
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# --- what to tell people -----------------------------------------------------------------------


def not_a_journal(path: Path) -> JournalError:
    """It is something else."""
    return JournalError(
        f"{path} is not a journal of devicewatch: name another file, which need not exist yet"
    )


def damaged(path: Path, problem: str) -> JournalError:
    """It can be told that something is wrong with it."""
    return JournalError(
        f"the journal {path} is damaged ({problem}): `devicewatch journal check` shows everything "
        "that is wrong with it; to begin a new one, move it away"
    )


def cannot_be_used(path: Path, error: Exception) -> JournalError:
    """The system does not let us."""
    if isinstance(error, sqlite3.Error):
        code = primary_code(error)
        if code == sqlite3.SQLITE_NOTADB:
            return not_a_journal(path)
        if code == sqlite3.SQLITE_CORRUPT:
            return damaged(path, "its structure is broken")
        why = reason(error)
    else:
        why = (getattr(error, "strerror", None) or str(error)).lower()
    return JournalError(
        f"the journal {path} cannot be used ({why}): "
        "make it a file that this user can write, on a local disk with room, or name another"
    )


_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error, or is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_BUSY: "another program is at it",
    sqlite3.SQLITE_LOCKED: "another program is at it",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged",
    sqlite3.SQLITE_NOMEM: "memory is short",
}


def reason(error: sqlite3.Error) -> str:
    """What went wrong, in plain words."""
    return _REASONS.get(primary_code(error), str(error))


def primary_code(error: sqlite3.Error) -> int:
    """The kind of an error; SQLite keeps it in the lower byte."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
