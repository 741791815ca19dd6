"""`devicewatch`, with a registry that breaks P10: so that it is known that a crash would show it.

Each liar is a process, too; commands other than `serve` are as they always are.
"""

import enum
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from devicewatch.events.records import Event
from devicewatch.registry import cli, loop, server
from devicewatch.registry.commands import serve
from devicewatch.registry.journal import Change
from devicewatch.registry.sqlite import SqliteJournal
from tests.promises.broken import GivesOutNewSecrets, GoesOnWithOldLeases, PublishesFirst

SLOW: Final = 0.1
"""Seconds that a disk may take."""


class LaggingJournal(SqliteJournal):
    """Keeps each change together with the next: when it is killed, the last one is lost."""

    _late: Change | None = None

    def append(self, change: Change) -> None:
        late, self._late = self._late, change
        if late is not None:
            super().append(late)


class SlowJournal(SqliteJournal):
    """Takes its time. That is no lie."""

    def append(self, change: Change) -> None:
        threading.Event().wait(SLOW)
        super().append(change)


class PublishesAtOnce(PublishesFirst):
    """Does not even wait for the end of the batch."""

    def _publish_all(self, events: Sequence[Event]) -> None:
        super()._publish_all(events)
        the_loop: Any = getattr(self._publish, "__self__", None)
        the_loop._send()


class Lie(enum.Enum):
    """What a registry may do wrong."""

    LAGGING = "it replies before it has kept the last change"
    PUBLISHING_FIRST = "it publishes what it has not kept"
    NEW_SECRETS = "after a restart it has forgotten the uuids"
    OLD_LEASES = "the time without a registry counts as silence"


_DOUBLES: Final[dict[Lie, list[tuple[ModuleType, str, type]]]] = {
    Lie.LAGGING: [(serve, "SqliteJournal", LaggingJournal)],
    Lie.PUBLISHING_FIRST: [
        (loop, "Service", PublishesAtOnce),
        (serve, "SqliteJournal", SlowJournal),
    ],
    Lie.NEW_SECRETS: [(server, "RegistryCore", GivesOutNewSecrets)],
    Lie.OLD_LEASES: [(server, "RegistryCore", GoesOnWithOldLeases)],
}


def command(lie: Lie) -> tuple[str, ...]:
    """What to run in place of `python -m devicewatch.registry`."""
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import {__name__} as liars; "
    return (sys.executable, "-c", f"{code} liars.main(liars.Lie.{lie.name})")


def main(lie: Lie) -> None:
    """Tell the lie, with the arguments of `devicewatch`."""
    for place, name, double in _DOUBLES[lie]:
        setattr(place, name, double)
    cli.main()
