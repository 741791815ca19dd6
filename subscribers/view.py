"""What a mirror knows: which devices, as of which place in the stream, and what that is worth.

A view begins with the devices that are there, or, where an earlier watcher has told them, at that
watcher's cursor; from then on each event takes it one place further. When events are missed for
good, the devices found afterwards are compared with those known, and the difference takes it
there. Everything goes through the outbox, which hands it on.

The registry cannot be asked for its devices at a place in the past. But whatever has left since
is named in full by its `removed` (P7): so the devices as they are now, taken back by the events
since, are those of that place.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ..events.protocol import MAX_DEVICES, Origin
from ..events.records import Cursor, Device, Event, Live, Record, Stale, State, Status, Tick
from .outbox import MAX_WAITING, Outbox
from .snapshot import arrivals, difference, rewind

CLOCK_NOISE: Final = 0.1
"""Seconds: by how much the wall's clock may seem to have been set without having been."""


class View:
    """The devices known, and how they came to be. Times are in seconds on a monotonic clock.

    Args:
        since: Where an earlier watcher stopped; None to begin with the devices that are there.
        device_type: Only devices of this type are of interest; None is all of them.
        existing: Whether to hand out the devices that are there at the beginning.
        max_waiting: Events that may wait to be handed out.

    Attributes:
        place: What leads to where it is: the last event handed in, or a cursor; None before any.
        since: Where to resume, until it is known whether that can be done.
        resumed: Whether it was; None before that is known, or where it was not asked for.
        state: What the view is worth.
        state_since: From when on.
        trouble: Why it is not live, in words; empty while it is.
    """

    def __init__(
        self,
        since: Cursor | None = None,
        *,
        device_type: str | None = None,
        existing: bool = True,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.place: Cursor | Event | None = None
        self.since = since
        self.resumed: bool | None = None
        self.state = State.CONNECTING
        self.state_since = 0.0
        self.trouble = ""
        self._wall_offset = 0.0
        # A cursor in the middle of devices that are told is never in the middle of the beginning
        # of one who is not told of them.
        told = existing or since is not None
        self._outbox = Outbox(device_type=device_type, existing=told, limit=max_waiting)
        self._replayed: list[Event] = []  # what has happened after `since`
        self._resynced = False  # whether a difference was told after the last live view

    # --- out ----------------------------------------------------------------------------------

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices present, by name, after what was handed out so far: live, read-only."""
        return self._outbox.devices

    @property
    def cursor(self) -> Cursor | None:
        """The place in the stream after what was handed out so far; None before any."""
        return self._outbox.cursor

    @property
    def waiting(self) -> int:
        """How much waits to be handed out."""
        return len(self._outbox)

    @property
    def full(self) -> bool:
        """Whether the reader is so slow that no more events should be put in."""
        return self._outbox.full

    @property
    def has_room(self) -> bool:
        """Whether the reader is quick enough for more to be fetched."""
        return self._outbox.has_room

    def next_record(self) -> Record | None:
        """Hand out the next event, or word on the view; None if there is none for now."""
        return self._outbox.next()

    # --- what it is worth ---------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What it is worth now, whatever is still to be handed out."""
        return Status(self.state, self._time(self.state_since), self.trouble)

    def set_wall_offset(self, seconds: float) -> None:
        """Say what to add to the monotonic clock to get the time since 1970, for status.

        Below `CLOCK_NOISE` it is not a clock that was set, but two clocks read one after the other:
        a status that has not changed stays equal to itself.
        """
        if abs(seconds - self._wall_offset) >= CLOCK_NOISE:
            self._wall_offset = seconds

    def go_live(self, now: float) -> None:
        """It is right."""
        if (at := self.at) is None:
            raise RuntimeError("a view that leads nowhere cannot be right")
        self.state, self.state_since, self.trouble = State.LIVE, now, ""
        self._outbox.mark(Live(self._time(now), at, self._resynced))
        self._resynced = False

    def go_stale(self, why: str, now: float) -> None:
        """It may not be right any longer."""
        self.state, self.state_since, self.trouble = State.STALE, now, why
        self.tell_trouble(now)

    def tell_trouble(self, now: float) -> None:
        """Say that it is not right, whether it has ever been or not."""
        self._outbox.mark(Stale(self._time(now), self.trouble))

    def _time(self, now: float) -> float:
        return round(now + self._wall_offset, 6)

    # --- where it is --------------------------------------------------------------------------

    @property
    def at(self) -> Cursor | None:
        """The place in the stream that the events handed in so far lead to; None before any."""
        place = self.place
        return place.cursor if isinstance(place, Event) else place

    @property
    def seq(self) -> int:
        """Number of the last event handed in; -1 before any."""
        return -1 if self.place is None else self.place.seq

    def too_large(self, more: int) -> bool:
        """Whether with more events there may be more devices than any registry is believed."""
        outbox = self._outbox
        return outbox.size + len(self._replayed) + more > MAX_DEVICES

    def has_hole_before(self, message: Event | Tick) -> bool:
        """Whether something lies between what is known and this message."""
        if self.place is None or message.epoch != self.place.epoch:
            return True
        presumed = message.seq if isinstance(message, Tick) else message.seq - 1
        return presumed > self.place.seq

    def replay_from(self, epoch: str) -> int | None:
        """After which event of this epoch to replay; None if that would lead nowhere."""
        if self.since is not None and self.since.epoch != epoch:
            self.forget_since()
        place = self.since or self.place
        if place is None or place.epoch != epoch:
            return None
        return place.seq + len(self._replayed)

    # --- in -----------------------------------------------------------------------------------

    def follow(self, message: Event | Tick) -> bool:
        """Take in what the stream says next; False if the view would not be right after it."""
        place = self.place
        if place is None or message.epoch != place.epoch:
            return False
        if message.seq <= place.seq:
            return True
        if message.seq != place.seq + 1 or isinstance(message, Tick):
            return False
        if self._outbox.full or self._outbox.size >= MAX_DEVICES:
            return False
        self.put(message)
        return True

    def put(self, event: Event) -> None:
        """Take in the next event."""
        self._outbox.put(event)
        self.place = event

    def replay(self, events: Sequence[Event]) -> None:
        """Take in what follows `replay_from`; where it is to resume, `take` makes use of it."""
        if self.since is not None:
            self._replayed.extend(events)
            return
        for event in events:
            self.put(event)

    def forget_since(self) -> None:
        """It cannot resume: too much has happened since, or the registry has begun anew."""
        if self.since is not None:
            self.resumed = False
            self.since = None
            self._replayed = []

    def take(
        self, devices: Sequence[Device], at: Cursor, events: Sequence[Event], time: float
    ) -> bool:
        """Go where a snapshot is.

        Args:
            devices: The devices at `at`, in order of revision.
            at: Where the registry was.
            events: Those of this epoch that have come meanwhile, in order of seq.
            time: The registry's time when it was last heard, in seconds since 1970.

        Returns:
            False if it is to resume and an event is missing.
        """
        if self.since is not None and self.since.epoch != at.epoch:
            self.forget_since()
        if self.since is not None:
            return self._resume(self.since, devices, at, events)
        known = self.at
        if known is not None:
            changes = difference(self._outbox.known(), known, devices, at, time)
            self._outbox.put_difference(changes, at)
        else:
            origin = Origin.SNAPSHOT if self.resumed is None else Origin.RESYNC
            self._outbox.put_first(devices, at, origin)
        self._resynced = known is not None or self.resumed is False
        self.place = at
        return True

    def _resume(
        self, since: Cursor, devices: Sequence[Device], at: Cursor, kept: Sequence[Event]
    ) -> bool:
        by_seq = {event.seq: event for event in (*self._replayed, *kept)}
        wanted = range(since.seq + 1, at.seq + 1)
        if at.seq < since.seq + len(self._replayed) or not all(seq in by_seq for seq in wanted):
            return False
        events = [by_seq[seq] for seq in wanted]
        then = rewind(devices, events)
        # The earlier watcher may have stopped in the middle of the devices of its own beginning.
        told = since.seq if since.revision is None else since.revision
        self._outbox.restore([device for device in then if device.revision <= told], since)
        untold = [device for device in then if device.revision > told]
        rest = arrivals(untold, Cursor(since.epoch, since.seq), Origin.SNAPSHOT)
        self._outbox.put_difference((*rest, *events), at)
        self.place, self.since, self._replayed, self.resumed = at, None, [], True
        return True
