"""Looking into the file of a `SqliteJournal`, without changing it or being in anybody's way.

It may be in use, or have been left by a registry that was killed. Then its log is read as well, in
the way of SQLite, which keeps a table of contents in FILE-shm; neither the file nor its log is
written. Where there is no log, not even that is made: reading leaves no trace.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import attrs

from ...events.errors import JournalError
from ...events.records import Device, Event
from .file import Content, cannot_be_used, connect, damaged, in_use, is_ours, read, reason

T = TypeVar("T")


@attrs.frozen
class Summary:
    """What a journal is about.

    Attributes:
        epoch: The life of its numbering.
        seq: Number of the latest event.
        devices: How many are registered.
        events: How many it keeps.
        clean: Whether the last registry closed it. While one has it, this is False.
        in_use: Whether a registry has it.
    """

    epoch: str
    seq: int
    devices: int
    events: int
    clean: bool
    in_use: bool


@attrs.frozen
class Findings:
    """What is wrong with a journal.

    Attributes:
        problems: A clause each; none if a registry can go on from it.
        summary: What it is about; None where that cannot be told.
    """

    problems: tuple[str, ...]
    summary: Summary | None


@attrs.frozen
class Shown:
    """What a journal holds, without the devices' secrets.

    Attributes:
        summary: What it is about.
        devices: Those that are registered, in order of revision.
        events: All that it keeps.
    """

    summary: Summary
    devices: tuple[Device, ...]
    events: tuple[Event, ...]


def check(path: Path) -> Findings:
    """Find everything that is wrong with a journal.

    Raises:
        JournalError: There is none, or none that this version can read.
    """
    try:
        return _look(path, _check)
    except sqlite3.DatabaseError as error:
        return Findings((f"its structure is broken: {reason(error)}",), None)


def show(path: Path) -> Shown:
    """Read what a journal holds.

    Raises:
        JournalError: There is none, it is damaged, or this version cannot read it.
    """
    content, used = _look(path, lambda connection, used: (read(connection), used))
    summary = _summary(content, used)
    if summary is None or content.problems:
        raise damaged(path, content.problems[0])
    past = content.past
    return Shown(summary, tuple(r.device for r in past.registrations), tuple(past.events))


def _check(connection: sqlite3.Connection, used: bool) -> Findings:
    problems: list[str] = []
    summary = None
    try:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            if text != b"ok":
                words = " ".join(text.decode(errors="replace").split())
                problems.append(f"its structure is broken: {words}")
    except sqlite3.DatabaseError as error:
        problems.append(f"its structure is broken: {reason(error)}")
    try:
        content = read(connection)
    except sqlite3.DatabaseError as error:
        problems.append(f"not all of it can be read: {reason(error)}")
    else:
        problems += content.problems
        summary = _summary(content, used)
    return Findings(tuple(problems), summary)


def _summary(content: Content, used: bool) -> Summary | None:
    if content.meta is None:
        return None
    past = content.past
    return Summary(
        past.epoch,
        past.seq,
        len(past.registrations),
        len(past.events),
        content.meta.clean,
        used,
    )


def _look(path: Path, at: Callable[[sqlite3.Connection, bool], T]) -> T:
    try:
        if not path.exists():
            raise _missing(path)
        if not path.is_file():
            raise JournalError(f"{path} is no file: name the journal of a registry")
        log = path.with_name(path.name + "-wal")
        logged = log.exists()
        found = _read(path, at, "mode=ro" if logged else "mode=ro&immutable=1")
        if not logged and log.exists():
            # A registry has opened it meanwhile, and may have written to what was not to change.
            found = _read(path, at, "mode=ro")
    except (OSError, sqlite3.Error) as error:
        raise _cannot_be_read(path, error) from None
    return found


def _read(path: Path, at: Callable[[sqlite3.Connection, bool], T], options: str) -> T:
    used = in_use(path)
    with closing(connect(path, options)) as connection:
        if not is_ours(connection, path):
            raise JournalError(f"{path} is empty: name a journal that a registry has used")
        connection.execute("BEGIN")  # all of it as of one moment
        return at(connection, used)


def _missing(path: Path) -> JournalError:
    return JournalError(f"there is no journal {path}: name a file that exists")


def _cannot_be_read(path: Path, error: OSError | sqlite3.Error) -> JournalError:
    """As `cannot_be_used`, for whoever does not want to write."""
    if isinstance(error, sqlite3.OperationalError | OSError):
        why = reason(error) if isinstance(error, sqlite3.Error) else str(error.strerror).lower()
        return JournalError(
            f"the journal {path} cannot be read ({why}): name a file that this user can read"
        )
    return cannot_be_used(path, error)
