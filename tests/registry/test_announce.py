"""`announce` on real sockets: devices that hold on, and what their owners are told."""

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zmq

from devicewatch.events import Reason, Removed
from devicewatch.registry import (
    Announcement,
    DeviceRegistry,
    PresenceState,
    PresenceStatus,
    announce,
    register_device,
)
from devicewatch.registry.commands.demo import StepFailed, running
from devicewatch.registry.teller import MAX_UNTOLD, Teller
from devicewatch.subscribers import Watcher
from tests.support.live import PATIENCE, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

LEASE = 1.5
"""Seconds: short, and long enough that a busy machine does not end it."""


@contextmanager
def registry_at(port: str) -> Iterator[DeviceRegistry]:
    with DeviceRegistry(addr="127.0.0.1", port=port, events_port="0") as registry:
        yield registry


@contextmanager
def camera(
    url: str, context: Context, addr: str = "tcp://a:1", **more: object
) -> Iterator[Announcement]:
    arguments = {"alive_timeout": LEASE, "context": context} | more
    with announce("camera", addr, "cam", url, **arguments) as presence:  # type: ignore[arg-type]
        yield presence


def seq(url: str, context: Context) -> int:
    """How many events there have been."""
    with raw_client(context, url) as client:
        return int(client.ask("INFO", {})["payload"]["seq"])


def in_state(presence: Announcement, state: PresenceState) -> Callable[[], bool]:
    return lambda: presence.status.state is state


# --- holding on ----------------------------------------------------------------------------------


def test_through_a_restarted_registry_each_device_keeps_its_name(context: Context) -> None:
    port = free_port()
    with registry_at(port) as first:
        url = first.url
        with (
            camera(url, context, "tcp://a:1"),
            camera(url, context, "tcp://a:2") as second,
            camera(url, context, "tcp://a:3"),
        ):
            before = first.devices
            assert sorted(before) == ["cam", "cam-1", "cam-2"]
            first.stop()
            wait_until(in_state(second, PresenceState.UNREACHABLE))
            with registry_at(port) as again:
                wait_until(lambda: len(again.devices) == 3)
                assert again.devices == before
                wait_until(in_state(second, PresenceState.PRESENT))
                assert seq(url, context) == 3


def test_of_two_at_one_address_the_second_stays_until_it_leaves(
    registry: DeviceRegistry, context: Context
) -> None:
    told: list[PresenceStatus] = []
    with (
        Watcher(registry.url, context=context) as watcher,
        camera(registry.url, context, on_change=told.append) as first,
    ):
        watcher.connect(PATIENCE)
        with camera(registry.url, context) as second:
            wait_until(in_state(first, PresenceState.DISPLACED))
            assert "'cam'" in first.status.why
            assert not first.registered
            asked = time.monotonic()
            wait_until(lambda: time.monotonic() > asked + 1.3 * LEASE)
            assert second.registered
            assert registry.devices == {"cam": ("camera", "tcp://a:1")}
        wait_until(in_state(first, PresenceState.PRESENT))
        assert registry.devices == {"cam": ("camera", "tcp://a:1")}
        events = [watcher.get(PATIENCE) for _ in range(5)]
    reasons = [event.reason for event in events if isinstance(event, Removed)]
    assert reasons == [Reason.REPLACED, Reason.UNREGISTERED]
    assert [status.state.value for status in told] == [
        "present", "registering", "displaced", "present", "left",
    ]  # fmt: skip


def test_a_suspended_process_ends_up_registered_once_under_its_name(
    registry: DeviceRegistry, context: Context
) -> None:
    with running(
        "announce", "camera", "tcp://a:1", "--name", "cam", "--lease", str(LEASE),
        "--registry", registry.url,
    ) as device:  # fmt: skip
        device.next_line()
        device.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: registry.devices == {})
        device.process.send_signal(signal.SIGCONT)
        wait_until(lambda: registry.devices == {"cam": ("camera", "tcp://a:1")})
        assert seq(registry.url, context) == 3, "added, expired, added"


def test_a_device_is_told_that_its_name_was_taken(
    registry: DeviceRegistry, context: Context
) -> None:
    told: list[PresenceStatus] = []
    with camera(registry.url, context, on_change=told.append) as presence:
        register_device(context, "camera", "tcp://a:2", "cam", registry.url, True)
        wait_until(lambda: presence.name == "cam-1")
        assert presence.status.previous_name == "cam"
        wait_until(lambda: told[-1:] == [presence.status])
    assert [(status.state.value, status.name) for status in told] == [
        ("present", "cam"), ("registering", "cam"), ("present", "cam-1"), ("left", "cam-1"),
    ]  # fmt: skip


def test_an_idle_device_does_not_hold_up_the_end_of_its_context(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    with camera(registry.url, mine, alive_timeout=3_600.0) as presence:
        since = time.monotonic()
        mine.term()
        assert time.monotonic() - since < 5
        wait_until(in_state(presence, PresenceState.LEFT))
        assert "context was terminated" in presence.status.why


@pytest.mark.interpreted
def test_a_socket_that_cannot_be_opened_is_tried_again(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    with camera(registry.url, context) as presence:
        send, failures = presence._socket.send, iter(range(3))

        def fail_at_first(request: bytes) -> None:
            if next(failures, None) is not None:
                presence._socket.close()
                raise zmq.ZMQError(errno.EMFILE)
            send(request)

        monkeypatch.setattr(presence._socket, "send", fail_at_first)
        wait_until(lambda: next(failures, None) is None)
        wait_until(in_state(presence, PresenceState.PRESENT))
        assert presence.registered


def test_neither_uuid_nor_instance_is_in_what_is_told_or_logged(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told: list[PresenceStatus] = []
    with camera(registry.url, context, on_change=told.append) as presence:
        secrets = [presence._presence._uuid, presence._presence._register.instance]
        with camera(registry.url, context):
            wait_until(in_state(presence, PresenceState.DISPLACED))
    seen = repr(told) + repr(presence) + str([record.__dict__ for record in caplog.records])
    assert "displaced" in seen
    for secret in secrets:
        assert secret is not None
        assert secret not in seen


# --- the callback is a guest ---------------------------------------------------------------------


def test_a_callback_that_blocks_or_raises_stops_no_renewal(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    release, called = threading.Event(), threading.Event()

    def block_and_raise(_status: PresenceStatus) -> None:
        called.set()
        release.wait(PATIENCE)
        raise ZeroDivisionError

    with camera(registry.url, context, on_change=block_and_raise) as presence:
        assert called.wait(PATIENCE)
        later = time.monotonic() + 1.3 * LEASE
        wait_until(lambda: time.monotonic() > later)
        assert presence.registered
        assert seq(registry.url, context) == 1
        release.set()
        wait_until(lambda: "on_change callback failed" in caplog.text)


def test_a_callback_that_does_not_return_is_left_behind(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    with camera(registry.url, context, on_change=lambda _status: release.wait(PATIENCE)):
        since = time.monotonic()
    assert time.monotonic() - since < 2
    assert "left behind" in caplog.text
    release.set()


def test_a_callback_may_end_the_announcement(registry: DeviceRegistry, context: Context) -> None:
    ended = threading.Event()

    def end(status: PresenceStatus) -> None:
        if status.registered:
            entered.wait(PATIENCE)
            presence.__exit__(None, None, None)
            ended.set()

    entered = threading.Event()
    presence = announce("camera", "tcp://a:1", "cam", registry.url, context=context, on_change=end)
    presence.__enter__()
    entered.set()
    assert ended.wait(PATIENCE)
    assert registry.devices == {}


def test_without_a_callback_there_is_no_thread_for_it(
    registry: DeviceRegistry, context: Context
) -> None:
    with camera(registry.url, context):
        assert "devicewatch-on-change" not in {thread.name for thread in threading.enumerate()}


def test_a_callback_too_far_behind_misses_the_oldest_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, release = threading.Event(), threading.Event()
    told: list[str] = []

    def slow(status: PresenceStatus) -> None:
        started.set()
        release.wait(PATIENCE)
        told.append(status.name)

    teller = Teller(slow)
    teller.tell(PresenceStatus(PresenceState.PRESENT, "first"))
    assert started.wait(PATIENCE)
    for number in range(MAX_UNTOLD + 1):
        teller.tell(PresenceStatus(PresenceState.PRESENT, str(number)))
    release.set()
    teller.close()
    assert told == ["first", *map(str, range(1, MAX_UNTOLD + 1))]
    assert "too far behind" in caplog.text


def test_a_coroutine_function_is_no_callback(context: Context) -> None:
    async def on_change(_status: PresenceStatus) -> None:
        pass

    with pytest.raises(TypeError, match="coroutine"):
        announce("camera", "tcp://a:1", context=context, on_change=on_change)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_tells_of_a_new_name_and_of_being_displaced(
    registry: DeviceRegistry, context: Context
) -> None:
    with running(
        "announce", "camera", "tcp://a:1", "--name", "cam", "--lease", str(LEASE),
        "--registry", registry.url,
    ) as device:  # fmt: skip
        assert device.next_line() == f"camera cam is present at {registry.url}"
        register_device(context, "camera", "tcp://a:2", "cam", registry.url, True)
        assert (
            device.next_line() == "cam is now called cam-1: another device has taken the name 'cam'"
        )
        with camera(registry.url, context, "tcp://a:1"):
            assert device.next_line().startswith("cam-1 is displaced: tcp://a:1 is the address")
        assert device.next_line() == "cam-1 is present again"
        device.process.terminate()
        assert device.process.wait(PATIENCE) == 0


def test_the_command_tells_of_no_short_absence(context: Context) -> None:
    port = free_port()
    with registry_at(port) as first:
        url = first.url
        with running(
            "announce", "camera", "tcp://a:1", "--lease", str(LEASE), "--registry", url
        ) as device:
            assert device.next_line() == f"camera camera-0 is present at {url}"
            first.stop()
            with registry_at(port) as second:
                wait_until(lambda: second.devices)
            device.process.terminate()
            assert device.process.wait(PATIENCE) == 0
            with pytest.raises(StepFailed, match="nothing more"):
                device.next_line()


def test_a_command_s_output_is_not_disturbed(registry: DeviceRegistry) -> None:
    with running(
        "announce", "camera", "tcp://a:1", "--registry", registry.url, "--", "echo", "hello"
    ) as device:
        assert device.next_line() == "hello"
        assert device.process.wait(PATIENCE) == 0
