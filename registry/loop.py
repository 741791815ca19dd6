"""The registry's loop: what its thread does with the sockets, from the start to the `bye`.

It moves bytes, reads the clocks and wakes up; what anything means is the core's business. In each
round it serves the requests that wait, up to a batch, then lets leases end and ticks go out, and
sleeps until the core's next deadline or until something arrives. What is to be sent is collected
meanwhile, and goes out together, events before replies: to wake ZeroMQ's own thread for each
message by itself would take longer than all the rest. So what those requests have changed is kept
together as well, just before. Only the first request after a sleep, which most often is the only
one, is answered before the next is looked for, and its event leaves before the reply is written.

Before a lease ends it sends itself the markers that the core asks for, which prove that every
renewal that was in time has been read (P8, see `fairness`). An idle registry wakes up once a tick,
and every five seconds at least; twice a second while it has devices.

What becomes of a request is decided in `service`. Whatever happens there, exactly one reply goes
out: a REQ socket that waits for one is stuck for good. Requests that the service wants to serve
again wait for that in front of all others, and leases with them: a renewal may be among them.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import zmq

from ..events.codec import encode_event, encode_reply
from ..events.files import LastingFiles
from ..events.logs import get_logger
from ..events.messages import RENEWED, Reply, Request
from ..events.records import StreamMessage
from ..events.sockets import Socket
from ..events.transfer import has_message, properties_of, send_many
from .core import RegistryCore
from .counts import Counts
from .doorbell import Doorbell
from .envelopes import Envelope, Received, Router
from .gate import KNOWN_BY, Gate
from .journal import Change, Journal
from .marker import Marker
from .service import Collected, Service
from .watchers import HEARD_BY, Watchers

_BATCH: Final = 100
"""Requests served in a row before leases, ticks and greetings get their turn."""

_BATCH_TIME: Final = 0.005
"""Seconds after which a batch ends early: some requests take a millisecond or more."""

_AHEAD: Final = 8
"""Requests that are read together. A marker has to wait for those that were read before it came,
and then it may be late for leases that end; more than that would save little."""

_TOGETHER: Final = 64
"""Replies that go out together: while ZeroMQ's thread sends these, the next are made ready."""

_TIMED: Final = 16
"""Of the renewals in a batch that succeed, the first and then one in so many are timed."""

_RENEWED: Final = encode_reply(RENEWED)

HELD_UP: Final = 1.0
"""Seconds for which the registry has to be held up, in total since the last time, to be logged."""

# Compiled, what is final here is found without a look into a dict.
_has_message: Final = has_message
_now: Final = time.monotonic
_send_many: Final = send_many
_time_of_day: Final = time.time

log = get_logger(__name__)


class Loop:
    """Serves requests until it is told to stop. Everything it is given belongs to it while it runs.

    Args:
        core: Decides.
        journal: Keeps what has changed.
        requests: A ROUTER, bound.
        stream: An XPUB, bound.
        marker: Goes through `requests`.
        bell: Wakes it up; answered once it has.
        gate: Guards the two sockets; None if anyone may use them.
        watchers: Counts those of `stream`.
        counts: Where to count what happens, once that is wanted.
        stopping: Ends it, once the bell has rung.
    """

    def __init__(
        self,
        core: RegistryCore,
        journal: Journal,
        requests: Socket,
        stream: Socket,
        marker: Marker,
        bell: Doorbell,
        watchers: Watchers,
        counts: Counts,
        stopping: threading.Event,
        gate: Gate | None = None,
    ) -> None:
        self._core = core
        self._journal = journal
        self._service = Service(core, journal, self._publish)
        self._watchers = watchers
        self._counts = counts
        self._counting: Counts | None = None
        self._requests = requests
        self._stream = stream
        self._events: list[list[bytes]] = []  # to be sent
        self._replies: list[Envelope] = []  # each with the answer in it
        self._timed: list[tuple[int, Request | None, Reply, float]] = []  # which, what, since when
        self._again: deque[tuple[Envelope, Collected]] = deque()  # to be served, before any other
        self._marker = marker
        self._bell = bell
        self._gate = gate
        # Only where it matters: to know whose a request is takes a tenth of its time.
        if gate is not None:
            self._router = Router(requests, KNOWN_BY, gate.peer)
        elif core.settings.limits.by_peer:
            self._router = Router(requests, ["Peer-Address"], _address)
        else:
            self._router = Router(requests)
        self._stopping = stopping
        self._away_logged = 0.0
        self._marker_file = _file_of(marker.stream)
        self._stream_file = _file_of(stream)
        self._requests_file = _file_of(requests)
        files = [self._requests_file, self._stream_file, self._marker_file, bell.fileno()]
        if gate is not None:
            files.append(_file_of(gate.stream))
        self._files = LastingFiles(files)
        self._woken_by = files
        self._has_slept = True
        self._at_once = False  # somebody alone is served, and waits for no others
        self._only_requests_came = False  # it was woken, and by nothing else
        self._marker_read = False
        self._batch_time = _BATCH_TIME
        self._unsure: set[Socket] = {requests, stream, marker.stream}  # where something may wait

    def run(self) -> None:
        """Do it, once.

        Raises:
            ContextTerminated: The sockets' context was terminated meanwhile.
        """
        try:
            while True:
                self.do_round()
                if not self._only_requests_came:  # nor has the bell rung, then
                    # After the sleep that it ends, before the look at what it may have rung for.
                    self._answer_bell()
                    if self._stopping.is_set():
                        break
            self._publish(self._core.bye(_now()))
            self._send()
        finally:
            self._files.close()

    def do_round(self) -> None:
        """Serve what waits, up to a batch; do what else is due; and sleep, if that was all."""
        core, now = self._core, _now()
        core.wall_offset = _time_of_day() - now
        if self._has_slept:
            core.attend(now)
        if self._counts.wanted and self._counting is None:
            self._counting = self._counts
            self._service.count(self._counts, _MeasuredJournal(self._journal, self._counts))
        if self._gate is not None:
            self._look_after(self._gate, now)
            now = _now()  # a batch has its time, however many had to be let in
        if self._may_have_come(self._marker_file):
            self._marker.forward()
        # What is raised ends the registry: nothing that is not kept for sure goes out after it.
        drained = self._serve_waiting(now + self._batch_time)
        if self._replies:  # who was alone has been answered
            self._send()
        drained = drained and not self._again
        now = _now()
        core.at_work(now)
        deadline = self._next_deadline()
        if now >= deadline or self._marker_read or not self._only_requests_came:
            self._marker_read = False
            self._do_what_is_due(now, drained=drained)
            deadline = self._next_deadline()
        self._has_slept = drained and self._sleep(deadline)
        self._only_requests_came = (
            self._has_slept
            and len(self._woken_by) == 1
            and self._woken_by[0] == self._requests_file
        )

    def _do_what_is_due(self, now: float, *, drained: bool) -> None:
        """All but requests."""
        core = self._core
        if core.away - self._away_logged >= HELD_UP:
            self._log_away()
        if not self._again:
            self._service.expire(now, drained=drained)
            if (number := core.marker_to_send()) is not None:
                self._marker.send(number)
        if self._may_have_come(self._stream_file) and self._has_new_subscriber():
            core.subscribed(now)
            self._watchers.look(now)
        elif now >= self._watchers.next_look:
            self._watchers.look(now)
        if tick := core.tick(now):
            self._publish(tick)
        self._send()

    def _answer_bell(self) -> None:
        if self._bell.asked:  # somebody wants to know how it is doing
            self._watchers.look(_now())
        self._bell.answer()

    def _may_have_come(self, file: int) -> bool:
        """Whether there may be something to read at the socket of this descriptor."""
        return not self._has_slept or file in self._woken_by

    def _sleep(self, deadline: float) -> bool:
        """Wait until something arrives or is due, unless it is there already.

        The descriptor of a socket tells only that something has happened there since it was last
        used; so before anyone waits for it, each socket that was used has to have nothing to read.
        """
        if self._unsure:
            for socket in self._unsure:
                if _has_message(socket):
                    return False
            self._unsure.clear()
        self._woken_by = self._files.wait(deadline - _now())
        return True

    def _next_deadline(self) -> float:
        deadline = min(self._core.next_deadline(), self._watchers.next_look)
        return deadline if self._gate is None else min(deadline, self._gate.next_look)

    def _look_after(self, gate: Gate, now: float) -> None:
        if gate.has_changed():
            self._core.authorize(gate.grants, now)
            gate.cut()
        gate.admit()
        self._unsure.add(gate.stream)
        self._core.refused += gate.refused
        gate.refused = 0

    def _log_away(self) -> None:
        seconds = self._core.away - self._away_logged
        self._away_logged = self._core.away
        log.warning(
            "the registry was held up; every lease is given that time", seconds=round(seconds, 1)
        )

    def _serve_waiting(self, end: float) -> bool:
        """Serve a batch of requests; say whether that was all that waited."""
        return (not self._again or self._serve_again(end)) and self._serve_new(end)

    def _serve_new(self, end: float) -> bool:
        self._at_once = self._has_slept
        for number in range(_BATCH):
            message = self._router.receive(1 if self._at_once else _AHEAD)
            if message is None:
                self._at_once = False
                self._unsure.discard(self._requests)
                return True
            now = _now()
            self._serve(number, message, now)
            if self._at_once:
                self._at_once = False
                self._send()
                if not _has_message(self._requests):
                    self._unsure.discard(self._requests)
                    return True
            elif len(self._replies) >= _TOGETHER:
                self._send()
            if now > end or self._again:
                break
        return False

    def _serve(self, number: int, message: Received, now: float) -> None:
        """Answer a message, if that is wanted; its number in this batch is given."""
        envelope, frames, peer = message
        if frames and frames[0].startswith(self._marker.secret):
            self._marker_read = True
            self._core.marker_read(self._marker.read(frames))
        elif envelope:  # else it asks for no answer, and gets none
            if self._at_once or self._service.trouble:
                answer = self._service.answer(frames, now, peer)
            else:
                answer = self._service.collect(frames, now, peer)
            envelope.append(answer)
            self._replies.append(envelope)
            if self._counting is not None:
                self._count(number, answer, now)

    def _serve_again(self, end: float) -> bool:
        """Serve those who wait for that, each by itself; say whether that was all of them."""
        while self._again:
            envelope, collected = self._again.popleft()
            answer = self._service.answer_again(collected, _now())
            envelope.append(answer)
            self._replies.append(envelope)
            if self._counting is not None:
                self._count(0, answer, collected.now)
            if _now() > end:
                break
        return not self._again

    def _count(self, number: int, answer: bytes, since: float) -> None:
        """The latest reply counts, and most often so does the time from then until it is sent."""
        if number % _TIMED and answer == _RENEWED:
            self._counts.renewals += 1
        else:
            self._timed.append((len(self._replies) - 1, *self._service.latest, since))

    def _publish(self, message: StreamMessage) -> None:
        self._events.append(encode_event(message))
        if self._at_once:  # by the time that its reply is written, the event may have arrived
            self._send_events()

    def _send(self) -> None:
        """Let out what was collected: nobody has a reply before its events are on their way.

        Nor has anybody either before all that it rests on is kept.
        """
        if again := self._service.commit():
            self._withdraw(again)
        if self._events:
            self._send_events()
        if self._replies:
            self._unsure.add(self._requests)
            self._router.reply(self._replies)
            self._replies.clear()
        if self._timed:
            now = _now()
            for _, request, reply, since in self._timed:
                self._counts.answered(request, reply, now - since)
            self._timed.clear()

    def _send_events(self) -> None:
        self._unsure.add(self._stream)
        _send_many(self._stream, self._events)
        self._events.clear()

    def _withdraw(self, again: Sequence[Collected]) -> None:
        """Those who were served last are not answered yet, but served again."""
        first = len(self._replies) - len(again)
        timed = {number for number, *_ in self._timed}
        for number, collected in enumerate(again, first):
            self._again.append((self._replies[number][:-1], collected))
            if self._counting is not None and number not in timed:
                self._counts.renewals -= 1  # which was all that it counted as
        del self._replies[first:]
        self._timed = [one for one in self._timed if one[0] < first]

    def _has_new_subscriber(self) -> bool:
        found = False
        for _ in range(_BATCH):
            if not _has_message(self._stream):  # most often; `Again` takes longer
                self._unsure.discard(self._stream)
                return found
            frame = self._stream.recv(zmq.NOBLOCK, copy=False)
            if frame.bytes.startswith(b"\1"):
                found = True
                self._watchers.heard_from(*properties_of(frame, HEARD_BY))
            if self._gate is not None:
                self._gate.peer(properties_of(frame, KNOWN_BY), first=True)
        self._unsure.add(self._stream)
        return found


class _MeasuredJournal:
    """A journal, and how long it takes to keep a change in it."""

    def __init__(self, journal: Journal, counts: Counts) -> None:
        self._journal = journal
        self._counts = counts
        self.load, self.close = journal.load, journal.close

    def append(self, change: Change) -> None:
        since = _now()
        try:
            self._journal.append(change)
        finally:
            self._counts.appends.note(_now() - since)


def _file_of(socket: Socket) -> int:
    return int(socket.get(zmq.FD))


def _address(known: Sequence[str | None]) -> str | None:
    """The IP address that a message comes from; None if it is this process itself."""
    return known[0]
