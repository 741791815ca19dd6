"""Pictures of all there is, for browsers that begin: as many as need be, and no more in memory.

What is large is shared by all who read it, and is made anew only if something has happened: a
snapshot once a second at the most, however many browsers come, and an old one is used again, with
the records after it, while many others are still being read. Whoever takes too long to read one is
cut off, so that slow readers do not fill the memory.
"""

import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import attrs

from ...events.records import Cursor
from .backlog import PIECE, Backlog
from .frames import sent_event

Piece: TypeAlias = bytes | memoryview

MAX_SNAPSHOTS: Final = 4
"""Snapshots that are read at a time, while the backlog knows what came after the last of them."""

LONGEST: Final = 60.0
"""Seconds in which a snapshot, or a list of the devices, has to be read."""

_AGE: Final = 1.0
"""Seconds for which a snapshot may be used again; the records after it are sent with it."""

_SAME_AGE: Final = 600.0
"""The same while nothing has happened: what ended long ago is to be forgotten some time."""

_CLOSING: Final = b"}\n\n"


class TooSlow(Exception):
    """Somebody takes longer to read something large than it is kept for."""


@attrs.frozen(eq=False)
class Snapshot:
    """All there was at one place in the backlog.

    Attributes:
        position: There.
        name: The id of the record before it.
        cursor: The place in the event stream; None before there is a view.
        devices: Those present, as a JSON list.
        timeline: Who was present when, as a JSON object.
        made_at: When, on the monotonic clock.
    """

    position: int
    name: str | None
    cursor: Cursor | None
    devices: bytes
    timeline: bytes
    made_at: float

    def pieces(self, head: bytes) -> list[Piece]:
        """It as a server-sent event.

        Args:
            head: The members to begin with, as a JSON object.
        """
        return cut_up(
            sent_event("snapshot", head, self.name).removesuffix(_CLOSING),
            b',"devices":',
            self.devices,
            b',"timeline":',
            self.timeline,
            _CLOSING,
        )


NOTHING: Final = Snapshot(0, None, None, b"[]", b'{"lanes":[],"gaps":[],"known_since":null}', 0.0)


class Snapshots:
    """Those that are in use."""

    def __init__(self) -> None:
        self._latest: Snapshot | None = None
        self._in_use: weakref.WeakSet[Snapshot] = weakref.WeakSet()

    def current(
        self, backlog: Backlog, make: Callable[[Backlog, float], Snapshot], now: float
    ) -> Snapshot:
        """One that may be of a moment ago, or of long ago if nothing has happened.

        Args:
            backlog: What has been told lately.
            make: Makes one of this moment.
            now: On the monotonic clock.
        """
        if self._latest is None or not self._will_do(self._latest, backlog, now):
            self._latest = make(backlog, now)
            self._in_use.add(self._latest)
        return self._latest

    def _will_do(self, snapshot: Snapshot, backlog: Backlog, now: float) -> bool:
        if snapshot.position < backlog.begin:
            return False
        if len(self._in_use) >= MAX_SNAPSHOTS:
            return True
        unchanged = snapshot.position == backlog.end
        return now - snapshot.made_at <= (_SAME_AGE if unchanged else _AGE)


def in_time(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Pieces, for as long as they may take.

    Raises:
        TooSlow: They take longer.
    """
    until = time.monotonic() + LONGEST
    for piece in pieces:
        if time.monotonic() > until:
            raise TooSlow
        yield piece


def cut_up(*parts: bytes) -> list[Piece]:
    """One after the other, in pieces; nothing is copied."""
    return [
        memoryview(part)[start : start + PIECE]
        for part in parts
        for start in range(0, len(part), PIECE)
    ]
