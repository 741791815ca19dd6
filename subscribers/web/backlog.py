"""What browsers have been told lately, so that one that comes back gets just what it missed.

A record is told under an *id*, which a browser sends back when it reconnects: the record's cursor,
so that a server that was started anew, and has read the past from the registry's history, knows
it as well. Records that leave the cursor where it was are counted after it: `42+1-LIFE/EPOCH` is
the first word on the view after event 42, `42~1-LIFE/EPOCH` the first part of a difference there.
`LIFE` is another one for each server, as each counts for itself: what one says of its own view
means nothing to the next one, which goes on after the event; in the midst of a difference nobody
else can go on.

Pure, and bounded in number and in bytes. Nobody has a queue: readers have a position in here. One
who is so slow that what comes next for it has been dropped has to begin anew.
"""

from collections import deque
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import attrs

from ...events.records import Cursor

MAX_RECORDS: Final = 20_000
MAX_BYTES: Final = 32 * 1024 * 1024
"""What is kept at the most; a device's metadata may be large."""

PIECE: Final = 64 * 1024
"""Bytes that a browser is handed at a time, or one record."""


@attrs.frozen
class _Entry:
    id: str
    frame: bytes


def wire_id(cursor: Cursor, mark: str = "") -> str:
    """A cursor as the id of a server-sent event: a line of ASCII, whatever the epoch is called."""
    numbers, _, epoch = str(cursor).partition("/")
    return f"{numbers}{mark}/{quote(epoch.encode(errors='surrogatepass'), safe='/')}"


def read_id(text: str) -> str:
    """An id in the one way to write it: a browser's own program may have encoded more or less.

    In a URL a plus that was not encoded is a space.
    """
    numbers, _, epoch = text.strip().partition("/")
    return f"{numbers.replace(' ', '+')}/{quote(unquote_to_bytes(epoch), safe='/')}"


class Backlog:
    """The last records, in order, each as a finished server-sent event.

    Args:
        since: The cursor after which they begin.
        life: What no other backlog has, in letters and digits: it tells what is counted here from
            what another one has counted.
        max_records: How many to keep.
        max_bytes: How much to keep; the newest one always is.
    """

    def __init__(
        self,
        since: Cursor,
        *,
        life: str,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._life = life
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._cursor = since
        self._told = 0  # records since the cursor came to be there
        self._before = self._last = wire_id(since)
        self._end = 0
        self._after = {self._before: 0}  # the position after each id

    @property
    def last_id(self) -> str:
        """The id of the last record, or of where it all began."""
        return self._last

    @property
    def cursor(self) -> Cursor:
        """Where the last record has led to."""
        return self._cursor

    @property
    def end(self) -> int:
        """The position after the last record."""
        return self._end

    @property
    def begin(self) -> int:
        """The position before the oldest record that is kept."""
        return self._end - len(self._entries)

    def add(self, kind: str, cursor: Cursor | None, data: bytes) -> None:
        """Tell one more record.

        Args:
            kind: What it is, in one word.
            cursor: Where it leads to; None if it says nothing of that.
            data: The record, on one line.
        """
        if cursor is None or cursor == self._cursor:
            self._told += 1
            mark = "~" if kind in ("added", "removed") else "+"
            name = wire_id(self._cursor, f"{mark}{self._told}-{self._life}")
        else:
            self._cursor, self._told = cursor, 0
            name = wire_id(cursor)
        frame = b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), name.encode(), data)
        self._entries.append(_Entry(name, frame))
        self._bytes += len(frame)
        self._end += 1
        self._after[name] = self._end
        self._last = name
        while len(self._entries) > self._max_records or (
            self._bytes > self._max_bytes and len(self._entries) > 1
        ):
            self._drop_oldest()

    def find(self, text: str) -> int | None:
        """The position from which to go on after an id; None if that is not known (any more)."""
        wanted = read_id(text)
        numbers, _, epoch = wanted.partition("/")
        event = f"{numbers.partition('+')[0]}/{epoch}"
        return self._after.get(wanted, self._after.get(event))

    def read(self, position: int) -> tuple[bytes, int] | None:
        """What comes next, as far as it fits into a piece, and the position after it.

        Returns:
            None if some of it has been dropped.
        """
        if position < self.begin:
            return None
        frames: list[bytes] = []
        size = 0
        while position < self._end:
            frame = self._entries[position - self.begin].frame
            if frames and size + len(frame) > PIECE:
                break
            frames.append(frame)
            size += len(frame)
            position += 1
        return b"".join(frames), position

    def _drop_oldest(self) -> None:
        if self._after[self._before] == self.begin:  # and no later record has the same id
            del self._after[self._before]
        oldest = self._entries.popleft()
        self._before = oldest.id
        self._bytes -= len(oldest.frame)
