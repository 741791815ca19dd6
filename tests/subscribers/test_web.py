"""The web page's server: what it answers, to whom, and for how long."""

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib import resources
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import zmq

from devicewatch.events.errors import AddressError, BindError, RegistryUnreachable
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers.web import app, feed, server, snapshots
from devicewatch.subscribers.web.server import WebServer
from tests.support.browser import Answer, browser, get, names
from tests.support.hostile import EPOCH, HOSTILE, REPLIES, lying_registry
from tests.support.live import PATIENCE, RawClient, free_port, let_pass, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

COMPACTED = {"event": "COMPACTED", "payload": {"epoch": EPOCH, "oldest": 2, "seq": 1}}

LARGE = {f"key{number}": "x" * 1_000 for number in range(32)}
"""Metadata: 200 such devices are 6 MB, more than the kernel takes for a peer that reads nothing."""

URL = "tcp://127.0.0.1:5555"

FILES = [
    entry.name
    for entry in resources.files("devicewatch.subscribers.web").joinpath("static").iterdir()
]
SCRIPT = next(f"/static/{name}" for name in FILES if name.endswith(".js"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PULSE", 0.1)


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture
def web(context: Context, registry: DeviceRegistry) -> Iterator[WebServer]:
    """One that is live."""
    with WebServer(registry.url, port=0, context=context) as web:
        wait_until(lambda: get(web.url, "/healthz").status == 200)
        yield web


@pytest.fixture(scope="module")
def standing() -> Iterator[WebServer]:
    """One for all tests that leave it as it was."""
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0") as registry,
        WebServer(registry.url, port=0) as web,
    ):
        wait_until(lambda: get(web.url, "/healthz").status == 200)
        yield web


# --- answers -------------------------------------------------------------------------------------


def test_the_devices(web: WebServer, registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam", metadata={"room": "A"})
    wait_until(lambda: get(web.url, "/api/devices").json["devices"])
    answer = get(web.url, "/api/devices")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert told["registry"] == registry.url
    assert told["status"]["state"] == "live"
    assert told["cursor"].startswith("1/")
    assert abs(told["now"] - time.time()) < 5
    (device,) = told["devices"]
    assert device["name"] == "cam"
    assert device["device_type"] == "camera"
    assert device["addr"] == "tcp://a:1"
    assert device["revision"] == 1
    assert device["metadata"] == {"room": "A"}
    assert set(device) == {*device} - {"uuid"}


def test_devices_are_compressed_for_who_can_read_that(web: WebServer, client: RawClient) -> None:
    for number in range(20):
        client.register(f"tcp://a:{number}")
    wait_until(lambda: len(get(web.url, "/api/devices").json["devices"]) == 20)
    answer = get(web.url, "/api/devices", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.body))["devices"]) == 20
    with browser(web.url) as one:
        assert len(one.next().data["devices"]) == 20


def test_a_stream_begins_with_a_snapshot_and_goes_on(web: WebServer, client: RawClient) -> None:
    client.register("tcp://a:1", "one")
    with browser(web.url) as one:
        snapshot = one.next("snapshot", "pulse")
        assert snapshot.kind == "snapshot"
        assert snapshot.data["again"] is False
        wait_until(lambda: get(web.url, "/api/devices").json["devices"])
        uuid = client.register("tcp://a:2", "two")["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})
        told = one.events(3 - len(names(snapshot)))
        assert [sent.kind for sent in told][-2:] == ["added", "removed"]
        added, removed = told[-2:]
        assert added.data["device"]["name"] == removed.data["device"]["name"] == "two"
        assert removed.data["reason"] == "unregistered"
        assert removed.data["origin"] == "live"
        assert removed.id == removed.data["cursor"]
        pulse = one.next("pulse")
        assert set(pulse.data) == {"now", "ahead", "status", "cursor"}
        assert pulse.data["ahead"] == 0
        assert pulse.data["cursor"] == removed.id
        assert pulse.data["status"]["state"] == "live"
        assert pulse.id is None


def test_a_snapshot_has_the_timeline(web: WebServer, client: RawClient) -> None:
    uuid = client.register("tcp://a:1", "cam")["uuid"]
    client.ask("UNREGISTER", {"uuid": uuid})
    client.register("tcp://a:2", "cam")
    wait_until(lambda: get(web.url, "/api/devices").json["cursor"].startswith("3/"))
    with browser(web.url) as one:
        timeline = one.next().data["timeline"]
    (lane,) = timeline["lanes"]
    assert lane["name"] == "cam"
    gone, present = lane["spans"]
    assert (gone["reason"], gone["exact"], gone["addr"]) == ("unregistered", True, "tcp://a:1")
    assert gone["start"] <= gone["end"] <= present["start"]
    assert (present["end"], present["reason"]) == (None, None)
    assert timeline["gaps"] == []
    assert timeline["known_since"] <= gone["start"]


def test_what_was_before_the_history_is_not_known(context: Context) -> None:
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", history=40) as registry,
        raw_client(context, registry.url) as client,
    ):
        for number in range(60):
            client.register("tcp://a:1", f"cam-{number}")
        with WebServer(registry.url, port=0, context=context) as web, browser(web.url) as one:
            wait_until(lambda: get(web.url, "/healthz").status == 200)
            snapshot = one.next("snapshot")
            if snapshot.data["cursor"] is None:  # it was still connecting
                snapshot = one.next("snapshot")
    timeline = snapshot.data["timeline"]
    ends = [span["end"] for lane in timeline["lanes"] for span in lane["spans"] if span["end"]]
    assert len(ends) == 15, "30 events: every other one is a device that leaves"
    assert timeline["known_since"] == min(ends)


@pytest.mark.parametrize("ahead", [-1_200.0, 1_200.0])
def test_the_registry_s_clock_may_be_another(
    context: Context,
    registry: DeviceRegistry,
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
    ahead: float,
) -> None:
    ours = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() - ahead)
    monkeypatch.setattr(feed, "time", ours)
    before = client.register("tcp://a:1", "before")["uuid"]
    client.ask("UNREGISTER", {"uuid": before})
    with WebServer(registry.url, port=0, context=context) as web:
        wait_until(lambda: get(web.url, "/healthz").status == 200)
        # What is past lies in the future only if clocks differ.
        assert get(web.url, "/api/devices").json["ahead"] == pytest.approx(max(ahead, 0), abs=60)
        with browser(web.url) as one:
            one.next("snapshot")
            uuid = client.register("tcp://a:2", "cam")["uuid"]
            client.ask("UNREGISTER", {"uuid": uuid})
            one.events(2)
            assert one.next("pulse").data["ahead"] == pytest.approx(ahead, abs=60)
        with browser(web.url) as one:
            assert one.next("snapshot").data["ahead"] == pytest.approx(ahead, abs=60)


def test_health(context: Context) -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port=free_port(), events_port="0")
    with WebServer(registry.url, port=0, context=context) as web:
        answer = get(web.url, "/healthz")
        assert answer.status == 503
        assert answer.json["status"]["state"] == "connecting"
        assert registry.url in answer.json["status"]["why"]
        assert answer.json["cursor"] is None
        with registry:
            wait_until(lambda: get(web.url, "/healthz").status == 200)
            with browser(web.url) as one:
                one.next()
                assert get(web.url, "/healthz").json["browsers"] == 1
            wait_until(lambda: get(web.url, "/healthz").json["browsers"] == 0)
        wait_until(lambda: get(web.url, "/healthz").status == 503)
        assert get(web.url, "/healthz").json["status"]["state"] == "stale"


def test_the_page_and_its_files(standing: WebServer) -> None:
    page = get(standing.url, "/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<html" in page.body
    assert "index.html" in FILES
    for name in FILES:
        answer = get(standing.url, f"/static/{name}")
        assert answer.status == 200, name
        assert answer.headers["cache-control"] == "no-cache"
        etag = answer.headers["etag"]
        for known in (etag, f'"other", W/{etag}'):
            again = get(standing.url, f"/static/{name}", if_none_match=known)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == etag
        assert get(standing.url, f"/static/{name}", if_none_match='"other"').status == 200


def test_nothing_comes_from_elsewhere() -> None:
    for entry in resources.files("devicewatch.subscribers.web").joinpath("static").iterdir():
        text = entry.read_text()
        for outside in (
            "https://",
            "//cdn",
            "@import",
            "eval(",
            "innerHTML",
            " style=",
            " onclick=",
        ):
            assert outside not in text, f"{outside} in {entry.name}"


def test_what_there_is_not(standing: WebServer) -> None:
    for path in (
        "/nothing",
        "/static/",
        "/static/nothing.js",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/" + "a" * 5_000,
        "/healthz/",
        "/api",
        "//",
    ):
        answer = get(standing.url, path)
        assert answer.status == 404, path
        assert "location" not in answer.headers


def everything(standing: WebServer) -> list[Answer]:
    """An answer of every kind."""
    answers = [
        get(standing.url, path, method=method)
        for method, path in (
            ("GET", "/"),
            ("GET", SCRIPT),
            ("GET", "/static/nothing"),
            ("GET", "/api/devices"),
            ("GET", "/healthz"),
            ("GET", "/nothing"),
            ("POST", "/api/devices"),
            ("OPTIONS", "/api/events"),
            ("HEAD", "/api/events"),
            ("GET", f"/api/events?after={'1' * 3_000}"),
        )
    ]
    answers.append(get(standing.url, "/", Host="evil.example"))
    answers.append(get(standing.url, "/api/events", Sec_Fetch_Site="cross-site"))
    answers.append(get(standing.url, "/", if_none_match=answers[0].headers["etag"]))
    return answers


def test_every_answer_has_the_headers_that_keep_a_browser_safe(standing: WebServer) -> None:
    answers = everything(standing)
    assert [answer.status for answer in answers] == [
        *[200, 200, 404, 200, 200, 404, 405, 405, 200, 400, 421, 403, 304]
    ]
    for answer in answers:
        assert answer.headers.items() >= app.HEADERS.items()
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert "server" not in answer.headers
    policy = app.HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    with browser(standing.url) as one:
        assert one.headers.items() >= app.HEADERS.items()
        assert one.headers["content-type"].startswith("text/event-stream")
        assert one.headers["cache-control"] == "no-store"
        assert one.headers["x-accel-buffering"] == "no"


def test_a_fault_of_ours_is_a_plain_answer(
    standing: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: feed.Feed) -> bytes:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(feed.Feed, "devices_json", fail)
    answer = get(standing.url, "/api/devices")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.headers.items() >= app.HEADERS.items()
    assert get(standing.url, "/healthz").status == 200


def test_head_is_get_without_the_body(standing: WebServer) -> None:
    for path in ("/", SCRIPT, "/api/devices", "/healthz"):
        full, head = get(standing.url, path), get(standing.url, path, method="HEAD")
        assert head.status == full.status
        assert head.body == b""
        assert head.headers["content-type"] == full.headers["content-type"]


# --- who is served -------------------------------------------------------------------------------


def test_only_who_asks_for_this_machine_is_served(standing: WebServer) -> None:
    for host in ("localhost:1", "127.0.0.1", "[::1]:8080"):
        assert get(standing.url, "/healthz", Host=host).status == 200
    for host in ("evil.example", "", "localhost.evil.example"):
        assert get(standing.url, "/healthz", Host=host).status == 421
    with socket.create_connection(("127.0.0.1", urlsplit(standing.url).port or 0)) as old:
        old.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert old.recv(100).startswith(b"HTTP/1.1 421 ")


def test_the_pages_of_others_are_not_served(standing: WebServer) -> None:
    """They could not read it, but would take up room."""
    for path in ("/api/events", "/api/devices"):
        assert get(standing.url, path, Sec_Fetch_Site="cross-site").status == 403
    assert get(standing.url, "/", Sec_Fetch_Site="cross-site").status == 200  # a link
    assert get(standing.url, "/api/devices", Sec_Fetch_Site="same-origin").status == 200


def test_beyond_this_machine_its_own_names_will_do_and_a_warning_is_logged(
    registry: DeviceRegistry, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    own = socket.gethostname()
    with WebServer(
        registry.url, host="*", port=0, allowed_hosts=["Lab.example."], context=context
    ) as web:
        port = urlsplit(web.url).port
        url = f"http://127.0.0.1:{port}/"
        local = f"{own.partition('.')[0]}.local"
        for host in (own, local, f"{own}:{port}", "localhost", "10.0.0.1", "[::2]", "lab.example"):
            assert get(url, "/", Host=host).status == 200, host
        for host in ("evil.example", "", "x.lab.example"):
            answer = get(url, "/api/devices", Host=host)
            assert answer.status == 421
            assert b"--allow-host NAME" in answer.body
            assert answer.headers.items() >= app.HEADERS.items()
    assert "whoever can reach this machine sees the page" in caplog.text


def test_names_that_do_harm_are_harmless_json(context: Context) -> None:
    with (
        lying_registry(context, {**REPLIES, "REPLAY": COMPACTED}) as url,
        WebServer(url, port=0, context=context) as web,
    ):
        wait_until(lambda: get(web.url, "/api/devices").json["devices"])
        answer = get(web.url, "/api/devices")
        assert answer.body.isascii()
        assert answer.body.decode().isprintable()
        (device,) = answer.json["devices"]
        assert device["name"] == HOSTILE
        assert "nosniff" in answer.headers["x-content-type-options"]
        with browser(web.url) as one:
            snapshot = one.next()
            assert names(snapshot) == {HOSTILE}
            assert snapshot.id is not None
            assert EPOCH not in snapshot.id
            last_id = one.last_id
        for in_url in (False, True):
            with browser(web.url, last_id, in_url=in_url) as one:
                assert one.next("snapshot", "pulse").kind == "pulse"


# --- for how long, and how many ------------------------------------------------------------------


def test_more_streams_than_are_served(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_BROWSERS", 2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(browser(web.url)).next()
        answer = get(web.url, "/api/events")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "10"
        assert b"as many as are served" in answer.body
        assert answer.headers.items() >= app.HEADERS.items()
        assert get(web.url, "/healthz").json["browsers"] == 2
    wait_until(lambda: get(web.url, "/healthz").json["browsers"] == 0)
    with browser(web.url) as one:
        one.next()


def test_all_browsers_are_told_and_one_that_takes_nothing_is_cut_off(
    web: WebServer, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_INSPECTION", 0.05)
    with ExitStack() as stack:
        others = [stack.enter_context(browser(web.url)) for _ in range(5)]
        for other in others:
            other.next("snapshot")
        lazy = stack.enter_context(socket.socket())
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        lazy.connect(("127.0.0.1", urlsplit(web.url).port))
        lazy.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: get(web.url, "/healthz").json["browsers"] == 6)
        threads = stack.enter_context(ThreadPoolExecutor())
        told = [threads.submit(other.seqs, 200) for other in others]
        for number in range(200):
            client.register(f"tcp://a:{number}", metadata=LARGE)
        for seqs in told:
            assert seqs.result() == list(range(1, 201))
        monkeypatch.setattr(server, "PATIENCE", 1.0)
        wait_until(lambda: get(web.url, "/healthz").json["browsers"] == 5)
        client.register("tcp://b:1")
        for other in others:
            assert other.seqs(1) == [201]


def test_who_takes_too_long_is_cut_off(
    web: WebServer,
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.register("tcp://a:1", "cam")
    wait_until(lambda: get(web.url, "/api/devices").json["devices"])

    def too_long(pieces: Sequence[snapshots.Piece]) -> Iterator[snapshots.Piece]:
        yield pieces[0]
        raise snapshots.TooSlow

    with monkeypatch.context() as patch:
        for module in (app, feed):
            patch.setattr(module, "in_time", too_long)
        with pytest.raises(http.client.IncompleteRead):
            get(web.url, "/api/devices")
        with browser(web.url) as one, pytest.raises((http.client.IncompleteRead, AssertionError)):
            one.next()
    assert get(web.url, "/api/devices").json["devices"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_says_nothing_is_cut_off(standing: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_INSPECTION", 0.05)
    with (
        socket.create_connection(("127.0.0.1", urlsplit(standing.url).port or 0), 10) as silent,
        socket.create_connection(("127.0.0.1", urlsplit(standing.url).port or 0), 10) as half,
        browser(standing.url) as one,
    ):
        one.next("pulse")
        monkeypatch.setattr(server, "SILENCE", 0.2)
        half.sendall(b"GET / HTTP/1.1\r\nHost: local")
        for end in (silent, half):
            with suppress(ConnectionResetError):
                assert end.recv(1) == b""
        let_pass(0.3)
        one.next("pulse")


def test_more_connections_than_are_accepted(
    standing: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with browser(standing.url) as one:
        one.next()
        monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            get(standing.url, "/healthz")
        one.next("pulse")
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 10)
    assert get(standing.url, "/healthz").status == 200


def test_those_who_say_nothing_shut_nobody_out(
    standing: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 8)
    address = ("127.0.0.1", urlsplit(standing.url).port or 0)
    with ExitStack() as stack, browser(standing.url) as one:
        one.next("pulse")
        silent = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(20)]
        assert get(standing.url, "/healthz").status == 200
        with suppress(ConnectionResetError):
            assert silent[0].recv(1) == b""  # the oldest
        silent[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert silent[-1].recv(100).startswith(b"HTTP/1.1 200 ")
        one.next("pulse")


def test_it_ends_at_once_whoever_is_connected(web: WebServer, client: RawClient) -> None:
    client.register("tcp://a:1", "cam")
    with browser(web.url) as one, browser(web.url) as two, socket.socket() as silent:
        silent.connect(("127.0.0.1", urlsplit(web.url).port))
        one.next()
        since = time.monotonic()
        web.stop()
        assert time.monotonic() - since < 5
        assert [sent.kind for sent in one.sent() if sent.kind == "snapshot"] == []
        assert all(sent.kind != "stale" for sent in two.sent())
    assert not web.is_alive()
    web.stop()
    with pytest.raises(ConnectionError):
        get(web.url, "/")


def test_it_ends_though_somebody_takes_nothing(web: WebServer, client: RawClient) -> None:
    for number in range(200):
        client.register(f"tcp://a:{number}", metadata=LARGE)
    wait_until(lambda: len(get(web.url, "/api/devices").json["devices"]) == 200)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        lazy.connect(("127.0.0.1", urlsplit(web.url).port))
        lazy.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: get(web.url, "/healthz").json["browsers"] == 1)
        since = time.monotonic()
        web.stop()
        assert time.monotonic() - since < 5


def test_a_port_in_use_and_an_address_of_others(standing: WebServer) -> None:
    port = urlsplit(standing.url).port
    assert port is not None
    with pytest.raises(BindError, match=f"port {port}: it is in use"):
        WebServer(URL, port=port).start()
    with pytest.raises(BindError, match=r"no\.such\.host\.invalid"):
        WebServer(URL, host="no.such.host.invalid", port=0).start()
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        WebServer(URL, host="192.0.2.1", port=0).start()


def test_a_registry_s_address_that_makes_no_sense() -> None:
    web = WebServer("controller", port=0)
    with pytest.raises(AddressError):
        web.start()
    assert not web.is_alive()
    web.stop()


# --- starting and stopping -----------------------------------------------------------------------


def test_it_can_be_stopped_while_it_starts(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is an event loop to be told."""
    began, may_go_on = threading.Event(), threading.Event()
    run = WebServer._run

    def run_later(self: WebServer, *arguments: Any) -> None:
        began.set()
        assert may_go_on.wait(PATIENCE)
        run(self, *arguments)

    monkeypatch.setattr(WebServer, "_run", run_later)
    web = WebServer(URL, port=0, context=context)
    with ThreadPoolExecutor() as threads:
        starting = threads.submit(web.start)
        assert began.wait(PATIENCE)
        stopping = threads.submit(web.stop)
        wait_until(lambda: web._stopping)
        may_go_on.set()
        stopping.result(PATIENCE)
        starting.result(PATIENCE)
    assert not web.is_alive()
    assert web.error is None


def test_it_starts_once(context: Context, standing: WebServer) -> None:
    once = "starts once; make a new one"
    with pytest.raises(RuntimeError, match=once):
        standing.start()
    assert get(standing.url, "/healthz").status == 200
    never = WebServer(URL, port=0, context=context)
    never.stop()
    with pytest.raises(RuntimeError, match=once):
        never.start()
    with WebServer(URL, port=0, context=context) as web:
        pass
    with pytest.raises(RuntimeError, match=once):
        web.start()
    port = urlsplit(standing.url).port
    assert port is not None
    taken = WebServer(URL, port=port, context=context)
    for _ in range(2):
        with pytest.raises(BindError):
            taken.start()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_context_that_is_terminated_ends_it_and_it_says_so(
    registry: DeviceRegistry, is_there: bool
) -> None:
    context: Context = zmq.Context()
    url = registry.url if is_there else f"tcp://127.0.0.1:{free_port()}"
    with WebServer(url, port=0, context=context) as web:
        state = "live" if is_there else "connecting"
        wait_until(lambda: get(web.url, "/healthz").json["status"]["state"] == state)
        context.term()
        web.join()
        assert isinstance(web.error, RegistryUnreachable)
        assert str(web.error) == (
            f"the registry at {url} is not followed any more: its ZeroMQ context was terminated"
        )
    with WebServer(url, port=0, context=context) as late:
        late.join()
        assert "context was terminated" in str(late.error)
