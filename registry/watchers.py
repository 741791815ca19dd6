"""How many watchers there are: connections to the event stream that have subscribed.

ZeroMQ hands on what subscribers send, and each such message says over which file descriptor it
came; a monitor of the socket tells of every connection that is made and that ends, with the same
number. Subscriptions alone would not do: that a connection is gone with all of its subscriptions is
told by topic, not by connection, so that two topics could be one watcher or two, and whoever
subscribes to the same twice, or ends what he never began, would count wrong for good.

File descriptors are used again. What comes from one is read *before* the monitor, and counts
*after* all has been read there, unless the last that was told of that number is its end. So a
watcher that takes over the number of one that left is not taken for gone; should it be taken for
subscribed a moment early, that ends with it. Whoever is in this process (`inproc`) has no
connection, and is not counted.
"""

import contextlib
import math
import struct
from typing import Final

import zmq

from ..events.link import open_monitor
from ..events.sockets import Context, Socket

HEARD_BY: Final = ("__fd",)
"""What has to be known of a subscription: which file descriptor it came over."""

_BATCH: Final = 500
"""Messages of the monitor that are read in a row: a flood of connections must hold up nobody."""

_INTERVAL: Final = 5.0
"""Seconds between two looks at the monitor, as what waits there takes memory."""

_HEAD: Final = struct.Struct("=Hi")
"""How a message of a monitor begins: what has happened, and to which file descriptor."""


class Watchers:
    """Counts them. For the thread of the stream's socket; the number may be read from any.

    Args:
        context: ZeroMQ context of the socket.
        stream: An XPUB. It has to be closed after this.

    Attributes:
        next_look: When to call `look` at the latest, on the monotonic clock.
    """

    def __init__(self, context: Context, stream: Socket) -> None:
        self.next_look = -math.inf
        self._stream = stream
        self._heard: set[int] = set()  # from these, since the monitor was last read to its end
        self._gone: set[int] = set()
        self._subscribed: set[int] = set()
        self._monitor = open_monitor(context, stream, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)

    def __len__(self) -> int:
        return len(self._subscribed)

    def heard_from(self, descriptor: str | None) -> None:
        """A subscription has come. To be followed by `look`, before the next one that does not.

        Args:
            descriptor: The file descriptor that it has come over; None from this process itself.
        """
        if descriptor is not None:
            self._heard.add(int(descriptor))

    def look(self, now: float) -> None:
        """See who has come and gone."""
        self.next_look = now
        for _ in range(_BATCH):
            try:
                head, _ = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                self._subscribed |= self._heard - self._gone
                self._heard.clear()
                self.next_look = now + _INTERVAL
                return
            event, descriptor = _HEAD.unpack(head)
            if event == zmq.EVENT_ACCEPTED:
                self._gone.discard(descriptor)
            else:
                self._gone.add(descriptor)
                self._subscribed.discard(descriptor)

    def close(self) -> None:
        """Count no more. May be repeated."""
        # First of all: where nobody listens any more, ZeroMQ's own thread would wait for ever to
        # tell what it has to tell.
        with contextlib.suppress(zmq.ZMQError):  # the context has ended
            if not self._stream.closed:
                self._stream.disable_monitor()
        self._monitor.close(linger=0)
        self._subscribed.clear()
