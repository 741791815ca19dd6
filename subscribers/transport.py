"""The two sockets of a watcher, between its mirror and the network. For one thread.

What `watcher` and `aio` have in common: they differ in how they wait, and in nothing else. Here
bytes are moved and clocks are read; what anything means is the mirror's business.
"""

import time
from typing import Final

import zmq

from ..events.errors import AddressError
from ..events.keys import Key, check_key
from ..events.link import Link, RequestSocket
from ..events.logs import get_logger
from ..events.records import State
from ..events.sockets import Context, Socket, check_address
from ..events.transfer import has_message, receive_frames
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
        key: This program's, and the registry's; None for a registry without keys.

    Raises:
        AddressError: The address makes no sense.
        AuthenticationError: The key does not say which registry it is for.
    """

    def __init__(
        self, mirror: Mirror, url: str, context: Context | None, key: Key | None = None
    ) -> None:
        check_address(url)
        check_key(key)
        self._mirror = mirror
        self._url = url
        self._context = context or zmq.Context.instance()
        self._key = key
        self._requests = RequestSocket(self._context, url, key)
        self._stream: Link | None = None
        self._sockets: list[Socket] = []
        self._files: list[int] = []
        self._started = False
        self._refusal = ""
        self._state = State.CONNECTING

    @property
    def files(self) -> list[int]:
        """File descriptors to wait for, once `serve` has found nothing.

        It is the same list for as long as nothing changes about it.
        """
        requests = [] if self._requests.waiting is None else [self._requests.waiting]
        stream = [] if self._stream is None else [self._stream.socket, *self._stream.monitors]
        sockets = [*requests, *self._requests.monitors, *stream]
        if sockets != self._sockets:
            self._sockets = sockets
            self._files = [int(socket.get(zmq.FD)) for socket in sockets]
        return self._files

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
        mirror.view.set_wall_offset(time.time() - time.monotonic())
        self._act()
        received = self._receive_stream()
        reply = self._requests.receive()
        if reply is not None:
            mirror.reply_received(reply, time.monotonic())
        return self._look_for_refusals() or received or reply is not None

    def follow(self) -> bool:
        """Give the mirror the next message of the stream; False if `serve` has to go on from there.

        It is all that has to be done at once for an event that somebody waits for. If True, nothing
        else has to be done before the deadline, but to look whether it `has_more`.

        Raises:
            zmq.ContextTerminated: The context has been.
        """
        if self._stream is None:
            return False
        try:
            frames = receive_frames(self._stream.socket)
        except zmq.Again:
            return False
        return self._mirror.stream_received(frames, time.monotonic())

    @property
    def has_more(self) -> bool:
        """Whether the stream has brought more; to be asked before waiting, once that is all."""
        return self._stream is not None and has_message(self._stream.socket)

    def _receive_stream(self) -> bool:
        """Give the mirror what the stream has brought; say whether there was anything."""
        if self._stream is None or not self.has_more:
            return False
        received, socket = False, self._stream.socket
        for _ in range(_BATCH):
            try:
                frames = receive_frames(socket)
            except zmq.Again:
                break
            received = True
            if not self._mirror.stream_received(frames, time.monotonic()):
                self._act()
        return received

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
        self._close_stream()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _act(self) -> None:
        for action in self._mirror.actions():
            self._do(action)

    def _do(self, action: Ask | Listen) -> None:
        if isinstance(action, Ask):
            self._requests.send(action.request)
            return
        self._close_stream()
        try:
            self._stream = Link(self._context, zmq.SUB, action.url, self._key)
        except AddressError as error:  # the registry's fault: the mirror will try again
            why = f"the registry at {self._url} names a bad address: {error}"
            self._mirror.listen_failed(why, time.monotonic())

    def _look_for_refusals(self) -> bool:
        stream = None if self._stream is None else self._stream.refusal()
        if stream is not None:
            self._close_stream()
        refusal = self._requests.refusal() or stream
        if refusal is not None:
            self._mirror.not_let_in(refusal, time.monotonic())
            self._log_refusal(str(refusal))
        return refusal is not None

    def _log_refusal(self, why: str) -> None:
        """Once, and unless it is raised to whoever waits for the first view."""
        if why != self._refusal and self._mirror.view.state is not State.CONNECTING:
            log.warning("the registry does not let this program in", registry=self._url, why=why)
            self._refusal = why

    def _log_changes(self) -> None:
        if self._mirror.view.state is self._state:
            return
        status = self._mirror.view.status
        self._refusal = ""
        first, self._state = self._state is State.CONNECTING, status.state
        if status.state is State.STALE:
            log.warning("the view is stale", registry=self._url, why=status.why)
        elif first:
            log.info("the view is live", registry=self._url)
        else:
            log.warning("the view is live again", registry=self._url)
