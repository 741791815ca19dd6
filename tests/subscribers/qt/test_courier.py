"""The thread that reads for another loop. It needs no Qt."""

import select
import threading
from collections.abc import Iterator

import pytest
import zmq

from devicewatch.events import Added, Live
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import Watcher
from devicewatch.subscribers.qt.courier import Courier, Ended
from tests.support.live import PATIENCE, RawClient, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def waits(courier: Courier, seconds: float = 0) -> bool:
    return bool(select.select([courier], [], [], seconds)[0])


def test_it_can_be_waited_for_as_long_as_something_is_there(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "cam")
    courier = Courier(Watcher(registry.url, context=context))
    assert waits(courier, PATIENCE)
    wait_until(lambda: len(courier._items) == 2)
    assert isinstance(courier.take(), Added)
    assert waits(courier)
    assert isinstance(courier.take(), Live)
    assert not waits(courier)
    assert courier.take() is None
    courier.stop()
    courier.close()


def test_it_reads_no_further_than_its_queue_is_long(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    for number in range(20):
        client.register(f"tcp://a:{number}")
    courier = Courier(Watcher(registry.url, context=context), limit=5)
    names = []
    for _ in range(20):
        wait_until(lambda: courier._items)
        assert len(courier._items) <= 5
        item = courier.take()
        assert isinstance(item, Added)
        names.append(item.device.name)
    assert names == [f"camera-{number}" for number in range(20)]
    courier.stop()


def test_it_stops_while_its_queue_is_full(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    for number in range(20):
        client.register(f"tcp://a:{number}")
    courier = Courier(Watcher(registry.url, context=context), limit=5)
    wait_until(lambda: len(courier._items) == 5)
    courier.stop()
    assert courier.take() is None
    assert "devicewatch-qt" not in {thread.name for thread in threading.enumerate()}
    courier.stop()


def test_a_context_that_ends_is_the_end(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    courier = Courier(Watcher(registry.url, context=mine))
    wait_until(lambda: isinstance(courier.take(), Live))
    mine.term()
    wait_until(lambda: courier._items)
    assert courier.take() == Ended("its ZeroMQ context was terminated")
    courier.stop()


def test_a_fault_of_our_own_is_told(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = LookupError("a fault")

    def fail(self: Watcher) -> None:
        raise error

    monkeypatch.setattr(Watcher, "records", fail)
    courier = Courier(Watcher(registry.url, context=context))
    wait_until(lambda: courier._items)
    assert courier.take() == Ended("LookupError: a fault", error)
    courier.stop()
