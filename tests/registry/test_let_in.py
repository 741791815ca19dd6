"""Every function that talks to a registry, with each kind of key: in-process, for real."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq

from devicewatch.events.errors import AuthenticationError, DevicewatchError, RegistryUnreachable
from devicewatch.events.keys import Key
from devicewatch.events.protocol import Role
from devicewatch.events.records import State
from devicewatch.events.sockets import Context
from devicewatch.registry import (
    AliveCheckState,
    DeviceRegistry,
    PresenceState,
    PresenceStatus,
    aannounce,
    announce,
    query_devices,
    query_info,
    register_device,
    send_alive_check,
    unregister_device,
)
from devicewatch.subscribers import AsyncWatcher, CallbackAdapter, Watcher, awatch, watch
from tests.support.keys import Guarded, client_key, guarded, key_of, let_in_by
from tests.support.live import PATIENCE, wait_until

ADDR = "tcp://10.0.0.5:7000"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A registry for all of these tests: none of them changes anything that lasts."""
    path = let_in_by(tmp_path_factory.mktemp("keys") / "list", camera=Role.DEVICE)
    with guarded(path) as gate:
        registry = gate.registry
        with announce("arm", "tcp://a:1", "arm", registry.url, key=client_key("camera")):
            yield gate


# --- each of them --------------------------------------------------------------------------------

Client = Callable[[Context, str, Key | None], object]


def _register_device(context: Context, url: str, key: Key | None) -> None:
    name, uuid = register_device(context, "camera", ADDR, "", url, timeout=PATIENCE, key=key)
    assert name == "camera-0"
    assert send_alive_check(context, uuid, url, key=key) is AliveCheckState.ok
    assert unregister_device(context, uuid, url, key=key)


def _send_alive_check(context: Context, url: str, key: Key | None) -> None:
    assert send_alive_check(context, "none", url, key=key) is AliveCheckState.unknown


def _unregister_device(context: Context, url: str, key: Key | None) -> None:
    assert not unregister_device(context, "none", url, key=key)


def _announce(context: Context, url: str, key: Key | None) -> None:
    with announce("camera", ADDR, "cam", url, timeout=PATIENCE, context=context, key=key) as camera:
        assert camera.name == "cam"


def _aannounce(context: Context, url: str, key: Key | None) -> None:
    async def enter() -> None:
        async with aannounce(
            "camera", ADDR, "cam", url, timeout=PATIENCE, context=context, key=key
        ) as camera:
            assert camera.name == "cam"

    asyncio.run(enter())


def _watch(context: Context, url: str, key: Key | None) -> None:
    events = watch(url, context=context, key=key)
    try:
        assert next(events).device.name == "arm"
    finally:
        events.close()


def _awatch(context: Context, url: str, key: Key | None) -> None:
    async def first() -> str:
        events = awatch(url, context=context, key=key)
        try:
            return (await anext(events)).device.name
        finally:
            await events.aclose()

    assert asyncio.run(first()) == "arm"


def _watcher(context: Context, url: str, key: Key | None) -> None:
    with Watcher(url, context=context, key=key) as watcher:
        watcher.connect(PATIENCE)
        assert list(watcher.devices) == []
        assert watcher.get(PATIENCE) is not None


def _watcher_get(context: Context, url: str, key: Key | None) -> None:
    with Watcher(url, context=context, key=key) as watcher:
        assert watcher.get(PATIENCE) is not None


def _async_watcher(context: Context, url: str, key: Key | None) -> None:
    async def connect() -> None:
        async with AsyncWatcher(url, context=context, key=key) as watcher:
            await watcher.connect(PATIENCE)
            assert await watcher.get(PATIENCE) is not None

    asyncio.run(connect())


def _async_watcher_that_is_late(context: Context, url: str, key: Key | None) -> None:
    """Whoever asks long after it was told no is told, too, and not that there is no answer."""

    async def connect() -> None:
        async with AsyncWatcher(url, context=context, key=key) as watcher:
            while watcher.status.state is State.CONNECTING and watcher._mirror._refusal is None:
                await asyncio.sleep(0.002)
            await watcher.connect(0.001 if watcher.status.state is State.CONNECTING else PATIENCE)

    asyncio.run(connect())


def _callbacks(context: Context, url: str, key: Key | None) -> None:
    came: list[str] = []
    adapter = CallbackAdapter(url, context=context, key=key)
    adapter.add_new_device_callback(lambda _type, _addr, name: came.append(name))
    try:
        adapter.start(existing=True, timeout=PATIENCE)
        wait_until(lambda: came == ["arm"])
    finally:
        adapter.stop()


def _query_info(context: Context, url: str, key: Key | None) -> None:
    assert query_info(context, url, key=key).devices == 1


def _query_devices(context: Context, url: str, key: Key | None) -> None:
    assert [device.name for device in query_devices(context, url, key=key)] == ["arm"]


CLIENTS: list[Client] = [
    _register_device,
    _send_alive_check,
    _unregister_device,
    _announce,
    _aannounce,
    _watch,
    _awatch,
    _watcher,
    _watcher_get,
    _async_watcher,
    _async_watcher_that_is_late,
    _callbacks,
    _query_info,
    _query_devices,
]

each_client = pytest.mark.parametrize(
    "client", CLIENTS, ids=[client.__name__.strip("_") for client in CLIENTS]
)

WRONG = {
    "no key": (None, "lets in nobody without a key"),
    "an unknown key": (client_key("stranger"), "does not know the key"),
    "another registry's": (client_key("camera", "impostor"), "does not have the registry's key"),
    "no registry's": (key_of("camera"), "does not say which registry it is for"),
}


@each_client
def test_the_right_key_opens(gate: Guarded, context: Context, client: Client) -> None:
    client(context, gate.registry.url, client_key("camera"))


def all_are_told(context: Context, url: str, key: Key | None, words: str) -> str:
    """What all clients are told, at once, as it takes some of them a few attempts to find out."""

    def said_to(client: Client) -> str:
        since = time.monotonic()
        with pytest.raises(AuthenticationError, match=words) as info:
            client(context, url, key)
        assert time.monotonic() - since < PATIENCE, "nobody waits for what will not come"
        assert isinstance(info.value, DevicewatchError)
        return str(info.value)

    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        return "".join(pool.map(said_to, CLIENTS))


@pytest.mark.parametrize("wrong", WRONG)
def test_any_other_is_an_error_soon(gate: Guarded, context: Context, wrong: str) -> None:
    key, words = WRONG[wrong]
    said = all_are_told(context, gate.registry.url, key, words)
    assert not any(key_of(who).secret in said for who in ("camera", "stranger"))


def test_a_registry_without_keys_is_not_trusted(registry: DeviceRegistry, context: Context) -> None:
    all_are_told(context, registry.url, client_key("camera"), "has no key")
    assert registry.devices == {}


@each_client
def test_a_name_is_no_key(context: Context, client: Client) -> None:
    with pytest.raises(TypeError, match=r"Key\.load\('camera'\)"):
        client(context, "tcp://127.0.0.1:1", "camera")  # type: ignore[arg-type]


# --- later ---------------------------------------------------------------------------------------


def test_a_device_that_is_let_out_and_in_again(tmp_path: Path, context: Context) -> None:
    told: list[PresenceStatus] = []

    def states() -> list[PresenceState]:
        return [status.state for status in told]

    with guarded(let_in_by(tmp_path / "list", camera=Role.DEVICE)) as gate:
        key = client_key("camera")
        options: dict[str, Any] = {"context": context, "key": key, "on_change": told.append}
        with announce(
            "camera", ADDR, "cam", gate.registry.url, alive_timeout=1.0, timeout=PATIENCE, **options
        ) as camera:
            gate.let_out("camera")
            wait_until(lambda: camera.status.state is PresenceState.REFUSED)
            assert "does not know the key" in camera.status.why
            wait_until(lambda: not gate.registry.devices)
            gate.let_in("camera")
            wait_until(lambda: camera.registered)
            assert gate.registry.devices == {"cam": ("camera", ADDR)}
    assert states()[:2] == [PresenceState.PRESENT, PresenceState.REFUSED]
    assert states()[-2:] == [PresenceState.PRESENT, PresenceState.LEFT]


def test_a_view_that_is_let_out_is_stale_until_it_is_let_in_again(
    tmp_path: Path, context: Context
) -> None:
    with (
        guarded(let_in_by(tmp_path / "list", camera=Role.VIEWER)) as gate,
        Watcher(gate.registry.url, context=context, key=client_key("camera")) as watcher,
    ):
        watcher.connect(PATIENCE)

        def becomes(state: State) -> None:
            wait_until(lambda: watcher.get(0.01) is None and watcher.status.state is state)

        gate.let_out("camera")
        becomes(State.STALE)
        gate.let_in("camera", Role.VIEWER)
        becomes(State.LIVE)


def test_who_asks_in_vain_may_go_on_asking(tmp_path: Path, context: Context) -> None:
    with (
        guarded(let_in_by(tmp_path / "list")) as gate,
        Watcher(gate.registry.url, context=context, key=client_key("camera")) as watcher,
    ):
        with pytest.raises(AuthenticationError):
            watcher.connect(PATIENCE)
        gate.let_in("camera")

        def connected() -> bool:
            try:
                watcher.connect(0.5)
            except (AuthenticationError, RegistryUnreachable):
                return False
            return True

        wait_until(connected)


def test_a_context_that_ends_ends_whoever_knocks(tmp_path: Path) -> None:
    with guarded(let_in_by(tmp_path / "list", camera=Role.DEVICE)) as gate:
        mine: Context = zmq.Context()
        key = client_key("camera", "impostor")
        watcher = Watcher(gate.registry.url, context=mine, key=key)
        with pytest.raises(AuthenticationError):
            watcher.connect(PATIENCE)
        assert watcher.get(0.05) is None
        watcher.close()
        mine.term()
