"""Callbacks, of a registry and of the adapter by itself (P12)."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from devicewatch.events import RegistryUnreachable
from devicewatch.registry import DeviceRegistry, unregister_device
from devicewatch.subscribers import CallbackAdapter, callbacks
from tests.support.live import PATIENCE, RawClient, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]
Calls = queue.Queue[tuple[str, str, str]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def recorder() -> tuple[Calls, "callbacks.DeviceCallback"]:
    calls: Calls = queue.Queue()
    return calls, lambda device_type, addr, name: calls.put((device_type, addr, name))


def test_callbacks_hear_of_devices_that_come_and_go(
    registry: DeviceRegistry, client: RawClient
) -> None:
    new, on_new = recorder()
    gone, on_gone = recorder()
    client.register("tcp://a:0", "there-before")
    registry.add_new_device_callback(on_new)
    registry.add_device_removed_callback(on_gone)
    uuid = client.register("tcp://a:1", "cam")["uuid"]
    assert new.get(timeout=PATIENCE) == ("camera", "tcp://a:1", "cam")
    client.ask("UNREGISTER", {"uuid": uuid})
    assert gone.get(timeout=PATIENCE) == ("camera", "tcp://a:1", "cam")
    assert new.empty()
    assert gone.empty()


def test_callbacks_added_before_the_start_hear_of_every_device(context: Context) -> None:
    new, on_new = recorder()
    registry = DeviceRegistry(context, "127.0.0.1", "0", "0")
    registry.add_new_device_callback(on_new)
    with registry, raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "cam")
        assert new.get(timeout=PATIENCE)[2] == "cam"


def test_one_that_raises_stops_nobody(
    registry: DeviceRegistry, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    new, on_new = recorder()

    def broken(device_type: str, addr: str, name: str) -> None:
        raise SystemExit("not even this")

    registry.add_new_device_callback(broken)
    registry.add_new_device_callback(on_new)
    for number in range(3):
        client.register(f"tcp://a:{number}")
        assert new.get(timeout=PATIENCE)[2] == f"camera-{number}"
    wait_until(lambda: caplog.text.count("a callback failed") == 3)


def test_one_that_blocks_stops_neither_the_registry_nor_the_others(
    registry: DeviceRegistry, client: RawClient
) -> None:
    new, on_new = recorder()
    release = threading.Event()
    blocked, blocking_calls = threading.Event(), []

    def block(device_type: str, addr: str, name: str) -> None:
        blocking_calls.append(name)
        blocked.set()
        release.wait(PATIENCE)

    registry.add_new_device_callback(block)
    registry.add_new_device_callback(on_new)
    client.register("tcp://a:0")
    assert blocked.wait(PATIENCE)
    for number in range(1, 20):
        client.register(f"tcp://a:{number}")
    names = [new.get(timeout=PATIENCE)[2] for _ in range(20)]
    assert names == [f"camera-{number}" for number in range(20)]
    assert blocking_calls == ["camera-0"]
    release.set()
    wait_until(lambda: blocking_calls == names)


def test_one_that_is_slow_does_not_set_the_pace_for_the_others(
    registry: DeviceRegistry, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicewatch.subscribers.callbacks.CREDIT", 0.1)
    new, on_new = recorder()
    pause = threading.Event()
    slow_calls: list[str] = []

    def slow(device_type: str, addr: str, name: str) -> None:
        pause.wait(0.04)  # just less than an event would wait for it
        slow_calls.append(name)

    registry.add_new_device_callback(slow)
    registry.add_new_device_callback(on_new)
    for number in range(40):
        client.register(f"tcp://a:{number}")
    names = [new.get(timeout=PATIENCE)[2] for _ in range(40)]
    assert len(slow_calls) < 20, "everyone else had to wait for it"
    wait_until(lambda: slow_calls == names)


def test_what_is_done_for_a_new_device_is_done_before_it_goes(
    registry: DeviceRegistry, client: RawClient
) -> None:
    order: list[str] = []
    last = threading.Event()
    pause = threading.Event()

    def on_new(device_type: str, addr: str, name: str) -> None:
        pause.wait(0.002)
        order.append(f"+{name}")

    def on_gone(device_type: str, addr: str, name: str) -> None:
        order.append(f"-{name}")
        if name == "cam19":
            last.set()

    registry.add_device_removed_callback(on_gone)
    registry.add_new_device_callback(on_new)
    expected = []
    for number in range(20):
        name = f"cam{number}"
        uuid = client.register("tcp://a:1", name)["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})
        expected += [f"+{name}", f"-{name}"]
    assert last.wait(PATIENCE)
    assert order == expected


def test_a_callback_may_call_back_into_the_registry(
    registry: DeviceRegistry, client: RawClient
) -> None:
    uuids: queue.Queue[str] = queue.Queue()
    answers: queue.Queue[object] = queue.Queue()

    def on_new(device_type: str, addr: str, name: str) -> None:
        answers.put(registry.get_devices())
        answers.put(unregister_device(registry.context, uuids.get(timeout=PATIENCE), registry.url))
        registry.add_device_removed_callback(lambda *_: None)

    registry.add_new_device_callback(on_new)
    uuids.put(client.register("tcp://a:1", "cam")["uuid"])
    assert answers.get(timeout=PATIENCE) == {"cam": ("camera", "tcp://a:1")}
    assert answers.get(timeout=PATIENCE) is True


def test_a_callback_may_stop_the_registry(registry: DeviceRegistry, client: RawClient) -> None:
    registry.add_new_device_callback(lambda *_: registry.stop())
    client.register("tcp://a:1")
    registry.join(PATIENCE)
    assert not registry.is_alive()


def test_stopping_does_not_wait_long_for_a_callback_that_blocks(
    registry: DeviceRegistry, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    release, blocked = threading.Event(), threading.Event()

    def block(device_type: str, addr: str, name: str) -> None:
        blocked.set()
        release.wait(PATIENCE)

    registry.add_new_device_callback(block)
    client.register("tcp://a:1")
    assert blocked.wait(PATIENCE)
    since = time.monotonic()
    registry.stop()
    assert time.monotonic() - since < 1
    assert "left behind" in caplog.text
    release.set()


def test_one_that_is_too_far_behind_loses_calls_and_says_so(
    registry: DeviceRegistry,
    client: RawClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "MAX_BEHIND", 2)
    release, calls = threading.Event(), []

    def block(device_type: str, addr: str, name: str) -> None:
        release.wait(PATIENCE)
        calls.append(name)

    new, on_new = recorder()
    registry.add_new_device_callback(block)
    registry.add_new_device_callback(on_new)
    for number in range(5):
        client.register(f"tcp://a:{number}")
    for _ in range(5):
        new.get(timeout=PATIENCE)
    release.set()
    wait_until(lambda: len(calls) == 3)
    assert calls == ["camera-0", "camera-1", "camera-2"]
    wait_until(lambda: caplog.text.count("too far behind") == 2)


def test_the_adapter_follows_a_registry_elsewhere(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    client.register("tcp://a:0", "there-before")
    new, on_new = recorder()
    with CallbackAdapter(registry.url, context=context) as adapter:
        adapter.start()
        adapter.add_new_device_callback(on_new)
        client.register("tcp://a:1", "cam")
        assert new.get(timeout=PATIENCE)[2] == "cam"


def test_the_adapter_can_be_told_of_those_already_there(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    client.register("tcp://a:0", "there-before")
    new, on_new = recorder()
    adapter = CallbackAdapter(registry.url, context=context)
    adapter.add_new_device_callback(on_new)
    adapter.start(existing=True)
    assert new.get(timeout=PATIENCE)[2] == "there-before"
    adapter.stop()
    adapter.start()


def test_without_a_registry_the_adapter_says_so(context: Context) -> None:
    adapter = CallbackAdapter(f"tcp://127.0.0.1:{free_port()}", context=context)
    with pytest.raises(RegistryUnreachable):
        adapter.start(timeout=0.1)
    adapter.stop()
