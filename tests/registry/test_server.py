"""The registry on real sockets."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, cast
from unittest.mock import Mock
from uuid import UUID

import pytest
import zmq

from devicewatch.events import BindError
from devicewatch.events.protocol import MAX_FRAME_BYTES, MAX_REQUEST_BYTES
from devicewatch.events.sockets import Bell
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.core import GREETING_INTERVAL, RegistryCore
from tests.support.live import PATIENCE, RawClient, raw_client, raw_subscriber, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


# --- the four messages that the field speaks ---------------------------------------------------


def test_a_device_of_the_field_registers_renews_and_leaves(client: RawClient) -> None:
    ack = client.ask(
        "REGISTER",
        {"device_type": "camera", "addr": "tcp://10.0.0.5:7000", "name": "", "overwrite": False},
    )
    assert ack["event"] == "REGISTER_ACK"
    assert ack["payload"]["name"] == "camera-0"
    uuid = ack["payload"]["uuid"]
    assert str(UUID(uuid)) == uuid
    assert client.ask("CHECK_ALIVE", {"uuid": uuid, "alive_timeout": 20}) == {
        "event": "ACK",
        "payload": {"req_event": "CHECK_ALIVE", "success": True},
    }
    assert client.ask("CHECK_ALIVE", {"uuid": uuid})["payload"]["success"] is True
    assert client.ask("UNREGISTER", {"uuid": uuid}) == {
        "event": "ACK",
        "payload": {"req_event": "UNREGISTER", "success": True},
    }
    assert client.ask("UNREGISTER", {"uuid": uuid})["payload"]["success"] is False
    assert client.ask("CHECK_ALIVE", {"uuid": uuid})["payload"]["success"] is False


def test_an_unknown_request_is_unsupported(client: RawClient) -> None:
    assert client.ask("MAKE_COFFEE", {"milk": True}) == {
        "event": "UNSUPPORTED",
        "payload": {"req_event": "MAKE_COFFEE"},
    }


# --- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["port", "events_port"])
def test_a_port_in_use_is_named_and_another_try_is_possible(
    registry: DeviceRegistry, taken: str
) -> None:
    ports = {"port": "0", "events_port": "0"} | {taken: registry.port}
    second = DeviceRegistry(addr="127.0.0.1", **ports)  # type: ignore[arg-type]
    with pytest.raises(BindError, match=rf"port {registry.port} at 127\.0\.0\.1: it is in use"):
        second.start()
    assert not second.is_alive()
    with pytest.raises(BindError):
        second.start()
    registry.stop()
    second.start()
    second.stop()


@pytest.mark.parametrize(
    ("addr", "port", "hint"),
    [
        ("192.0.2.1", "0", "no IPv4 address or interface of this machine"),
        ("no-such-interface", "0", "no IPv4 address or interface of this machine"),
        ("::1", "0", "no IPv4 address or interface of this machine"),
        ("127.0.0.1", "fifty", "a port from 0 to 65535"),
        ("127.0.0.1", "80x", "a port from 0 to 65535"),
        ("127.0.0.1", "99999", "a port from 0 to 65535"),
        ("127.0.0.1", "-1", "a port from 0 to 65535"),
    ],
)
def test_where_it_cannot_listen_it_says_why(addr: str, port: str, hint: str) -> None:
    registry = DeviceRegistry(addr=addr, port=port, events_port="0")
    with pytest.raises(BindError, match=hint):
        registry.start()
    registry.stop()


def test_port_0_picks_a_free_one_and_says_which() -> None:
    with DeviceRegistry(port="0", events_port=0) as registry:
        assert registry.addr == "*"
        assert 0 < int(registry.port) < 65_536
        assert registry.port != registry.events_port
        assert registry.url == f"tcp://127.0.0.1:{registry.port}"
        assert registry.events_url == f"tcp://127.0.0.1:{registry.events_port}"


@pytest.mark.parametrize("kind", [zmq.REP, zmq.XPUB])
def test_connections_to_peers_that_vanish_do_not_stay_for_ever(kind: int) -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    socket = registry._listen(kind, "0", "inproc://test")
    on, idle, interval, count = (
        cast(int, socket.get(option))
        for option in (
            zmq.TCP_KEEPALIVE,
            zmq.TCP_KEEPALIVE_IDLE,
            zmq.TCP_KEEPALIVE_INTVL,
            zmq.TCP_KEEPALIVE_CNT,
        )
    )
    heartbeats = socket.get(zmq.HEARTBEAT_IVL)
    socket.close()
    registry.stop()
    assert on == 1
    assert idle + interval * count <= 180
    assert heartbeats == 0, "old clients do not answer them"


def test_bad_settings_are_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="history"):
        DeviceRegistry(history=-1)
    with pytest.raises(ValueError, match="tick_interval"):
        DeviceRegistry(tick_interval=0)


def test_a_registry_starts_once(registry: DeviceRegistry) -> None:
    with pytest.raises(RuntimeError, match="starts once"):
        registry.start()
    stopped = DeviceRegistry(port="0", events_port="0")
    stopped.stop()
    with pytest.raises(RuntimeError, match="starts once"):
        stopped.start()


def test_run_is_not_start() -> None:
    registry = DeviceRegistry(port="0", events_port="0")
    with pytest.raises(RuntimeError, match="call start"):
        registry.run()
    registry.stop()


# --- what its owner sees -----------------------------------------------------------------------


def test_devices_are_a_copy(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam")
    assert registry.devices == {"cam": ("camera", "tcp://a:1")}
    registry.devices.clear()
    assert registry.get_devices() == {"cam": ("camera", "tcp://a:1")}


def test_there_are_no_devices_before_the_start_and_the_last_ones_after_the_stop(
    context: Context,
) -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    assert registry.devices == {}
    registry.start()
    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "cam")
    registry.stop()
    assert registry.devices == {"cam": ("camera", "tcp://a:1")}


def test_devices_may_be_read_while_they_come_and_go(
    registry: DeviceRegistry, client: RawClient
) -> None:
    done = threading.Event()
    sizes: set[int] = set()
    finished = threading.Event()

    def read() -> None:
        while not done.is_set():
            sizes.add(len(registry.devices))
        finished.set()

    reader = threading.Thread(target=read)
    reader.start()
    uuids = [client.register(f"tcp://a:{number}")["uuid"] for number in range(60)]
    for uuid in uuids:
        client.ask("UNREGISTER", {"uuid": uuid})
    done.set()
    reader.join()
    assert finished.is_set(), "reading failed"
    assert max(sizes) <= 60
    assert registry.devices == {}


# --- the event stream --------------------------------------------------------------------------


def test_a_plain_subscriber_reads_the_stream(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with raw_subscriber(context, registry.events_url) as receive:
        ack = client.register("tcp://a:1", "cam", metadata={"lens": 50})
        client.ask("UNREGISTER", {"uuid": ack["uuid"]})
        events = (message for message in iter(receive, None) if message["event"] != "tick")
        first, second = next(events), next(events)
    assert first == {
        "event": "added",
        "epoch": ack["epoch"],
        "seq": 1,
        "time": first["time"],
        "device": {
            "name": "cam",
            "device_type": "camera",
            "addr": "tcp://a:1",
            "revision": 1,
            "registered_at": first["time"],
            "metadata": {"lens": 50},
        },
    }
    assert abs(first["time"] - time.time()) < PATIENCE
    assert second == {
        "event": "removed",
        "epoch": ack["epoch"],
        "seq": 2,
        "time": second["time"],
        "device": first["device"],
        "reason": "unregistered",
    }


def test_ticks_carry_the_current_seq(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    client.register("tcp://a:1")
    with raw_subscriber(context, registry.events_url) as receive:
        assert [receive()["seq"] for _ in range(3)] == [1, 1, 1]


def test_every_new_subscriber_is_greeted(context: Context) -> None:
    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", tick_interval=3600
    ) as registry:
        for _ in range(3):
            with raw_subscriber(context, registry.events_url):
                pass  # it would wait for an hour


def test_a_crowd_that_joins_at_once_is_greeted_with_few_ticks(context: Context) -> None:
    joining = 100
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", tick_interval=3600) as registry,
        ExitStack() as stack,
    ):
        first = stack.enter_context(subscriber(context, registry.events_url))
        first.recv_multipart()
        since = time.monotonic()
        crowd = [
            stack.enter_context(subscriber(context, registry.events_url)) for _ in range(joining)
        ]
        for one in crowd:
            assert one.recv_multipart()[0] == b"tick"
        passed = time.monotonic() - since
        ticks = 0
        with suppress(zmq.Again):
            while True:
                first.recv_multipart(zmq.NOBLOCK)
                ticks += 1
        assert 1 <= ticks <= passed / GREETING_INTERVAL + 2


@contextmanager
def subscriber(context: Context, url: str) -> Iterator[zmq.Socket[bytes]]:
    with context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.rcvtimeo = int(PATIENCE * 1000)
        socket.subscribe(b"")
        socket.connect(url)
        yield socket


def test_event_times_never_run_backwards(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with raw_subscriber(context, registry.events_url) as receive:
        for number in range(200):
            client.register(f"tcp://{number % 7}:1", alive_timeout=0.1)
        messages = [receive()]
        while messages[-1]["seq"] < 200:
            messages.append(receive())
    times = [message["time"] for message in messages]
    assert times == sorted(times)


def test_the_uuid_is_nowhere_in_the_stream_or_a_snapshot(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with raw_subscriber(context, registry.events_url) as receive:
        uuid = client.register("tcp://a:1", instance="drawn-once")["uuid"]
        seen = [receive()]
        while seen[-1]["event"] != "added":
            seen.append(receive())
        seen.append(client.ask("SNAPSHOT", {}))
        seen.append(client.ask("REPLAY", {"epoch": seen[0]["epoch"], "after": 0}))
    assert uuid not in json.dumps(seen)
    assert "drawn-once" not in json.dumps(seen)


# --- leases ------------------------------------------------------------------------------------


def test_a_silent_device_is_removed_within_100_ms_of_its_deadline(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with raw_subscriber(context, registry.events_url) as receive:
        client.register("tcp://a:1", alive_timeout=0.3)
        since = time.monotonic()
        while (message := receive())["event"] != "removed":
            pass
        late = time.monotonic() - since - 0.3
    assert message["reason"] == "expired"
    assert -0.02 < late < 0.1


@pytest.mark.interpreted
def test_a_renewal_that_waits_in_the_socket_counts(
    registry: DeviceRegistry,
    client: RawClient,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P8: the loop is busy from before the deadline until well after it."""
    lease = 0.3
    uuid = client.register("tcp://a:1", "cam", alive_timeout=lease)["uuid"]
    busy, done = threading.Event(), threading.Event()
    core = cast(RegistryCore, registry._core)
    info = core._info

    def slow_info(now: float) -> Any:
        busy.set()
        done.wait(PATIENCE)
        return info(now)

    monkeypatch.setattr(core, "_info", slow_info)
    with raw_client(context, registry.url) as other:
        other.socket.send(b'{"event":"INFO","payload":{}}')
        assert busy.wait(PATIENCE)
        client.socket.send(json.dumps({"event": "CHECK_ALIVE", "payload": {"uuid": uuid}}).encode())
        over = time.monotonic() + 2 * lease
        wait_until(lambda: time.monotonic() > over)
        done.set()
        assert json.loads(client.socket.recv())["payload"]["success"] is True
    assert list(registry.devices) == ["cam"]


def test_an_idle_registry_wakes_up_once_a_tick(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls: list[float] = []
    poll = zmq.Poller.poll

    def counting_poll(self: zmq.Poller, timeout: int | None = None) -> Any:
        if threading.current_thread().name == "devicewatch-registry":
            polls.append(time.monotonic())
        return poll(self, timeout)

    monkeypatch.setattr(zmq.Poller, "poll", counting_poll)
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", tick_interval=0.3) as registry,
        raw_subscriber(context, registry.events_url) as receive,
    ):
        receive()
        before = len(polls)
        for _ in range(3):
            receive()
        assert len(polls) - before <= 6


# --- any bytes (P11) ---------------------------------------------------------------------------

MALFORMED: dict[str, list[bytes]] = {
    "bad JSON": [b'{"event": "REGISTER"'],
    "not UTF-8": [b'{"event": "\xff\xfe", "payload": {}}'],
    "no object": [b"[1, 2, 3]"],
    "no event": [b"{}"],
    "event of the wrong type": [b'{"event": 7, "payload": {}}'],
    "payload of the wrong type": [b'{"event": "REGISTER", "payload": [1]}'],
    "missing fields": [b'{"event": "REGISTER", "payload": {"name": "x"}}'],
    "unhashable name": [
        b'{"event":"REGISTER","payload":{"device_type":"a","addr":"b","name":["x"]}}'
    ],
    "unhashable uuid": [b'{"event":"CHECK_ALIVE","payload":{"uuid":{"a":1}}}'],
    "extra frames": [b'{"event":"INFO","payload":{}}', b"more"],
    "empty frame": [b""],
    "empty frames": [b"", b"", b""],
    "a huge frame": [b'{"event":"INFO","payload":{"x":"' + b"x" * MAX_REQUEST_BYTES + b'"}}'],
    "NaN": [b'{"event":"CHECK_ALIVE","payload":{"uuid":"x","alive_timeout":NaN}}'],
    "infinity": [b'{"event":"CHECK_ALIVE","payload":{"uuid":"x","alive_timeout":1e999}}'],
    "absurdly long lease": [
        b'{"event":"CHECK_ALIVE","payload":{"uuid":"x","alive_timeout":1e300}}'
    ],
    "negative lease": [b'{"event":"CHECK_ALIVE","payload":{"uuid":"x","alive_timeout":-1}}'],
    "deep nesting": [b"[" * 60_000],
    "nothing like JSON": [bytes(range(256))],
}


@pytest.mark.parametrize("frames", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed_requests_are_answered_and_the_next_client_is_served(
    registry: DeviceRegistry, client: RawClient, context: Context, frames: list[bytes]
) -> None:
    reply = client.send(*frames)
    assert reply["event"] == "ERROR"
    assert set(reply["payload"]) == {"req_event", "code", "message"}
    assert reply["payload"]["message"]
    with raw_client(context, registry.url) as next_client:
        assert next_client.register("tcp://a:1")["name"] == "camera-0"
    assert client.ask("INFO", {})["payload"]["devices"] == 1


def test_a_frame_beyond_all_limits_costs_its_sender_the_connection_and_nobody_else(
    registry: DeviceRegistry, context: Context
) -> None:
    with raw_client(context, registry.url) as rude, raw_client(context, registry.url) as polite:
        rude.socket.send(b"x" * (MAX_FRAME_BYTES + 1))
        assert polite.ask("INFO", {})["event"] == "INFO"
        assert not rude.socket.poll(100)


def test_a_client_that_leaves_before_its_answer_is_no_trouble(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    for _ in range(20):
        with raw_client(context, registry.url) as hasty:
            hasty.socket.send(b'{"event":"INFO","payload":{}}')
    assert client.ask("INFO", {})["event"] == "INFO"


def test_garbage_from_a_subscriber_is_ignored(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    chatty = context.socket(zmq.XSUB)
    chatty.linger = 0
    chatty.connect(registry.events_url)
    for message in (b"\1", b"", b"\2garbage", b"x" * 100_000):
        chatty.send(message)
    assert chatty.poll(int(PATIENCE * 1000))
    chatty.close()
    assert client.ask("INFO", {})["event"] == "INFO"


@pytest.mark.interpreted
def test_a_fault_of_the_registry_itself_is_answered_too(
    registry: DeviceRegistry, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = cast(RegistryCore, registry._core)
    with monkeypatch.context() as patch:
        patch.setattr(core, "_info", lambda now: 1 / 0)
        assert client.ask("INFO", {})["payload"]["code"] == "INTERNAL"
    assert client.ask("INFO", {})["event"] == "INFO"


# --- stopping (P13) ----------------------------------------------------------------------------


@contextmanager
def promptly(seconds: float = 1.0) -> Iterator[None]:
    since = time.monotonic()
    yield
    assert time.monotonic() - since < seconds


def test_stop_says_bye_and_returns_promptly(context: Context) -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", tick_interval=3600)
    registry.start()
    with raw_subscriber(context, registry.events_url) as receive:
        with promptly():
            registry.stop()
        assert receive()["event"] == "bye"
    assert not registry.is_alive()
    with promptly():
        registry.stop()


def test_terminating_its_context_stops_it() -> None:
    mine: Context = zmq.Context()
    registry = DeviceRegistry(mine, "127.0.0.1", "0", "0")
    assert registry.context is mine
    registry.add_new_device_callback(lambda *_: None)
    registry.start()
    with promptly():
        mine.term()
        registry.join(PATIENCE)
    assert not registry.is_alive()
    registry.stop()


def test_a_given_context_outlives_the_registry(context: Context) -> None:
    with DeviceRegistry(context, "127.0.0.1", "0", "0"):
        pass
    assert not context.closed


def test_the_port_is_free_again_after_the_stop(registry: DeviceRegistry) -> None:
    registry.stop()
    with DeviceRegistry(addr="127.0.0.1", port=registry.port, events_port="0") as second:
        assert second.port == registry.port


def test_stop_may_be_called_from_several_threads(registry: DeviceRegistry) -> None:
    threads = [threading.Thread(target=registry.stop) for _ in range(5)]
    with promptly():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


def test_stop_may_be_called_from_a_signal_handler_that_interrupts_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The handler runs in the same thread, in the midst of ending the context, or of waiting."""
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    registry.start()
    term, wait = registry.context.term, registry._ended.wait
    interrupted = []

    def interrupting(step: str, go_on: Callable[[], object]) -> None:
        registry.stop()
        interrupted.append(step)
        go_on()

    monkeypatch.setattr(registry, "_zmq_context", Mock(term=lambda: interrupting("term", term)))
    monkeypatch.setattr(registry._ended, "wait", lambda: interrupting("wait", wait))
    with promptly():
        registry.stop()
    assert interrupted == ["wait", "term"]
    assert not registry.is_alive()
    monkeypatch.undo()
    assert registry.context.closed
    registry.stop()


def test_a_bell_wakes_the_loop_from_a_long_sleep() -> None:
    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", tick_interval=3600
    ) as registry:
        assert isinstance(registry._bell, Bell)
        with promptly():
            registry.stop()


def test_without_a_thread_to_run_in_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        registry.start()
    with promptly():
        registry.stop()
