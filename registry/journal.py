"""What is kept of a registry, so that after a restart it goes on as if it had paused (P10).

Theory of operation
===================

Whatever a few requests that come together, or the passing of time, change is one `Change`. The
registry hands it to its journal before anybody hears of it (see `service`): durable, then
published, then replied. A change is kept whole or not at all; where it cannot be kept it is taken
back, and the journal, the registry and the event stream still agree.

What is kept is what the next run cannot find out by itself: who is registered, under which uuid
and with which lease; the epoch and seq; and the last events, so that a watcher goes on across the
restart as across any other gap. When a lease ends is not: each starts anew, in full, so a
renewal, by far the most frequent request, costs the journal nothing. Only one that changes the
length of the lease is a change.

A journal here needs no more than to keep changes in order; that suits a file (`sqlite`), a
program's memory, and a store on several machines alike.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol, final, runtime_checkable

import attrs

from ..events.errors import JournalError
from ..events.messages import Register
from ..events.records import Device, Event, Removed


@attrs.frozen(eq=False)
class Registration:
    """A device, and what only it and the registry know.

    Attributes:
        device: What everybody knows of it.
        uuid: Its secret.
        lease: Length of its lease as it stands, in seconds: that of its last renewal.
        request: How it asked for this, to tell when it asks for the same again.
        peer: Who asked: a key or, in a registry without keys, the address that it was asked from;
            empty where that is not known.
    """

    device: Device
    uuid: str = attrs.field(repr=False)
    lease: float
    request: Register
    peer: str = ""


@attrs.frozen
class Change:
    """What a few requests, or the passing of time, have changed.

    Attributes:
        events: What is to be published once this is kept; in order, without a hole. A `Removed`
            ends the registration whose revision it names.
        registrations: Those that are new, and those whose lease has another length now; a revision
            that is known already stands for the latter. Each is there once, as it is at the end;
            one that came and went within this change is in the events only.
    """

    events: Sequence[Event] = ()
    registrations: Sequence[Registration] = ()


@attrs.frozen
class Past:
    """What a registry goes on from.

    Attributes:
        epoch: The life of the numbering that goes on.
        seq: Number of its latest event.
        registrations: Everyone who is registered, in order of revision.
        events: The latest events, the last of which is number `seq`; without a hole.
    """

    epoch: str
    seq: int = 0
    registrations: Sequence[Registration] = ()
    events: Sequence[Event] = ()


class Journal(Protocol):
    """Where changes are kept. One registry at a time has it, and one thread at a time uses it."""

    def load(self, epoch: str, history: int) -> Past:
        """Take possession of the journal, and give what it has kept.

        Args:
            epoch: Begins a journal that is new.
            history: How many of the latest events are worth keeping.

        Raises:
            JournalError: It cannot be used, or what it holds cannot be trusted.
        """

    def append(self, change: Change) -> None:
        """Keep a change. When this returns, it survives what the journal promises to survive.

        Raises:
            JournalError: It is not kept, for certain, and nothing of it is. Later ones may be.
                Where that is not certain, anything else is to be raised: the registry then stops.
        """

    def close(self) -> None:
        """Let go of it. May be repeated."""


@runtime_checkable
class JournalInFiles(Protocol):
    """What a journal may also be able to say."""

    def size(self) -> int:
        """How many bytes its files have at the moment. May be asked from any thread."""


class MemoryJournal:
    """A journal that lasts as long as the program.

    A registry that is started with the journal of one that was stopped goes on where that stopped.
    """

    def __init__(self) -> None:
        self._in_use = False
        self._epoch: str | None = None
        self._seq = 0
        self._registrations: dict[int, Registration] = {}
        self._events: deque[Event] = deque()

    def load(self, epoch: str, history: int) -> Past:
        """See `Journal`."""
        if self._in_use:
            raise JournalError("this journal belongs to another registry that is running")
        self._in_use = True
        self._epoch = self._epoch or epoch
        self._events = deque(self._events, maxlen=history)
        return Past(
            self._epoch, self._seq, tuple(self._registrations.values()), tuple(self._events)
        )

    def append(self, change: Change) -> None:
        """See `Journal`. It never fails."""
        for event in change.events:
            self._seq = event.seq
            self._events.append(event)
            if isinstance(event, Removed):
                self._registrations.pop(event.device.revision, None)
        for registration in change.registrations:
            self._registrations[registration.device.revision] = registration

    def close(self) -> None:
        """See `Journal`."""
        self._in_use = False


@final
class NoJournal:
    """A journal that keeps nothing, for a registry that forgets everybody when it ends."""

    def load(self, epoch: str, history: int) -> Past:  # noqa: ARG002 - there is none
        """See `Journal`. There is no past."""
        return Past(epoch)

    def append(self, change: Change) -> None:
        """See `Journal`. Nobody has to call it."""

    def close(self) -> None:
        """See `Journal`."""
