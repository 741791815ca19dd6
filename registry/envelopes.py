"""Requests as they come to a ROUTER: each in an envelope, which its reply goes back in.

On the wire it is what a REP does. But a REP (of libzmq 4.3) can lose replies: where somebody sends
a message without an envelope and is gone before it is read, the reply to the next request,
whoever's that is, ends where that one's would have gone. A device of the field waits for it for
ever.

An envelope is the way back, and an empty frame that ends it. Here they are read and sent frame by
frame: with `recv_multipart` and `send_multipart` a request takes half as long again.
"""

from collections.abc import Callable
from typing import TypeAlias

import zmq

from ..events.sockets import Socket

Envelope: TypeAlias = list[bytes]


Whose: TypeAlias = Callable[[zmq.Frame], str | None]
"""Says whose a message is, by what ZeroMQ attaches to its frames."""


def receive(socket: Socket, whose: Whose | None = None) -> tuple[Envelope, list[bytes], str | None]:
    """The next message that waits: its envelope, empty if it has none, its frames, and whose it is.

    Args:
        socket: A ROUTER.
        whose: Asked whose it is; None if that does not matter.

    Raises:
        Again: None waits.
    """
    receive_frame, get = socket.recv, socket.get
    peer = None
    if whose is None:
        envelope = [receive_frame(zmq.NOBLOCK)]  # the rest is there as well, or it would not be
    else:
        first = receive_frame(zmq.NOBLOCK, copy=False)
        envelope, peer = [first.bytes], whose(first)
    while frame := receive_frame():
        if not get(zmq.RCVMORE):
            return [], [], peer
        envelope.append(frame)
    frames = []
    while get(zmq.RCVMORE):
        frames.append(receive_frame())
    return envelope, frames, peer


def reply(socket: Socket, envelope: Envelope, frame: bytes) -> None:
    """Send a reply back in the envelope of its request; to nobody, if they are gone."""
    send = socket.send
    for hop in envelope:
        send(hop, zmq.SNDMORE)
    send(b"", zmq.SNDMORE)
    send(frame)
