"""Connections that nobody of good manners makes. `tests/fuzz/wire.py` has many more of them."""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import zmq

from devicewatch.registry import DeviceRegistry
from tests.fuzz import zmtp
from tests.support.ends import receive, reset
from tests.support.live import PATIENCE, RawClient, raw_client, raw_subscriber, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

INFO = b'{"event":"INFO"}'


@pytest.fixture
def client(registry: DeviceRegistry, context: Context) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@contextmanager
def connection(
    port: str | int, kind: bytes = b"DEALER", properties: Sequence[bytes] = ()
) -> Iterator[socket.socket]:
    """A peer who has introduced itself, and now says whatever it likes."""
    with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as peer:
        peer.sendall(zmtp.handshake(kind, properties))
        receive(peer, zmtp.GREETING + 2)
        peer.recv(4096)  # the rest of its READY
        yield peer


def await_the_end(peer: socket.socket) -> None:
    """Read until the registry closes the connection."""
    with contextlib.suppress(ConnectionResetError):
        while peer.recv(65_536):
            pass


@pytest.mark.parametrize("message", [(b"x",), (b"x", b"y", b"z")], ids=["a frame", "some frames"])
def test_a_message_without_an_envelope_costs_nobody_else_a_reply(
    registry: DeviceRegistry, client: RawClient, message: tuple[bytes, ...]
) -> None:
    """With a REP it cost one in three of the next requests its reply: see `registry.envelopes`."""
    for _ in range(20):
        with connection(registry.port) as rude:
            rude.sendall(zmtp.message(*message))
            reset(rude)
        assert client.ask("INFO", {})["event"] == "INFO"


def test_a_reply_comes_back_in_the_envelope_of_its_request(registry: DeviceRegistry) -> None:
    """As through a chain of brokers; and those without an envelope get nothing."""
    with connection(registry.port) as peer:
        peer.sendall(zmtp.message(INFO) + zmtp.message(b"hop", b"other hop", b"", INFO))
        envelope = zmtp.message(b"hop", b"other hop", b"", b"")[:-2]
        assert receive(peer, len(envelope)) == envelope
        flags, size = receive(peer, 2)
        assert flags == 0
        assert json.loads(receive(peer, size))["event"] == "INFO"


def test_an_envelope_with_nothing_in_it_is_malformed(registry: DeviceRegistry) -> None:
    with connection(registry.port) as peer:
        peer.sendall(zmtp.message(b""))
        assert receive(peer, 2) == zmtp.frame(b"", zmtp.MORE)
        _, size = receive(peer, 2)
        assert json.loads(receive(peer, size))["payload"]["code"] == "MALFORMED"


def test_a_request_whose_frames_are_many_is_answered_once(
    registry: DeviceRegistry, client: RawClient
) -> None:
    assert client.send(INFO, b"", INFO)["payload"]["code"] == "MALFORMED"
    assert client.send(INFO)["event"] == "INFO"


@pytest.mark.parametrize("port", ["port", "events_port"])
@pytest.mark.parametrize("said", [b"", zmtp.greeting()], ids=["nothing", "half a handshake"])
def test_whoever_does_not_introduce_itself_is_put_out(
    port: str, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand of them hold all file descriptors for half a minute, and shut out others."""
    monkeypatch.setattr("devicewatch.registry.server.HANDSHAKE_TIMEOUT", 100)
    with DeviceRegistry(addr="127.0.0.1", port="0", events_port="0") as registry:
        address = ("127.0.0.1", int(getattr(registry, port)))
        with socket.create_connection(address, PATIENCE) as silent:
            silent.sendall(said)
            await_the_end(silent)


def test_a_subscription_that_is_far_too_long_costs_its_sender_the_connection(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    """ZeroMQ enters each byte by itself, in the registry's own thread: a megabyte takes seconds."""
    with raw_subscriber(context, registry.events_url) as next_message:
        with connection(registry.events_port, b"SUB") as rude:
            rude.sendall(zmtp.frame(b"\1" + bytes(5_000)))
            await_the_end(rude)
        client.register("tcp://a:1")
        wait_until(lambda: next_message()["event"] == "added")


@pytest.mark.parametrize("name", [b"User-Id", b"__fd", b"Peer-Address"])
def test_what_a_subscriber_makes_up_about_itself_costs_nobody_anything(
    registry: DeviceRegistry, client: RawClient, context: Context, name: bytes
) -> None:
    with raw_subscriber(context, registry.events_url) as next_message:
        with connection(registry.events_port, b"SUB", [zmtp.prop(name, b"\xff\xfe")]) as rude:
            rude.sendall(zmtp.frame(b"\1"))
            wait_until(lambda: rude.recv(65_536), PATIENCE)  # the tick that greets it
        client.register("tcp://a:1")
        wait_until(lambda: next_message()["event"] == "added")


def test_what_a_peer_says_of_itself_is_not_taken_for_where_it_is(context: Context) -> None:
    """A fact of libzmq that matters to whoever goes by it: a peer may say who it is, but not where
    it is."""
    with context.socket(zmq.ROUTER) as router:
        router.linger = 0
        port = router.bind_to_random_port("tcp://127.0.0.1")
        spoofed = [zmtp.prop(name, b"10.6.6.6") for name in (b"Peer-Address", b"User-Id")]
        with connection(port, b"DEALER", spoofed) as peer:
            peer.sendall(zmtp.message(b"", b"x"))
            assert router.poll(int(PATIENCE * 1000))
            frame = router.recv_multipart(copy=False)[-1]
            assert frame.get("Peer-Address") == "127.0.0.1"
            assert frame.get("User-Id") == "10.6.6.6"
