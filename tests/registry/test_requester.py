"""One request, one reply; and questions to a registry."""

import threading
import time

import pytest
import zmq

from devicewatch.events import AddressError, MessageError, RegistryUnreachable, RequestRefused
from devicewatch.events.messages import Ack, CheckAlive, Info
from devicewatch.events.sockets import Bell
from devicewatch.registry import DeviceRegistry, query_devices, query_info, requester
from devicewatch.registry.requester import Requester
from tests.support.live import PATIENCE, free_port, raw_client, silent_registry

Context = zmq.Context[zmq.Socket[bytes]]


def test_info_says_who_the_registry_is(registry: DeviceRegistry, context: Context) -> None:
    info = query_info(context, registry.url)
    assert str(info.events_port) == registry.events_port
    assert (info.devices, info.seq, info.history) == (0, 0, 10_000)


def test_devices_come_page_by_page_in_order(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requester, "MAX_PAGE", 2)
    with raw_client(context, registry.url) as client:
        for number in range(5):
            client.register(f"tcp://a:{number}")
    devices = query_devices(context, registry.url)
    assert [device.name for device in devices] == [f"camera-{number}" for number in range(5)]


def test_silence_is_unreachable_and_the_next_question_is_free_to_be_answered(
    registry: DeviceRegistry, context: Context
) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with Requester(context, url) as asking:
        with pytest.raises(
            RegistryUnreachable, match=f"no registry answered at {url} within 0.05 s"
        ):
            asking.ask(Info(), 0.05)
        with DeviceRegistry(addr="127.0.0.1", port=url.rpartition(":")[2], events_port="0"):
            asking.ask(Info())


def test_a_bell_ends_the_wait(context: Context) -> None:
    with (
        Bell() as bell,
        Requester(context, f"tcp://127.0.0.1:{free_port()}", bell) as asking,
    ):
        threading.Timer(0.05, bell.ring).start()
        since = time.monotonic()
        with pytest.raises(RegistryUnreachable):
            asking.ask(Info(), 60)
        assert time.monotonic() - since < 5


def test_a_reply_that_came_while_nobody_waited_is_there_at_once(context: Context) -> None:
    ack = b'{"event":"ACK","payload":{"req_event":"CHECK_ALIVE","success":true}}'
    with context.socket(zmq.REP) as server:
        server.bind("tcp://127.0.0.1:*")
        with Requester(context, server.get_string(zmq.LAST_ENDPOINT)) as asking:
            with pytest.raises(RegistryUnreachable):
                asking.ask(CheckAlive("x"), 0.05)
            server.recv()
            server.send(ack)
            socket = asking._socket.waiting
            assert socket is not None
            assert socket.poll(int(1000 * PATIENCE))  # so its descriptor will not tell of it again
            since = time.monotonic()
            assert asking.late_reply(60) == Ack("CHECK_ALIVE", success=True)
            assert time.monotonic() - since < 30
            assert not asking.waiting


def test_a_refusal_says_what_was_wrong(registry: DeviceRegistry, context: Context) -> None:
    with (
        Requester(context, registry.url) as asking,
        pytest.raises(RequestRefused, match="alive_timeout") as caught,
    ):
        asking.ask(CheckAlive("x", -1))
    assert caught.value.code == "INVALID"


def test_an_older_registry_is_recognised(context: Context) -> None:
    old = b'{"event":"UNSUPPORTED","payload":{"req_event":"INFO"}}'
    with (
        silent_registry(context, old) as url,
        pytest.raises(RequestRefused, match="is it an older one"),
    ):
        query_info(context, url)


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 400 Bad Request", b'{"event":"ACK","payload":{"req_event":"a","success":true}}'],
)
def test_something_that_is_no_registry_is_recognised(context: Context, reply: bytes) -> None:
    with silent_registry(context, reply) as url, pytest.raises(MessageError):
        query_info(context, url)


def test_an_address_that_makes_no_sense_is_an_error_at_once(context: Context) -> None:
    with pytest.raises(AddressError, match="looks like tcp://"):
        query_info(context, "controller")
