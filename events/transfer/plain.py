"""How messages are moved by pyzmq's own calls."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import zmq

from ..sockets import Socket

# Enums are slow, to calculate with and to hand over: as slow as what they are handed over to.
_READABLE: Final = int(zmq.POLLIN)
_EVENTS: Final = int(zmq.EVENTS)
_NOBLOCK: Final = int(zmq.NOBLOCK)
_RCVMORE: Final = int(zmq.RCVMORE)
_SNDMORE: Final = int(zmq.SNDMORE)

Message: TypeAlias = tuple[list[bytes], list[bytes], tuple[str | None, ...]]
"""The envelope of a message, its other frames, and what ZeroMQ knows of all that it was asked for.

An envelope is the way back and the empty frame that ends it. Where that is missing, so that there
is nobody to answer, both are empty.
"""


def has_message(socket: Socket) -> bool:
    """Whether a message waits, or its context is terminated; it takes notice of all else.

    Only after that, or after a `recv` that found nothing, may one wait for its file descriptor,
    which becomes readable when *something* has happened, and stays so until that is noticed
    (http://api.zeromq.org/4-3:zmq-getsockopt, ZMQ_FD).

    Raises:
        ContextTerminated: It is.
    """
    return bool(int(socket.get(_EVENTS)) & _READABLE)


def receive_frames(socket: Socket) -> list[bytes]:
    """The next message that waits. `recv_multipart` would wait for one.

    Frames that are not copied say by themselves whether there are more, but they are objects of
    pyzmq's, which takes longer for whoever has just been asleep.

    Raises:
        Again: None waits.
        ContextTerminated: The socket's context is terminated.
    """
    frames = [socket.recv(_NOBLOCK)]
    while socket.get(_RCVMORE):
        frames.append(socket.recv())  # it is there, or the first would not be
    return frames


def receive_routed(
    socket: Socket,
    limit: int,  # noqa: ARG001 - which one message is within
    properties: Sequence[str] = (),
) -> list[Message]:
    """The next messages that wait at a ROUTER; none, if none does.

    It may be fewer than there are, and here it never is more than one: each takes its own calls.

    Args:
        socket: The ROUTER.
        limit: How many messages at most, 1 at least.
        properties: What else to say of each message, by the names of `zmq_msg_gets`
            (http://api.zeromq.org/4-3:zmq-msg-gets), such as "Peer-Address". None takes the place
            of what is not known, or is no UTF-8: there are properties that a peer may make up.

    Raises:
        ContextTerminated: The socket's context is terminated.
    """
    try:
        return [_receive_routed(socket.recv, properties)]
    except zmq.Again:
        return []


def _receive_routed(receive: Callable[..., Any], properties: Sequence[str]) -> Message:
    """Frame by frame, as pyzmq's calls for whole messages take several times as long.

    They ask the socket after each frame whether there are more, while a frame that is not copied
    brings the answer along. After the first there always is one.
    """
    if properties:
        first = receive(_NOBLOCK, False)
        frames, known = [first.bytes], properties_of(first, properties)
    else:
        frames, known = [receive(_NOBLOCK)], ()
    frame = receive(0, False)
    while frame.more:
        frames.append(frame.bytes)
        frame = receive(0, False)
    frames.append(frame.bytes)
    try:
        end = frames.index(b"", 1) + 1
    except ValueError:
        return [], [], known
    return frames[:end], frames[end:], known


def properties_of(frame: zmq.Frame, names: Sequence[str]) -> tuple[str | None, ...]:
    """What ZeroMQ knows by these names of the message that a frame is of, as `receive_routed`."""
    return tuple([_property_of(frame, name) for name in names])


def _property_of(frame: zmq.Frame, name: str) -> str | None:
    try:
        return str(frame.get(name))
    except (zmq.ZMQError, UnicodeDecodeError):
        return None


def send_frame(socket: Socket, frame: bytes) -> None:
    """Send a message of one frame.

    Raises:
        Again: Nobody takes it now.
        ContextTerminated: The socket's context is terminated.
    """
    _plain_send(socket)(frame, _NOBLOCK)


def send_many(socket: Socket, messages: Sequence[Sequence[bytes]]) -> None:
    """Send messages, each of one frame at least (`bytes` and nothing else), where nobody waits.

    Those are ROUTER and XPUB: what they cannot send now, to somebody who reads too slowly or is
    gone, they drop.

    Raises:
        ContextTerminated: The socket's context is terminated.
    """
    send = _plain_send(socket)
    for *frames, last in messages:
        for frame in frames:
            send(frame, _SNDMORE)
        send(last)


def _plain_send(socket: Socket) -> Callable[..., object]:
    """A socket's `send(frame, flags=0)`, without what pyzmq's has for sockets of other kinds.

    That is written in Python, and takes longer than to send a small frame.
    """
    return super(zmq.Socket, socket).send
