"""What the event stream has said: how far it is, when it was last heard, and what to keep of it."""

from collections import deque
from typing import Final

from ..events.protocol import DEFAULT_TICK_INTERVAL, STALE_AFTER_TICKS
from ..events.records import Cursor, Event, StreamMessage

MAX_KEPT: Final = 10_000
"""Events kept while something is fetched. Losing more than that makes it start anew."""


class Hearsay:
    """The stream, as far as it was heard. Times are in seconds on a monotonic clock.

    Attributes:
        place: Where the stream was: its latest message; None before the first.
        time: The registry's time in the latest message of all, in seconds since 1970.
        tick_interval: Seconds between two ticks.
        behind: The seq of a message that was behind what is known, if that was the last word.
    """

    def __init__(self) -> None:
        self.place: StreamMessage | None = None
        self.time = 0.0
        self.tick_interval = DEFAULT_TICK_INTERVAL
        self.behind: int | None = None
        self._heard_at = 0.0
        self._patience = 0.0  # with a new socket
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)

    def begin(self, tick_interval: float, patience: float, now: float) -> None:
        """A new socket: nothing has been heard from it yet.

        Args:
            tick_interval: Seconds between two ticks.
            patience: Seconds that the first word may take, over a slow link.
            now: The time.
        """
        self._patience = patience
        self.place = None
        self.behind = None
        self.tick_interval = tick_interval
        self._heard_at = now

    def hear(self, message: StreamMessage, known: Cursor | None, now: float) -> bool:
        """Take note of a message.

        Args:
            message: It.
            known: Which place in the stream is known already.
            now: The time.

        Returns:
            False if the stream, or what is known, is further on: then it is no sign of life.
        """
        for place in (self.place, known):
            if place and place.seq > message.seq and place.epoch == message.epoch:
                self.behind = message.seq
                return False
        self.place = message
        self.time = message.time
        self.behind = None
        self._heard_at = now
        return True

    @property
    def silence(self) -> float:
        """How long it may be silent, in seconds."""
        return STALE_AFTER_TICKS * self.tick_interval

    @property
    def silent_at(self) -> float:
        """When it will have been silent for too long."""
        patience = self._patience if self.place is None else 0.0
        return self._heard_at + max(self.silence, patience)

    # --- what came while something was fetched --------------------------------------------------

    def forget(self) -> None:
        """Keep nothing of what has come so far."""
        self._kept.clear()

    def keep(self, message: StreamMessage) -> None:
        """Keep a message for later, if it is an event."""
        if isinstance(message, Event):
            self._kept.append(message)

    def kept(self, epoch: str, after: int = 0) -> list[Event]:
        """What was kept of an epoch, from after this number on, in order of seq."""
        by_seq = {event.seq: event for event in self._kept if event.epoch == epoch}
        return [event for seq, event in sorted(by_seq.items()) if seq > after]
