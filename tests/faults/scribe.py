"""Watchers that write down all they are told, to be judged when it is known what really happened.

A scribe may live several lives: it is closed, and resumes where it had stopped reading. What it
has written in all of them is one history, as long as it could resume.
"""

import random
import threading
from collections.abc import Iterable
from itertools import dropwhile
from typing import Any, Final, Self

import attrs
import zmq

from devicewatch.events import Added, Cursor, Device, Event, Live, Record, Removed, Stale, State
from tests.promises.validators import BrokenPromise, Judge, Truth, promise
from tests.support.watchers import AnyWatcher

LIVES: Final = (1, 2, 5, 20, 100)
"""Records that one life may last for."""

PAUSES: Final = (0.0, 0.02, 0.2)
"""Seconds from one life to the next."""


@attrs.frozen
class Entry:
    """A record, and what the watcher said of itself right after it."""

    record: Record
    devices: dict[str, Device]
    cursor: Cursor | None


@attrs.define
class Life:
    """What one watcher has told, from its beginning to its end."""

    since: Cursor | None
    resumed: bool | None = None
    entries: list[Entry] = attrs.field(factory=list)


class Scribe:
    """Follows a registry, in a thread and with a ZeroMQ context of its own.

    Args:
        kind: Of watcher.
        url: The registry's address.
        dice: Decides how long its lives are; None for a single one.
        options: More for the watcher.

    Attributes:
        watcher: The present one; None before the first.
        lives: What it has written down.
    """

    def __init__(
        self, kind: type[AnyWatcher], url: str, dice: random.Random | None = None, **options: Any
    ) -> None:
        self.watcher: AnyWatcher | None = None
        self.lives: list[Life] = []
        self._kind = kind
        self._url = url
        self._options = options
        self._dice = dice
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._thread = threading.Thread(target=self._run, name="devicewatch-test-scribe")
        self._thread.start()

    # --- for the test -------------------------------------------------------------------------

    @property
    def device_type(self) -> str | None:
        """What it follows; None is everything."""
        device_type: str | None = self._options.get("device_type")
        return device_type

    @property
    def records(self) -> list[Record]:
        """All it has been told, so far."""
        return [entry.record for life in self.lives for entry in life.entries]

    @property
    def events(self) -> list[Event]:
        """The same, without word on the view."""
        return [record for record in self.records if isinstance(record, Added | Removed)]

    @property
    def why(self) -> str:
        """Why it is stale; empty if it is not."""
        return self.watcher.status.why if self.watcher is not None and self.is_stale else ""

    @property
    def is_stale(self) -> bool:
        """Whether its view was live, and is not any longer."""
        return self.watcher is not None and self.watcher.status.state is State.STALE

    def settle(self) -> None:
        """Let its present life last."""
        self._dice = None

    def is_at(self, cursor: Cursor) -> bool:
        """Whether it is live, and has read and written down everything up to there."""
        if self._error is not None:
            raise self._error
        watcher, entries = self.watcher, self.lives[-1].entries if self.lives else []
        if watcher is None or not entries or watcher.status.state is not State.LIVE:
            return False
        latest = entries[-1]  # it may be older, if what came since is of no interest
        written = latest.cursor == cursor or self.device_type is not None
        return watcher.cursor == cursor and written and watcher.devices == latest.devices

    def close(self) -> None:
        """Follow no longer: its context is terminated, whatever it is doing (P13)."""
        self._over.set()
        self._context.term()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self._kind.__name__} {self._options}, in its life {len(self.lives)}>"

    # --- the judgement ------------------------------------------------------------------------

    def judge(self, truth: Truth) -> int:
        """See whether all it was told is as promised. Raises `BrokenPromise`.

        Returns:
            How many events that was.
        """
        judge = Judge(truth, self.device_type)
        for number, life in enumerate(self.lives, 1):
            entries = life.entries
            if life.since is not None:  # until it has got through, its devices are none
                entries = list(dropwhile(lambda e: isinstance(e.record, Stale), entries))
                if entries and not _has_resumed(life.since, life.resumed, entries, truth):
                    judge = Judge(truth, self.device_type)  # what was known is void
            for index, entry in enumerate(entries):
                try:
                    judge.see(entry.record)
                    judge.sees(entry.devices, entry.cursor)
                except BrokenPromise as error:
                    before = "\n  ".join(str(e.record) for e in entries[max(0, index - 5) : index])
                    error.add_note(f"told to {self!r}, in its life {number}, after\n  {before}")
                    raise
        return len(self.events)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._live()
        except zmq.ContextTerminated:
            return
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            self._error = error

    def _live(self) -> None:
        dice = self._dice
        left = dice.choice(LIVES) if dice else 1
        place = self.lives[-1].since if self.lives else None
        for entry in self.lives[-1].entries if self.lives else ():
            if isinstance(entry.record, Added | Removed | Live):
                place = entry.record.cursor
        life = Life(place)
        self.lives.append(life)
        with self._kind(self._url, since=place, context=self._context, **self._options) as watcher:
            self.watcher = watcher
            for record in watcher.records():
                life.entries.append(Entry(record, dict(watcher.devices), watcher.cursor))
                if life.resumed is None:
                    life.resumed = watcher.resumed
                left -= 1
                if left <= 0 and self._dice is not None:
                    break
        if dice is not None:
            self._over.wait(dice.choice(PAUSES))


def _has_resumed(
    since: Cursor, resumed: bool | None, entries: Iterable[Entry], truth: Truth
) -> bool:
    promise("P3", resumed is not None, "it does not know whether it has resumed")
    for entry in () if resumed else entries:
        at = entry.cursor
        if at is None or at.epoch != since.epoch:
            return False
        gap = at.seq - since.seq
        promise("P3", gap > truth.history, f"not resumed over a gap of {gap}, at {entry.record}")
        return False
    return True
