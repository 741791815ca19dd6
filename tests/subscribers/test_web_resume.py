"""A browser goes on where it was: links, servers and registries that come back."""

import asyncio
import functools
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import zmq

from devicewatch.events import State
from devicewatch.registry import DeviceRegistry, SqliteJournal
from devicewatch.registry.commands.demo import running
from devicewatch.subscribers.web import feed, snapshots
from devicewatch.subscribers.web.backlog import Backlog
from devicewatch.subscribers.web.server import WebServer
from tests.support.browser import browser, get, names
from tests.support.live import PATIENCE, RawClient, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

TICK: Final = 0.1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PULSE", 0.1)


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@contextmanager
def serving(url: str, context: Context) -> Iterator[WebServer]:
    """A web server, once it is live."""
    with WebServer(url, port=0, context=context) as web:
        wait_until(lambda: get(web.url, "/healthz").status == 200)
        yield web


def flap(client: RawClient, times: int) -> None:
    """Two events each time."""
    for _ in range(times):
        uuid = client.register("tcp://a:1", "cam")["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})


def caught_up(web: WebServer, seq: int) -> None:
    """Wait until it has told of an event."""
    wait_until(lambda: get(web.url, "/healthz").json["cursor"].startswith(f"{seq}/"))


# --- a link that comes back ----------------------------------------------------------------------


def test_it_goes_on_after_any_id(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with serving(registry.url, context) as web:
        with browser(web.url) as first:
            first.next("snapshot")
            flap(client, 3)
            told = first.events(6)
        assert [sent.seq for sent in told] == [1, 2, 3, 4, 5, 6]
        caught_up(web, 6)
        for in_url in (False, True):
            for sent in told:
                with browser(web.url, sent.id, in_url=in_url) as again:
                    rest = list(range(sent.seq + 1, 7))
                    assert again.seqs(len(rest)) == rest
                    assert again.next("pulse").data["cursor"] == told[-1].id
        with browser(web.url, told[2].id) as again:
            flap(client, 1)
            assert again.seqs(5) == [4, 5, 6, 7, 8]


def test_what_is_not_known_gets_a_snapshot_marked_as_such(
    registry: DeviceRegistry,
    client: RawClient,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "Backlog", functools.partial(Backlog, max_records=5))
    flap(client, 10)
    client.register("tcp://a:2", "here")
    with serving(registry.url, context) as web:
        epoch = get(web.url, "/healthz").json["cursor"].partition("/")[2]
        known_now = None
        for unknown in (f"3/{epoch}", "18/elsewhere", "rubbish", f"99/{epoch}", f"20.3/{epoch}"):
            for in_url in (False, True):
                with browser(web.url, unknown, in_url=in_url) as again:
                    snapshot = again.next()
                    assert snapshot.data["again"] is True
                    assert names(snapshot) == {"here"}
                    assert snapshot.id == again.last_id
                    known_now = again.last_id
        with browser(web.url, known_now) as again:
            assert again.next("pulse", "snapshot").kind == "pulse"
        with browser(web.url, f"20/{epoch}") as known:
            assert known.seqs(1) == [21]


def test_a_snapshot_of_a_moment_ago_leads_to_the_present(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    with serving(registry.url, context) as web:
        for number in range(8):
            with browser(web.url) as new:
                devices = names(new.next())
                client.register(f"tcp://a:{number}", f"d{number}")
                while len(devices) <= number:
                    devices.add(new.next("added").data["device"]["name"])
            assert devices == {f"d{n}" for n in range(number + 1)}


def test_a_browser_that_is_too_slow_for_the_backlog_gets_a_snapshot(
    registry: DeviceRegistry,
    client: RawClient,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "Backlog", functools.partial(Backlog, max_records=5))
    monkeypatch.setattr(feed, "PULSE", 0.01)

    async def main() -> None:
        following = feed.Feed(registry.url, context=context)
        task = asyncio.create_task(following.run())

        async def until(kind: bytes, stream: AsyncIterator[snapshots.Piece]) -> bytes:
            async for piece in stream:
                if (found := bytes(piece)).startswith(b"event: " + kind):
                    return found
            raise AssertionError("it ended")

        async with asyncio.timeout(PATIENCE), aclosing(following.stream(None)) as stream:
            while following.cursor is None:
                await asyncio.sleep(0.002)
            await until(b"snapshot", stream)
            await asyncio.to_thread(flap, client, 10)
            while following.cursor.seq < 20:
                await asyncio.sleep(0.002)
            assert b'"again":true' in await until(b"snapshot", stream)
            await asyncio.to_thread(flap, client, 1)
            assert b"id: 21/" in await until(b"added", stream)
            following.close()
            async for _ in stream:
                pass
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_slow_readers_share_what_they_read(
    registry: DeviceRegistry,
    client: RawClient,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many there are, and however much happens meanwhile; and they do not take for ever."""
    monkeypatch.setattr(snapshots, "_AGE", 0.0)

    async def main() -> None:
        following = feed.Feed(registry.url, context=context)
        task = asyncio.create_task(following.run())
        async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
            while following.status.state is not State.LIVE:
                await asyncio.sleep(0.002)

            async def read() -> tuple[Any, AsyncIterator[snapshots.Piece]]:
                """The devices in a snapshot, and whatever is to come."""
                stream = await stack.enter_async_context(aclosing(following.stream(None)))
                async for piece in stream:
                    if bytes(piece) == b',"devices":':
                        devices = await anext(stream)
                        assert isinstance(devices, memoryview)
                        return devices.obj, stream
                raise AssertionError("it ended")

            unchanged = [(await read())[0] for _ in range(5)]
            assert len({id(devices) for devices in unchanged}) == 1
            listed = following.devices_json()[1]
            assert isinstance(listed, memoryview)
            assert listed.obj is unchanged[0]
            changed = []
            for seq in range(2, 21, 2):
                await asyncio.to_thread(flap, client, 1)
                while following.cursor is None or following.cursor.seq < seq:
                    await asyncio.sleep(0.002)
                changed.append(await read())
            assert len({id(devices) for devices, _ in changed}) < snapshots.MAX_SNAPSHOTS
            with monkeypatch.context() as patch:
                patch.setattr(snapshots, "LONGEST", -1.0)
                with pytest.raises(snapshots.TooSlow):
                    list(snapshots.in_time([b"a piece"]))
            stream = changed[-1][1]  # it has an old one, and is told of the rest
            async for piece in stream:
                if b"id: 20/" in bytes(piece):
                    break
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


# --- a registry that comes back ------------------------------------------------------------------


def new_registry(port: str, **more: object) -> DeviceRegistry:
    return DeviceRegistry(
        addr="127.0.0.1",
        port=port,
        events_port="0",
        tick_interval=TICK,
        **more,  # type: ignore[arg-type]
    )


def test_a_registry_that_goes_away_and_comes_back_anew(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_AGE", 0.0)
    port = free_port()
    with WebServer(f"tcp://127.0.0.1:{port}", port=0, context=context) as web:
        with browser(web.url) as one:
            nothing = one.next()
            assert nothing.data["status"]["state"] == "connecting"
            assert (nothing.id, nothing.data["cursor"], nothing.data["devices"]) == (None, None, [])
            with new_registry(port) as registry, raw_client(context, registry.url) as client:
                snapshot = one.next()
                assert snapshot.data["again"] is False
                assert snapshot.data["status"]["state"] == "live"
                client.register("tcp://a:1", "cam")
                client.register("tcp://a:2", "arm")
                before = one.events(2)[1].id
            stale = one.next("stale")
            assert stale.data["why"] == "the registry has stopped"
            devices = get(web.url, "/api/devices").json
            assert devices["status"]["state"] == "stale"
            assert len(devices["devices"]) == 2
            assert one.next("pulse").data["status"]["state"] == "stale"
            with new_registry(port) as registry, raw_client(context, registry.url) as client:
                gone = one.events(2)
                assert [(sent.kind, sent.data["origin"]) for sent in gone] == 2 * [
                    ("removed", "resync")
                ]
                assert one.next().data["resynced"] is True
                client.register("tcp://a:3", "pump")
                (pump,) = one.events(1)
            # Each place can be gone on from, those in the midst of the difference too.
            with browser(web.url, before) as again:
                kinds = [again.next().kind for _ in range(6)]
                assert kinds == ["stale", "removed", "removed", "live", "added", "stale"]
            with browser(web.url, gone[0].id) as again:
                assert again.next("removed").data == gone[1].data
            with browser(web.url, stale.id) as again:
                assert again.next().data == gone[0].data
            with browser(web.url, pump.id) as again:
                assert again.next().kind == "stale"
        with browser(web.url) as new:
            timeline = new.next().data["timeline"]
    assert len(timeline["gaps"]) == 2
    assert timeline["gaps"][1]["end"] is None
    assert {lane["name"] for lane in timeline["lanes"]} == {"cam", "arm", "pump"}


def test_silence_makes_the_view_stale_within_three_ticks(context: Context) -> None:
    with running("serve", "--port", "0", "--events-port", "0", "--tick", "0.1") as registry:
        url = registry.next_line(2 * PATIENCE).split()[4]
        with serving(url, context) as web, browser(web.url) as one:
            one.next("snapshot")
            registry.process.send_signal(signal.SIGSTOP)
            stopped = time.time()
            try:
                stale = one.next("stale")
            finally:
                registry.process.send_signal(signal.SIGCONT)
            assert stale.data["time"] - stopped < 0.3 + 2  # on a busy machine
            assert one.next().kind == "live"
            assert get(web.url, "/healthz").status == 200


def test_a_browser_that_comes_back_before_the_registry_is_kept_waiting(
    context: Context, tmp_path: Path
) -> None:
    port, url = free_port(), ""
    path = tmp_path / "journal"
    with (
        new_registry(port, journal=SqliteJournal(path)) as registry,
        raw_client(context, registry.url) as client,
    ):
        url = registry.url
        flap(client, 2)
        with serving(url, context) as web, browser(web.url) as one:
            assert one.next().data["cursor"].startswith("4/")
            last_id = one.last_id
        flap(client, 1)
    with WebServer(url, port=0, context=context) as web, browser(web.url, last_id) as one:
        pulse = one.next("pulse", "snapshot")
        assert pulse.kind == "pulse"
        assert pulse.data["status"]["state"] == "connecting"
        with (
            new_registry(port, journal=SqliteJournal(path)) as registry,
            raw_client(context, url) as client,
        ):
            assert one.seqs(2) == [5, 6]
            client.register("tcp://a:2", "new")
            assert one.seqs(1) == [7]


# --- a server that comes back --------------------------------------------------------------------


def test_a_server_that_comes_back_knows_what_was_before(
    registry: DeviceRegistry, client: RawClient, context: Context
) -> None:
    client.register("tcp://b:1", "there")
    flap(client, 3)
    with serving(registry.url, context) as web, browser(web.url) as one:
        snapshot = one.next()
        assert names(snapshot) == {"there"}
        lanes = {lane["name"]: lane for lane in snapshot.data["timeline"]["lanes"]}
        assert len(lanes["cam"]["spans"]) == 3
        assert lanes["there"]["spans"][0]["end"] is None
        flap(client, 1)
        assert one.seqs(2) == [8, 9]
        last_id = one.last_id
    flap(client, 2)
    with WebServer(registry.url, port=0, context=context) as web, browser(web.url, last_id) as one:
        assert one.seqs(4) == [10, 11, 12, 13]
        flap(client, 1)
        assert one.seqs(2) == [14, 15]


def test_what_one_server_said_of_its_view_is_not_what_the_next_one_says(
    context: Context, tmp_path: Path
) -> None:
    """Both count from the same event: a page that took it for the same would stay stale."""
    port, path = free_port(), tmp_path / "journal"
    with new_registry(port, journal=SqliteJournal(path)) as registry:
        url = registry.url
        stack = ExitStack()
        with raw_client(context, url) as client:
            web = stack.enter_context(serving(url, context))
            one = stack.enter_context(browser(web.url))
            one.next("snapshot")
            flap(client, 1)
            one.events(2)
    with stack:
        stale = one.next("stale")
    with (
        new_registry(port, journal=SqliteJournal(path)),
        serving(url, context) as web,
        browser(web.url, stale.id) as again,
    ):
        assert again.next().kind == "live"


@pytest.mark.parametrize(("history", "known"), [(0, False), (12, True), (5_000, True)])
def test_it_reads_as_much_of_the_past_as_there_is(
    context: Context, history: int, known: bool
) -> None:
    with (
        new_registry("0", history=history) as registry,
        raw_client(context, registry.url) as client,
    ):
        flap(client, 20)
        with serving(registry.url, context) as web:
            epoch = get(web.url, "/healthz").json["cursor"].partition("/")[2]
            with browser(web.url, f"35/{epoch}") as one:
                found = one.next("added", "removed", "snapshot")
                assert found.kind == ("removed" if known else "snapshot")
                flap(client, 1)
                while found.kind == "snapshot" or found.seq < 42:
                    found = one.next("added", "removed")


def test_a_server_that_is_killed_misses_nothing_and_repeats_nothing(
    registry: DeviceRegistry, client: RawClient
) -> None:
    port = free_port()
    command = ("web", "--port", port, "--registry", registry.url)
    seen: list[int] = []
    with running(*command) as web:
        url = web.next_line(2 * PATIENCE).split()[5]
        assert url == f"http://127.0.0.1:{port}/"
        with browser(url) as one:
            while not one.next("snapshot").data["cursor"]:
                pass
            flap(client, 5)
            seen += one.seqs(7)
            last_id = one.last_id
            web.process.kill()
            web.process.wait()
            flap(client, 5)
    with running(*command) as web:
        url = web.next_line(2 * PATIENCE).split()[5]
        with browser(url, last_id) as one:
            flap(client, 5)
            seen += one.seqs(23)
            assert seen == list(range(1, 31))
            assert one.next("pulse", "added", "removed", "snapshot").kind == "pulse"
