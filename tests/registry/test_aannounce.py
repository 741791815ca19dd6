"""`aannounce` on real sockets, and what a cancellation leaves behind: nothing."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import zmq
import zmq.asyncio

from devicewatch.events import (
    AddressError,
    MessageError,
    RegistryUnreachable,
    RequestRefused,
)
from devicewatch.registry import (
    AsyncAnnouncement,
    DeviceRegistry,
    PresenceState,
    PresenceStatus,
    aannounce,
)
from devicewatch.registry.core import RegistryCore
from tests.support.live import PATIENCE, free_port, raw_client, silent_registry

Context = zmq.Context[zmq.Socket[bytes]]

LEASE = 1.5
"""Seconds: short, and long enough that a busy machine does not end it."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, and see that no task and no reader of sockets is left."""

    async def whole() -> None:
        await asyncio.wait_for(main, 3 * PATIENCE)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        assert len(selector.get_map()) == 1, "the loop's own waker"

    asyncio.run(whole())


async def until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.002)


def camera(url: str, context: Context, addr: str = "tcp://a:1", **more: Any) -> AsyncAnnouncement:
    arguments: dict[str, Any] = {"alive_timeout": LEASE, "context": context} | more
    return aannounce("camera", addr, "cam", url, **arguments)


def seq(url: str, context: Context) -> int:
    with raw_client(context, url) as client:
        return int(client.ask("INFO", {})["payload"]["seq"])


# --- being present -------------------------------------------------------------------------------


def test_a_device_is_present_for_as_long_as_its_block(
    registry: DeviceRegistry, context: Context
) -> None:
    told: list[PresenceStatus] = []

    async def main() -> None:
        async with camera(registry.url, context, on_change=told.append) as presence:
            assert presence.name == "cam"
            assert presence.registered
            assert registry.devices == {"cam": ("camera", "tcp://a:1")}
            later = time.monotonic() + 1.3 * LEASE
            await until(lambda: time.monotonic() > later)
            assert seq(registry.url, context) == 1, "it renews"
        assert registry.devices == {}
        assert not presence.registered

    run(main())
    assert [status.state.value for status in told] == ["present", "left"]


def test_the_answer_to_a_renewal_does_not_pass_for_that_to_leaving(
    registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        async with camera(registry.url, context) as presence:
            while presence._socket.waiting is None:
                await asyncio.sleep(0)
            assert presence._socket.waiting.poll(int(PATIENCE * 1000)), "it is there, and unread"
        assert registry.devices == {}

    run(main())


def test_waiting_costs_no_time(registry: DeviceRegistry, context: Context) -> None:
    async def main() -> None:
        async with camera(registry.url, context):
            registry.stop()  # the connection is lost, which the socket is told of
            before = time.process_time()
            await asyncio.sleep(LEASE)
            assert time.process_time() - before < LEASE / 2

    run(main())


def test_many_devices_live_in_one_loop(registry: DeviceRegistry, context: Context) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            done = asyncio.Event()
            entered: list[str] = []

            async def device(number: int) -> None:
                async with camera(registry.url, context, f"tcp://a:{number}") as presence:
                    entered.append(presence.name)
                    await done.wait()

            for number in range(1, 21):
                group.create_task(device(number))
            await until(lambda: len(entered) == 20)
            assert sorted(entered) == sorted(registry.devices)
            done.set()
        assert registry.devices == {}

    run(main())


def test_it_holds_on_through_a_restart(context: Context) -> None:
    port = free_port()

    async def main() -> None:
        with DeviceRegistry(addr="127.0.0.1", port=port, events_port="0") as first:
            url = first.url
            async with camera(url, context) as presence:
                first.stop()
                await until(lambda: presence.status.state is PresenceState.UNREACHABLE)
                with DeviceRegistry(addr="127.0.0.1", port=port, events_port="0") as second:
                    await until(lambda: presence.registered)
                    assert second.devices == {"cam": ("camera", "tcp://a:1")}
                    assert seq(url, context) == 1

    run(main())


def test_a_loop_that_was_blocked_has_its_device_back(
    registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        async with camera(registry.url, context) as presence:
            blocked = threading.Event()
            while registry.devices:
                blocked.wait(0.05)  # nothing else in this loop runs
            await until(lambda: registry.devices)
            assert registry.devices == {"cam": ("camera", "tcp://a:1")}
            assert presence.name == "cam"

    run(main())


def test_of_two_at_one_address_the_second_stays_until_it_leaves(
    registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        async with camera(registry.url, context) as first:
            async with camera(registry.url, context) as second:
                await until(lambda: first.status.state is PresenceState.DISPLACED)
                assert second.registered
            await until(lambda: first.registered)
        assert seq(registry.url, context) == 6, "added, replaced, added, left, added, left"

    run(main())


def test_an_asyncio_context_is_as_good_as_a_plain_one(registry: DeviceRegistry) -> None:
    async def main() -> None:
        mine = zmq.asyncio.Context()
        async with camera(registry.url, cast(Any, mine)) as presence:
            assert presence.registered
        mine.term()

    run(main())


def test_a_callback_that_raises_stops_nothing(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_status: PresenceStatus) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with camera(registry.url, context, on_change=fail) as presence:
            assert presence.registered

    run(main())
    assert "on_change callback failed" in caplog.text


# --- what goes wrong on entering -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"addr": ""}, RequestRefused),
        ({"metadata": {"lens": float("nan")}}, MessageError),
    ],
)
def test_a_refusal_is_raised_on_entering(
    arguments: dict[str, Any], error: type[Exception], registry: DeviceRegistry, context: Context
) -> None:
    async def main() -> None:
        with pytest.raises(error):
            async with camera(registry.url, context, **arguments):
                pytest.fail("the block must not run")

    run(main())


def test_arguments_that_make_no_sense_are_errors_at_once(context: Context) -> None:
    async def on_change(_status: PresenceStatus) -> None:
        pass

    with pytest.raises(AddressError):
        camera("controller:5555", context)
    with pytest.raises(TypeError, match="coroutine"):
        camera("tcp://127.0.0.1:5555", context, on_change=on_change)


def test_without_a_registry_entering_ends_after_its_timeout(context: Context) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"

    async def main() -> None:
        with pytest.raises(RegistryUnreachable, match=url):
            async with camera(url, context, timeout=0.1):
                pytest.fail("the block must not run")

    run(main())


def test_terminating_the_context_ends_it(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()

    async def main() -> None:
        async with camera(registry.url, mine, alive_timeout=3_600.0) as presence:
            ending = asyncio.create_task(asyncio.to_thread(mine.term))
            await until(lambda: presence.status.state is PresenceState.LEFT)
            await ending
        assert "context was terminated" in presence.status.why

    run(main())


def test_terminating_the_context_while_entering_is_an_error(context: Context) -> None:
    mine: Context = zmq.Context()

    async def main() -> None:
        with silent_registry(context) as url:
            entering = asyncio.create_task(enter(camera(url, mine)))
            await asyncio.sleep(0.02)
            ending = asyncio.create_task(asyncio.to_thread(mine.term))
            with pytest.raises(RegistryUnreachable, match="terminated"):
                await entering
        await ending

    run(main())


# --- cancellation --------------------------------------------------------------------------------


async def cancel_at(step: int, task: "asyncio.Task[None]") -> None:
    """Cancel a task after so many turns of the loop, or once it is done."""
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 8])
def test_a_cancelled_entering_leaves_nothing_behind(
    step: int, registry: DeviceRegistry, context: Context
) -> None:
    async def device() -> None:
        async with camera(registry.url, context):
            await asyncio.Event().wait()

    async def main() -> None:
        await cancel_at(step, asyncio.create_task(device()))
        assert registry.devices == {}

    run(main())


def test_a_cancelled_block_leaves_in_good_order(registry: DeviceRegistry, context: Context) -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def device() -> None:
            async with camera(registry.url, context):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(device())
        await entered.wait()
        await cancel_at(0, task)
        assert registry.devices == {}

    run(main())


@pytest.mark.interpreted
def test_a_registration_whose_answer_is_on_its_way_is_taken_back(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, leaving, asked = cast(RegistryCore, registry._core), threading.Event(), threading.Event()
    acknowledge = core._register_ack

    def slowly(registration: Any) -> Any:
        asked.set()
        leaving.wait(PATIENCE)
        return acknowledge(registration)

    monkeypatch.setattr(core, "_register_ack", slowly)

    async def main() -> None:
        task = asyncio.create_task(enter(camera(registry.url, context)))
        await until(asked.is_set)
        task.cancel()
        await asyncio.sleep(0)
        leaving.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert registry.devices == {}
        assert seq(registry.url, context) == 2

    run(main())


async def enter(announcement: AsyncAnnouncement) -> None:
    async with announcement:
        pytest.fail("the block must not run")


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_second_cancellation_ends_it_at_once(turns: int, context: Context) -> None:
    async def main() -> None:
        with silent_registry(context) as url:
            announcement = camera(url, context, alive_timeout=20.0)
            task = asyncio.create_task(enter(announcement))
            await asyncio.sleep(0.02)
            since = time.monotonic()
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            await cancel_at(1, task)
            assert time.monotonic() - since < 0.9, "it waits a second if it is left to"
            assert announcement.status.state is PresenceState.LEFT

    run(main())


@pytest.mark.interpreted
def test_cancelling_while_it_leaves_ends_it_at_once(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, asked, leaving = cast(RegistryCore, registry._core), threading.Event(), threading.Event()
    unregister = core._unregister

    def slowly(*arguments: Any) -> Any:
        asked.set()
        leaving.wait(PATIENCE)
        return unregister(*arguments)

    monkeypatch.setattr(core, "_unregister", slowly)

    async def main() -> None:
        async def device() -> None:
            async with camera(registry.url, context):
                pass

        task = asyncio.create_task(device())
        await until(asked.is_set)
        await cancel_at(0, task)
        leaving.set()
        await until(lambda: not registry.devices)

    run(main())


def test_its_task_may_be_cancelled_by_somebody_else(
    registry: DeviceRegistry, context: Context
) -> None:
    async def cancel_the_others() -> None:
        for task in asyncio.all_tasks():
            if task.get_name().startswith("devicewatch-announce"):
                task.cancel()

    async def main() -> None:
        async with camera(registry.url, context) as presence:
            await cancel_the_others()
            await until(lambda: presence.status.state is PresenceState.LEFT)
        assert "cancelled" in presence.status.why

        with silent_registry(context) as url:
            task = asyncio.create_task(enter(camera(url, context)))
            await asyncio.sleep(0.02)
            await cancel_the_others()
            with pytest.raises(RegistryUnreachable, match="cancelled"):
                await task

    run(main())


def test_asyncio_run_may_end_around_it(registry: DeviceRegistry, context: Context) -> None:
    """As with Ctrl-C: the main task is cancelled, and the device leaves."""

    async def main() -> None:
        async with camera(registry.url, context) as presence:
            asyncio.get_running_loop().call_later(0.01, interrupt, asyncio.current_task())
            await asyncio.Event().wait()
            pytest.fail(f"{presence.name} is still there")

    def interrupt(task: "asyncio.Task[Any] | None") -> None:
        assert task is not None
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert registry.devices == {}
