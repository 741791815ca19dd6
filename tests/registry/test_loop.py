"""The loop never sleeps while something waits to be read: what it sends may swallow the sign of it.

ZeroMQ tells through a socket's descriptor that something has happened there, once; whoever sends
through the socket meanwhile is told instead, if the last time was long enough ago (see libzmq's
`process_commands`).
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq

from devicewatch.events.sockets import Context
from tests.support.shop import Shop, ask, dealer

pytestmark = pytest.mark.interpreted


@pytest.fixture
def shop(context: Context) -> Iterator[Shop]:
    with ExitStack() as stack:
        shop = Shop(context, stack)
        shop.run_until_it_sleeps()
        yield shop


def test_a_request_that_comes_while_others_are_answered_is_not_slept_over(
    shop: Shop, context: Context
) -> None:
    with dealer(context) as many, dealer(context) as one:
        for _ in range(3):
            ask(many, 0)
        shop.run_until_it_sleeps()
        for _ in range(3):
            ask(many, 0)
        shop.loop._has_slept = False  # as in a crowd: all are answered together
        shop.between = lambda: ask(one, 0)
        shop.run_until_it_sleeps()
        assert one.recv_multipart(zmq.NOBLOCK)


def test_a_subscriber_that_comes_while_events_are_sent_is_not_slept_over(
    shop: Shop, context: Context
) -> None:
    with dealer(context) as device, context.socket(zmq.SUB) as watcher:
        watcher.connect("inproc://stream")
        ask(device, 1)
        shop.run_until_it_sleeps()
        ask(device, 1)  # at the same address: two events
        shop.between = lambda: watcher.set(zmq.SUBSCRIBE, b"tick")
        shop.run_until_it_sleeps()
        assert shop.between is None
        assert watcher.recv_multipart(zmq.NOBLOCK)[0] == b"tick", "it is greeted"


def test_to_be_told_to_stop_in_the_midst_of_a_round_is_not_slept_over(
    shop: Shop, context: Context
) -> None:
    with dealer(context) as device:
        ask(device, 1)
        shop.loop._has_slept = False
        shop.between = shop.stop
        shop.loop.run()
        assert shop.between is None
