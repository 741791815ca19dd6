"""A log file, and beside it how far it has got: each line is in it once, whoever is killed when.

Theory of operation
===================

Lines come with the cursor that they lead to, and are written in batches, of as many as there are.
For every batch:

1. Note it: the file beside the log (`LOG.cursor`) is replaced, in one step, by one that has the
   batch, word for word, the place where it will be (which file, by its inode, and its size), and
   the cursor that counts once it is there.
2. Append it to the log, in one `write` as a rule.
3. Note that it is there: not before there is nothing more to write for the moment, since the note
   of the next batch says it as well. So a burst costs one small file and one rename a batch.

Killed before the first step is over, it was as if the batch had never come: the cursor is the one
before, and the registry tells it again. Killed later, the lines are in the note: on the next start
`recovery` finds out how much of them the log has, and the rest is appended. Nothing is ever cut off
of what somebody may have read, and the registry is not needed for it.

The file is found by its inode, so it may have been renamed meanwhile; the batch is compared byte
by byte, so it may have been copied. Only when no file there shows what became of it (a logger was
killed in that very moment, and the file compressed or deleted before the next one started), the
batch is written again, and a remark says that its lines may be there twice.

When the disk is full the first step fails, and nothing has happened: smaller batches are tried. Or
the second one does, half way: then what is there of the last line is cut off, at once, and the
lines that are left are written by the next `flush`, into the file that is there by then.

A process that is killed loses nothing that it has written, but a machine without power does. With
`Durability.POWER` each step waits for the disk.
"""

import contextlib
import fcntl
import itertools
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..events.durability import Durability
from ..events.errors import LogError
from ..events.records import Cursor
from ..events.text import printable
from .recovery import (
    Batch,
    Bookmark,
    Candidate,
    Fate,
    decode_bookmark,
    encode_bookmark,
    find_batch,
)

_MODE: Final = 0o640
"""Of new files; the umask may take from it."""

_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK

_END: Final = b"\n"

_LARGEST: Final = 2**16
"""Bytes of a batch, unless what belongs together has more."""

_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")


class LogFile:
    """A file that lines are appended to. All but `open` and `put` may be called from any thread.

    Args:
        path: Where it is. If that is a symbolic link, the file that it leads to now.
        durability: What its lines are to survive.

    Attributes:
        path: Where it really is.
        cursor: Where the event stream is to go on, after the lines that were put.
        remarks: What was not as it should be when it was opened, in words.
    """

    def __init__(
        self, path: str | os.PathLike[str], durability: Durability = Durability.PROCESS
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self.cursor: Cursor | None = None
        self.remarks: list[str] = []
        self._sync = durability is Durability.POWER
        self._lock = threading.Lock()  # for what may be done from any thread
        self._guard: int | None = None
        self._file: int | None = None
        self._torn = False  # whether the file ends within a line that nobody will finish
        self._rest = deque[tuple[bytes, Cursor | None]]()  # what was put, and is not written yet
        self._unsettled: Batch | None = None  # what the logger before this one was writing
        self._noted: Bookmark | None = None  # what the file beside it says

    # --- beginning and end --------------------------------------------------------------------

    def open(self) -> None:
        """Begin: nobody else may write to it meanwhile.

        Raises:
            LogError: Another logger does, or it cannot be written to.
        """
        try:
            if self.path.exists() and not self.path.is_file():
                raise LogError(f"{printable(self.path)} is no file; `-` is the standard output")
            with contextlib.ExitStack() as undo:
                undo.callback(self._let_go)
                self._lock_out_others()
                self._open_file()
                self._read_note()
                undo.pop_all()
        except OSError as error:
            why = error.strerror or error
            raise LogError(f"cannot log to {printable(self.path)}: {why}") from error

    def close(self) -> None:
        """Note how far it has got, and let others write to it. May be repeated."""
        self.settle()
        with self._lock:
            self._let_go()

    def abandon(self) -> None:
        """Let go of it as it is, as if killed. The next one brings it to its end."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._close_file()
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None

    def _lock_out_others(self) -> None:
        self._guard = os.open(self._beside(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogError(
                f"another logger writes to {printable(self.path)}; two would mix their lines"
            ) from None

    def _read_note(self) -> None:
        path = self._beside(".cursor")
        try:
            self._noted = decode_bookmark(path.read_bytes())
        except FileNotFoundError:
            if os.fstat(self._opened()).st_size:
                self.remarks.append(f"there is no {path.name}, which says where the log was")
        except ValueError as error:
            self.remarks.append(
                f"{path.name} is damaged, and says nothing: {printable(error, 200)}"
            )
        else:
            self.cursor = self._noted.cursor
            self._unsettled = self._noted.pending

    def forget(self, why: str) -> None:
        """Begin at the beginning of the stream: its cursor is none that a registry gives."""
        self.cursor = None
        self.remarks.append(f"{self._beside('.cursor').name} is damaged: {printable(why, 200)}")

    # --- writing ------------------------------------------------------------------------------

    def put(self, lines: str, cursor: Cursor | None) -> None:
        """Say what to write next, once all before is written. `flush` writes it.

        Args:
            lines: Whole lines that belong together: nobody could go on in the middle of them. No
                lines are a cursor that has moved by itself.
            cursor: Where to go on after them.
        """
        with self._lock:
            if lines:
                self._rest.append((lines.encode(), cursor))
            self.cursor = cursor

    def flush(self) -> None:
        """Write all that was put.

        Raises:
            OSError: It cannot be written; later it may be.
        """
        with self._lock:
            if self._unsettled is not None:
                self._recover(self._unsettled)
            while self._rest:
                if not self._append():
                    self._close_file()  # there is, or will be, another one of that name

    def settle(self) -> None:
        """Note that all is written, if it is. For when there is nothing else to do."""
        with self._lock:
            if self._guard is not None and self._unsettled is None and not self._rest:
                with contextlib.suppress(OSError):
                    self._note(Bookmark(self.cursor))

    def reopen(self) -> None:
        """Go on in the file that has this name now: what was there was moved away."""
        self.settle()
        with self._lock:
            if self._guard is not None:
                self._close_file()
                with contextlib.suppress(OSError):  # the next `flush` will say so
                    self._open_file()

    def _append(self) -> bool:
        """Write what is left; False if the file was deleted, or another one has its name."""
        file = self._opened()
        status = os.fstat(file)
        if not status.st_nlink or self._is_replaced(status):
            return False
        end = _END if self._torn else b""
        data = self._note_next(status, end)
        rest, error = _write(file, data)
        deleted = not os.fstat(file).st_nlink
        if not deleted and len(rest) < len(data):
            self._torn = False
            self._strike_off(len(data) - len(rest) - len(end))
        if error is not None:
            raise error
        self._sync_to_disk(file)
        return not deleted

    def _note_next(self, status: os.stat_result, end: bytes) -> bytes:
        """Note the next batch, as large a one as there is room for, and return it."""
        count = 0
        size = 0
        while count < len(self._rest) and (not count or size < _LARGEST):
            size += len(self._rest[count][0])
            count += 1
        while True:
            data = end + b"".join(lines for lines, _ in itertools.islice(self._rest, count))
            batch = Batch(status.st_dev, status.st_ino, status.st_size, data.decode())
            try:
                self._note(Bookmark(self._rest[count - 1][1], batch))
            except OSError:
                if count == 1:
                    raise
                count //= 2
            else:
                return data

    def _strike_off(self, written: int) -> None:
        """Forget what is written."""
        while self._rest and len(self._rest[0][0]) <= written:
            written -= len(self._rest.popleft()[0])
        if written:
            lines, cursor = self._rest[0]
            self._rest[0] = (lines[written:], cursor)

    def _note(self, bookmark: Bookmark) -> None:
        """Replace the file beside the log, in one step."""
        if bookmark == self._noted:
            return
        path, new = self._beside(".cursor"), self._beside(".cursor.new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        try:
            _, error = _write(file, encode_bookmark(bookmark))
            if error is not None:
                os.ftruncate(file, 0)  # there may be room for another one, or for the lines
                raise error
            self._sync_to_disk(file)
        finally:
            os.close(file)
        new.replace(path)
        self._noted = bookmark
        if self._sync:
            with _opened(self.path.parent, os.O_RDONLY | os.O_DIRECTORY) as folder:
                os.fsync(folder)

    # --- after a kill -------------------------------------------------------------------------

    def _recover(self, batch: Batch) -> None:
        """Bring what the logger before this one was writing to its end."""
        finding = find_batch(batch, list(self._candidates(batch)))
        if finding.fate is Fate.UNKNOWN:
            again = batch.data.removeprefix(_END)
            self._rest.appendleft((again, None if self._noted is None else self._noted.cursor))
            self.remarks.append(
                "a logger was killed while it wrote to a file that is gone; "
                f"the {again.count(_END)} lines before this one may be there, too"
            )
        elif finding.fate is Fate.PARTLY:
            with _opened(finding.name, _APPEND) as file:
                if os.fstat(file).st_size > finding.size:
                    os.ftruncate(file, finding.size)
                _, error = _write(file, batch.data[finding.written :])
                if error is not None:
                    raise error
                self._sync_to_disk(file)
        self._close_file()  # it may not end within a line any more
        self._unsettled = None

    def _candidates(self, batch: Batch) -> Iterator[Candidate]:
        """The files in which a batch may be; first the very one that it was written to."""
        length = len(batch.data)
        found: list[Candidate] = []
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if not self._may_have_it(entry, batch):
                        continue
                    with _opened(entry.path, os.O_RDONLY | os.O_CLOEXEC) as file:
                        status = os.fstat(file)
                        same = (status.st_dev, status.st_ino) == (batch.device, batch.inode)
                        size = status.st_size
                        at = os.pread(file, length, batch.offset)
                        end = os.pread(file, length, max(0, size - length))
                        found.append(Candidate(entry.path, same, size, at, end))
        return iter(sorted(found, key=lambda candidate: not candidate.same))

    def _may_have_it(self, entry: os.DirEntry[str], batch: Batch) -> bool:
        if not entry.is_file(follow_symlinks=False) or entry.name.endswith(_COMPRESSED):
            return False
        ours = {self._beside(end).name for end in (".cursor", ".cursor.new", ".lock")}
        named_after = entry.name.startswith(self.path.stem) and entry.name not in ours
        return named_after or entry.inode() == batch.inode

    # --- the file -----------------------------------------------------------------------------

    def _opened(self) -> int:
        return self._open_file() if self._file is None else self._file

    def _open_file(self) -> int:
        file = os.open(self.path, _APPEND | os.O_CREAT, _MODE)
        size = os.fstat(file).st_size
        self._torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        self._file = file
        return file

    def _is_replaced(self, status: os.stat_result) -> bool:
        """Whether another file has its name now. While there is none, it is only on its way."""
        try:
            return not os.path.samestat(status, self.path.stat())
        except FileNotFoundError:
            return False

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    def _sync_to_disk(self, file: int) -> None:
        if self._sync:
            os.fsync(file)


def _write(file: int, data: bytes) -> tuple[bytes, OSError | None]:
    """Append all of it, or as many whole lines as can be; return the rest, and what was wrong."""
    written = 0
    view = memoryview(data)
    try:
        while written < len(data):
            written += os.write(file, view[written:])
    except OSError as error:
        whole = data.rfind(b"\n", 0, written) + 1
        try:
            if whole < written:
                os.ftruncate(file, os.fstat(file).st_size - (written - whole))
        except OSError:
            whole = written
        return data[whole:], error
    return b"", None


@contextlib.contextmanager
def _opened(path: str | Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags)
    try:
        yield file
    finally:
        os.close(file)
