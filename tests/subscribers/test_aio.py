"""`awatch` and `AsyncWatcher`: tasks, cancellation, and how they end.

What both kinds of watcher share: `test_watchers` and `test_watch_options`.
"""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import zmq

from devicewatch.events import Added, Event, Live, Origin, RegistryUnreachable, State
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import AsyncWatcher, awatch
from devicewatch.subscribers.mirror import Mirror
from tests.support.live import PATIENCE, RawClient, free_port, raw_client

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test, and see that it leaves no task behind."""

    async def alone() -> None:
        async with asyncio.timeout(2 * PATIENCE):
            await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(alone(), debug=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def events_of(watcher: AsyncWatcher) -> list[Event]:
    return [event async for event in watcher]


async def news_of(watcher: AsyncWatcher) -> list[Event]:
    return [record async for record in watcher.records() if not isinstance(record, Live)]  # type: ignore[misc]


# --- what it yields ------------------------------------------------------------------------------


def test_the_function_yields_until_it_is_left(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")

    async def main() -> None:
        async for event in awatch(registry.url, context=context):
            assert event.device.name == "a"
            break
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main())


def test_the_function_tells_its_status_if_asked(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    client.register("tcp://a:1", "a")

    async def main() -> None:
        async with contextlib.aclosing(
            awatch(registry.url, status=True, context=context)
        ) as records:
            assert isinstance(await anext(records), Added)
            assert isinstance(await anext(records), Live)

    run(main())


def test_the_status_is_up_to_date_though_nobody_reads(context: Context) -> None:
    async def main() -> None:
        registry = DeviceRegistry(
            addr="127.0.0.1", port=free_port(), events_port="0", tick_interval=0.1
        )
        async with AsyncWatcher(registry.url, context=context) as watcher:
            with registry:
                await until(lambda: watcher.status.state is State.LIVE)
            await until(lambda: watcher.status.state is State.STALE)
            assert watcher.status.why == "the registry has stopped"

    run(main())


def test_a_reader_who_is_too_slow_misses_nothing_that_the_history_has(
    client: RawClient,
    registry: DeviceRegistry,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devicewatch.subscribers.view.MAX_WAITING", 10)
    monkeypatch.setattr("devicewatch.subscribers.mirror.MAX_WAITING", 10)
    defaults = dict(Mirror.__init__.__kwdefaults__ or {})
    monkeypatch.setattr(Mirror.__init__, "__kwdefaults__", defaults | {"max_waiting": 10})

    async def main() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await watcher.connect(PATIENCE)
            for number in range(300):
                client.register(f"tcp://a:{number}", f"d{number}")
            await until(lambda: "too slow" in watcher.status.why)
            assert watcher._mirror.view.waiting <= 11
            events = [await watcher.get(PATIENCE) for _ in range(300)]
            assert [event and event.seq for event in events] == list(range(1, 301))
            assert {event and event.origin for event in events} == {Origin.LIVE}
            await until(lambda: watcher.status.state is State.LIVE)

    run(main())


def test_a_deadline_that_falls_together_with_an_event_is_followed_by_another(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    """Or the silence after it would not be noticed."""

    async def main() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await watcher.connect(PATIENCE)
            lookout, stream = watcher._lookout, watcher._transport._stream
            assert lookout is not None
            assert stream is not None
            client.register("tcp://a:1", "a")
            assert stream.socket.poll(int(PATIENCE * 1000))
            lookout._cancel()
            lookout._due = 0.0
            lookout._ring()
            await until(lambda: lookout._timer is not None)
            event = await watcher.get(PATIENCE)
            assert event is not None
            assert event.device.name == "a"

    run(main())


# --- cancellation --------------------------------------------------------------------------------


def test_a_wait_that_is_cancelled_at_any_moment_loses_nothing(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await watcher.connect(PATIENCE)
            seen: list[str] = []
            for number in range(200):
                client.register(f"tcp://a:{number}", f"d{number}")
                waiting = asyncio.ensure_future(watcher.get())
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    event = await waiting
                    assert event is not None
                    seen.append(event.device.name)
            while len(seen) < 200:
                event = await watcher.get(PATIENCE)
                assert event is not None
                seen.append(event.device.name)
            assert seen == [f"d{number}" for number in range(200)]

    run(main())


def test_two_tasks_may_wait_and_waits_that_are_given_up_leave_nothing_behind(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await asyncio.gather(watcher.connect(PATIENCE), watcher.connect(PATIENCE))
            for _ in range(20):
                assert await watcher.get(0.0) is None
            assert len(watcher._waiting) <= 1
            both = asyncio.gather(watcher.get(PATIENCE), watcher.get(PATIENCE))
            for name in ("a", "b"):
                await asyncio.sleep(0)
                client.register(f"tcp://{name}:1", name)
            assert {event and event.device.name for event in await both} == {"a", "b"}

    run(main())


@pytest.mark.parametrize("steps", range(8))
def test_entering_and_connecting_may_be_cancelled(
    steps: int, registry: DeviceRegistry, context: Context
) -> None:
    async def use() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await watcher.connect()
            await watcher.get()

    async def main() -> None:
        task = asyncio.create_task(use())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_closing_may_be_cancelled(registry: DeviceRegistry, context: Context) -> None:
    async def main() -> None:
        watcher = AsyncWatcher(registry.url, context=context)
        await watcher.connect(PATIENCE)
        closing = asyncio.create_task(watcher.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert watcher.closed
        await watcher.close()

    run(main())


# --- ending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [AsyncWatcher.get, AsyncWatcher.connect])
def test_close_ends_who_has_only_just_begun_to_wait(
    wait: Callable[[AsyncWatcher], Coroutine[Any, Any, object]],
    registry: DeviceRegistry,
    context: Context,
) -> None:
    async def main() -> None:
        watcher = AsyncWatcher(registry.url, context=context)
        waiting = asyncio.create_task(wait(watcher))
        await asyncio.sleep(0)  # the watcher's own task has not begun by then
        await watcher.close()
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        assert done
        assert isinstance(waiting.exception(), RegistryUnreachable | None)

    run(main())


@pytest.mark.parametrize("wait", [AsyncWatcher.get, events_of, news_of])
def test_close_ends_whoever_waits(
    wait: Callable[[AsyncWatcher], Coroutine[Any, Any, object]],
    registry: DeviceRegistry,
    context: Context,
) -> None:
    async def main() -> None:
        watcher = AsyncWatcher(registry.url, context=context)
        await watcher.connect(PATIENCE)
        waiting = asyncio.create_task(wait(watcher))
        await asyncio.sleep(0)
        await watcher.close()
        assert not await waiting
        assert await watcher.get() is None
        with pytest.raises(RegistryUnreachable, match="it was closed"):
            await watcher.connect()
        await watcher.close()

    run(main())


def test_terminating_the_context_from_another_thread_ends_it(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()

    async def main() -> None:
        async with AsyncWatcher(registry.url, context=mine) as watcher:
            await watcher.connect(PATIENCE)
            thread = threading.Thread(target=mine.term)
            thread.start()
            assert [event async for event in watcher] == []
            assert watcher.status.why == "its ZeroMQ context was terminated"
            await asyncio.to_thread(thread.join)

    run(main())


def test_a_fault_of_our_own_reaches_whoever_waits(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with AsyncWatcher(registry.url, context=context) as watcher:
            await watcher.connect(PATIENCE)
            monkeypatch.setattr(watcher._mirror, "advance", lambda now: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await watcher.get(PATIENCE)

    run(main())


def test_one_that_was_never_used_leaves_nothing_open(context: Context) -> None:
    AsyncWatcher(context=context)
    gc.collect()
    watcher = AsyncWatcher(context=context)
    asyncio.run(watcher.close())


def test_the_end_of_the_event_loop_closes_the_sockets(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()

    async def main() -> None:
        watcher = AsyncWatcher(registry.url, context=mine)
        await watcher.connect(PATIENCE)

    asyncio.run(main())
    mine.term()
