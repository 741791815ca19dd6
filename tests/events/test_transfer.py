"""Messages are moved in the same way, whichever code does it."""

import importlib
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import zmq

from devicewatch.events import transfer
from devicewatch.events.sockets import Context, Socket
from devicewatch.events.transfer import Message, has_message, plain
from devicewatch.registry.build import COMPILED
from tests.support.live import free_port, wait_until

FRAMES = [[b"one"], [b"", b"two"], [b"", b"", b"three"], [b""], [b"x" * 100_000, b"y"], [b"", b""]]


WAYS = ["plain", "speedups"] if COMPILED else ["plain"]
"""`make compiled`, which every change has to pass, takes both."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"devicewatch.events.transfer.{request.param}")


@pytest.fixture
def router(context: Context) -> Iterator[Socket]:
    with context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{free_port()}")
        yield socket


@pytest.fixture
def dealer(context: Context, router: Socket) -> Iterator[Socket]:
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.routing_id = b"me"
        socket.connect(router.get_string(zmq.LAST_ENDPOINT))
        yield socket


def test_what_is_compiled_is_used() -> None:
    assert (transfer.send_many is not plain.send_many) == COMPILED


def test_messages_arrive_as_they_were_sent(way: ModuleType, router: Socket, dealer: Socket) -> None:
    received = []

    def all_have_come() -> bool:
        received.extend(way.receive_routed(router, 2))
        return len(received) == len(FRAMES)

    for frames in FRAMES:
        dealer.send_multipart([b"way", b"back", b"", *frames])
    wait_until(all_have_come)
    assert received == [([b"me", b"way", b"back", b""], frames, ()) for frames in FRAMES]
    assert way.receive_routed(router, 2) == []

    way.send_many(router, [[*envelope, *frames] for envelope, frames, _ in received])
    for frames in FRAMES:
        assert dealer.recv_multipart() == [b"way", b"back", b"", *frames]


def test_a_message_without_an_envelope_has_nothing_to_be_answered(
    way: ModuleType, router: Socket, dealer: Socket
) -> None:
    for frames in ([b"one"], [b"one", b"two"], [b"", b"with"], [b"one", b""], [b""]):
        dealer.send_multipart(frames)
    received: list[Message] = []
    while len(received) < 5:
        received.extend(way.receive_routed(router, 9))
    assert received == [
        ([], [], ()),
        ([], [], ()),
        ([b"me", b""], [b"with"], ()),
        ([b"me", b"one", b""], [], ()),
        ([b"me", b""], [], ()),
    ]


def test_no_more_are_received_than_were_asked_for(
    way: ModuleType, router: Socket, dealer: Socket
) -> None:
    for number in range(5):
        dealer.send_multipart([b"", b"%d" % number])
    wait_until(lambda: has_message(router))
    first = way.receive_routed(router, 1)
    assert [frames for _, frames, _ in first] == [[b"0"]]
    wait_until(lambda: has_message(router))


def test_many_bytes_are_not_received_at_once(
    way: ModuleType, router: Socket, dealer: Socket
) -> None:
    received: list[bytes] = []

    def some_come() -> bool:
        some = way.receive_routed(router, 10)
        assert len(some) <= 2
        received.extend(frames[-1] for _, frames, _ in some)
        return len(received) == 5

    for number in range(5):
        dealer.send_multipart([b"", b"%d" % number * 600_000])
    wait_until(some_come)
    assert [body[:1] for body in received] == [b"0", b"1", b"2", b"3", b"4"]


def test_it_says_what_zeromq_knows_of_a_message(
    way: ModuleType, router: Socket, dealer: Socket
) -> None:
    dealer.send_multipart([b"", b"hello"])
    wait_until(lambda: has_message(router))
    properties = ["Peer-Address", "Socket-Type", "X-Nonsense"]
    received = way.receive_routed(router, 1, properties)
    assert received == [([b"me", b""], [b"hello"], ("127.0.0.1", "DEALER", None))]


def test_what_a_peer_makes_up_may_be_no_text(
    way: ModuleType, context: Context, router: Socket
) -> None:
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.set(zmq.METADATA, b"X-Odd:\xff\xfe")
        dealer.connect(router.get_string(zmq.LAST_ENDPOINT))
        dealer.send_multipart([b"", b"hello"])
        wait_until(lambda: has_message(router))
        [(_, frames, known)] = way.receive_routed(router, 1, ["X-Odd", "Socket-Type"])
    assert frames == [b"hello"]
    assert known == (None, "DEALER")


def test_one_at_a_time(way: ModuleType, context: Context) -> None:
    with context.socket(zmq.PAIR) as sender, context.socket(zmq.PAIR) as receiver:
        receiver.bind("inproc://pair")
        sender.connect("inproc://pair")
        assert not way.has_message(receiver)
        for frames in FRAMES:
            sender.send_multipart(frames)
            assert way.has_message(receiver)
        assert [way.receive_frames(receiver) for _ in FRAMES] == FRAMES
        assert not way.has_message(receiver)
        with pytest.raises(zmq.Again):
            way.receive_frames(receiver)


def test_nothing_is_sent_to_those_who_are_gone(
    way: ModuleType, router: Socket, dealer: Socket
) -> None:
    dealer.send(b"hello")
    wait_until(lambda: has_message(router))
    way.send_many(router, [[b"nobody", b"1"], [b"me", b"2"], [b"nobody", b"3"]])
    assert dealer.recv() == b"2"


def test_a_frame_is_sent_if_somebody_takes_it(way: ModuleType, context: Context) -> None:
    with context.socket(zmq.PAIR) as receiver, context.socket(zmq.PAIR) as sender:
        with pytest.raises(zmq.Again):
            way.send_frame(sender, b"one")
        receiver.bind("inproc://pair")
        sender.connect("inproc://pair")
        for frame in (b"two", b"", b"x" * 100_000):
            way.send_frame(sender, frame)
            assert receiver.recv_multipart(zmq.NOBLOCK) == [frame]


def test_only_bytes_are_sent(way: ModuleType, router: Socket) -> None:
    with pytest.raises(TypeError):
        way.send_many(router, [["text"]])
    with pytest.raises(TypeError):
        way.send_frame(router, "text")


def test_a_socket_that_was_closed(way: ModuleType, context: Context) -> None:
    socket = context.socket(zmq.ROUTER)
    socket.close()
    moves: list[Callable[[], object]] = [
        lambda: way.has_message(socket),
        lambda: way.receive_frames(socket),
        lambda: way.receive_routed(socket, 1),
        lambda: way.send_many(socket, [[b"nobody", b"1"]]),
        lambda: way.send_frame(socket, b"1"),
    ]
    for move in moves:
        with pytest.raises(zmq.ZMQError) as caught:
            move()
        assert caught.value.errno == zmq.ENOTSOCK


def test_a_context_that_has_ended(way: ModuleType) -> None:
    context: Context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    ending = threading.Thread(target=context.term)
    ending.start()

    def has_ended() -> bool:
        try:
            return bool(way.receive_routed(socket, 1))
        except zmq.ContextTerminated:
            return True

    wait_until(has_ended)
    with pytest.raises(zmq.ContextTerminated):
        way.has_message(socket)
    with pytest.raises(zmq.ContextTerminated):
        way.receive_frames(socket)
    with pytest.raises(zmq.ContextTerminated):
        way.send_many(socket, [[b"nobody", b"1"]])
    with pytest.raises(zmq.ContextTerminated):
        way.send_frame(socket, b"1")
    socket.close()
    ending.join()
