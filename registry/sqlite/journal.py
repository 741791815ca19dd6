"""A journal in one file: SQLite.

Theory of operation
===================

A change is one transaction. In SQLite's WAL mode that is an append to a log, and no wait for the
disk: once it is made it survives the process, because the system has it. A thread puts the log on
the disk about once a second (see `checkpoints`); with `Durability.POWER` each transaction waits for
that itself.

Without, a power cut takes the last changes with it. For the registrations that does little harm, as
devices hold on to theirs. But the numbers of the events that are lost had been published, and would
be given out again, to other events: watchers would be wrong for good, and never notice. So
`Meta.ceiling` is a number that is on the disk for certain and beyond which none was given out. A
journal that was not closed, by a registry of before the machine's last start, goes on from there,
without the events of before: a watcher from before is told that history is gone, and works out the
difference. The ceiling is raised a long way at a time, by the one transaction in very many that
waits for the disk.

Whether a transaction that failed has failed is not always clear: where the disk reported an error
only after all had been written, the next start could find it whole. Another write, in the same
place, makes sure that it will not; if that fails as well, nobody knows, and the registry stops.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import msgspec

from ...events.codec import encode_event
from ...events.durability import Durability
from ...events.errors import JournalError
from ...events.logs import get_logger
from ...events.records import Removed
from ..journal import Change, Past
from .checkpoints import Checkpoints
from .file import (
    SCHEMA,
    Meta,
    cannot_be_used,
    connect,
    damaged,
    is_ours,
    lock,
    primary_code,
    read,
    reason,
)

log = get_logger(__name__)

CEILING_STEP: Final = 100_000
"""How far ahead of the numbers in use the ceiling is set, and so how far numbering may jump."""
TRIMMED_PER_APPEND: Final = 100
"""Events that go with an append, beyond as many as come: a shorter history is reached in steps."""

_PUT: Final = (
    "INSERT INTO registrations VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record"
)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str | None:
    """What names the time since the machine was started; None where there is no such thing."""
    try:
        return _BOOT_ID.read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


class Uncertain(RuntimeError):
    """Nobody knows whether a change is kept: the disk fails."""


class SqliteJournal:
    """A journal in a file; see `Journal`.

    The file is created when it is first loaded, for this user only: it holds the devices' secrets.
    It has to be on a local disk.

    Args:
        path: The file. Beside it there are FILE-lock, and FILE-wal and FILE-shm while it is in use
            or if a registry was killed: they belong together.
        durability: What a change survives.
        boot_id: Names the time since the machine was started.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = Durability.PROCESS,
        boot_id: Callable[[], str | None] = read_boot_id,
    ) -> None:
        self._path = Path(path).resolve()  # so that it has one lock, whatever it is called
        self._durability = Durability(durability)
        self._boot_id = boot_id
        self._history = 0
        self._oldest = 0
        self._seq = 0
        self._meta: Meta
        self._connection: sqlite3.Connection
        self._checkpoints: Checkpoints
        self._opened: contextlib.ExitStack | None = None

    # --- load --------------------------------------------------------------------------------

    def load(self, epoch: str, history: int) -> Past:
        """See `Journal`. After a power cut numbering may jump ahead, without any events."""
        if self._opened is not None:
            raise JournalError(f"the journal {self._path} belongs to a registry that is running")
        with contextlib.ExitStack() as opened:
            try:
                past = self._load(epoch, history, opened)
            except (OSError, sqlite3.Error, Uncertain) as error:
                raise cannot_be_used(self._path, error) from None
            self._opened = opened.pop_all()
        log.info(
            "journal begun" if past == Past(epoch) else "journal loaded",
            journal=str(self._path),
            devices=len(past.registrations),
            durability=self._durability.value,
        )
        return past

    def _load(self, epoch: str, history: int, opened: contextlib.ExitStack) -> Past:
        self._prepare()
        opened.callback(os.close, lock(self._path))
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(PermissionError):  # it is another user's, who gave it to us
            os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        self._connection = opened.enter_context(contextlib.closing(connect(self._path)))
        new = not is_ours(self._connection, self._path)
        if self._connection.execute("PRAGMA journal_mode = WAL").fetchone() != (b"wal",):
            raise OSError(0, "the file system it is on cannot share memory")
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        # Where it begins anew the log is cut short, so that its size says what there is to copy.
        self._connection.execute("PRAGMA journal_size_limit = 0")
        self._connection.execute("PRAGMA synchronous = FULL")
        if new:
            meta, past = Meta(epoch, 0, 0, True, self._durability, None), Past(epoch)
        else:
            content = read(self._connection)
            if content.meta is None or content.problems:
                raise damaged(self._path, _first_of(content.problems))
            meta, past = content.meta, content.past
        with self._transaction():
            if new:
                for statement in SCHEMA:
                    self._connection.execute(statement)
            past = self._begin(meta, past)
        self._set_synchronous()
        self._seq, self._history = past.seq, history
        self._oldest = past.events[0].seq if past.events else past.seq + 1
        self._checkpoints = Checkpoints(self._path)
        self._checkpoints.start()
        opened.callback(self._checkpoints.stop)
        return attrs.evolve(past, events=past.events[-history:] if history else ())

    def _prepare(self) -> None:
        """Make the folders, and find out early what would make a riddle of an error later."""
        if self._path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if self._path.exists() and not self._path.is_file():
            raise OSError(0, "it is no file")
        for folder in reversed(self._path.absolute().parents):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
            elif not folder.is_dir():
                raise NotADirectoryError(0, f"{folder} is not a folder")

    def _begin(self, meta: Meta, past: Past) -> Past:
        """Settle where numbering goes on, and that from now on the journal is in use."""
        boot_id = self._boot_id()
        same_boot = boot_id is not None and boot_id == meta.boot_id
        if not (meta.clean or same_boot or meta.durability is Durability.POWER):
            log.warning(
                "the machine went down while a registry was running: its last changes may be "
                "lost, so numbering jumps ahead and the history begins anew",
                journal=str(self._path),
                seq=past.seq,
                next_seq=meta.ceiling + 1,
            )
            past = Past(past.epoch, meta.ceiling, past.registrations)
            self._connection.execute("DELETE FROM events")
        self._meta = Meta(
            past.epoch,
            meta.seq if past.events else past.seq,
            past.seq + CEILING_STEP,
            False,
            self._durability,
            boot_id,
        )
        self._write_meta(self._meta)
        return past

    # --- append ------------------------------------------------------------------------------

    def append(self, change: Change) -> None:
        """See `Journal`.

        Raises:
            JournalError: It is not kept.
            Uncertain: It may be.
        """
        try:
            records = [
                (registration.device.revision, _encode(registration))
                for registration in change.registrations
            ]
            bodies = [(event.seq, encode_event(event)[1].decode()) for event in change.events]
        except (TypeError, ValueError, OverflowError) as error:
            raise self._not_kept(f"it cannot be written as JSON: {error}") from None
        gone = [(event.device.revision,) for event in change.events if isinstance(event, Removed)]
        seq = change.events[-1].seq if change.events else self._seq
        # No more than what comes, and a little: no change has to wait for a long one.
        trimmed = min(
            seq - max(self._history, 1),  # the newest event says where numbering is
            self._oldest - 1 + len(bodies) + TRIMMED_PER_APPEND,
        )
        meta = self._meta
        if seq > meta.ceiling:
            meta = attrs.evolve(meta, ceiling=seq + CEILING_STEP)
        execute, many = self._connection.execute, self._connection.executemany
        with self._checkpoints.append(), self._errors(), self._synchronous(meta is not self._meta):
            with self._transaction():
                if meta is not self._meta:
                    self._write_meta(meta)
                if gone:
                    many("DELETE FROM registrations WHERE revision = ?", gone)
                if records:
                    many(_PUT, records)
                if bodies:
                    many("INSERT INTO events VALUES (?, ?)", bodies)
                if trimmed >= self._oldest:
                    execute("DELETE FROM events WHERE seq <= ?", (trimmed,))
            self._meta, self._seq = meta, seq
            self._oldest = max(self._oldest, trimmed + 1)

    def close(self) -> None:
        """See `Journal`."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        with opened:
            self._checkpoints.stop()
            try:
                self._connection.execute("PRAGMA synchronous = FULL")
                with self._transaction():
                    self._write_meta(attrs.evolve(self._meta, clean=True))
            except (sqlite3.Error, Uncertain) as error:
                # Nothing is lost by it: it will look as if the registry had been killed.
                why = reason(error) if isinstance(error, sqlite3.Error) else str(error)
                log.warning("could not close the journal in order", why=why)

    def size(self) -> int:
        """See `JournalInFiles`."""
        total = 0
        for path in (self._path, self._path.with_name(self._path.name + "-wal")):
            with contextlib.suppress(OSError):  # it is not there, or not yet
                total += path.stat().st_size
        return total

    # --- transactions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or, after any error, nothing.

        Raises:
            sqlite3.Error: Nothing of it is kept.
            Uncertain: Something of it may be.
        """
        connection = self._connection
        written = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            written = True
            connection.execute("COMMIT")
        except BaseException as error:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if written and not _surely_not_kept(error):
                    # It may be in the log, whole; this takes its place there.
                    connection.execute("UPDATE meta SET repairs = repairs + 1")
            except sqlite3.Error as trouble:
                raise Uncertain(
                    f"the journal {self._path} may or may not have kept a change: {reason(trouble)}"
                ) from error
            raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._not_kept(reason(error)) from None

    def _not_kept(self, why: str) -> JournalError:
        return JournalError(why)  # which journal is nobody's business but the log's

    @contextlib.contextmanager
    def _synchronous(self, wait: bool) -> Iterator[None]:
        """Whether to wait for the disk this once, and with it for all that came before."""
        if not wait:
            yield
            return
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._set_synchronous()

    def _set_synchronous(self) -> None:
        mode = "FULL" if self._durability is Durability.POWER else "NORMAL"
        self._connection.execute(f"PRAGMA synchronous = {mode}")

    def _write_meta(self, meta: Meta) -> None:
        self._connection.execute(
            "INSERT INTO meta VALUES (1, ?, 0) ON CONFLICT DO UPDATE SET record = excluded.record",
            (_encode(meta),),
        )


def _surely_not_kept(error: BaseException) -> bool:
    """Whether not all of it was written: what makes it whole is written last."""
    if not isinstance(error, sqlite3.Error):
        return False
    full = primary_code(error) == sqlite3.SQLITE_FULL
    return full or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_WRITE


def _encode(record: object) -> str:
    return msgspec.json.encode(record).decode()


def _first_of(problems: tuple[str, ...]) -> str:
    more = len(problems) - 1
    return problems[0] + (f", and {more} more" if more else "")
