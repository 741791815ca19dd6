"""The promises, when processes are stopped for a while, or killed and started again."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
import zmq

from devicewatch.events import Cursor, Device, Live, Origin
from tests.support.live import wait_until
from tests.support.watchers import KINDS

from .load import Load
from .processes import RegistryProcess, stopped, watching
from .scribe import Scribe
from .truth import Historian, fetch_devices

Context = zmq.Context[zmq.Socket[bytes]]

TICK = 0.2
HISTORY = 1_000_000

EVENTS = 15_000
BIG = 1_000
"""Bytes of metadata. ZeroMQ keeps 10,000 messages for a watcher, and the kernel a few megabytes:
of so many events, some are lost."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the watchers in this process."""
    monkeypatch.setattr("devicewatch.subscribers.inquiry.REPLY_TIMEOUT", 0.5)
    monkeypatch.setattr("devicewatch.subscribers.inquiry.LONGEST_PAUSE", 0.5)


@pytest.fixture
def registry() -> Iterator[RegistryProcess]:  # in place of the one in this process
    with RegistryProcess("--tick", str(TICK), "--history", str(HISTORY)) as registry:
        yield registry


@pytest.fixture
def historian() -> Historian:
    return Historian(HISTORY)


@pytest.fixture
def load(context: Context, registry: RegistryProcess, historian: Historian) -> Iterator[Load]:
    with Load(context, registry.url, historian, random.Random(2), short=False) as load:
        yield load


@pytest.fixture
def scribes(registry: RegistryProcess, load: Load) -> Iterator[list[Scribe]]:
    """Some of each kind, live; one of them restless."""
    with ExitStack() as stack:
        scribes = [stack.enter_context(Scribe(kind, registry.url)) for kind in KINDS]
        restless = Scribe(KINDS[0], registry.url, random.Random(3))
        scribes.append(stack.enter_context(restless))
        all_at(scribes, load.burst(50))
        yield scribes


def all_at(scribes: list[Scribe], place: Cursor) -> None:
    for scribe in scribes:
        wait_until(lambda scribe=scribe: scribe.is_at(place))  # type: ignore[misc]


def resyncs(scribe: Scribe) -> int:
    return sum(isinstance(record, Live) and record.resynced for record in scribe.records)


def test_a_registry_that_stands_still_is_taken_up_again_where_it_was(
    registry: RegistryProcess, load: Load, historian: Historian, scribes: list[Scribe]
) -> None:
    devices = fetch_devices(load.client)
    with watching(registry.url) as watch:
        watch.read_until(max(device.revision for device in devices.values()))
        with stopped(registry.command):
            wait_until(lambda: all(scribe.is_stale for scribe in scribes[:2]))
            wait_until(lambda: "is silent" in watch.log)
            for scribe in scribes[:2]:
                assert scribe.watcher is not None
                assert scribe.watcher.devices == devices
        at = load.burst(300)
        scribes[2].settle()
        all_at(scribes, at)
        for scribe in scribes:
            assert resyncs(scribe) == 0
            scribe.judge(historian.truth)
        watch.read_until(at.seq)
    live = [event for event in watch.events if event.origin is Origin.LIVE]
    assert live == historian.events[-len(live) :]
    assert [e.device for e in watch.events if e not in live] == sorted(
        devices.values(), key=lambda device: device.revision
    )


def test_a_watcher_that_stands_still_while_thousands_of_messages_are_lost_catches_up(
    registry: RegistryProcess, load: Load, historian: Historian, context: Context
) -> None:
    load.register()
    first = historian.update(load.client).seq
    with watching(registry.url) as watch:
        watch.read_until(first)
        with stopped(watch.command):
            register_often(context, registry.url, EVENTS // 2)
        at = historian.update(load.client)
        watch.read_until(at.seq)
    assert "events were missed" in watch.log
    # Each once, in order, and as it was published.
    assert [event.seq for event in watch.events] == list(range(1, at.seq + 1))
    assert watch.events[1:] == historian.events[1:]


def register_often(context: Context, url: str, number: int) -> None:
    """One device at one address, again and again: two events for each but the first."""
    request = {
        "event": "REGISTER",
        "payload": {
            "device_type": "camera",
            "addr": "tcp://10.0.0.2:1",
            "name": "big",
            "metadata": {"notes": "x" * BIG},
        },
    }
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(url)
        for _ in range(number):
            socket.send_multipart([b"", msgspec.json.encode(request)])
        for _ in range(number):
            assert socket.poll(10_000), "the registry does not answer"
            socket.recv_multipart()


def test_after_a_kill_there_is_one_resync_and_no_event_twice(
    registry: RegistryProcess, historian: Historian, context: Context
) -> None:
    url, dice = registry.url, random.Random(4)
    with ExitStack() as stack:
        scribes = [stack.enter_context(Scribe(kind, url)) for kind in KINDS]
        watch = stack.enter_context(watching(url))
        at, devices = Cursor("", 0), dict[str, Device]()
        for life in range(3):
            if life:
                registry.kill()
                wait_until(lambda: all(scribe.is_stale for scribe in scribes))
                registry.start()
                assert registry.url == url
            with Load(context, url, historian, dice, short=False) as load:
                all_at(scribes, load.burst(1))
                at = load.burst(100)  # the next kill may catch some of it on its way
                devices = fetch_devices(load.client)
        all_at(scribes, at)
        for scribe in scribes:
            assert resyncs(scribe) == 2
            assert scribe.watcher is not None
            assert scribe.watcher.devices == devices
            scribe.judge(historian.truth)
        watch.read_until_there_are(devices)
    registrations = [(type(e), e.epoch, e.device.revision) for e in watch.events]
    assert len(set(registrations)) == len(registrations), "an event came twice"
