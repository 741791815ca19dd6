"""A web server that strangers cannot hold up: slow ones, silent ones, many, and garbage."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from devicewatch.registry import http_endpoint
from devicewatch.registry.http_endpoint import MAX_CONNECTIONS, HttpEndpoint
from tests.support.live import PATIENCE, wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = b"x" * 8_000_000 if environ["PATH_INFO"] == "/large" else b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def endpoint() -> Iterator[HttpEndpoint]:
    with HttpEndpoint(app, "127.0.0.1", 0) as endpoint:
        yield endpoint


def connect(endpoint: HttpEndpoint) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes, until it ends in whatever way."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65_536):
            received += data
    return received


def answers(endpoint: HttpEndpoint) -> bool:
    with connect(endpoint) as connection:
        connection.sendall(REQUEST)
        return everything(connection).endswith(b"hello")


def threads() -> int:
    return sum(thread.name == "devicewatch-metrics-request" for thread in threading.enumerate())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 1_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /%00%ff/../\xff HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"",
    ],
)
def test_garbage_is_answered_or_not_and_the_next_one_is(
    endpoint: HttpEndpoint, garbage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(endpoint) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
        everything(connection)
    assert answers(endpoint)
    wait_until(lambda: threads() == 0)
    assert capfd.readouterr() == ("", "")


def test_whoever_hangs_up_in_the_middle_is_forgotten(
    endpoint: HttpEndpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        with connect(endpoint) as connection:
            connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
            connection.recv(1)
    wait_until(lambda: threads() == 0)
    assert answers(endpoint)
    assert capfd.readouterr() == ("", "")


def test_a_slow_one_is_cut_however_busy_it_looks(
    endpoint: HttpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_endpoint, "LONGEST", 0.1)
    with connect(endpoint) as talking, connect(endpoint) as not_reading:
        not_reading.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        talking.settimeout(0.01)
        with contextlib.suppress(ConnectionError):
            while True:
                talking.send(b"x")
                with contextlib.suppress(TimeoutError):
                    if not talking.recv(1):
                        break
        wait_until(lambda: threads() == 0)
        assert len(everything(not_reading)) < 8_000_000


def test_of_too_many_the_oldest_go(endpoint: HttpEndpoint) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(endpoint)) for _ in range(3 * MAX_CONNECTIONS)]
        assert answers(endpoint)
        assert everything(silent[0]) == b""
        wait_until(lambda: threads() <= MAX_CONNECTIONS)


def test_it_ends_at_once_whoever_is_connected(endpoint: HttpEndpoint) -> None:
    with connect(endpoint) as silent:
        wait_until(lambda: threads() == 1)
        endpoint.stop()
        assert everything(silent) == b""
    assert threads() == 0
    with pytest.raises(ConnectionRefusedError):
        connect(endpoint)
    endpoint.stop()


def test_the_next_one_may_have_its_port(endpoint: HttpEndpoint) -> None:
    assert answers(endpoint)
    endpoint.stop()
    with HttpEndpoint(app, "127.0.0.1", endpoint.port) as another:
        assert answers(another)


def test_one_that_was_never_started_can_be_stopped() -> None:
    HttpEndpoint(app, "127.0.0.1", 0).stop()


def test_ipv6() -> None:
    try:
        with HttpEndpoint(app, "::1", 0) as endpoint:
            assert endpoint.url == f"http://[::1]:{endpoint.port}"
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_where_descriptors_are_short_it_waits_for_better_times(
    endpoint: HttpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []
    accept = WSGIServer.get_request

    def too_few(server: WSGIServer) -> tuple[socket.socket, object]:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError(24, "too many open files")
        return accept(server)

    monkeypatch.setattr(http_endpoint, "_PAUSE", 0.01)
    monkeypatch.setattr(WSGIServer, "get_request", too_few)
    assert answers(endpoint)
    assert len(attempts) == 3
