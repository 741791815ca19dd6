"""Waiting for sockets by their file descriptors, and taking what has arrived."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing

import pytest
import zmq

from devicewatch.events.aio import Lookout
from devicewatch.events.files import Files
from devicewatch.events.link import RequestSocket
from devicewatch.events.sockets import Bell, Context, Socket
from devicewatch.events.transfer import has_message, receive_frames
from tests.support.live import PATIENCE, wait_until

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
        poller = zmq.Poller()
        poller.register(int(requests.waiting.get(zmq.FD)), zmq.POLLIN)
        # That end takes several steps, of another thread.
        wait_until(lambda: requests.receive() is None and not poller.poll(0))


@pytest.mark.parametrize("url", ["inproc://server", "tcp://127.0.0.1:*"])
def test_a_request_may_be_waited_for_as_soon_as_it_is_sent(context: Context, url: str) -> None:
    """Its reply is told of by a descriptor that nobody has looked for messages before."""
    with context.socket(zmq.REP) as server:
        server.bind(url)
        with closing(RequestSocket(context, server.get_string(zmq.LAST_ENDPOINT))) as requests:
            for question in (b"one", b"two", b"three"):
                requests.send(question)
                server.send(server.recv())
                assert _next_reply(requests) == [question]


def _next_reply(requests: RequestSocket) -> list[bytes]:
    while True:
        assert Files(requests.files).wait(PATIENCE), "the reply was not told of"
        if (frames := requests.receive()) is not None:
            return frames
        assert requests.refusal() is None


# --- in an event loop ----------------------------------------------------------------------------


class Calls:
    """Counts the calls of a lookout, which it is at the end of."""

    def __init__(self) -> None:
        self.number = 0
        self._called = asyncio.Event()
        self.lookout = Lookout(self._call, self._call)

    def _call(self) -> None:
        self.number += 1
        self._called.set()

    async def more(self) -> None:
        """Wait for another call."""
        self._called.clear()
        async with asyncio.timeout(PATIENCE):
            await self._called.wait()


def test_a_lookout_calls_until_there_is_nothing_to_read() -> None:
    async def main() -> None:
        calls = Calls()
        with Bell() as bell:
            files = [bell.fileno()]
            calls.lookout.watch(files, PATIENCE)
            for _ in range(3):
                bell.ring()
                await calls.more()
                await calls.more()
                bell.hush()
                calls.lookout.watch(files, PATIENCE)
        calls.lookout.close()

    asyncio.run(main(), debug=True)


def test_a_lookout_looks_at_what_it_was_told_last() -> None:
    async def main() -> None:
        calls = Calls()
        with Bell() as first, Bell() as second:
            first.ring()
            calls.lookout.watch([first.fileno()], PATIENCE)
            await calls.more()
            calls.lookout.watch([second.fileno()], PATIENCE)
            number = calls.number
            for _ in range(3):
                await asyncio.sleep(0)
            assert calls.number == number
            second.ring()
            await calls.more()
        calls.lookout.close()
        calls.lookout.close()

    asyncio.run(main(), debug=True)


def test_a_lookout_calls_when_it_is_time_and_not_at_a_time_that_was_put_off() -> None:
    async def main() -> None:
        calls, loop = Calls(), asyncio.get_running_loop()
        calls.lookout.watch([], PATIENCE)
        calls.lookout.watch([], 0.01)  # sooner
        calls.lookout.watch([], 0.02)  # and later again
        due = loop.time() + 0.02
        await calls.more()
        assert loop.time() >= due - 0.001
        assert calls.number == 1
        calls.lookout.watch([], -1.0)
        await calls.more()
        calls.lookout.close()

    asyncio.run(main(), debug=True)


def test_a_lookout_tells_time_from_descriptors() -> None:
    async def main() -> None:
        calls: asyncio.Queue[str] = asyncio.Queue()

        def note(what: str) -> None:
            calls.put_nowait(what)
            bell.hush()

        with Bell() as bell:
            lookout = Lookout(lambda: note("readable"), lambda: note("due"))
            files = [bell.fileno()]
            for what, seconds in (("readable", PATIENCE), ("due", 0.0), ("readable", PATIENCE)):
                if what == "readable":
                    bell.ring()
                lookout.watch(files, seconds)
                async with asyncio.timeout(PATIENCE):
                    assert await calls.get() == what
            lookout.close()

    asyncio.run(main(), debug=True)


def test_a_lookout_may_outlive_its_loop_and_the_descriptors() -> None:
    lookouts = []

    async def main() -> None:
        lookouts.append(Lookout(lambda: None, lambda: None))
        with Bell() as bell:
            lookouts[0].watch([bell.fileno()], PATIENCE)

    asyncio.run(main())
    [copy] = lookouts[0]._copies
    os.fstat(copy)
    lookouts[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)
