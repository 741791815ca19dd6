"""A journal for a registry that is killed at a chosen step between a change and its reply."""

import enum
from collections.abc import Callable

from devicewatch.events.errors import JournalError
from devicewatch.events.records import Event
from devicewatch.registry.journal import Change, MemoryJournal


class Step(enum.Enum):
    """What a registry has just done when it is killed."""

    CHANGED = "its state, and nothing else"
    KEPT = "the change is in the journal"
    PUBLISHED = "a message has gone out to the subscribers"
    ANSWERED = "all of it, but the reply has not left"


class Death(Exception):
    """The registry's process is no more."""


class MortalJournal(MemoryJournal):
    """Keeps what it is given, unless it is told otherwise.

    Args:
        tell: Told of each event that was kept.

    Attributes:
        die_after: The step after which the process dies, once something has changed.
        full: Whether there is no room for any change.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        super().__init__()
        self.die_after: Step | None = None
        self.full = False
        self._tell = tell
        self._has_changed = False

    def append(self, change: Change) -> None:
        """Keep a change, or die, or have no room."""
        self._has_changed = True
        self.may_die(Step.CHANGED)
        if self.full:
            raise JournalError("the disk is full")
        super().append(change)
        for event in change.events:
            self._tell(event)
        self.may_die(Step.KEPT)

    def may_die(self, step: Step) -> None:
        """This step has been done."""
        if self._has_changed and step is self.die_after:
            self.die_after = None
            raise Death
        if step is Step.ANSWERED:
            self._has_changed = False

    def close(self) -> None:
        """Nobody dies of what happened before."""
        super().close()
        self.die_after, self._has_changed = None, False
