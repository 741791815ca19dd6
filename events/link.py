"""Connections to a registry: one that tells why it comes to nothing, and one to ask questions on.

Nothing in this file knows the protocol; what the end of a handshake means is said in `handshake`.
"""

import contextlib
from itertools import count
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from .errors import AuthenticationError
from .handshake import Handshake, Outcome
from .keys import Key
from .sockets import Context, Socket, connect, new_socket, open_socket
from .transfer import has_message, receive_frames, send_frame

_MISMATCH: Final = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
_UNPROVEN: Final = zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC

_NOT_KNOWN: Final = 400
"""What a key that is not let in is told, in numbers of ZAP (https://rfc.zeromq.org/spec/27/)."""

_SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f" + b"\x03"
"""How every greeting begins, up to the version; the mechanism would be next but one."""

_MECHANISM: Final = 12
_MECHANISM_END: Final = 32
_GREETINGS: Final = {b"NULL": Outcome.AGREED, b"CURVE": Outcome.MISMATCH}
_LONGEST_PART: Final = 64
"""Bytes; whatever is longer is no greeting."""

_FAILED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_AGREED: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED


_numbers: Final = count()
"""Of monitors, as each in a context has an address of its own."""


class Link:
    """A socket that is connected, or tries to be, and that says so when it is not let in.

    Args:
        context: ZeroMQ context to open it in.
        kind: Of socket: `zmq.REQ`, `zmq.SUB`.
        url: Where to connect to.
        key: What to show, and whom to trust; None talks without encryption.

    Attributes:
        socket: The socket.

    Raises:
        AddressError: ZeroMQ cannot connect to the address.
    """

    def __init__(self, context: Context, kind: int, url: str, key: Key | None) -> None:
        self._context = context
        self._url = url
        self._key = key
        self._handshake = Handshake(url, key)
        self._knock: _Knock | None = None
        self._monitor: Socket | None = None
        self._files: list[int] | None = None
        self.socket = new_socket(context, kind, key)
        try:
            if not url.startswith("inproc:"):  # where there is no handshake
                # That it is let in shows in a REQ's reply, too: no need to wake up for it. With a
                # key, what follows a handshake that succeeded means something else (`Handshake`).
                replies_tell = kind == zmq.REQ and key is None
                watched = _FAILED if replies_tell else _FAILED | _AGREED
                self._monitor = open_monitor(context, self.socket, watched)
            connect(self.socket, url)
        except BaseException:
            self.close()
            raise

    @property
    def monitors(self) -> list[Socket]:
        """Where something may arrive that `refusal` has to look at."""
        knock = [] if self._knock is None else [self._knock.socket]
        return knock if self._monitor is None else [self._monitor, *knock]

    @property
    def files(self) -> list[int]:
        """The file descriptors of the socket and of `monitors`, to wait for (see `has_message`).

        It is the same list for as long as nothing changes about it.
        """
        if self._files is None:
            self._files = [int(socket.get(zmq.FD)) for socket in (self.socket, *self.monitors)]
        return self._files

    def refusal(self) -> AuthenticationError | None:
        """Whether it is not let in, as far as that has shown. It is of no use then: close it."""
        handshake = self._handshake
        if self._monitor is None and self._knock is None:
            return handshake.refusal
        for outcome in self._outcomes():
            handshake.saw(outcome)
            if outcome is Outcome.AGREED:
                self.agreed()
        if self._knock is not None and (greeting := self._knock.outcome()) is not None:
            handshake.saw_knock(greeting)
        if not handshake.in_doubt:
            self._hush()
        elif self._knock is None and not self.socket.closed:
            self._knock = self._new_knock()
            self._files = None
        return handshake.refusal

    def agreed(self) -> None:
        """The handshake was a success: that is known, or something has been received."""
        if self._key is None and self._monitor is not None:  # most often it is closed already
            # What may become of the connection later, the next one will tell; and a program may
            # have many, each of which costs two sockets for as long as it is watched.
            self._hush()
            self._close_monitor()

    def _new_knock(self) -> "_Knock | None":
        if not self._url.startswith("tcp:"):
            return None
        try:
            return _Knock(self._context, self._url)
        except zmq.ContextTerminated:
            raise
        except zmq.ZMQError:  # a lack of file descriptors, say: it may pass
            return None

    def close(self) -> None:
        """Close it at once. May be repeated."""
        self._hush()
        self._close_monitor()
        self.socket.close(linger=0)

    def _close_monitor(self) -> None:
        if self._monitor is not None:
            # First of all: where nobody listens any more, ZeroMQ's own thread would wait for ever
            # to tell what it has to tell, and serve no socket of the whole program.
            with contextlib.suppress(zmq.ZMQError):  # the context has ended
                if not self.socket.closed:
                    self.socket.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = self._files = None

    def __del__(self) -> None:
        # What is raised here is ignored, even a Ctrl-C that happens to come now: so as little as
        # can be is done where it was closed before, as it should be. Without a socket the
        # constructor failed.
        if hasattr(self, "socket") and not self.socket.closed:
            self.close()  # in its order, see there

    def _hush(self) -> None:
        if self._knock is not None:
            self._knock.socket.close(linger=0)
            self._knock = self._files = None

    def _outcomes(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._monitor is None:
            return outcomes
        while has_message(self._monitor):
            message = parse_monitor_message(self._monitor.recv_multipart())
            outcomes.append(_outcome(message["event"], message["value"]))
        return outcomes


class _Knock:
    """Finds out how a registry greets strangers, and says nothing to it.

    Two ends that show each other their mechanisms at the same time, and differ, may both hang up
    before they have read the other's. This one begins a greeting (https://rfc.zeromq.org/spec/23/),
    and does not go on.

    Attributes:
        socket: Readable when `outcome` has something to do.
    """

    def __init__(self, context: Context, url: str) -> None:
        self.socket = open_socket(context, zmq.STREAM)
        self._greeting = b""
        try:
            connect(self.socket, url)
            has_message(self.socket)  # or its descriptor would not tell of the first
        except BaseException:
            self.socket.close(linger=0)
            raise

    def outcome(self) -> Outcome | None:
        """`MISMATCH` if it asks for keys, `AGREED` if not; None as long as that is not known."""
        while True:
            try:
                peer, data = self.socket.recv_multipart(zmq.NOBLOCK)
                if not data:  # connected, or disconnected
                    self._greeting = b""
                    self.socket.send_multipart([peer, _SIGNATURE], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno == zmq.EAGAIN:
                    return None
                if error.errno == zmq.EHOSTUNREACH:  # disconnected
                    continue
                raise
            self._greeting += data[:_LONGEST_PART]
            if self._greeting[:1] == _SIGNATURE[:1] and len(self._greeting) >= _MECHANISM_END:
                mechanism = self._greeting[_MECHANISM:_MECHANISM_END].rstrip(b"\0")
                self._greeting = b""
                if mechanism in _GREETINGS:
                    return _GREETINGS[mechanism]


class RequestSocket:
    """A REQ socket that cannot get stuck: asking again gives up on whatever was asked before.

    A REQ socket whose reply was lost waits for it for ever, so it is thrown away and replaced.
    It closes without linger: a request that has not left by then is dropped (by ZeroMQ, in the
    background), so that it does not reach a registry that starts later and register a device
    that is long gone.

    Args:
        context: ZeroMQ context to open sockets in.
        url: Where to connect to.
        key: What to show, and whom to trust; None talks without encryption.
    """

    def __init__(self, context: Context, url: str, key: Key | None = None) -> None:
        self._context = context
        self._url = url
        self._key = key
        self._link: Link | None = None
        self._waiting = False
        self._sent = False

    @property
    def waiting(self) -> Socket | None:
        """The socket to poll for a reply; None while no request is under way."""
        return self.open if self._waiting else None

    @property
    def open(self) -> Socket | None:
        """The socket, if there is one, whether or not a request is under way.

        Polling it between requests, too, is how to notice at once that its context is terminated,
        which cannot end before the socket is closed.
        """
        return None if self._link is None else self._link.socket

    @property
    def monitors(self) -> list[Socket]:
        """Where something may arrive that `refusal` has to look at."""
        return [] if self._link is None else self._link.monitors

    @property
    def files(self) -> list[int]:
        """The file descriptors of `open` and of `monitors`, to wait for.

        It is the same list for as long as nothing changes about it. One may wait for them after
        `send`, as no reply can be there before, or once `receive` and `refusal` gave nothing.
        """
        return [] if self._link is None else self._link.files

    def send(self, request: bytes) -> None:
        """Send a request, forgetting an earlier one that is still unanswered. Never blocks.

        Raises:
            AddressError: ZeroMQ cannot connect to the address.
        """
        if self._waiting:
            self.close()
        if self._link is None:
            self._link = Link(self._context, zmq.REQ, self._url, self._key)
        self._waiting = True
        try:
            send_frame(self._link.socket, request)
            self._sent = True
        except zmq.Again:  # the other end of an inproc connection is gone: it will not answer
            self._sent = False

    def receive(self) -> list[bytes] | None:
        """The frames of the reply; None if it is not there yet."""
        if self._link is None or not self._waiting:
            return None
        if not self._sent:
            has_message(self._link.socket)  # it has to take notice of what becomes of its peers
            return None
        try:
            frames = receive_frames(self._link.socket)
        except zmq.Again:
            return None
        self._waiting = False
        self._link.agreed()
        return frames

    def refusal(self) -> AuthenticationError | None:
        """Why the request under way will not be answered, if it is on account of a key.

        It is forgotten then; `send` opens a new socket.
        """
        refusal = None if self._link is None else self._link.refusal()
        if refusal is not None:
            self.close()
        return refusal

    def close(self) -> None:
        """Close the socket at once. `send` opens a new one."""
        if self._link is not None:
            self._link.close()
        self._link = None
        self._waiting = False


def open_monitor(context: Context, socket: Socket, events: int) -> Socket:
    """Where is told what happens to a socket's connections: `disable_monitor` it before closing.

    Args:
        context: ZeroMQ context of the socket.
        socket: The socket.
        events: What to tell of, `zmq.EVENT_…`.
    """
    address = f"inproc://devicewatch-monitor-{next(_numbers)}"
    monitor = open_socket(context, zmq.PAIR)
    # ZeroMQ's own thread writes here, and must never have to wait for us to read.
    monitor.set(zmq.RCVHWM, 0)
    try:
        socket.monitor(address, events)
        monitor.connect(address)
        has_message(monitor)  # or its descriptor would not tell of the first
    except BaseException:
        monitor.close(linger=0)
        raise
    return monitor


def _outcome(event: int, value: int) -> Outcome:
    match event, value:
        case zmq.EVENT_HANDSHAKE_SUCCEEDED, _:
            return Outcome.AGREED
        case zmq.EVENT_HANDSHAKE_FAILED_AUTH, code if code == _NOT_KNOWN:
            return Outcome.REFUSED
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, code if code == _MISMATCH:
            return Outcome.MISMATCH
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, code if code == _UNPROVEN:
            return Outcome.UNPROVEN
        case _:
            return Outcome.HUNG_UP
