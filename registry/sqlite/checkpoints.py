"""The thread that puts what a `SqliteJournal` has kept on the disk, and into the file proper.

Appending to the log is a matter of microseconds; waiting for the disk is one of milliseconds, or of
seconds on a poor one. So the registry's loop does the former and this thread the latter, about
once a second while there is something to do.

Copying the log into the file does not hold up whoever appends to it. But as long as changes keep
coming, no moment may be found at which all of it has been copied and it can begin anew. When it has
grown long, the thread makes such a moment: it copies nearly everything, and then holds appends back
while it copies what has come meanwhile.
"""

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
"""Bytes of the log, at which it is made to begin anew."""


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
            # A connection for each, so that one that has met with trouble is not used again.
            with closing(connect(self._path, patience=0)) as connection:
                self._checkpoint(connection)
        except sqlite3.Error as error:
            self._appends += 1  # what is not on the disk yet is tried again
            if not self._failing:  # once, and not every second
                log.warning("cannot write the journal's file", why=reason(error))
            self._failing = True
        else:
            self._failing = False

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages * page_size > LONG_LOG:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._gate, self._log:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
