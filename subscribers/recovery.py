"""What has become of the lines that a logger was writing when it was killed: pure decisions.

What the logger notes in the file beside its log is a `Bookmark`: how far the event stream has been
logged, once the lines of a `Batch` are in the log; and that batch, word for word, with the place
where it is to be. It is noted before the first of its bytes is written (see `logfile`).

So after a kill there is no need to ask whether the registry still remembers what was being
written: `find_batch` looks for the batch in the files that there are, and says whether it is all
there, where the rest of it belongs, or that it has to be written again. Nothing that somebody may
have read already is ever taken back.
"""

import enum
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from ..events.records import Cursor

FORMAT: Final = 1
"""Number of the format of bookmarks."""


@attrs.frozen
class Batch:
    """Lines that are about to be written.

    Attributes:
        device: Of the file that they are to be in: the number of its file system,
        inode: and its own.
        offset: Its size before.
        lines: What to append to it.
    """

    device: int
    inode: int
    offset: int
    lines: str

    @property
    def data(self) -> bytes:
        """The lines, as they are in the file."""
        return self.lines.encode()


@attrs.frozen
class Bookmark:
    """Where a log is.

    Attributes:
        cursor: Where to go on in the event stream; None is at its beginning.
        pending: Lines that have to be in the log before, and may not be.
    """

    cursor: Cursor | None = None
    pending: Batch | None = None


@attrs.frozen
class _Note:
    """A bookmark, as it is in its file."""

    format: int
    cursor: str | None
    pending: Batch | None


def encode_bookmark(bookmark: Bookmark) -> bytes:
    """A bookmark as a line of JSON."""
    cursor = None if bookmark.cursor is None else str(bookmark.cursor)
    return msgspec.json.encode(_Note(FORMAT, cursor, bookmark.pending)) + b"\n"


def decode_bookmark(data: bytes) -> Bookmark:
    """Read what `encode_bookmark` gave.

    Raises:
        ValueError: It is something else.
    """
    note = msgspec.json.decode(data, type=_Note)
    if note.format != FORMAT:
        raise ValueError(f"it is of format {note.format}, and this version reads {FORMAT}")
    if note.pending is not None and note.pending.offset < 0:
        raise ValueError(f"{note.pending.offset} is no place in a file")
    return Bookmark(None if note.cursor is None else Cursor.parse(note.cursor), note.pending)


@attrs.frozen
class Candidate:
    """A file in which a batch may be: the log, or one that a rotation has made of it.

    Attributes:
        name: Where it is.
        same: Whether it is the very file that the batch was written to, whatever its name is now.
        size: How long it is.
        at: What it has at the place of the batch: no more than the batch is long.
        end: What it ends with, as much at the most.
    """

    name: str
    same: bool
    size: int
    at: bytes
    end: bytes


class Fate(enum.Enum):
    """What has become of a batch."""

    WRITTEN = "all of it is in a file"
    PARTLY = "the beginning of it, or nothing, is in a file that is there: the rest belongs there"
    UNKNOWN = "no file shows whether it was written"


@attrs.frozen
class Finding:
    """What has become of a batch, and what to do about it.

    Attributes:
        fate: What.
        name: The file in which it is, or the rest of it belongs.
        size: How long that file is without what is to be cut off;
        written: and how many bytes of the batch it has then.
    """

    fate: Fate
    name: str = ""
    size: int = 0
    written: int = 0


def find_batch(batch: Batch, candidates: Sequence[Candidate]) -> Finding:
    """Say what has become of a batch, after the one who was writing it is dead.

    Lines have their time in them, to the microsecond: that a file has the same ones at the same
    place, or ends with them, by chance is out of the question.

    Args:
        batch: What was to be written.
        candidates: The files that there are; first the very file, if it is there.
    """
    data = batch.data
    for candidate in candidates:
        # A copy has it where it was; a file that was emptied just before it came, at its end.
        if data in (candidate.at, candidate.end):
            return Finding(Fate.WRITTEN, candidate.name)
    for candidate in candidates:
        finding = _beginning(batch, candidate)
        if finding is not None:
            return finding
    for candidate in candidates:
        if candidate.same and _is_blank(batch, candidate):
            return Finding(Fate.PARTLY, candidate.name, batch.offset)
        if candidate.same and candidate.size < batch.offset and _has_copy(batch, candidates):
            return Finding(Fate.PARTLY, candidate.name, candidate.size)
    return Finding(Fate.UNKNOWN)


def _is_blank(batch: Batch, candidate: Candidate) -> bool:
    """Whether nothing is at its place, and nothing after it."""
    place = range(batch.offset, batch.offset + len(batch.data) + 1)
    return candidate.size in place and not candidate.at.rstrip(b"\0")


def _has_copy(batch: Batch, candidates: Sequence[Candidate]) -> bool:
    """Whether there is a copy of the file from just before it: then it is in none, for certain."""
    return any(c.size == batch.offset for c in candidates if not c.same)


def _beginning(batch: Batch, candidate: Candidate) -> Finding | None:
    """The file's end, if that is the beginning of the batch; a power cut may leave zeros behind."""
    begun = candidate.at.rstrip(b"\0")
    place = batch.offset
    if candidate.same and candidate.size < batch.offset:  # it was emptied, and then written to
        begun, place = candidate.end, 0
        if candidate.size > len(begun):
            return None
    if not begun or not batch.data.startswith(begun) or candidate.size > place + len(batch.data):
        return None
    return Finding(Fate.PARTLY, candidate.name, place + len(begun), len(begun))
