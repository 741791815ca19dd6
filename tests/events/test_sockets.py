"""Requests that cannot get stuck, addresses, and the bell: on real sockets."""

import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import zmq

from devicewatch.events.errors import AddressError
from devicewatch.events.files import poll_timeout
from devicewatch.events.link import Link, RequestSocket
from devicewatch.events.protocol import MAX_FRAME_BYTES
from devicewatch.events.sockets import (
    Bell,
    Context,
    Socket,
    check_address,
)
from devicewatch.events.text import printable
from tests.support.live import PATIENCE, free_port, wait_until

MILLISECONDS = int(PATIENCE * 1000)
ANYWHERE = "tcp://127.0.0.1:*"


@contextmanager
def serving(context: Context, url: str, kind: int = zmq.REP) -> Iterator[Socket]:
    """A socket that listens, and gives up in time whatever it waits for."""
    with context.socket(kind) as server:
        server.linger = 0
        server.rcvtimeo = MILLISECONDS
        server.bind(url)
        yield server


@pytest.fixture
def server(context: Context) -> Iterator[Socket]:
    with serving(context, ANYWHERE) as server:
        yield server


@pytest.fixture
def request_socket(context: Context, server: Socket) -> Iterator[RequestSocket]:
    with closing(RequestSocket(context, address(server))) as request_socket:
        yield request_socket


@pytest.fixture
def bell() -> Iterator[Bell]:
    with Bell() as bell:
        yield bell


def address(socket: Socket) -> str:
    endpoint = socket.get(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    return endpoint.decode().rstrip("\0")


def answer_to(socket: RequestSocket) -> list[bytes] | None:
    """Wait for a reply as a front end does: poll, then receive."""
    assert socket.waiting is not None
    assert socket.waiting.poll(MILLISECONDS)
    return socket.receive()


# --- requests --------------------------------------------------------------------------------


def test_a_request_is_answered(server: Socket, request_socket: RequestSocket) -> None:
    request_socket.send(b"who?")
    assert server.recv_multipart() == [b"who?"]
    server.send_multipart([b"it is", b"me"])
    assert answer_to(request_socket) == [b"it is", b"me"]


def test_nothing_is_waited_for_but_the_reply_to_a_request(
    server: Socket, request_socket: RequestSocket
) -> None:
    assert request_socket.waiting is None
    assert request_socket.receive() is None
    request_socket.send(b"who?")
    assert request_socket.waiting is not None
    assert request_socket.receive() is None
    assert request_socket.waiting is not None
    server.send(server.recv())
    assert answer_to(request_socket) == [b"who?"]
    assert request_socket.waiting is None
    assert request_socket.receive() is None


def test_one_socket_serves_as_long_as_each_request_is_answered(
    server: Socket, request_socket: RequestSocket
) -> None:
    sockets = set()
    for question in (b"one", b"two", b"three"):
        request_socket.send(question)
        sockets.add(request_socket.waiting)
        server.send(server.recv())
        assert answer_to(request_socket) == [question]
    assert len(sockets) == 1


def test_asking_again_replaces_the_socket(server: Socket, request_socket: RequestSocket) -> None:
    request_socket.send(b"one")
    first = request_socket.waiting
    assert server.recv() == b"one"
    request_socket.send(b"two")
    assert first is not None
    assert first.closed
    assert request_socket.waiting is not first


def test_a_late_reply_is_not_taken_for_the_next_one(
    server: Socket, request_socket: RequestSocket
) -> None:
    request_socket.send(b"one")
    assert server.recv() == b"one"
    request_socket.send(b"two")
    server.send(b"re: one")
    assert server.recv() == b"two"
    server.send(b"re: two")
    assert answer_to(request_socket) == [b"re: two"]


def test_closing_forgets_the_request(server: Socket, request_socket: RequestSocket) -> None:
    request_socket.send(b"one")
    socket = request_socket.waiting
    request_socket.close()
    assert socket is not None
    assert socket.closed
    assert request_socket.waiting is None
    assert request_socket.receive() is None


def test_closing_may_be_repeated_and_is_no_end(
    server: Socket, request_socket: RequestSocket
) -> None:
    request_socket.close()
    request_socket.close()
    request_socket.send(b"who?")
    server.send(server.recv())
    assert answer_to(request_socket) == [b"who?"]


def test_a_registry_may_start_after_the_request(context: Context) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with closing(RequestSocket(context, url)) as request_socket:
        request_socket.send(b"who?")
        with serving(context, url) as server:
            server.send(server.recv())
            assert answer_to(request_socket) == [b"who?"]


def test_a_request_that_was_closed_before_it_left_never_arrives(context: Context) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    own_context: Context = zmq.Context()
    ghost = RequestSocket(own_context, url)
    ghost.send(b"ghost")
    ghost.close()
    ending = threading.Thread(target=own_context.term)  # ZeroMQ closes sockets in its own time
    ending.start()
    ending.join(PATIENCE)
    with (
        serving(context, url, zmq.ROUTER) as server,  # takes requests without answering them
        closing(RequestSocket(context, url)) as alive,
    ):
        alive.send(b"alive")
        arrived = [server.recv_multipart()[-1]]
        while server.poll(300):  # three times as long as ZeroMQ waits to connect again
            arrived.append(server.recv_multipart()[-1])
    assert arrived == [b"alive"]


def test_asking_does_not_wait_for_a_registry_that_has_left_the_process(context: Context) -> None:
    url = "inproc://registry"
    with closing(RequestSocket(context, url)) as request_socket:
        with serving(context, url) as server:
            request_socket.send(b"one")
            socket = request_socket.waiting
            server.send(server.recv())
            assert answer_to(request_socket) == [b"one"]
        assert socket is not None
        wait_until(lambda: not socket.poll(0, zmq.POLLOUT))
        request_socket.send(b"two")
        assert request_socket.waiting is not None
        assert request_socket.receive() is None
        with serving(context, url) as server:
            request_socket.send(b"three")
            assert server.recv() == b"three"
            server.send(b"re: three")
            assert answer_to(request_socket) == [b"re: three"]


def test_waiting_for_an_answer_ends_with_the_context() -> None:
    mine: Context = zmq.Context()
    request_socket = RequestSocket(mine, "inproc://nobody")
    request_socket.send(b"who?")
    ending = threading.Thread(target=mine.term)
    ending.start()
    with pytest.raises(zmq.ContextTerminated):
        wait_until(lambda: request_socket.receive() is not None)
    request_socket.close()
    ending.join(PATIENCE)
    assert not ending.is_alive()


def test_asking_at_a_bad_address_raises_and_leaves_nothing_open(context: Context) -> None:
    request_socket = RequestSocket(context, "tcp://nowhere")
    with pytest.raises(AddressError, match="tcp://nowhere"):
        request_socket.send(b"who?")
    assert request_socket.waiting is None
    assert request_socket.receive() is None


# --- connecting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "127.0.0.1:5555",
        "tcp://127.0.0.1",
        "tcp://*:5555",
        "http://127.0.0.1:5555",
        "udp://127.0.0.1:5555",
        "ipc://",
        pytest.param("ipc://" + "x" * 300, id="ipc, too long"),
    ],
)
def test_what_cannot_be_connected_to_is_a_bad_address(context: Context, url: str) -> None:
    """The context's end shows that the socket was closed."""
    with pytest.raises(AddressError, match="An address looks like tcp://127"):
        Link(context, zmq.REQ, url, None).close()


def test_a_terminated_context_is_not_blamed_on_the_address() -> None:
    class Ending(zmq.Context[Any]):
        """Ends between the making of a socket and its connecting."""

        def socket(self, *args: Any, **kwargs: Any) -> Any:
            socket, witness = super().socket(*args, **kwargs), super().socket(zmq.REQ)
            ending.start()

            def ended() -> bool:
                try:
                    witness.poll(0)
                except zmq.ContextTerminated:
                    return True
                return False

            wait_until(ended)
            witness.close()
            return socket

    context = Ending()
    ending = threading.Thread(target=context.term)
    with pytest.raises(zmq.ContextTerminated):
        Link(context, zmq.REQ, "inproc://anywhere", None)
    ending.join(PATIENCE)
    assert not ending.is_alive(), "a socket was left open"


def test_a_socket_closes_without_linger(context: Context) -> None:
    """Or the context would not end, for as long as nobody listens there."""
    with closing(Link(context, zmq.PUSH, f"tcp://127.0.0.1:{free_port()}", None)) as link:
        assert link.socket.linger == 0
        link.socket.send(b"never mind")


def test_a_subscriber_is_subscribed_to_everything(context: Context) -> None:
    with (
        serving(context, ANYWHERE, zmq.XPUB) as stream,
        closing(Link(context, zmq.SUB, address(stream), None)) as link,
    ):
        subscriber = link.socket
        assert stream.recv() == b"\x01"
        for topic in (b"added", b"tick", b""):
            stream.send_multipart([topic, b"body"])
            assert subscriber.poll(MILLISECONDS)
            assert subscriber.recv_multipart() == [topic, b"body"]


def test_a_frame_beyond_the_limit_ends_the_connection(context: Context) -> None:
    largest = bytes(MAX_FRAME_BYTES)
    with (
        serving(context, ANYWHERE, zmq.XPUB) as stream,
        closing(Link(context, zmq.SUB, address(stream), None)) as link,
    ):
        subscriber = link.socket
        assert stream.recv() == b"\x01"
        stream.send(largest)
        assert subscriber.poll(MILLISECONDS)
        assert subscriber.recv() == largest
        stream.send(largest + b"\0")
        assert stream.recv() == b"\x00"  # it hung up
        assert not subscriber.poll(0)


# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "tcp://127.0.0.1:5555",
        "tcp://registry.lab.example:1",
        "tcp://[::1]:65535",
        "ipc:///run/devicewatch",
        "ipc://@abstract",
        "inproc://registry",
    ],
)
def test_a_good_address_passes(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no transport"),
        ("127.0.0.1:5555", "no transport"),
        ("localhost", "no transport"),
        ("tcp:/127.0.0.1:5555", "no transport"),
        ("://127.0.0.1:5555", "no transport"),
        ("TCP://127.0.0.1:5555", "no transport"),
        ("http://127.0.0.1:5555", "no transport"),
        ("udp://127.0.0.1:5555", "no transport"),
        ("tcp://", "no transport"),
        ("ipc://", "no transport"),
        ("inproc://", "no transport"),
        ("tcp://127.0.0.1", "no port"),
        ("tcp://127.0.0.1:", "no port"),
        ("tcp://127.0.0.1:0", "no port"),
        ("tcp://127.0.0.1:65536", "no port"),
        ("tcp://127.0.0.1:-1", "no port"),
        ("tcp://127.0.0.1:+5555", "no port"),
        ("tcp://127.0.0.1: 5555", "no port"),
        ("tcp://127.0.0.1:http", "no port"),
        ("tcp://127.0.0.1:\N{SUPERSCRIPT TWO}", "no port"),
        ("tcp://127.0.0.1:\N{ARABIC-INDIC DIGIT FIVE}", "no port"),
        ("tcp://127.0.0.1:5555\0", "no port"),
        ("tcp://127.0.0.1:5555/path", "no port"),
        ("tcp://127.0.0.1:" + "9" * 5_000, "no port"),
        ("tcp://:5555", "no host"),
        ("tcp://*:5555", "no host"),
    ],
)
def test_a_bad_address_is_refused_with_the_reason_and_an_example(url: str, why: str) -> None:
    with pytest.raises(AddressError, match=rf"{why}.*tcp://127\.0\.0\.1:5555$") as caught:
        check_address(url)
    assert f"'{printable(url, 200)}'" in str(caught.value)


# --- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(-1.0, 0), (0.0, 0), (1e-9, 1), (0.001, 1), (0.0011, 2), (1.0, 1000), (86_400.0, 86_400_000)],
)
def test_a_poll_ends_after_the_deadline_and_not_just_before_it(
    seconds: float, milliseconds: int
) -> None:
    assert poll_timeout(seconds) == milliseconds


# --- the bell --------------------------------------------------------------------------------


def test_a_bell_that_nobody_rings_is_silent(bell: Bell) -> None:
    assert not bell.wait(0)
    assert not bell.wait(0.01)


def test_a_ring_is_heard_until_it_is_hushed(bell: Bell) -> None:
    bell.ring()
    assert bell.wait(PATIENCE)
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)


def test_many_rings_count_once(bell: Bell) -> None:
    for _ in range(3):
        bell.ring()
    bell.hush()
    assert not bell.wait(0)


def test_a_bell_rings_again_after_it_was_hushed(bell: Bell) -> None:
    for _ in range(3):
        bell.ring()
        assert bell.wait(PATIENCE)
        bell.hush()


def test_hushing_a_silent_bell_does_not_wait(bell: Bell) -> None:
    bell.hush()
    assert not bell.wait(0)


def test_a_bell_that_nobody_hears_can_be_rung_for_ever(bell: Bell) -> None:
    for _ in range(20_000):  # far more than a socket holds
        bell.ring()
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)


def test_a_ring_wakes_a_thread_that_waits(bell: Bell) -> None:
    heard: list[bool] = []
    waiter = threading.Thread(target=lambda: heard.append(bell.wait(PATIENCE)))
    waiter.start()
    bell.ring()
    waiter.join(PATIENCE)
    assert heard == [True]


def test_a_ring_from_a_thread_wakes_the_poller(bell: Bell) -> None:
    poller = zmq.Poller()
    poller.register(bell.fileno(), zmq.POLLIN)
    ringer = threading.Thread(target=bell.ring)
    ringer.start()
    assert poller.poll(MILLISECONDS) == [(bell.fileno(), zmq.POLLIN)]
    ringer.join()


def test_a_ring_from_a_signal_handler_is_heard(bell: Bell) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: bell.ring())
    try:
        signal.raise_signal(signal.SIGUSR1)
        assert bell.wait(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_closed_bell_is_harmless() -> None:
    bell = Bell()
    bell.ring()
    bell.close()
    bell.close()
    bell.ring()
    bell.hush()
    assert bell.fileno() == -1


def test_hushing_ends_when_the_other_end_is_closed(bell: Bell) -> None:
    """As it is for a moment while another thread closes the bell."""
    bell.ring()
    bell._rope.close()
    bell.hush()
    bell.ring()
    assert bell.wait(0)


def test_a_bell_closes_at_the_end_of_its_block_however_that_ends() -> None:
    bell = Bell()
    assert bell.fileno() >= 0
    with pytest.raises(LookupError), bell:
        raise LookupError
    assert bell.fileno() == -1


def test_a_bell_that_its_owner_forgot_is_closed() -> None:
    """A socket left open would be a warning, and a warning an error."""
    bell = Bell()
    number = bell.fileno()
    del bell
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_socket_that_cannot_be_had_is_an_error(context: Context) -> None:
    with pytest.raises(zmq.ZMQError, match="Invalid argument"):
        Link(context, 999, "inproc://anywhere", None)


def test_closing_links_in_the_midst_of_handshakes_holds_up_no_other_socket(
    context: Context,
) -> None:
    """ZeroMQ's own thread tells of each handshake's end, and must never wait for who has left."""

    def hang_up(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener, serving(context, ANYWHERE) as server:
        hanging_up = threading.Thread(target=hang_up, args=(listener,))
        hanging_up.start()
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        for number in range(200):
            with closing(Link(context, zmq.SUB, url, None)) as link:
                if number % 3:
                    link.socket.poll(number % 4)
        with closing(Link(context, zmq.REQ, address(server), None)) as link:
            link.socket.send(b"still there?")
            assert server.poll(MILLISECONDS)
        listener.shutdown(socket.SHUT_RDWR)
        hanging_up.join(PATIENCE)
