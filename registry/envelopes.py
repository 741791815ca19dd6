"""Requests as they come to a ROUTER: each in an envelope, which its reply goes back in.

On the wire it is what a REP does. But a REP (of libzmq 4.3) can lose replies: where somebody sends
a message without an envelope and is gone before it is read, the reply to the next request,
whoever's that is, ends where that one's would have gone. A device of the field waits for it for
ever.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ..events.sockets import Socket
from ..events.transfer import Message, receive_routed, send_many

# Compiled, what is final here is found without a look into a dict.
_receive_routed: Final = receive_routed
_send_many: Final = send_many

Envelope: TypeAlias = list[bytes]

Received: TypeAlias = tuple[Envelope, list[bytes], str | None]
"""The envelope of a message, empty if it has none; its other frames; and whose it is."""

Whose: TypeAlias = Callable[[Sequence[str | None]], str | None]
"""Says whose a message is, by what ZeroMQ knows of it."""


class Router:
    """Where requests arrive and replies leave. For the thread of its socket.

    Args:
        socket: A ROUTER.
        properties: What `whose` goes by (see `receive_routed`).
        whose: Asked whose a message is; None if that does not matter.
    """

    def __init__(
        self, socket: Socket, properties: Sequence[str] = (), whose: Whose | None = None
    ) -> None:
        self._socket = socket
        self._properties = properties
        self._whose = whose
        self._waiting: list[Message] = []  # the next one is the last

    def receive(self, limit: int) -> Received | None:
        """The next message, or None if none waits.

        Args:
            limit: How many may be taken out of the socket, if there is none that already was.
        """
        if not self._waiting:
            self._waiting = _receive_routed(self._socket, limit, self._properties)
            if not self._waiting:
                return None
            self._waiting.reverse()
        envelope, frames, known = self._waiting.pop()
        return envelope, frames, None if self._whose is None else self._whose(known)

    def reply(self, replies: Sequence[Envelope]) -> None:
        """Send envelopes back, each with a reply in it; to nobody, if they are gone."""
        _send_many(self._socket, replies)
