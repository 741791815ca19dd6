"""The proxy as such: it forwards, it outlives what peers do to it, and it ends when told to."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable

import pytest
import zmq

from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import Watcher
from tests.support.ends import (
    QUIET,
    Ends,
    assert_alive,
    assert_works,
    connect,
    receive,
    reset,
)
from tests.support.live import PATIENCE, free_port, raw_client, wait_until
from tests.support.proxy import FaultProxy, proxied

Context = zmq.Context[zmq.Socket[bytes]]


# --- a link without faults -----------------------------------------------------------------------


def test_what_is_sent_arrives(way: Ends, proxy: FaultProxy) -> None:
    sender, receiver = way
    data = random.Random(1).randbytes(8 << 20)
    sending = threading.Thread(target=sender.sendall, args=(data,))
    sending.start()
    assert receive(receiver, len(data)) == data
    sending.join()
    wait_until(lambda: proxy.forwarded == len(data))
    assert (proxy.accepted, proxy.connections, proxy.swallowed) == (1, 1, 0)


def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(
    way: Ends, proxy: FaultProxy
) -> None:
    sender, receiver = way
    sender.sendall(b"last words")
    sender.shutdown(socket.SHUT_WR)
    assert receive(receiver, 10) == b"last words"
    assert receiver.recv(1) == b""
    receiver.sendall(b"answer")
    assert receive(sender, 6) == b"answer"
    assert proxy.connections == 1
    receiver.close()
    assert sender.recv(1) == b""
    wait_until(lambda: proxy.connections == 0)


def test_what_was_sent_before_the_end_arrives(way: Ends, proxy: FaultProxy) -> None:
    sender, receiver = way
    data = random.Random(5).randbytes(150_000)  # more than the receiver's kernel takes unread
    receiver.shutdown(socket.SHUT_WR)
    sender.sendall(data)
    sender.close()
    wait_until(lambda: proxy.connections == 0)
    assert receive(receiver, len(data)) == data
    assert receiver.recv(1) == b""


def test_a_reset_is_passed_on(way: Ends, proxy: FaultProxy, target: socket.socket) -> None:
    one, other = way
    reset(one)
    with pytest.raises(ConnectionResetError):
        other.recv(1)
    assert_works(proxy, target)


def test_while_nobody_listens_at_the_target_clients_are_reset() -> None:
    port = free_port()
    with FaultProxy(port) as proxy:
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        wait_until(lambda: proxy.connections == 0)
        with socket.create_server(("127.0.0.1", int(port))) as target:
            assert_works(proxy, target)


def test_the_target_may_move(proxy: FaultProxy, ends: Ends) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        proxy.target_port = elsewhere.getsockname()[1]
        assert_works(proxy, elsewhere)
    assert_alive(ends)


# --- the proxy itself ----------------------------------------------------------------------------

FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "none": FaultProxy.heal,
    "cut": FaultProxy.cut,
    "stall": FaultProxy.stall,
    "black hole": FaultProxy.black_hole,
    "delay": lambda proxy: proxy.delay(3600),
    "throttle": lambda proxy: proxy.throttle(0.01),
}
any_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))


@any_fault
def test_it_closes_at_once(
    proxy: FaultProxy, ends: Ends, fault: Callable[[FaultProxy], None]
) -> None:
    client, server = ends
    fault(proxy)
    with contextlib.suppress(ConnectionResetError):
        client.sendall(b"on its way")
    start = time.monotonic()
    proxy.close()
    proxy.close()
    assert time.monotonic() - start < 5
    assert proxy.connections == 0
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    with pytest.raises(RuntimeError, match="closed"):
        proxy.heal()
    with pytest.raises(ConnectionResetError):
        receive(server, 100)


@any_fault
def test_it_does_not_spin(
    proxy: FaultProxy, ends: Ends, fault: Callable[[FaultProxy], None]
) -> None:
    client, _ = ends
    fault(proxy)
    with contextlib.suppress(ConnectionError):
        client.sendall(b"on its way")
        client.shutdown(socket.SHUT_WR)
    pause = threading.Event()
    turns = 0
    turn = proxy._turn

    def count() -> None:
        nonlocal turns
        turns += 1
        turn()

    proxy._turn = count  # type: ignore[method-assign]
    pause.wait(0.3)
    assert turns < 20


def test_it_outlives_whatever_peers_do(proxy: FaultProxy, target: socket.socket) -> None:
    over = threading.Event()

    def mistreat(seed: int, open_end: Callable[[], socket.socket]) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            with contextlib.suppress(OSError), open_end() as end:
                end.settimeout(dice.choice([0.001, 0.01]))
                end.sendall(bytes(dice.choice([1, 100, 200_000])))
                if dice.random() < 0.5:
                    end.recv(dice.choice([1, 100_000]))
                if dice.random() < 0.5:
                    reset(end)

    target.settimeout(0.01)
    ends: list[Callable[[], socket.socket]] = [lambda: connect(proxy)] * 3
    ends += [lambda: target.accept()[0]] * 2
    threads = [threading.Thread(target=mistreat, args=args) for args in enumerate(ends)]
    for thread in threads:
        thread.start()
    dice = random.Random(6)
    try:
        for _ in range(300):
            dice.choice(list(FAULTS.values()))(proxy)
            if dice.random() < 0.5:
                proxy.heal()
        proxy.heal()
        wait_until(lambda: proxy.forwarded > 0)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    proxy.cut()
    proxy.heal()
    target.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            target.accept()[0].close()
    target.settimeout(PATIENCE)
    assert_works(proxy, target)
    wait_until(lambda: proxy.connections == 0)


# --- with a registry -----------------------------------------------------------------------------


def test_a_device_reaches_its_registry(registry: DeviceRegistry, context: Context) -> None:
    with FaultProxy(registry.port) as proxy, raw_client(context, proxy.url) as client:
        proxy.delay(0.05)
        start = time.monotonic()
        name = client.register("tcp://a:1")["name"]
        assert time.monotonic() - start >= 0.1
        assert registry.devices == {name: ("camera", "tcp://a:1")}
        proxy.cut()
        proxy.heal()
        # Anew: a REQ that does not know of the cut yet may send into it, and wait for ever.
        with raw_client(context, proxy.url) as client_after:
            assert client_after.register("tcp://a:2")["name"] in registry.devices


@pytest.mark.parametrize("fault", ["cut", "stall", "black hole"])
def test_a_watcher_is_held_up_by_a_fault_and_recovers(
    registry: DeviceRegistry, context: Context, fault: str
) -> None:
    with (
        raw_client(context, registry.url) as client,
        proxied(registry) as (requests, events),
        Watcher(requests.url, events_url=events.url, context=context) as watcher,
    ):
        watcher.connect(PATIENCE)
        for proxy in (requests, events):
            FAULTS[fault](proxy)
        client.register("tcp://a:1", "cam")
        assert watcher.get(QUIET) is None
        for proxy in (requests, events):
            proxy.heal()
        event = watcher.get(PATIENCE)
        assert event is not None
        assert event.device.name == "cam"
