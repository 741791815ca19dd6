"""How many watchers there are, beside the truth: who has connected, and subscribed."""

import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from devicewatch.events.protocol import Role
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.watchers import Watchers
from devicewatch.subscribers import Watcher
from tests.support.keys import guarded
from tests.support.live import PATIENCE, raw_subscriber, wait_until
from tests.support.proxy import FaultProxy

Context = zmq.Context[zmq.Socket[bytes]]

SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(sys.argv[1])
while True:
    print(socket.recv_multipart()[0].decode(), flush=True)
"""


def watchers(registry: DeviceRegistry) -> int:
    assert registry.responds(PATIENCE)
    return registry.figures().watchers


def subscriber(context: Context, url: str, *topics: bytes) -> zmq.Socket[bytes]:
    """A SUB that reconnects at once."""
    stream = context.socket(zmq.SUB)
    stream.linger = 0
    stream.reconnect_ivl = 5
    for topic in topics:
        stream.subscribe(topic)
    stream.connect(url)
    return stream


@contextmanager
def subscribing_process(url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUBSCRIBER, url], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_is_right_whatever_they_do(registry: DeviceRegistry, context: Context) -> None:
    def there_are(number: int) -> None:
        def are_there() -> bool:
            for stream in distant:
                stream.poll(0)  # a socket that nobody looks at does not subscribe anew
            return watchers(registry) == number

        wait_until(are_there)

    distant: list[zmq.Socket[bytes]] = []
    url = registry.events_url
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(registry.events_port))
        killed = stack.enter_context(subscribing_process(url))
        following = [stack.enter_context(Watcher(registry.url)) for _ in range(3)]
        for watcher in following:
            watcher.connect(PATIENCE)
        plain = [subscriber(context, url, b""), subscriber(context, url, b"added", b"removed")]
        distant += [subscriber(context, proxy.url, b"added", b"tick") for _ in range(2)]
        for stream in (*plain, *distant):
            stack.callback(stream.close)
        there_are(8)
        following[0].close()
        plain[0].close()
        there_are(6)
        proxy.cut()
        there_are(4)
        proxy.heal()
        there_are(6)
        assert killed.stdout is not None
        assert killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
        there_are(5)
        plain[1].unsubscribe(b"added")
        there_are(5)
        with raw_subscriber(context, url):  # is still greeted at once
            there_are(6)
    distant.clear()
    there_are(0)


def test_those_who_come_and_go_leave_nothing_behind(
    registry: DeviceRegistry, context: Context
) -> None:
    """File descriptors are used again and again."""
    with raw_subscriber(context, registry.events_url):
        for _ in range(30):
            with raw_subscriber(context, registry.events_url):
                pass
            subscriber(context, registry.events_url, b"a", b"b").close()
        wait_until(lambda: watchers(registry) == 1)
    wait_until(lambda: watchers(registry) == 0)


def test_what_nobody_should_say_changes_nothing(registry: DeviceRegistry, context: Context) -> None:
    """An XSUB says what it likes: the same twice, the end of what never began."""
    silent = socket.create_connection(("127.0.0.1", int(registry.events_port)))
    stream = context.socket(zmq.XSUB)
    stream.linger = 0
    stream.connect(registry.events_url)
    for message in (b"\0never", b"\0never", b"\1a", b"\1a", b"\1a", b"\0a", b"\0a", b"other", b""):
        stream.send(message)
    wait_until(lambda: watchers(registry) == 1)
    stream.close()
    wait_until(lambda: watchers(registry) == 0)
    silent.close()


def test_callbacks_in_the_same_process_are_not_watchers(context: Context) -> None:
    with DeviceRegistry(addr="127.0.0.1", port="0", events_port="0") as registry:
        registry.add_new_device_callback(lambda *_: None)
        with raw_subscriber(context, registry.events_url):
            wait_until(lambda: watchers(registry) == 1)
    assert registry.figures().watchers == 0


def test_with_keys_it_is_those_who_were_let_in(tmp_path: Path, context: Context) -> None:
    with guarded(tmp_path / "keys") as place:
        key = place.let_in("viewer", Role.VIEWER)
        stranger = subscriber(context, place.registry.events_url, b"")
        with Watcher(place.registry.url, key=key) as watcher:
            watcher.connect(PATIENCE)
            wait_until(lambda: watchers(place.registry) == 1)
            place.let_out("viewer")
            wait_until(lambda: watchers(place.registry) == 0)
        stranger.close()


# --- the order of what is told --------------------------------------------------------------------


class Told:
    """In place of a monitor: what it tells, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int]] = []

    def recv_multipart(self, _flags: int) -> list[bytes]:
        if not self.messages:
            raise zmq.Again
        return [struct.pack("=Hi", *self.messages.pop(0)), b""]

    def close(self, linger: int) -> None:
        pass


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def counted(context: Context, told: Told) -> Iterator[Watchers]:
    stream = context.socket(zmq.XPUB)
    watchers = Watchers(context, stream)
    watchers._monitor.close(linger=0)
    watchers._monitor = told  # type: ignore[assignment]
    yield watchers
    watchers.close()
    stream.close()


CAME, WENT = (zmq.EVENT_ACCEPTED, 7), (zmq.EVENT_DISCONNECTED, 7)


def subscribes(watchers: Watchers, told: Told, *messages: Any) -> int:
    """A subscription by 7, and what the monitor has told by the time it is read."""
    watchers.heard_from("7")
    told.messages += messages
    watchers.look(0.0)
    return len(watchers)


def test_a_number_that_is_used_again_at_once(counted: Watchers, told: Told) -> None:
    assert subscribes(counted, told, CAME) == 1
    assert subscribes(counted, told, WENT, CAME) == 1, "the second's subscription was read first"


def test_a_subscription_that_is_read_when_its_sender_has_gone(
    counted: Watchers, told: Told
) -> None:
    assert subscribes(counted, told, CAME, WENT) == 0
    assert subscribes(counted, told) == 0
    assert subscribes(counted, told, CAME) == 1


def test_a_flood_is_read_in_portions(counted: Watchers, told: Told) -> None:
    assert subscribes(counted, told, CAME, *[WENT, CAME] * 1_000) == 0
    assert counted.next_look == 0.0, "at once"
    while told.messages:
        counted.look(0.0)
    counted.look(0.0)
    assert len(counted) == 1
    assert counted.next_look > 0.0
