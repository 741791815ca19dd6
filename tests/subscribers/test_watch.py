"""`watch` and `Watcher`: threads, and how they end. What both kinds share: `test_watchers`."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from devicewatch.events import Added, Live, RegistryUnreachable, State
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import Watcher, watch
from tests.support.live import PATIENCE, RawClient, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture
def watcher(context: Context, registry: DeviceRegistry) -> Iterator[Watcher]:
    with Watcher(registry.url, context=context) as watcher:
        yield watcher


def test_the_function_yields_the_same(client: RawClient, registry: DeviceRegistry) -> None:
    client.register("tcp://a:1", "cam")
    events = watch(registry.url)
    assert next(events).device.name == "cam"
    del events
    gc.collect()


def test_the_function_tells_its_status_if_asked(
    client: RawClient, registry: DeviceRegistry
) -> None:
    client.register("tcp://a:1", "cam")
    records = watch(registry.url, status=True)
    first, second = next(records), next(records)
    assert isinstance(first, Added)
    assert isinstance(second, Live)
    del records
    gc.collect()


def test_close_from_another_thread_ends_the_iteration(watcher: Watcher) -> None:
    ended = threading.Event()

    def follow() -> None:
        for _ in watcher:
            pass
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(watcher._in_use.locked)
    watcher.close()
    assert ended.wait(1)
    thread.join()
    assert watcher.closed
    assert watcher.get() is None
    with pytest.raises(RegistryUnreachable, match="it was closed"):
        watcher.connect()
    watcher.close()


def test_close_while_nobody_waits_closes_the_sockets(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    watcher = Watcher(registry.url, context=mine)
    watcher.connect(PATIENCE)
    watcher.close()
    since = time.monotonic()
    mine.term()
    assert time.monotonic() - since < 1


def test_terminating_the_context_ends_the_iteration(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    watcher = Watcher(registry.url, context=mine)
    watcher.connect(PATIENCE)
    threading.Timer(0.05, mine.term).start()
    assert list(watcher) == []
    assert watcher.status.state is State.CLOSED
    assert watcher.status.why == "its ZeroMQ context was terminated"


def test_only_one_thread_at_a_time_may_wait(watcher: Watcher) -> None:
    thread = threading.Thread(target=watcher.get)
    thread.start()
    wait_until(watcher._in_use.locked)
    with pytest.raises(RuntimeError, match="another thread"):
        watcher.get()
    watcher.close()
    thread.join(5)


def test_a_forgotten_watcher_cleans_up_after_itself(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    watcher = Watcher(registry.url, context=mine)
    watcher.connect(PATIENCE)
    del watcher
    gc.collect()
    mine.term()


def test_a_context_that_ended_before_the_first_event_ends_the_iteration(
    registry: DeviceRegistry,
) -> None:
    mine: Context = zmq.Context()
    watcher = Watcher(registry.url, context=mine)
    mine.term()
    assert list(watcher) == []
    assert watcher.closed


def test_a_timeout_of_0_takes_what_is_there(client: RawClient, watcher: Watcher) -> None:
    client.register("tcp://a:1", "cam")
    wait_until(lambda: watcher.get(0) is not None)
    assert list(watcher.devices) == ["cam"]


class _HoleInABurst:
    """A transport of a stream that has brought more, which shows that an event is missing."""

    has_more = True

    def __init__(self) -> None:
        self.files: list[int] = []
        self.served = 0

    def serve(self) -> bool:
        self.served += 1
        self.has_more = False
        return self.served == 1  # then it has asked for what is missing

    def advance(self) -> None:
        pass

    def seconds_to_deadline(self) -> float:
        return 0.0

    def follow(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_what_it_has_asked_for_is_waited_for_along_with_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the socket of requests, which it did not wait for as long as it followed the stream."""
    watcher = Watcher(f"tcp://127.0.0.1:{free_port()}")
    transport = _HoleInABurst()
    with monkeypatch.context() as patch:
        patch.setattr(watcher, "_transport", transport)
        patch.setattr(watcher, "_follows", True)
        watcher._step(None)
        watcher._step(None)
    watcher.close()
    assert transport.served == 2, "or it knows of no socket that it might wait for"
