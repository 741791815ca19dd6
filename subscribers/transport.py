"""The two sockets of a watcher, between its mirror and the network. For one thread.

What `watch` and `aio` have in common: they differ in how they wait, and in nothing else. Here
bytes are moved and clocks are read; what anything means is the mirror's business.
"""

import time
from typing import Final

import zmq

from ..events.errors import AddressError
from ..events.logs import get_logger
from ..events.records import State
from ..events.sockets import Context, RequestSocket, Socket, check_address, connect
from .mirror import Ask, Listen, Mirror

_BATCH: Final = 100
"""Messages of the stream that are read in a row before a reply and the deadlines get their turn."""

log = get_logger(__name__)


class Transport:
    """Serves a mirror. No socket is open before the first `serve`.

    Args:
        mirror: Whom to serve.
        url: The registry's address.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.

    Raises:
        AddressError: The address makes no sense.
    """

    def __init__(self, mirror: Mirror, url: str, context: Context | None) -> None:
        check_address(url)
        self._mirror = mirror
        self._url = url
        self._context = context or zmq.Context.instance()
        self._requests = RequestSocket(self._context, url)
        self._stream: Socket | None = None
        self._started = False
        self._state = State.CONNECTING

    @property
    def sockets(self) -> list[Socket]:
        """Where something may arrive."""
        return [socket for socket in (self._requests.waiting, self._stream) if socket is not None]

    def serve(self) -> bool:
        """Do what the mirror wants and give it what has arrived; say whether anything had.

        The stream comes first: a reply tells of events that the stream may have brought already.

        Raises:
            zmq.ContextTerminated: The context has been.
        """
        mirror = self._mirror
        if not self._started:
            self._started = True
            mirror.start(time.monotonic())
        mirror.set_wall_offset(time.time() - time.monotonic())
        self._act()
        received = False
        for _ in range(_BATCH):
            if not self._receive_message():
                break
            received = True
            self._act()
        reply = self._requests.receive()
        if reply is not None:
            mirror.reply_received(reply, time.monotonic())
        return received or reply is not None

    def advance(self) -> None:
        """Let time pass for the mirror, once everything that had arrived has been served."""
        self._mirror.advance(time.monotonic())
        self._act()
        self._log_changes()

    def seconds_to_deadline(self) -> float:
        """How long nothing has to be done, if nothing arrives."""
        return self._mirror.next_deadline() - time.monotonic()

    def close(self) -> None:
        """Close the sockets at once. May be repeated."""
        self._requests.close()
        if self._stream is not None:
            self._stream.close(linger=0)
            self._stream = None

    def _act(self) -> None:
        for action in self._mirror.actions():
            self._do(action)

    def _do(self, action: Ask | Listen) -> None:
        if isinstance(action, Ask):
            self._requests.send(action.request)
            return
        if self._stream is not None:
            self._stream.close(linger=0)
            self._stream = None
        try:
            self._stream = connect(self._context, zmq.SUB, action.url)
        except AddressError as error:  # the registry's fault: the mirror will try again
            why = f"the registry at {self._url} names a bad address: {error}"
            self._mirror.listen_failed(why, time.monotonic())

    def _receive_message(self) -> bool:
        if self._stream is None:
            return False
        try:
            frames = self._stream.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._mirror.stream_received(frames, time.monotonic())
        return True

    def _log_changes(self) -> None:
        status = self._mirror.status
        if status.state is self._state:
            return
        first, self._state = self._state is State.CONNECTING, status.state
        if status.state is State.STALE:
            log.warning("the view is stale", registry=self._url, why=status.why)
        elif first:
            log.info("the view is live", registry=self._url)
        else:
            log.warning("the view is live again", registry=self._url)
