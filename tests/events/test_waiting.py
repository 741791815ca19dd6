"""Waiting for sockets by their file descriptors, and taking what has arrived."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import zmq

from devicewatch.events.link import RequestSocket
from devicewatch.events.sockets import Bell, Context, Files, Socket, has_message, receive_frames
from tests.support.live import PATIENCE

URL = "inproc://waiting"


@pytest.fixture
def sender(context: Context) -> Iterator[Socket]:
    with context.socket(zmq.PUSH) as sender:
        sender.bind(URL)
        yield sender


@pytest.fixture
def receiver(context: Context, sender: Socket) -> Iterator[Socket]:
    with context.socket(zmq.PULL) as receiver:
        receiver.connect(URL)
        yield receiver


def test_a_socket_is_waited_for_until_something_has_happened_and_a_message_is_there(
    sender: Socket, receiver: Socket
) -> None:
    sender.send(b"hello")
    while not has_message(receiver):
        Files([int(receiver.get(zmq.FD))]).wait(PATIENCE)
    assert receive_frames(receiver) == [b"hello"]


def test_frames_are_those_of_one_message(sender: Socket, receiver: Socket) -> None:
    messages = [[b"added", b"{}"], [b"alone"], [b"", b"", b"three"], [b"large" * 100_000]]
    for message in messages:
        sender.send_multipart(message)
    assert [receive_frames(receiver) for _ in messages] == messages
    assert not has_message(receiver)
    with pytest.raises(zmq.Again):
        receive_frames(receiver)


def test_waiting_ends_when_time_is_up_or_at_any_of_the_descriptors() -> None:
    with Bell() as silent, Bell() as rung:
        assert Files([silent.fileno()]).wait(0.001) == []
        rung.ring()
        assert Files([silent.fileno(), rung.fileno()]).wait(PATIENCE) == [rung.fileno()]


def test_a_request_that_could_not_be_sent_does_not_keep_its_descriptor_readable(
    context: Context,
) -> None:
    """A REQ that has nothing to receive still has to take notice of what becomes of its peers."""
    with closing(RequestSocket(context, "inproc://nobody")) as requests:
        with context.socket(zmq.REP) as server:
            server.bind("inproc://nobody")
            requests.send(b"first")
            server.recv()
        requests.send(b"second")  # the other end is gone
        assert requests.waiting is not None
        assert requests.receive() is None
        poller = zmq.Poller()
        poller.register(int(requests.waiting.get(zmq.FD)), zmq.POLLIN)
        assert not poller.poll(0)
