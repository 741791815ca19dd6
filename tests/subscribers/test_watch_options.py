"""What a watcher may be asked for: to resume, to say how sure it is, to leave things out.

On both kinds of watcher and on real sockets; every case that there is: `test_mirror_*`.
"""

import time
from collections.abc import Iterator

import pytest
import zmq

from devicewatch.events import Added, Cursor, Live, Origin, Stale, State
from devicewatch.registry import DeviceRegistry, query_info
from tests.support.live import PATIENCE, RawClient, free_port, raw_client, wait_until
from tests.support.watchers import KINDS, AnyWatcher

Context = zmq.Context[zmq.Socket[bytes]]
Kind = type[AnyWatcher]


@pytest.fixture(params=KINDS, ids=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def names(watcher: AnyWatcher, number: int) -> list[str]:
    events = [watcher.get(PATIENCE) for _ in range(number)]
    return [event.device.name for event in events if event is not None]


def state(watcher: AnyWatcher) -> State:
    return watcher.status.state


def cursor(registry: DeviceRegistry, seq: int) -> Cursor:
    return Cursor(query_info(None, registry.url).epoch, seq)


# --- resuming ------------------------------------------------------------------------------------


def test_it_resumes_after_any_event(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    for name in ("a", "b", "c"):
        client.register(f"tcp://{name}:1", name)
    with kind(registry.url, context=context) as first:
        assert names(first, 2) == ["a", "b"]
        cursor = first.cursor
    client.register("tcp://d:1", "d")
    with kind(registry.url, since=cursor, context=context) as second:
        assert second.resumed is None
        second.connect(PATIENCE)
        assert second.resumed
        assert list(second.devices) == ["a", "b"]
        assert names(second, 2) == ["c", "d"]
        client.register("tcp://e:1", "e")
        assert names(second, 1) == ["e"]
        assert list(second.devices) == ["a", "b", "c", "d", "e"]


def test_a_cursor_that_went_through_a_file_is_as_good(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")
    with kind(registry.url, context=context) as first:
        event = first.get(PATIENCE)
        assert event is not None
        text = str(event.cursor)
    client.register("tcp://b:1", "b")
    with kind(registry.url, since=Cursor.parse(text), context=context) as second:
        assert names(second, 1) == ["b"]


def test_where_it_cannot_resume_it_says_so_and_gives_what_is_there(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")
    since = Cursor("an epoch long past", 17)
    with kind(registry.url, since=since, context=context) as watcher:
        records = watcher.records()
        first, second = next(records), next(records)
        assert isinstance(first, Added)
        assert (first.device.name, first.origin) == ("a", Origin.RESYNC)
        assert isinstance(second, Live)
        assert second.resynced
        assert watcher.resumed is False


# --- how sure it is ------------------------------------------------------------------------------


def test_it_says_how_sure_it_is(kind: Kind, context: Context) -> None:
    port, events_port = free_port(), free_port()
    url = f"tcp://127.0.0.1:{port}"

    def registry() -> DeviceRegistry:
        return DeviceRegistry(
            addr="127.0.0.1", port=port, events_port=events_port, tick_interval=0.1
        )

    before = time.time()
    with kind(url, context=context) as watcher:
        assert state(watcher) is State.CONNECTING
        assert watcher.status.why == f"no registry has answered yet at {url}"
        records = watcher.records()
        with registry():
            live = next(records)
            assert isinstance(live, Live)
            assert state(watcher) is State.LIVE
            assert before <= watcher.status.since == live.time <= time.time()
        stale = next(records)
        assert isinstance(stale, Stale)
        assert stale.why == "the registry has stopped"
        assert state(watcher) is State.STALE
        with registry():
            again = next(records)
            assert isinstance(again, Live)
            assert again.resynced
    assert state(watcher) is State.CLOSED
    assert watcher.status.why == "it was closed"


# --- what it leaves out --------------------------------------------------------------------------


def test_without_the_existing_devices_it_knows_them_all_the_same(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")
    with kind(registry.url, existing=False, context=context) as watcher:
        watcher.connect(PATIENCE)
        client.register("tcp://b:1", "b")
        assert names(watcher, 1) == ["b"]
        assert list(watcher.devices) == ["a", "b"]


def test_devices_of_one_type(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")
    client.register("tcp://b:1", "b", device_type="arm")
    with kind(registry.url, device_type="arm", context=context) as watcher:
        watcher.connect(PATIENCE)
        client.register("tcp://c:1", "c")
        client.register("tcp://d:1", "d", device_type="arm")
        assert names(watcher, 2) == ["b", "d"]
        assert list(watcher.devices) == ["b", "d"]
        assert watcher.cursor is not None
        assert watcher.cursor.seq == 4


def test_the_cursor_moves_on_over_what_is_left_out(
    kind: Kind, client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    with kind(registry.url, device_type="arm", context=context) as watcher:
        watcher.connect(PATIENCE)
        client.register("tcp://a:1", "a")
        wait_until(lambda: watcher.get(0) is None and watcher.cursor == cursor(registry, 1))
        assert not watcher.devices
