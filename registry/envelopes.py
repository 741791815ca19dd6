"""Requests as they come to a ROUTER: each in an envelope, which its reply goes back in.

On the wire it is what a REP does. But a REP (of libzmq 4.3) can lose replies: where somebody sends
a message without an envelope and is gone before it is read, the reply to the next request,
whoever's that is, ends where that one's would have gone. A device of the field waits for it for
ever.

An envelope is the way back, and an empty frame that ends it. A message is taken apart frame by
frame, as pyzmq's calls for whole messages take several times as long: they ask the socket after
each frame whether there are more, while a frame that is not copied brings the answer along.
"""

from collections.abc import Callable
from typing import TypeAlias

import zmq

from ..events.sockets import Socket, plain_send

Envelope: TypeAlias = list[bytes]


Whose: TypeAlias = Callable[[zmq.Frame], str | None]
"""Says whose a message is, by what ZeroMQ attaches to its frames."""


class Router:
    """Where requests arrive and replies leave. For the thread of its socket.

    Args:
        socket: A ROUTER.
        whose: Asked whose a message is; None if that does not matter.
    """

    def __init__(self, socket: Socket, whose: Whose | None = None) -> None:
        self._whose = whose
        self._receive = socket.recv
        self._send = plain_send(socket)

    def receive(self) -> tuple[Envelope, list[bytes], str | None]:
        """The next message that waits: its envelope, empty if it has none, its frames, and whose.

        Raises:
            Again: None waits.
        """
        receive, peer = self._receive, None
        if self._whose is None:
            # The rest is there as well, or this frame would not be.
            envelope = [receive(zmq.NOBLOCK)]
        else:
            first = receive(zmq.NOBLOCK, copy=False)
            envelope, peer = [first.bytes], self._whose(first)
        frame = receive(0, False)
        while len(frame):
            if not frame.more:
                return [], [], peer
            envelope.append(frame.bytes)
            frame = receive(0, False)
        frames = []
        while frame.more:
            frame = receive(0, False)
            frames.append(frame.bytes)
        return envelope, frames, peer

    def reply(self, envelope: Envelope, frame: bytes) -> None:
        """Send a reply back in the envelope of its request; to nobody, if they are gone."""
        send = self._send
        for hop in envelope:
            send(hop, zmq.SNDMORE)
        send(b"", zmq.SNDMORE)
        send(frame)
