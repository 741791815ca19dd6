"""The gate of a registry with keys: in-process, on real sockets."""

import logging
import socket as _socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from devicewatch.events.errors import BindError, KeyFileError, RequestRefused
from devicewatch.events.keys import Key
from devicewatch.events.link import Link
from devicewatch.events.messages import Info, Register
from devicewatch.events.protocol import Role
from devicewatch.events.records import State
from devicewatch.events.sockets import Context
from devicewatch.registry import (
    DeviceRegistry,
    announce,
    query_devices,
    query_info,
)
from devicewatch.registry.limits import Limits
from devicewatch.registry.requester import Requester
from devicewatch.registry.server import _is_local
from devicewatch.subscribers import Watcher
from tests.support.keys import Guarded, client_key, guarded, key_of, let_in_by, public_of
from tests.support.live import PATIENCE, raw_client, wait_until

CAMERA = client_key("camera")
RISK = "whoever can connect can register"


def fds() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(let_in_by(tmp_path / "list", camera=Role.DEVICE)) as gate:
        yield gate


# --- letting in and cutting off ------------------------------------------------------------------


def test_whoever_is_on_the_list_is_let_in(gate: Guarded, context: Context) -> None:
    url = gate.registry.url
    with announce("camera", "tcp://a:1", "cam", url, key=CAMERA, timeout=PATIENCE):
        assert query_devices(context, url, key=CAMERA)[0].name == "cam"
        assert gate.registry.devices == {"cam": ("camera", "tcp://a:1")}
    assert gate.registry.devices == {}


def test_who_is_turned_away_is_counted(gate: Guarded, context: Context) -> None:
    assert query_info(context, gate.registry.url, key=CAMERA).refused == 0
    with closing(Link(context, zmq.REQ, gate.registry.url, client_key("stranger"))) as link:
        wait_until(lambda: link.refusal() is not None)
    assert query_info(context, gate.registry.url, key=CAMERA).refused >= 1


def test_a_stranger_is_logged_with_what_it_takes_to_let_it_in(
    gate: Guarded, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Link(context, zmq.REQ, gate.registry.url, client_key("stranger"))) as link:
        wait_until(lambda: link.refusal() is not None)
    [record] = [r for r in caplog.records if r.getMessage() == "a key is not let in"]
    assert public_of("stranger") in str(record.__dict__)
    assert key_of("stranger").secret not in str(record.__dict__)


def test_a_change_spares_those_who_are_let_in(gate: Guarded, context: Context) -> None:
    """Whoever has said something; their connections are not made anew."""
    with (
        _socket.create_connection(("127.0.0.1", int(gate.registry.port)), PATIENCE) as quiet,
        Watcher(gate.registry.url, context=context, key=CAMERA) as watcher,
        Requester(context, gate.registry.url, key=CAMERA) as requester,
    ):
        watcher.connect(PATIENCE)
        requester.ask(Info())
        monitor = requester._socket.monitors[0]
        requester._socket.refusal()
        gate.let_in("other")
        while quiet.recv(1024):  # until it is cut
            pass
        requester.ask(Info())
        assert not monitor.poll(0), "there was no other handshake"
        assert watcher.get(0.2) is None
        assert watcher.status.state is State.LIVE


def test_a_change_cuts_those_who_have_said_nothing(gate: Guarded) -> None:
    """Nobody can know whose they are."""
    address = ("127.0.0.1", int(gate.registry.port))
    with _socket.create_connection(address, PATIENCE) as connection:
        connection.recv(10)  # its greeting: it was accepted
        gate.let_in("other")
        while connection.recv(1024):
            pass


def test_who_is_revoked_is_cut_off_and_told(gate: Guarded, context: Context) -> None:
    with closing(Link(context, zmq.SUB, gate.registry.events_url, CAMERA)) as link:
        assert link.socket.poll(int(PATIENCE * 1000))
        assert link.refusal() is None
        gate.let_out("camera")
        wait_until(lambda: link.refusal() is not None)


def test_a_connection_that_ends_while_it_is_looked_at_ends_nothing_else(
    gate: Guarded, monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    def fail(_connection: _socket.socket, _how: int) -> None:
        raise OSError(107, "Transport endpoint is not connected")

    address = ("127.0.0.1", int(gate.registry.port))
    with _socket.create_connection(address, PATIENCE) as connection:
        connection.recv(10)
        with monkeypatch.context() as patch:
            patch.setattr(_socket.socket, "shutdown", fail)
            gate.let_in("other")
            assert query_info(context, gate.registry.url, key=CAMERA).devices == 0
        assert gate.registry.is_alive()


def test_a_request_may_be_forbidden_to_who_is_let_in(gate: Guarded, context: Context) -> None:
    viewer = gate.let_in("viewer", Role.VIEWER)
    with Requester(context, gate.registry.url, key=viewer) as requester:
        requester.ask(Info())
        with pytest.raises(RequestRefused, match="FORBIDDEN"):
            requester.ask(Register("camera", "tcp://a", "cam"))


# --- the registry --------------------------------------------------------------------------------


def test_only_one_may_decide_about_handshakes_in_a_context(
    context: Context, tmp_path: Path
) -> None:
    path = let_in_by(tmp_path / "list")
    registry = DeviceRegistry(
        context, "127.0.0.1", "0", "0", key=key_of("registry"), authorized=path
    )
    with context.socket(zmq.REP) as other:
        other.bind("inproc://zeromq.zap.01")
        with pytest.raises(BindError, match="give the registry a context of its own"):
            registry.start()
        other.unbind("inproc://zeromq.zap.01")
        assert not registry.is_alive()
    wait_until(lambda: _starts(registry))
    with pytest.raises(BindError, match="somebody else decides about handshakes"):
        DeviceRegistry(
            context, "127.0.0.1", "0", "0", key=key_of("registry"), authorized=path
        ).start()
    registry.stop()


def _starts(registry: DeviceRegistry) -> bool:
    try:
        registry.start()
    except BindError:  # ZeroMQ closes in its own time
        return False
    return True


def test_a_registry_in_a_context_of_ours(context: Context, tmp_path: Path) -> None:
    path = let_in_by(tmp_path / "list", camera=Role.VIEWER)
    with guarded(path, context=context) as one:
        assert query_info(context, one.registry.url, key=CAMERA).devices == 0


def test_two_registries_with_keys_in_one_process(context: Context, tmp_path: Path) -> None:
    one_path = let_in_by(tmp_path / "one", camera=Role.VIEWER)
    two_path = let_in_by(tmp_path / "two", other=Role.VIEWER)
    with guarded(one_path) as one, guarded(two_path, key="second") as two:
        assert one.registry.key != two.registry.key
        query_info(context, one.registry.url, key=CAMERA)
        query_info(context, two.registry.url, key=client_key("other", "second"))


def test_starting_and_stopping_leaves_no_file_open(tmp_path: Path, context: Context) -> None:
    path = let_in_by(tmp_path / "list", camera=Role.VIEWER)

    def once() -> None:
        with guarded(path) as gate:
            query_info(context, gate.registry.url, key=CAMERA)

    once()
    before = fds()
    for _ in range(3):
        once()
    wait_until(lambda: fds() <= before)


def test_a_list_that_cannot_be_used_is_no_start_and_another_try_is_possible(
    tmp_path: Path,
) -> None:
    path = tmp_path / "list"
    registry = DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", key=key_of("registry"), authorized=path
    )
    for _ in range(2):
        with pytest.raises(KeyFileError, match="there is no list of keys"):
            registry.start()
    let_in_by(path)
    registry.start()
    registry.stop()


def test_callbacks_of_a_registry_with_keys_work(gate: Guarded) -> None:
    came: list[str] = []
    gate.registry.add_new_device_callback(lambda _type, _addr, name: came.append(name))
    with announce("camera", "tcp://a:1", "cam", gate.registry.url, key=CAMERA, timeout=PATIENCE):
        wait_until(lambda: came)
    assert came == ["cam"]


@pytest.mark.parametrize(
    ("addr", "keyed", "warned"),
    [
        ("*", False, True),
        ("0.0.0.0", False, True),
        ("127.0.0.1", False, False),
        ("127.0.0.2", False, False),
        ("lo", False, False),
        ("*", True, False),
    ],
)
def test_an_open_registry_says_what_that_means(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, addr: str, keyed: bool, warned: bool
) -> None:
    caplog.set_level(logging.INFO)
    key: Key | None = key_of("registry") if keyed else None
    path = let_in_by(tmp_path / "list")
    with DeviceRegistry(addr=addr, port="0", events_port="0", key=key, authorized=path):
        pass
    assert any(RISK in record.getMessage() for record in caplog.records) == warned


@pytest.mark.parametrize("addr", ["localhost", "lo", "127.1.2.3"])
def test_what_only_this_machine_can_connect_to_is_local(addr: str) -> None:
    assert _is_local(addr)


def test_an_open_registry_counts_by_address_when_asked(context: Context) -> None:
    limits = Limits(devices_per_peer=1, requests_per_peer=1)
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", limits=limits) as registry,
        raw_client(context, registry.url) as client,
    ):
        assert registry.key is None
        client.register("tcp://a:1", "cam")
        payload = {"device_type": "camera", "addr": "tcp://a:2", "name": "two"}
        assert client.ask("REGISTER", payload)["payload"]["code"] == "TOO_MANY"
        codes = [client.ask("INFO", {})["payload"].get("code") for _ in range(15)]
        assert codes[0] is None
        assert "TOO_FAST" in codes
