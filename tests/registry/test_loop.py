"""The loop never sleeps while something waits to be read: what it sends may swallow the sign of it.

ZeroMQ tells through a socket's descriptor that something has happened there, once; whoever sends
through the socket meanwhile is told instead, if the last time was long enough ago (see libzmq's
`process_commands`).
"""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock

import pytest
import zmq

from devicewatch.events.sockets import Context
from devicewatch.registry import loop
from tests.support.shop import PATIENCE, Shop, ask, dealer

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


def test_however_long_it_takes_to_let_others_in_a_batch_has_its_time(
    shop: Shop, context: Context
) -> None:
    late = 0.0

    def admit() -> None:
        nonlocal late
        late += 2 * PATIENCE

    def now() -> float:
        return time.monotonic() + late

    gate = mock.Mock(next_look=math.inf, refused=0, stream=shop.loop._requests, admit=admit)
    gate.has_changed.return_value = False
    with (
        dealer(context) as many,
        mock.patch.object(loop, "_now", now),
        mock.patch.object(shop.loop, "_gate", gate),
    ):
        for _ in range(3):
            ask(many, 0)
        shop.loop._has_slept = False
        shop.loop.do_round()
        assert late
        for _ in range(3):
            assert many.recv_multipart(zmq.NOBLOCK)
