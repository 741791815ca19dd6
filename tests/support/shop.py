"""The registry's loop on sockets of this process, driven by a test, round by round."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest import mock

import zmq

from devicewatch.events.codec import encode_request
from devicewatch.events.messages import CheckAlive, Register
from devicewatch.events.sockets import Context, Socket
from devicewatch.events.transfer import has_message, send_many
from devicewatch.registry import Journal, NoJournal, envelopes, loop
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.counts import Counts
from devicewatch.registry.doorbell import Doorbell
from devicewatch.registry.loop import Loop
from devicewatch.registry.marker import Marker
from devicewatch.registry.settings import CoreSettings
from devicewatch.registry.watchers import Watchers

PATIENCE = 3600.0
"""Seconds that a batch may take, unless a test says otherwise."""

LONG_ENOUGH = 0.005
"""Seconds after which ZeroMQ looks for signs when something is sent."""


class Shop:
    """A loop that this thread drives, round by round.

    Args:
        context: Where its sockets are.
        stack: Closes them.
        journal: Keeps its changes.

    Attributes:
        loop: It.
        core: What it drives.
        counts: What it counts.
        sleeps: How often it has gone to sleep.
        between: Called between the first thing that is sent and the next.
    """

    def __init__(self, context: Context, stack: ExitStack, journal: Journal | None = None) -> None:
        self.sleeps = 0
        self.between: Callable[[], None] | None = None
        self._requests = stack.enter_context(context.socket(zmq.ROUTER))
        self._requests.bind("inproc://requests")
        self._stream = stack.enter_context(context.socket(zmq.XPUB))
        self._stream.bind("inproc://stream")
        watchers = Watchers(context, self._stream)
        stack.callback(watchers.close)
        marker = Marker(context, "inproc://requests")
        stack.callback(marker.close)
        self._bell = Doorbell()
        stack.callback(self._bell.close)
        self._stopping = threading.Event()
        settings = CoreSettings(tick_interval=3600)
        self.counts = Counts()
        self.core = RegistryCore("e", time.monotonic(), settings, watchful=True)
        self.loop = Loop(
            self.core, journal or NoJournal(), self._requests, self._stream, marker, self._bell,
            watchers, self.counts, self._stopping,
        )  # fmt: skip
        # A machine that is busy decides nothing here: not how many are served in a row, either.
        self.loop._batch_time = PATIENCE
        for module in (loop, envelopes):
            stack.enter_context(mock.patch.object(module, "_send_many", self._send_many))
        # The one place where it sleeps: the sockets are real, and whether they are empty is asked.
        self.loop._files.wait = self._sleep  # type: ignore[method-assign]

    def _send_many(self, socket: Socket, messages: Sequence[Sequence[bytes]]) -> None:
        for message in messages:
            send_many(socket, [message])
            if self.between is not None:
                between, self.between = self.between, None
                between()
                since = time.monotonic()
                while time.monotonic() < since + LONG_ENOUGH:
                    pass

    def _sleep(self, seconds: float) -> list[int]:
        assert not has_message(self._requests), "a request waits"
        assert not has_message(self._stream), "a subscriber waits"
        rings = self._bell.wait(0)
        assert rings or not self._stopping.is_set(), "it was told to stop"
        self.sleeps += 1
        requests = self.loop._requests_file
        return [requests, self._bell.fileno()] if rings else [requests]

    def stop(self) -> None:
        self._stopping.set()
        self._bell.ring()

    def run_until_it_sleeps(self) -> None:
        sleeps = self.sleeps
        while self.sleeps == sleeps:
            self.loop.do_round()


@contextmanager
def dealer(context: Context) -> Iterator[Socket]:
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect("inproc://requests")
        yield dealer


def ask(dealer: Socket, number: int) -> None:
    request = Register("camera", f"tcp://{number}", "") if number else CheckAlive("nobody")
    dealer.send_multipart([b"", encode_request(request)])
