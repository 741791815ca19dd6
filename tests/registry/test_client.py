"""A device's side, on real sockets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import zmq

from devicewatch.events import AddressError, MessageError, RegistryUnreachable, RequestRefused
from devicewatch.events.protocol import MAX_LEASE
from devicewatch.registry import (
    AliveCheckState,
    DeviceRegistry,
    announce,
    register_device,
    send_alive_check,
    unregister_device,
)
from devicewatch.registry.core import RegistryCore
from tests.support.live import free_port, raw_client, raw_subscriber, silent_registry, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@contextmanager
def registry_at(port: str) -> Iterator[DeviceRegistry]:
    with DeviceRegistry(
        addr="127.0.0.1", port=port, events_port="0", tick_interval=0.1
    ) as registry:
        yield registry


# --- the three functions -------------------------------------------------------------------------


def test_a_device_registers_renews_and_leaves(registry: DeviceRegistry, context: Context) -> None:
    name, uuid = register_device(context, "camera", "tcp://a:1", "cam", registry.url, False)
    assert name == "cam"
    assert registry.devices == {"cam": ("camera", "tcp://a:1")}
    assert send_alive_check(context, uuid, registry.url, 20) is AliveCheckState.ok
    assert unregister_device(context, uuid, registry.url) is True
    assert registry.devices == {}
    assert unregister_device(context, uuid, registry.url) is False
    assert send_alive_check(context, uuid, registry.url) is AliveCheckState.unknown


def test_the_global_context_is_used_when_none_is_given(registry: DeviceRegistry) -> None:
    _, uuid = register_device(None, "camera", "tcp://a:1", "cam", registry.url)
    assert unregister_device(None, uuid, registry.url)


def test_overwrite_takes_the_name(registry: DeviceRegistry, context: Context) -> None:
    register_device(context, "camera", "tcp://a:1", "cam", registry.url)
    assert register_device(context, "camera", "tcp://a:2", "cam", registry.url)[0] == "cam-1"
    name, _ = register_device(context, "camera", "tcp://a:3", "cam", registry.url, True)
    assert name == "cam"
    assert registry.devices["cam"] == ("camera", "tcp://a:3")


def test_registering_waits_for_a_registry_that_starts_later(context: Context) -> None:
    port = free_port()
    names: list[str] = []

    def register() -> None:
        url = f"tcp://127.0.0.1:{port}"
        names.append(register_device(context, "camera", "tcp://a:1", "cam", url)[0])

    thread = threading.Thread(target=register)
    thread.start()
    with registry_at(port) as registry:
        thread.join(10)
        assert names == ["cam"]
        assert list(registry.devices) == ["cam"]


def test_registering_gives_up_after_its_timeout_and_leaves_no_ghost(context: Context) -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    assert register_device(context, "camera", "tcp://a:1", "", url, timeout=0.1) == ("", "")
    with registry_at(port) as registry, raw_client(context, registry.url) as client:
        assert client.ask("INFO", {})["payload"]["seq"] == 0


def test_a_lost_answer_makes_no_second_registration(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry's reply is lost once: the device asks again, and is still registered once."""
    monkeypatch.setattr("devicewatch.registry.client.REPLY_TIMEOUT", 0.2)
    frontend, backend = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    port = frontend.bind_to_random_port("tcp://127.0.0.1")
    backend.connect(registry.url)
    replies = 0
    done = threading.Event()

    def proxy() -> None:
        nonlocal replies
        while not done.is_set():
            if frontend.poll(10):
                backend.send_multipart(frontend.recv_multipart())
            if backend.poll(10):
                reply = backend.recv_multipart()
                replies += 1
                if replies > 1:
                    frontend.send_multipart(reply)
        frontend.close(linger=0)
        backend.close(linger=0)

    thread = threading.Thread(target=proxy)
    thread.start()
    try:
        url = f"tcp://127.0.0.1:{port}"
        name, _ = register_device(context, "camera", "tcp://a:1", "", url)
    finally:
        done.set()
        thread.join()
    assert (name, replies) == ("camera-0", 2)
    with raw_client(context, registry.url) as client:
        assert client.ask("INFO", {})["payload"]["seq"] == 1


def test_silence_is_unreachable(context: Context) -> None:
    with silent_registry(context) as url:
        assert send_alive_check(context, "x", url, timeout=0.05) is AliveCheckState.unreachable
        assert unregister_device(context, "x", url, timeout=0.05) is False


def test_a_refused_registration_is_empty_and_logged(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    assert register_device(context, "camera", "", "cam", registry.url) == ("", "")
    assert "registration failed" in caplog.text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "addr" in record.__dict__["why"]


def test_a_lease_that_is_refused_is_an_error(registry: DeviceRegistry, context: Context) -> None:
    with pytest.raises(RequestRefused, match="alive_timeout"):
        send_alive_check(context, "x", registry.url, 0)


def test_garbage_for_an_answer_is_no_registration(context: Context) -> None:
    with silent_registry(context, b"garbage") as url:
        assert register_device(context, "camera", "tcp://a:1", "cam", url) == ("", "")
        assert unregister_device(context, "x", url) is False


def test_an_address_that_makes_no_sense_is_an_error_at_once(context: Context) -> None:
    with pytest.raises(AddressError):
        register_device(context, "camera", "tcp://a:1", "cam", "controller:5555")
    with pytest.raises(AddressError):
        announce("camera", "tcp://a:1", "cam", "controller:5555")


def test_terminating_the_context_ends_the_wait() -> None:
    mine: Context = zmq.Context()
    answers: list[object] = []
    with silent_registry(zmq.Context.instance()) as url:
        calls = [
            lambda: register_device(mine, "camera", "tcp://a:1", "cam", url),
            lambda: unregister_device(mine, "x", url),
            lambda: send_alive_check(mine, "x", url),
        ]
        threads = [threading.Thread(target=lambda c=call: answers.append(c())) for call in calls]
        for thread in threads:
            thread.start()
        mine.term()
        for thread in threads:
            thread.join(10)
    assert ("", "") in answers
    assert False in answers
    assert AliveCheckState.unreachable in answers


# --- announce ------------------------------------------------------------------------------------


def test_a_device_is_present_for_as_long_as_its_block(
    registry: DeviceRegistry, context: Context
) -> None:
    with announce(
        "camera", "tcp://a:1", "cam", registry.url, metadata={"lens": 50}, context=context
    ) as camera:
        assert camera.name == "cam"
        assert camera.registered
        assert registry.devices == {"cam": ("camera", "tcp://a:1")}
    assert registry.devices == {}
    assert not camera.registered


def test_it_renews_its_lease(registry: DeviceRegistry, context: Context) -> None:
    with (
        raw_subscriber(context, registry.events_url) as receive,
        announce("camera", "tcp://a:1", "cam", registry.url, alive_timeout=0.3, context=context),
    ):
        over = time.monotonic() + 1.0
        seen = []
        while time.monotonic() < over:  # a tick comes every 0.1 s
            seen.append(receive()["event"])
    assert set(seen) == {"added", "tick"}


def test_it_registers_again_with_a_registry_that_was_restarted(context: Context) -> None:
    port = free_port()
    with (
        registry_at(port) as first,
        announce(
            "camera", "tcp://a:1", "cam", first.url, alive_timeout=0.6, context=context
        ) as camera,
    ):
        first.stop()
        with registry_at(port) as second:
            wait_until(lambda: second.devices == {"cam": ("camera", "tcp://a:1")})
            assert camera.name == "cam"
            wait_until(lambda: camera.registered)


def test_a_displaced_device_does_not_take_its_name_back(
    registry: DeviceRegistry, context: Context
) -> None:
    with announce(
        "camera",
        "tcp://a:1",
        "cam",
        registry.url,
        overwrite=True,
        alive_timeout=0.3,
        context=context,
    ) as camera:
        register_device(context, "camera", "tcp://a:2", "cam", registry.url, True)
        wait_until(lambda: camera.name == "cam-1")
        assert registry.devices["cam"] == ("camera", "tcp://a:2")


def test_a_refusal_is_raised_on_entering(registry: DeviceRegistry, context: Context) -> None:
    with (
        pytest.raises(RequestRefused, match="addr"),
        announce("camera", "", "cam", registry.url, context=context),
    ):
        pytest.fail("the block must not run")


def test_without_a_registry_entering_ends_after_its_timeout(context: Context) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with (
        pytest.raises(RegistryUnreachable, match=url),
        announce("camera", "tcp://a:1", "cam", url, timeout=0.1, context=context),
    ):
        pytest.fail("the block must not run")


def test_leaving_is_prompt_even_when_the_registry_is_gone(context: Context) -> None:
    with registry_at(free_port()) as registry:
        presence = announce("camera", "tcp://a:1", "cam", registry.url, context=context)
        presence.__enter__()
    since = time.monotonic()
    presence.__exit__(None, None, None)
    assert time.monotonic() - since < 2


def test_an_exception_in_the_block_comes_out_and_the_device_leaves(
    registry: DeviceRegistry, context: Context
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        announce("camera", "tcp://a:1", "cam", registry.url, context=context),
    ):
        _ = 1 / 0
    assert registry.devices == {}


def test_terminating_the_context_ends_the_announcement(registry: DeviceRegistry) -> None:
    mine: Context = zmq.Context()
    with announce("camera", "tcp://a:1", "cam", registry.url, alive_timeout=0.3, context=mine):
        mine.term()


def test_what_cannot_be_sent_is_an_error_on_entering(
    registry: DeviceRegistry, context: Context
) -> None:
    with (
        pytest.raises(MessageError, match="'lens' is nan"),
        announce(
            "camera",
            "tcp://a:1",
            "cam",
            registry.url,
            metadata={"lens": float("nan")},
            context=context,
        ),
    ):
        pytest.fail("the block must not run")


def test_a_lease_of_a_year_is_kept(registry: DeviceRegistry, context: Context) -> None:
    """A third of it is longer than ZeroMQ can wait in one go."""
    with announce(
        "camera", "tcp://a:1", "cam", registry.url, alive_timeout=MAX_LEASE, context=context
    ) as camera:
        camera._thread.join(0.1)
        assert camera.registered


def test_terminating_the_context_while_entering_is_an_error() -> None:
    mine: Context = zmq.Context()
    url = f"tcp://127.0.0.1:{free_port()}"
    threading.Timer(0.05, mine.term).start()
    with (
        pytest.raises(RegistryUnreachable, match="context was terminated"),
        announce("camera", "tcp://a:1", "cam", url, context=mine),
    ):
        pytest.fail("the block must not run")


@pytest.mark.interpreted
def test_told_to_leave_while_it_registers_it_leaves_nothing_behind(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry has registered the device, but its answer comes only after the time is up."""
    core = cast(RegistryCore, registry._core)
    acknowledge, leaving = core._register_ack, threading.Event()

    def slowly(registration: Any) -> Any:
        leaving.wait(10)
        return acknowledge(registration)

    monkeypatch.setattr(core, "_register_ack", slowly)
    presence = announce("camera", "tcp://a:1", "cam", registry.url, timeout=0.1, context=context)
    stop = presence._stop

    def stop_and_say_so() -> None:
        leaving.set()
        stop()

    monkeypatch.setattr(presence, "_stop", stop_and_say_so)
    with pytest.raises(RegistryUnreachable), presence:
        pytest.fail("the block must not run")
    with raw_client(context, registry.url) as client:
        info = client.ask("INFO", {})["payload"]
    assert (info["devices"], info["seq"]) == (0, 2)
