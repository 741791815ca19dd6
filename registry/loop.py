"""The registry's loop: what its thread does with the sockets, from the start to the `bye`.

It moves bytes, reads the clocks and wakes up; what anything means is the core's business. In each
round it serves the requests that wait, up to a batch, then lets leases end and ticks go out, and
sleeps until the core's next deadline or until something arrives. Before a lease ends it sends
itself the markers that the core asks for, which prove that every renewal that was in time has been
read (P8, see `fairness`). An idle registry wakes up once a tick, or twice a second while it has
devices.

What becomes of a request is decided in `service`. Whatever happens there, exactly one reply goes
out: a REQ socket that waits for one is stuck for good.
"""

import threading
import time
from typing import Final

import zmq

from ..events.codec import encode_event
from ..events.logs import get_logger
from ..events.records import StreamMessage
from ..events.sockets import Socket, poll_timeout
from .core import RegistryCore
from .doorbell import Doorbell
from .envelopes import receive, reply
from .gate import Gate, frame_property
from .journal import Journal
from .marker import Marker
from .service import Service

_BATCH: Final = 100
"""Requests served in a row before leases, ticks and greetings get their turn."""

_BATCH_TIME: Final = 0.005
"""Seconds after which a batch ends early: some requests take a millisecond or more."""

HELD_UP: Final = 1.0
"""Seconds for which the registry has to be held up, in total since the last time, to be logged."""

log = get_logger(__name__)


class Loop:
    """Serves requests until it is told to stop. Everything it is given belongs to it while it runs.

    Args:
        core: Decides.
        journal: Keeps what has changed.
        requests: A ROUTER, bound.
        stream: An XPUB, bound.
        marker: Goes through `requests`.
        bell: Wakes it up; answered after each round.
        gate: Guards the two sockets; None if anyone may use them.
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
        stopping: threading.Event,
        gate: Gate | None = None,
    ) -> None:
        self._core = core
        self._service = Service(core, journal, self._publish)
        self._requests = requests
        self._stream = stream
        self._marker = marker
        self._bell = bell
        self._gate = gate
        # Only where it matters: to know whose a request is takes a tenth of its time.
        self._whose = _address if core.settings.limits.by_peer else None
        if gate is not None:
            self._whose = gate.peer
        self._stopping = stopping
        self._away_logged = 0.0
        self._has_slept = True
        self._poller = zmq.Poller()
        for source in (requests, stream, marker.stream, bell.fileno()):
            self._poller.register(source, zmq.POLLIN)
        if gate is not None:
            self._poller.register(gate.stream, zmq.POLLIN)

    def run(self) -> None:
        """Do it.

        Raises:
            ContextTerminated: The sockets' context was terminated meanwhile.
        """
        while not self._stopping.is_set():
            self.do_round()
            self._bell.answer()
        self._publish(self._core.bye(time.monotonic()))

    def do_round(self) -> None:
        """Do all there is to do, as far as a batch goes, and sleep if that was all."""
        core, now = self._core, time.monotonic()
        core.wall_offset = time.time() - now
        if self._has_slept:
            core.attend(now)
        if self._gate is not None:
            self._look_after(self._gate, now)
        self._marker.forward()
        drained = self._serve_waiting()
        if core.away - self._away_logged >= HELD_UP:
            self._log_away()
        now = time.monotonic()
        self._service.expire(now, drained=drained)
        if (number := core.marker_to_send()) is not None:
            self._marker.send(number)
        if self._has_new_subscriber():
            core.subscribed(now)
        if tick := core.tick(now):
            self._publish(tick)
        if drained:
            self._poller.poll(poll_timeout(self._next_deadline() - time.monotonic()))
        self._has_slept = drained

    def _next_deadline(self) -> float:
        deadline = self._core.next_deadline()
        return deadline if self._gate is None else min(deadline, self._gate.next_look)

    def _look_after(self, gate: Gate, now: float) -> None:
        if gate.has_changed():
            self._core.authorize(gate.grants, now)
            gate.cut()
        gate.admit()
        self._core.refused += gate.refused
        gate.refused = 0

    def _log_away(self) -> None:
        seconds = self._core.away - self._away_logged
        self._away_logged = self._core.away
        log.warning(
            "the registry was held up; every lease is given that time", seconds=round(seconds, 1)
        )

    def _serve_waiting(self) -> bool:
        """Serve a batch of requests; say whether that was all that waited."""
        end = time.monotonic() + _BATCH_TIME
        for _ in range(_BATCH):
            try:
                envelope, frames, peer = receive(self._requests, self._whose)
            except zmq.Again:
                return True
            now = time.monotonic()
            if envelope:  # else it asks for no answer, and gets none
                reply(self._requests, envelope, self._answer(frames, now, peer))
            if now > end:
                break
        return False

    def _answer(self, frames: list[bytes], now: float, peer: str | None) -> bytes:
        number = self._marker.read(frames)
        if number is None:
            return self._service.answer(frames, now, peer)
        self._core.marker_read(number)
        return b""

    def _publish(self, message: StreamMessage) -> None:
        self._stream.send_multipart(encode_event(message))

    def _has_new_subscriber(self) -> bool:
        found = False
        try:
            for _ in range(_BATCH):
                frame = self._stream.recv(zmq.NOBLOCK, copy=False)
                found |= frame.bytes.startswith(b"\1")
                if self._gate is not None:
                    self._gate.peer(frame, first=True)
        except zmq.Again:
            pass
        return found


def _address(frame: zmq.Frame) -> str | None:
    """The IP address that a message comes from; None if it is this process itself."""
    return frame_property(frame, "Peer-Address")
