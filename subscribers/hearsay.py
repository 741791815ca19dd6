"""What the event stream has said: how far it is, when it was last heard, and what to keep of it."""

from collections import deque
from typing import Final

from ..events.messages import InfoReply
from ..events.protocol import DEFAULT_TICK_INTERVAL, MAX_ADDR, STALE_AFTER_TICKS
from ..events.records import Cursor, Event, StreamMessage
from ..events.text import printable

MAX_KEPT: Final = 10_000
"""Events kept while something is fetched. Losing more than that makes it start anew."""


class Hearsay:
    """The stream, as far as it was heard. Times are in seconds on a monotonic clock.

    Attributes:
        url: The stream's address, as it may be shown.
        place: Where the stream was: its latest message; None before the first.
        time: The registry's time in the latest message of all, in seconds since 1970.
        tick_interval: Seconds between two ticks.
        heard_at: When that message came, or the socket was new.
        behind: The seq of a message that was behind what is known, if that was the last word.
    """

    def __init__(self) -> None:
        self.url = ""
        self.place: StreamMessage | None = None
        self.time = 0.0
        self.tick_interval = DEFAULT_TICK_INTERVAL
        self.behind: int | None = None
        self.heard_at = 0.0
        self._patience = 0.0  # with a new socket
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)

    def begin(self, url: str, tick_interval: float, patience: float, now: float) -> None:
        """A new socket: nothing has been heard from it yet.

        Args:
            url: The stream's address.
            tick_interval: Seconds between two ticks.
            patience: Seconds that the first word may take, over a slow link.
            now: The time.
        """
        self.url = printable(url, MAX_ADDR)
        self._patience = patience
        self.place = None
        self.behind = None
        self.tick_interval = tick_interval
        self.heard_at = now

    def hear(self, message: StreamMessage, known: Cursor | Event | None, now: float) -> bool:
        """Take note of a message.

        Args:
            message: It.
            known: What leads to the place in the stream that is known already.
            now: The time.

        Returns:
            False if the stream, or what is known, is further on: then it is no sign of life.
        """
        seq, place = message.seq, self.place
        if (place is not None and place.seq > seq and place.epoch == message.epoch) or (
            known is not None and known.seq > seq and known.epoch == message.epoch
        ):
            self.behind = seq
            return False
        self.place = message
        self.time = message.time
        self.behind = None
        self.heard_at = now
        return True

    @property
    def silence(self) -> float:
        """How long it may be silent, in seconds."""
        return STALE_AFTER_TICKS * self.tick_interval

    @property
    def silent_at(self) -> float:
        """When it will have been silent for too long."""
        patience = self._patience if self.place is None else 0.0
        return self.heard_at + max(self.silence, patience)

    def why_silent(self, known: int) -> str:
        """In words why it counts as silent.

        Args:
            known: Number of the last event that is known.
        """
        if self.behind is None:
            return f"the event stream at {self.url} is silent"
        seq = max(known, self.place.seq if self.place else 0)
        return f"the event stream at {self.url} is at {self.behind}, and was at {seq} before"

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


def stream_url(url: str, info: InfoReply) -> str | None:
    """Where a registry's event stream is: as it says, or at its port on the registry's host."""
    if isinstance(info.events_url, str):
        return info.events_url or None
    if isinstance(info.events_port, int) and info.events_port and url.startswith("tcp://"):
        return f"{url.rpartition(':')[0]}:{info.events_port}"
    return None
