"""The thread that puts what a `SqliteJournal` has kept on the disk, and into the file proper.

Appending to the log is a matter of microseconds; waiting for the disk is one of milliseconds, or of
seconds on a poor one. So the registry's loop does the former and this thread the latter, about
once a second while there is something to do.

When the log has grown long, the thread copies it into the file, which does not hold up whoever
appends. Once all of it has been copied it begins anew, and its new beginning has to be on the disk
before anything else: for that, one append in some thousands waits. As long as changes keep coming,
no moment may be found at which all has been copied. When the log is far too long, the thread makes
such a moment: it holds appends back while it copies what has come since.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ...events.logs import get_logger
from .file import connect, reason

log = get_logger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two checkpoints: what a power cut may cost."""
EARLY: Final = 2_000
"""So many appends do not wait for the next one."""
LONG_LOG: Final = 16 * 1024 * 1024
"""Bytes of the log at which it is copied into the file."""
TOO_LONG: Final = 4 * LONG_LOG
"""Bytes of the log at which appends are held back, so that it can begin anew."""


class Checkpoints:
    """See the module. To be started, used and stopped by one thread at a time.

    Args:
        path: The file, which is open elsewhere already.
        interval: Seconds between two checkpoints.
    """

    def __init__(self, path: Path, interval: float = INTERVAL) -> None:
        self._path = path
        self._interval = interval
        self._appends = 0
        self._early = threading.Event()
        self._stopping = False
        self._failing = False
        # An append passes the gate and takes the log; the gate is free again at once. So the thread
        # gets its turn after the append that is under way, and not when appends happen to cease.
        self._gate = threading.Lock()
        self._log = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="devicewatch-journal", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the checkpoint that is being made."""
        self._stopping = True
        self._early.set()
        self._thread.join()

    @contextmanager
    def append(self) -> Iterator[None]:
        """Where a change is appended."""
        with self._gate:
            self._log.acquire()
        try:
            yield
        finally:
            self._log.release()
        self._appends += 1
        if self._appends >= EARLY:
            self._early.set()

    def _run(self) -> None:
        while not self._stopping:
            self._early.wait(self._interval)
            self._early.clear()
            if self._appends and not self._stopping:
                self._appends = 0
                self._attempt()

    def _attempt(self) -> None:
        try:
            size = self._wait_for_the_disk()
            if size > LONG_LOG:
                # A connection for each, so that one that has met with trouble is not used again.
                with closing(connect(self._path, patience=0)) as connection:
                    self._checkpoint(connection, size)
        except (OSError, sqlite3.Error) as error:
            self._appends += 1  # what is not on the disk yet is tried again
            if not self._failing:  # once, and not every second
                why = reason(error) if isinstance(error, sqlite3.Error) else str(error)
                log.warning("cannot write the journal's file", journal=str(self._path), why=why)
            self._failing = True
        else:
            self._failing = False

    def _wait_for_the_disk(self) -> int:
        """Until what has been appended so far is on it; how long the log is by now, in bytes."""
        descriptor = os.open(self._path.with_name(self._path.name + "-wal"), os.O_RDONLY)
        try:
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _checkpoint(self, connection: sqlite3.Connection, size: int) -> None:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if size > TOO_LONG:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._gate, self._log:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
