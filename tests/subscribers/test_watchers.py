"""Watchers of both kinds, on real sockets: what they have in common."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from devicewatch.events import (
    Added,
    AddressError,
    Event,
    Live,
    Origin,
    Reason,
    RegistryUnreachable,
    Removed,
)
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import awatch, watch
from devicewatch.subscribers.mirror import Mirror
from tests.support.live import (
    PATIENCE,
    RawClient,
    free_port,
    raw_client,
    silent_registry,
)
from tests.support.watchers import KINDS, AnyWatcher

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture(params=KINDS, ids=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> type[AnyWatcher]:
    kind: type[AnyWatcher] = request.param
    return kind


@pytest.fixture
def watcher(
    kind: type[AnyWatcher], context: Context, registry: DeviceRegistry
) -> Iterator[AnyWatcher]:
    with kind(registry.url, context=context) as watcher:
        yield watcher


def get(watcher: AnyWatcher) -> Event:
    event = watcher.get(PATIENCE)
    assert event is not None
    return event


# --- what it yields ------------------------------------------------------------------------------


def test_first_what_is_there_then_what_happens(client: RawClient, watcher: AnyWatcher) -> None:
    client.register("tcp://a:1", "one")
    uuid = client.register("tcp://a:2", "two")["uuid"]
    first, second = get(watcher), get(watcher)
    assert [(e.device.name, e.seq, e.origin) for e in (first, second)] == [
        ("one", 1, Origin.SNAPSHOT),
        ("two", 2, Origin.SNAPSHOT),
    ]
    client.register("tcp://a:3", "three")
    client.ask("UNREGISTER", {"uuid": uuid})
    third, fourth = get(watcher), get(watcher)
    assert isinstance(third, Added)
    assert (third.device.name, third.seq, third.origin) == ("three", 3, Origin.LIVE)
    assert isinstance(fourth, Removed)
    assert (fourth.device, fourth.reason) == (second.device, Reason.UNREGISTERED)


def test_its_devices_are_those_of_the_events_yielded_so_far(
    client: RawClient, watcher: AnyWatcher
) -> None:
    assert watcher.cursor is None
    for number in range(3):
        client.register(f"tcp://a:{number}")
    devices = watcher.devices
    assert dict(devices) == {}
    for number in range(3):
        event = get(watcher)
        assert list(devices) == [f"camera-{n}" for n in range(number + 1)]
        assert devices[event.device.name] == event.device
    assert watcher.cursor is not None
    assert watcher.cursor.seq == 3


def test_nothing_that_happens_after_connecting_is_missed(
    client: RawClient, watcher: AnyWatcher
) -> None:
    watcher.connect(PATIENCE)
    uuid = client.register("tcp://a:1")["uuid"]
    client.ask("UNREGISTER", {"uuid": uuid})
    assert [(type(e), e.origin) for e in (get(watcher), get(watcher))] == [
        (Added, Origin.LIVE),
        (Removed, Origin.LIVE),
    ]


def test_several_watchers_see_the_same_stream(
    kind: type[AnyWatcher], client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    with kind(registry.url, context=context) as early:
        early.connect(PATIENCE)
        client.register("tcp://a:1")
        with kind(registry.url, context=context) as late:
            late.connect(PATIENCE)
            client.register("tcp://a:2")
            assert [get(early).device for _ in range(2)] == [get(late).device for _ in range(2)]
            assert early.devices == late.devices
            assert early.cursor == late.cursor


def test_word_on_the_view_is_among_the_records(client: RawClient, watcher: AnyWatcher) -> None:
    assert isinstance(watcher.get_record(PATIENCE), Live)
    client.register("tcp://a:1", "cam")
    assert isinstance(watcher.get_record(PATIENCE), Added)
    assert watcher.get_record(0) is None


def test_more_devices_than_fit_on_a_page(client: RawClient, watcher: AnyWatcher) -> None:
    for number in range(505):
        client.register(f"tcp://a:{number}")
    assert [get(watcher).seq for _ in range(505)] == list(range(1, 506))


def test_a_watcher_may_start_before_the_registry(kind: type[AnyWatcher], context: Context) -> None:
    port = free_port()
    with kind(f"tcp://127.0.0.1:{port}", context=context) as watcher:
        assert watcher.get(0.2) is None
        with (
            DeviceRegistry(addr="127.0.0.1", port=port, events_port="0") as registry,
            raw_client(context, registry.url) as client,
        ):
            client.register("tcp://a:1", "cam")
            assert get(watcher).device.name == "cam"


def test_after_a_restart_the_difference_is_yielded(
    kind: type[AnyWatcher], context: Context
) -> None:
    port, events_port = free_port(), free_port()

    def registry() -> DeviceRegistry:
        return DeviceRegistry(
            addr="127.0.0.1", port=port, events_port=events_port, tick_interval=0.1
        )

    with registry() as first, kind(first.url, context=context) as watcher:
        with raw_client(context, first.url) as client:
            client.register("tcp://a:1", "stays")
            client.register("tcp://a:2", "goes")
        before = [get(watcher), get(watcher)]
        first.stop()
        with registry() as second:
            with raw_client(context, second.url) as client:
                client.register("tcp://a:1", "stays")
                events = [get(watcher) for _ in range(3)]
            assert all(event.origin is Origin.RESYNC for event in events)
            gone = events[:2]
            assert [event.device for event in gone] == [event.device for event in before]
            assert [event.reason for event in gone if isinstance(event, Removed)] == [
                Reason.REPLACED,
                Reason.UNKNOWN,
            ]
            assert list(watcher.devices) == ["stays"]


def test_messages_dropped_by_the_network_are_made_up_for(
    client: RawClient, watcher: AnyWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: even if the last message was lost, the next tick shows it."""
    watcher.connect(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "stream_received", lambda self, frames, now: None)
        client.register("tcp://a:1", "cam")
        assert watcher.get(0.05) is None
    event = get(watcher)
    assert (event.device.name, event.origin) == ("cam", Origin.LIVE)


def test_the_event_stream_may_be_elsewhere_than_the_registry_says(
    kind: type[AnyWatcher], registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    frontend, backend = context.socket(zmq.XPUB), context.socket(zmq.XSUB)
    port = frontend.bind_to_random_port("tcp://127.0.0.1")
    backend.connect(registry.events_url)
    done = threading.Event()

    def tunnel() -> None:
        while not done.is_set():
            for source, target in ((frontend, backend), (backend, frontend)):
                if source.poll(5):
                    target.send_multipart(source.recv_multipart())
        frontend.close(linger=0)
        backend.close(linger=0)

    thread = threading.Thread(target=tunnel)
    thread.start()
    try:
        with kind(registry.url, context=context, events_url=f"tcp://127.0.0.1:{port}") as watcher:
            watcher.connect(PATIENCE)
            client.register("tcp://a:1", "cam")
            assert get(watcher).origin is Origin.LIVE
    finally:
        done.set()
        thread.join()


def test_a_registry_that_names_a_bad_address_is_asked_again(
    kind: type[AnyWatcher], context: Context
) -> None:
    info = (
        b'{"event":"INFO","payload":{"version":1,"epoch":"e","seq":0,"devices":0,'
        b'"tick_interval":0.02,"uptime":1,"history":0,"events_url":"nonsense"}}'
    )
    with silent_registry(context, info) as url, kind(url, context=context) as watcher:
        assert watcher.get(0.3) is None
        assert watcher.status.why.startswith(f"the registry at {url} names a bad address: ")


# --- waiting and ending --------------------------------------------------------------------------


def test_what_does_not_come_in_time_is_none(watcher: AnyWatcher) -> None:
    assert watcher.get(0.05) is None


def test_an_unreachable_registry_is_named_with_what_was_in_the_way(
    kind: type[AnyWatcher], context: Context
) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with (
        kind(url, context=context) as watcher,
        pytest.raises(RegistryUnreachable, match=f"{url} within 0.1 s: no registry has answered"),
    ):
        watcher.connect(0.1)


@pytest.mark.parametrize("options", [{"url": "controller"}, {"events_url": "tcp://controller"}])
def test_an_address_that_makes_no_sense_is_an_error_at_once(
    kind: type[AnyWatcher], options: dict[str, Any]
) -> None:
    with pytest.raises(AddressError):
        kind(**options)
    with pytest.raises(AddressError):
        watch(**options)
    with pytest.raises(AddressError):
        awatch(**options)
