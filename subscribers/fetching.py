"""How a mirror gets what it has not heard: the events that it missed, or all devices.

Theory of operation
===================

The stream alone is not enough where it begins, and where it has a hole. Then the registry is asked,
one page after the other, while the stream's events are kept (`hearsay`):

    REPLAY     The events after what is known, from the registry's history, if it has them.
    SNAPSHOT   The devices, as of one moment, and then the difference to those known (`snapshot`,
               `view`); for whoever resumes (`since`), both: first the events, then the devices.

What was fetched ends somewhere. From there the kept events lead to where the stream is by now, and
the view is right: `DONE`. If one of them is missing it was for nothing, `Futile`, and everything
begins anew.

Each step reads a reply, or a message of the stream, and plans the next request with `inquiry`. When
that is sent, how often, and when the registry is to be looked for elsewhere, is for the mirror to
say, as is what else a message means.
"""

import enum
from typing import Final, Literal, TypeAlias

import attrs

from ..events.messages import (
    CompactedReply,
    EventsReply,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
)
from ..events.protocol import MAX_DEVICES, MAX_PAGE
from ..events.records import Cursor, Event, Tick
from .hearsay import Hearsay
from .inquiry import Inquiry
from .snapshot import PagedSnapshot
from .view import View

PATIENCE: Final = 100
"""Ticks that may come before the event that a snapshot needs: a backlog may hold many."""

MISSED: Final = "events were missed; fetching them"


class Step(enum.Enum):
    """What has become of a step, if it was not for nothing."""

    DONE = "the view is where the stream is"
    ON = "it goes on: with the request that was planned, or with what the stream brings"
    OTHER = "this is no reply to what was asked"


@attrs.frozen
class Futile:
    """What was fetched is of no use.

    Attributes:
        why: In words.
    """

    why: str


Outcome: TypeAlias = Step | Futile


class Fetching:
    """The way from what is known to where the stream is. Times are in seconds on a monotonic clock.

    Args:
        url: The registry's address, for who asks what is wrong.
        view: What is known.
        heard: What the stream has said.
        inquiry: What is asked.
    """

    def __init__(self, url: str, view: View, heard: Hearsay, inquiry: Inquiry) -> None:
        self._url = url
        self._view = view
        self._heard = heard
        self._inquiry = inquiry
        self._snapshot = PagedSnapshot()
        self._ticks_waited = 0  # for an event that a snapshot needs

    def begin(self, message: Event | Tick) -> Request:
        """What to ask for first, to get to where this message is."""
        request = self._plan(message.epoch)
        self._heard.forget()
        self._heard.keep(message)
        return request

    def begin_anew(self) -> Request:
        """What to ask for first, after all was for nothing."""
        place = self._heard.place
        return self._plan(place.epoch if place else "")

    def end(self) -> None:
        """Keep nothing of what was fetched."""
        self._heard.forget()
        self._snapshot = PagedSnapshot()

    def take(self, reply: Reply, now: float) -> Outcome:
        """Take in the reply to what was asked."""
        match self._inquiry.request, reply:
            case Replay() as request, EventsReply():
                return self._take_events(request, reply, now)
            case Replay(), CompactedReply():
                self._view.forget_since()
                return self._ask(self._new_snapshot(), now)
            case Snapshot(), SnapshotReply():
                return self._take_page(reply, now)
        return Step.OTHER

    def hear(self, message: Event | Tick, now: float) -> Outcome:
        """Take in what the stream has said meanwhile."""
        self._heard.keep(message)
        at = self._snapshot.fetched
        if at is None:
            return Step.ON
        # All pages are there, but perhaps not all events that came between them.
        if message.epoch != at.epoch or message.seq >= at.seq:
            return self._finish_snapshot(at, now)  # not at each event of a backlog: it takes time
        if isinstance(message, Tick):
            self._ticks_waited += 1
            if self._ticks_waited > PATIENCE:
                return Futile(f"{self._url} is at {at.seq}, and its event stream at {message.seq}")
        return Step.ON

    # --- what to ask --------------------------------------------------------------------------

    def _plan(self, epoch: str) -> Request:
        """What to ask for: the events since, if the numbering is the same, or the devices."""
        after = self._view.replay_from(epoch)
        if after is None:
            return self._new_snapshot()
        self._snapshot = PagedSnapshot()  # one that waited for an event does so no longer
        return Replay(epoch, after, MAX_PAGE)

    def _new_snapshot(self) -> Request:
        self._snapshot = PagedSnapshot()
        self._ticks_waited = 0
        return Snapshot(limit=MAX_PAGE)

    def _ask(self, request: Request, now: float) -> Literal[Step.ON]:
        self._inquiry.plan(request, now)
        return Step.ON

    # --- events -------------------------------------------------------------------------------

    def _take_events(self, request: Replay, reply: EventsReply, now: float) -> Outcome:
        """Hand on what was missed; or, while resuming, keep it until the devices are known."""
        view = self._view
        if not _answers(reply, request):
            return Futile(f"the events that {self._url} replays do not fit together")
        if view.too_large(len(reply.events)):
            view.forget_since()
            return Futile(f"{self._url} replays more than {MAX_DEVICES} devices")
        view.replay(reply.events)
        if reply.events:
            self._inquiry.failures = self._inquiry.losses = 0
        last = request.after + len(reply.events)
        if last < reply.seq:
            return self._ask(Replay(reply.epoch, last, MAX_PAGE), now)
        if view.since is not None:
            return self._ask(self._new_snapshot(), now)
        return self._catch_up(Cursor(reply.epoch, last), now)

    def _catch_up(self, at: Cursor, now: float) -> Outcome:
        """Take up the stream where what was fetched ends."""
        place, view = self._heard.place, self._view
        if place is None or place.epoch != at.epoch:
            return self._two_epochs
        for event in self._heard.kept(at.epoch, at.seq):
            if event.seq == view.seq + 1 and not view.full:
                view.put(event)
        if place.seq <= view.seq:
            return Step.DONE
        if self._inquiry.failures:
            return Futile(MISSED)
        self._inquiry.failures = 1  # it has come further, and will again
        view.trouble = MISSED
        return self._ask(self._plan(place.epoch), now)

    @property
    def _two_epochs(self) -> Futile:
        stream = self._heard.url
        return Futile(f"the stream at {stream} is not that of the registry at {self._url}")

    # --- devices ------------------------------------------------------------------------------

    def _take_page(self, page: SnapshotReply, now: float) -> Outcome:
        if not self._snapshot.add(page):
            return Futile(f"the pages of {self._url} do not fit together")
        if page.next is not None:
            return self._ask(Snapshot(after=page.next, limit=MAX_PAGE), now)
        return self._finish_snapshot(Cursor(page.epoch, page.seq), now)

    def _finish_snapshot(self, at: Cursor, now: float) -> Outcome:
        """Take the snapshot, or wait for an event that is only late."""
        place, known = self._heard.place, self._view.place
        if place is None or place.epoch != at.epoch:
            return self._two_epochs
        if known is not None and known.epoch == at.epoch and known.seq > at.seq:
            return Futile(
                f"{self._url} is at {at.seq} and was at {known.seq}: its numbering runs backwards"
            )
        kept = self._heard.kept(at.epoch)
        devices = self._snapshot.complete(kept)
        if devices is not None and self._view.take(devices, at, kept, self._heard.time):
            return self._catch_up(at, now)
        if place.seq < at.seq:
            return Step.ON
        # The stream is past it, so what is missing was lost.
        return Futile("events were missed while fetching the devices")


def _answers(reply: EventsReply, request: Replay) -> bool:
    """Whether a reply is what was asked for: events without a hole, and an end to them."""
    places = [(event.epoch, event.seq) for event in reply.events]
    expected = range(request.after + 1, request.after + 1 + len(places))
    if reply.epoch != request.epoch or places != [(request.epoch, seq) for seq in expected]:
        return False
    last = request.after + len(places)
    return last == reply.seq or (last < reply.seq and bool(places))
