"""Each fault does to a link what it says: tests that rely on one have to be able to.

The test holds both ends of the connection, and so sees what either side would.
"""

import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.support.ends import (
    QUIET,
    Ends,
    accept,
    assert_alive,
    assert_quiet,
    assert_works,
    connect,
    fill,
    receive,
)
from tests.support.live import PATIENCE, wait_until
from tests.support.proxy import FaultProxy

PLENTY = random.Random(2).randbytes(64 << 20)
"""More than all buffers on the way can hold."""


# --- cut -----------------------------------------------------------------------------------------


def test_a_cut_resets_both_ends_and_refuses_new_connections(proxy: FaultProxy, ends: Ends) -> None:
    proxy.cut()
    assert proxy.connections == 0
    for end in ends:
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)


def test_a_cut_resets_who_was_not_accepted_yet(proxy: FaultProxy) -> None:
    for _ in range(20):
        with connect(proxy) as client:
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        proxy.heal()


def test_a_cut_proxy_keeps_its_port(proxy: FaultProxy) -> None:
    proxy.cut()
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", proxy.port))


def test_after_a_cut_has_healed_new_connections_work(
    proxy: FaultProxy, ends: Ends, target: socket.socket
) -> None:
    port = proxy.port
    for _ in range(3):
        proxy.cut()
        proxy.cut()
        proxy.heal()
        proxy.heal()
        assert_works(proxy, target)
    assert proxy.port == port


# --- stall ---------------------------------------------------------------------------------------


def test_a_stall_holds_up_and_loses_nothing(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    proxy.stall()
    sender.sendall(b"held up")
    assert_quiet(receiver)
    assert proxy.forwarded == 0
    proxy.heal()
    assert receive(receiver, 7) == b"held up"
    assert_alive(way)


def test_who_connects_during_a_stall_gets_through_after_it(
    proxy: FaultProxy, target: socket.socket
) -> None:
    proxy.stall()
    with connect(proxy) as client:
        client.sendall(b"hello")
        wait_until(lambda: proxy.connections == 1)
        target.settimeout(QUIET)
        with pytest.raises(TimeoutError):
            target.accept()
        target.settimeout(PATIENCE)
        proxy.heal()
        with accept(target) as server:
            assert receive(server, 5) == b"hello"
            assert_alive((client, server))


def test_a_stall_hides_that_an_end_has_gone(proxy: FaultProxy, way: Ends) -> None:
    one, other = way
    proxy.stall()
    one.close()
    assert_quiet(other)
    assert proxy.connections == 1
    proxy.heal()
    assert other.recv(1) == b""


def test_a_stalled_sender_has_to_wait_and_all_it_sent_arrives(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    proxy.stall()
    sent = fill(sender, PLENTY)
    assert sent < 2_000_000, "a test should not need many megabytes to make someone wait"
    proxy.heal()
    assert receive(receiver, sent) == PLENTY[:sent]


# --- black hole ----------------------------------------------------------------------------------


def test_a_black_hole_swallows_and_tells_nobody(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    proxy.black_hole()
    sender.sendall(bytes(1_000_000))
    wait_until(lambda: proxy.swallowed == 1_000_000)
    assert_quiet(receiver)
    assert_quiet(sender)


def test_a_connection_never_leaves_a_black_hole(
    proxy: FaultProxy, way: Ends, target: socket.socket
) -> None:
    sender, receiver = way
    proxy.black_hole()
    proxy.heal()
    sender.sendall(b"hello")
    wait_until(lambda: proxy.swallowed == 5)
    assert_quiet(receiver)
    assert_works(proxy, target)
    assert proxy.connections >= 1


def test_a_black_hole_swallows_what_is_on_its_way(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    proxy.delay(3600)
    sender.sendall(b"hello")
    proxy.black_hole()
    wait_until(lambda: proxy.swallowed == 5)
    proxy.heal()
    assert_quiet(receiver)


def test_who_connects_into_a_black_hole_is_lost(proxy: FaultProxy, target: socket.socket) -> None:
    proxy.black_hole()
    with connect(proxy) as client:
        client.sendall(b"hello")
        wait_until(lambda: proxy.swallowed == 5)
        assert (proxy.connections, proxy.accepted) == (1, 1)
        proxy.heal()
        assert_works(proxy, target)  # which is also the first that the target hears of anyone
        assert_quiet(client)


def test_in_a_black_hole_nobody_learns_that_the_other_has_gone(
    proxy: FaultProxy, ends: Ends
) -> None:
    client, server = ends
    proxy.black_hole()
    client.close()
    wait_until(lambda: proxy.connections == 0)
    assert_quiet(server)
    server.sendall(b"anyone?")
    wait_until(lambda: proxy.swallowed == 7)


def test_a_cut_ends_dead_connections_too(proxy: FaultProxy, ends: Ends) -> None:
    proxy.black_hole()
    proxy.cut()
    for end in ends:
        with pytest.raises(ConnectionResetError):
            end.recv(1)


# --- delay and throttle --------------------------------------------------------------------------


def test_a_delay_delays_each_direction(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    proxy.delay(0.2)
    start = time.monotonic()
    sender.sendall(b"there")
    assert receive(receiver, 5) == b"there"
    assert time.monotonic() - start >= 0.2
    receiver.sendall(b"back")
    assert receive(sender, 4) == b"back"
    assert time.monotonic() - start >= 0.4


def test_what_is_delayed_travels_together_and_in_order(proxy: FaultProxy, ends: Ends) -> None:
    client, server = ends
    proxy.delay(1.0)
    pause = threading.Event()
    start = time.monotonic()
    for number in range(50):
        client.sendall(bytes([number]))
        pause.wait(0.002)  # or they become one chunk
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 50) == bytes(range(50))
    assert server.recv(1) == b""
    assert 1.0 <= time.monotonic() - start < 25.0, "one after the other would take 50 s"


def test_a_shorter_delay_holds_for_what_is_on_its_way(proxy: FaultProxy, ends: Ends) -> None:
    client, server = ends
    proxy.delay(3600)
    client.sendall(b"first ")
    assert_quiet(server)
    proxy.delay(0.01)
    client.sendall(b"second")
    assert receive(server, 12) == b"first second"
    proxy.delay(3600)
    client.sendall(b"third")
    assert_quiet(server)
    proxy.heal()
    assert receive(server, 5) == b"third"


@pytest.mark.parametrize("rate", [20_000, 200_000])
def test_a_throttle_limits_the_rate(proxy: FaultProxy, way: Ends, rate: int) -> None:
    sender, receiver = way
    data = random.Random(3).randbytes(rate // 2)
    proxy.throttle(rate)
    start = time.monotonic()
    sender.sendall(data)
    assert receive(receiver, len(data)) == data
    assert time.monotonic() - start >= 0.45  # half a second, less the first portion


def test_a_throttle_can_be_slower_than_a_byte_a_second(proxy: FaultProxy, ends: Ends) -> None:
    client, server = ends
    proxy.throttle(0.1)
    client.sendall(b"slow")
    assert receive(server, 1) == b"s"
    assert_quiet(server)
    proxy.heal()
    assert receive(server, 3) == b"low"


def test_a_throttle_asks_for_no_patience_after_a_faster_time(proxy: FaultProxy, way: Ends) -> None:
    sender, receiver = way
    sender.sendall(bytes(60_000))
    assert receive(receiver, 60_000)
    proxy.throttle(1000)
    sender.sendall(b"hello")
    assert receive(receiver, 5) == b"hello"  # not a minute later


@pytest.mark.parametrize("fault", [lambda p: p.throttle(10_000), lambda p: p.delay(3600)])
def test_a_sender_that_is_too_fast_has_to_wait(
    proxy: FaultProxy, way: Ends, fault: Callable[[FaultProxy], None]
) -> None:
    sender, receiver = way
    fault(proxy)
    sent = fill(sender, PLENTY)
    proxy.heal()
    assert receive(receiver, sent) == PLENTY[:sent]
