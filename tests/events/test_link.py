"""Connections that tell why they come to nothing: on real sockets."""

import errno
import gc
import socket as _socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from devicewatch.events.errors import AuthenticationError
from devicewatch.events.files import Files
from devicewatch.events.handshake import HANG_UPS
from devicewatch.events.keys import Key
from devicewatch.events.link import Link, RequestSocket
from devicewatch.events.protocol import Role
from devicewatch.events.sockets import Context, Socket
from devicewatch.events.transfer import has_message
from tests.support.keys import client_key, guarded, key_of, let_in_by, public_of
from tests.support.live import PATIENCE, free_port, wait_until

KEY = client_key("camera")
KINDS = pytest.mark.parametrize("kind", [zmq.REQ, zmq.SUB], ids=["REQ", "SUB"])


def fds() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def wait_for_refusal(link: Link | RequestSocket) -> AuthenticationError:
    """What a link says when it says something; polled as front ends do."""
    found: list[AuthenticationError] = []

    def look() -> bool:
        poller = zmq.Poller()
        for monitor in link.monitors:
            poller.register(monitor, zmq.POLLIN)
        poller.poll(20)
        refusal = link.refusal()
        if refusal is not None:
            found.append(refusal)
        return bool(found)

    wait_until(look)
    return found[0]


@contextmanager
def curve_server(context: Context, who: str, url: str = "tcp://127.0.0.1:*") -> Iterator[str]:
    """A REP with a key, which lets in everybody who knows it, and never answers; its address."""
    with context.socket(zmq.REP) as server:
        server.linger = 0
        server.set(zmq.CURVE_SERVER, 1)
        server.set(zmq.CURVE_SECRETKEY, key_of(who).secret.encode())
        server.bind(url)
        yield server.get_string(zmq.LAST_ENDPOINT)


@contextmanager
def plain_server(context: Context, url: str = "tcp://127.0.0.1:*") -> Iterator[str]:
    with context.socket(zmq.REP) as server:
        server.linger = 0
        server.bind(url)
        yield server.get_string(zmq.LAST_ENDPOINT)


class Tunnel:
    """Accepts connections and closes them at once, as a tunnel does whose far end is not there.

    Attributes:
        url: Its address.
        accepted: How many there were.
    """

    def __init__(self) -> None:
        self._server = _socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.accepted = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        if self._server.fileno() < 0:
            return
        self._server.shutdown(_socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.close()
            self.accepted += 1


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    with closing(Tunnel()) as tunnel:
        yield tunnel


# --- who is not let in ---------------------------------------------------------------------------


@KINDS
def test_a_key_that_is_not_known_is_told_so(context: Context, tmp_path: Path, kind: int) -> None:
    with guarded(tmp_path / "list") as guarded_registry:
        registry = guarded_registry.registry
        url = registry.url if kind == zmq.REQ else registry.events_url
        with closing(Link(context, kind, url, KEY)) as link:
            assert "does not know the key" in str(wait_for_refusal(link))


@KINDS
def test_without_a_key_it_is_told_that_one_is_needed(context: Context, kind: int) -> None:
    with curve_server(context, "registry") as url, closing(Link(context, kind, url, None)) as link:
        assert "lets in nobody without a key" in str(wait_for_refusal(link))


@KINDS
def test_a_registry_without_a_key_is_not_trusted(context: Context, kind: int) -> None:
    with plain_server(context) as url, closing(Link(context, kind, url, KEY)) as link:
        assert "has no key" in str(wait_for_refusal(link))


@KINDS
def test_a_registry_with_another_key_is_not_trusted(context: Context, kind: int) -> None:
    with curve_server(context, "impostor") as url, closing(Link(context, kind, url, KEY)) as link:
        said = str(wait_for_refusal(link))
    assert "does not have the registry's key" in said
    assert public_of("registry") in said


def test_who_is_let_in_has_nothing_to_say(context: Context, tmp_path: Path) -> None:
    with guarded(let_in_by(tmp_path / "list", camera=Role.VIEWER)) as guarded_registry:
        url = guarded_registry.registry.events_url
        with closing(Link(context, zmq.SUB, url, KEY)) as link:
            assert link.socket.poll(int(PATIENCE * 1000))
            assert link.refusal() is None
            assert len(link.monitors) == 1


# --- who may yet be ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])
def test_a_tunnel_without_an_end_says_nothing_about_keys(
    context: Context, tunnel: Tunnel, key: Key | None
) -> None:
    with closing(Link(context, zmq.REQ, tunnel.url, key)) as link:

        def tried_often() -> bool:
            assert link.refusal() is None
            return tunnel.accepted > 2 * HANG_UPS

        wait_until(tried_often)
        assert len(link.monitors) == 2, "somebody knocks"


def test_a_registry_behind_a_tunnel_that_comes_back_is_taken(
    context: Context, tmp_path: Path, tunnel: Tunnel
) -> None:
    with closing(Link(context, zmq.SUB, tunnel.url, KEY)) as link:
        wait_until(lambda: link.refusal() is None and len(link.monitors) == 2)
        tunnel.close()
        assert link.refusal() is None
        port = tunnel.url.rpartition(":")[2]
        path = let_in_by(tmp_path / "list", camera=Role.VIEWER)
        with guarded(path, port="0", events_port=port):

            def heard() -> bool:
                assert link.refusal() is None
                return bool(link.socket.poll(1))

            wait_until(heard)
            wait_until(lambda: link.refusal() is None and len(link.monitors) == 1)


def test_a_registry_that_starts_late_is_waited_for(context: Context, tmp_path: Path) -> None:
    port = free_port()
    path = let_in_by(tmp_path / "list", camera=Role.VIEWER)
    with closing(Link(context, zmq.SUB, f"tcp://127.0.0.1:{port}", KEY)) as link:
        for _ in range(2):
            with guarded(path, events_port=port):
                wait_until(lambda: link.refusal() is None and link.socket.poll(1))
            while link.socket.poll(0):
                link.socket.recv_multipart()


# --- requests ------------------------------------------------------------------------------------


def test_a_request_that_will_not_be_answered_is_given_up_on(context: Context) -> None:
    with curve_server(context, "registry") as url, closing(RequestSocket(context, url)) as asking:
        assert (asking.monitors, asking.refusal()) == ([], None)
        asking.send(b"who?")
        wait_for_refusal(asking)
        assert asking.waiting is None
        assert asking.open is None
        assert (asking.monitors, asking.refusal()) == ([], None), "it was told"
        asking.send(b"who?")
        wait_for_refusal(asking)


def test_a_reply_shows_that_it_was_let_in(context: Context) -> None:
    """Where there is no key nothing else has to, nor is the connection watched any longer."""
    with context.socket(zmq.REP) as server:
        server.bind("tcp://127.0.0.1:*")
        with closing(RequestSocket(context, server.get_string(zmq.LAST_ENDPOINT))) as asking:
            asking.send(b"who?")
            assert len(asking.monitors) == 1
            files = asking.files
            assert asking.files is files
            server.send(server.recv())
            wait_until(lambda: asking.receive() is not None)
            assert (asking.monitors, asking.refusal()) == ([], None)
            assert asking.files == files[:1]


@KINDS
def test_its_files_tell_of_all_that_there_is_to_look_at(context: Context, kind: int) -> None:
    """From the beginning, and whatever happens in between."""
    with curve_server(context, "registry") as url, closing(Link(context, kind, url, None)) as link:
        while True:
            assert Files(link.files[1:]).wait(PATIENCE), "nothing was told"
            if link.refusal() is not None:
                break
    with closing(Tunnel()) as tunnel, closing(Link(context, kind, tunnel.url, KEY)) as link:
        while tunnel.accepted <= 2 * HANG_UPS or len(link.files) < 3:
            assert Files(link.files[1:]).wait(PATIENCE), "nothing was told"
            has_message(link.socket)
            assert link.refusal() is None


def test_where_there_is_no_handshake_there_is_nothing_to_watch(context: Context) -> None:
    with closing(Link(context, zmq.REQ, "inproc://nobody", None)) as link:
        assert link.monitors == []
        assert link.refusal() is None


# --- nothing is left behind ----------------------------------------------------------------------


def _while_knocking(tunnel: Tunnel, context: Context) -> Link:
    link = Link(context, zmq.REQ, tunnel.url, KEY)
    wait_until(lambda: link.refusal() is None and len(link.monitors) == 2)
    return link


def test_closing_leaves_nothing_open_even_while_knocking(tunnel: Tunnel) -> None:
    context: Context = zmq.Context()
    context.socket(zmq.REQ).close()  # its threads are there
    gc.collect()
    before = fds()
    link = _while_knocking(tunnel, context)
    sockets = [link.socket, *link.monitors]
    link.close()
    link.close()
    assert all(socket.closed for socket in sockets)
    assert link.refusal() is None
    wait_until(lambda: fds() <= before)
    context.term()


@pytest.mark.parametrize("dropped", [False, True], ids=["closed", "dropped"])
def test_closing_leaves_the_context_at_work(
    context: Context, tunnel: Tunnel, dropped: bool
) -> None:
    """A thread of ZeroMQ's that could not tell what happens to a link would wait for ever."""
    for _ in range(2):
        link = _while_knocking(tunnel, context)
        if not dropped:
            link.close()
        del link
    seen = tunnel.accepted
    with closing(Link(context, zmq.REQ, tunnel.url, None)):
        wait_until(lambda: tunnel.accepted > seen + 3)


def test_a_terminated_context_ends_it() -> None:
    with closing(Tunnel()) as tunnel:
        context: Context = zmq.Context()
        link = _while_knocking(tunnel, context)
        ending = threading.Thread(target=context.term)
        ending.start()
        with pytest.raises(zmq.ContextTerminated):
            wait_until(lambda: link.refusal() is not None)
        link.close()
        ending.join(PATIENCE)
        assert not ending.is_alive()
        with pytest.raises(zmq.ContextTerminated):
            Link(context, zmq.REQ, tunnel.url, KEY)


def test_a_lack_of_sockets_to_knock_with_is_no_verdict(
    context: Context, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes, as whoever is short of file descriptors hopes."""
    with closing(Link(context, zmq.REQ, tunnel.url, KEY)) as link:

        def fail(*_arguments: Any) -> Socket:
            raise zmq.ZMQError(errno.EMFILE)

        with monkeypatch.context() as patch:
            patch.setattr(type(context), "socket", fail)
            wait_until(lambda: link.refusal() is None and link._handshake.in_doubt)
            assert link.refusal() is None
            assert len(link.monitors) == 1
        wait_until(lambda: link.refusal() is None and len(link.monitors) == 2)
