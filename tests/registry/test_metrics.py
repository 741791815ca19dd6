"""What Prometheus is told, beside what has happened; and whether the registry is well."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from devicewatch.events import BindError, JournalError
from devicewatch.events.protocol import Role
from devicewatch.registry import (
    DeviceRegistry,
    MemoryJournal,
    SqliteJournal,
    metrics,
    register_device,
)
from devicewatch.registry.commands.demo import RunningCommand, running
from devicewatch.registry.counts import Counts, Figures
from devicewatch.registry.device_types import MAX_TYPES
from devicewatch.registry.journal import Change
from devicewatch.registry.metrics import MetricsServer, RegistryCollector
from tests.support.hostile import HOSTILE, SHOWN, registry_of_old
from tests.support.keys import guarded
from tests.support.live import PATIENCE, RawClient, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

SERVE = ("serve", "--port", "0", "--events-port", "0", "--metrics-port", "0")


class Page:
    """Metrics, as they were at a moment: by name, with labels in the order of their names."""

    def __init__(self, text: str) -> None:
        self.samples: dict[tuple[str, ...], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, *(sample.labels[label] for label in sorted(sample.labels)))
                assert key not in self.samples, "a line that is there twice fails the scrape"
                self.samples[key] = sample.value

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        name, *labels = (key,) if isinstance(key, str) else key
        return self.samples[f"devicewatch_{name}", *labels]

    def labels(self, name: str) -> dict[tuple[str, ...], float]:
        return {key[1:]: value for key, value in self.samples.items() if key[0] == name}


def ask(server: MetricsServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def scrape(server: MetricsServer) -> Page:
    status, text = ask(server, "/metrics")
    assert status == 200
    return Page(text)


@pytest.fixture
def server(registry: DeviceRegistry) -> Iterator[MetricsServer]:
    with MetricsServer(registry, 0) as server:
        yield server


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


# --- figures --------------------------------------------------------------------------------------


def test_what_happens_is_counted(context: Context, tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    registry = DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", history=3, journal=journal
    )
    with (
        MetricsServer(registry, 0) as server,
        registry,
        raw_client(context, registry.url) as client,
    ):
        camera = client.register("tcp://a:1", "cam")["uuid"]
        client.register("tcp://a:1", "cam")
        client.register("tcp://a:2", device_type="arm", alive_timeout=0.1)
        client.ask("CHECK_ALIVE", {"uuid": camera})
        client.ask("CHECK_ALIVE", {})
        pump = client.register("tcp://a:3", device_type="pump")["uuid"]
        for _ in range(40):
            assert client.ask("CHECK_ALIVE", {"uuid": pump})["payload"]["success"]
        client.ask("UNREGISTER", {"uuid": pump})
        client.ask("REPLAY", {"epoch": "another", "after": 0})
        client.ask("DANCE", {})
        client.send(b"garbage")
        wait_until(lambda: len(registry.devices) == 1)
        page = scrape(server)
        epoch = client.ask("INFO", {})["payload"]["epoch"]

    assert page.labels("devicewatch_devices") == {
        ("other",): 0, ("camera",): 1, ("arm",): 0, ("pump",): 0
    }  # fmt: skip
    events = page.labels("devicewatch_events_total")
    assert events == {
        ("added", ""): 4,
        ("removed", "unregistered"): 1,
        ("removed", "expired"): 1,
        ("removed", "replaced"): 1,
        ("removed", "revoked"): 0,
    }
    requests = page.labels("devicewatch_requests_total")
    assert {key: value for key, value in requests.items() if value} == {
        ("ok", "REGISTER"): 4,
        ("unknown", "CHECK_ALIVE"): 1,
        ("INVALID", "CHECK_ALIVE"): 1,
        ("ok", "CHECK_ALIVE"): 40,
        ("ok", "UNREGISTER"): 1,
        ("compacted", "REPLAY"): 1,
        ("unsupported", "unsupported"): 1,
        ("MALFORMED", "malformed"): 1,
    }
    assert page["request_duration_seconds_count", "REGISTER"] == 4
    assert 0 < page["request_duration_seconds_sum", "REGISTER"] < PATIENCE
    assert 1 <= page["request_duration_seconds_count", "CHECK_ALIVE"] <= 42
    commits = page["journal_commit_duration_seconds_count"]
    assert commits == 6, "four arrivals, one of them in another's place, and two departures"
    assert page["journal_commit_duration_seconds_bucket", "+Inf"] == commits
    assert page["journal_size_bytes"] > 4_096
    assert page["journal_failures_total"] == 0
    assert page["seq"] == 7
    assert (page["history_events"], page["history_limit"]) == (3, 3)
    assert page["devices_limit"] == 100_000
    assert page["loop_responding"] == 1
    assert page["epoch_info", epoch] == 1
    assert ("process_open_fds",) in page.samples


def test_who_is_turned_away_is_counted(tmp_path: Path, context: Context) -> None:
    with guarded(tmp_path / "keys") as place, MetricsServer(place.registry, 0) as server:
        key = place.let_in("viewer", Role.VIEWER)
        register_device(context, "camera", "tcp://a:1", "", place.registry.url, key=key)
        page = scrape(server)
    assert page["requests_total", "FORBIDDEN", "REGISTER"] == 1
    assert page["refused_total"] == 1


def test_a_change_that_cannot_be_kept_is_counted(context: Context) -> None:
    class Full(MemoryJournal):
        def append(self, change: Change) -> None:
            raise JournalError("the disk is full")

    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", journal=Full()) as registry,
        MetricsServer(registry, 0) as server,
        raw_client(context, registry.url) as client,
    ):
        assert registry.responds(PATIENCE)
        payload = {"device_type": "camera", "addr": "tcp://a:1", "name": ""}
        assert client.ask("REGISTER", payload)["payload"]["code"] == "UNAVAILABLE"
        page = scrape(server)
    assert page["journal_failures_total"] == 1
    assert page["requests_total", "UNAVAILABLE", "REGISTER"] == 1
    assert page["journal_commit_duration_seconds_count"] == 1
    assert ("devicewatch_journal_size_bytes",) not in page.samples, "it is in no file"


def test_nobody_pays_for_what_nobody_wants_to_know(registry: DeviceRegistry) -> None:
    assert not registry._counts.wanted
    RegistryCollector(registry)
    assert registry._counts.wanted


def test_it_begins_before_the_registry_and_outlives_it() -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
    with MetricsServer(registry, 0) as server:
        page = scrape(server)
        assert page["loop_responding"] == 0
        assert not page.labels("devicewatch_epoch_info")
        assert ask(server, "/healthz") == (503, "the registry has not started yet\n")
        with registry:
            assert scrape(server)["loop_responding"] == 1
            assert ask(server, "/healthz") == (200, "ok\n")
        assert scrape(server)["loop_responding"] == 0
        assert ask(server, "/healthz") == (503, "the registry has stopped\n")


# --- strangers' types -----------------------------------------------------------------------------


def test_so_many_types_have_a_line_and_no_more(client: RawClient, server: MetricsServer) -> None:
    for number in range(MAX_TYPES + 20):
        client.register(f"tcp://{number}", device_type=f"type {number}")
    client.register("tcp://x", device_type="other")
    lines = scrape(server).labels("devicewatch_devices")
    assert len(lines) == MAX_TYPES + 1
    assert lines["other",] == 21


def test_types_that_look_alike_share_a_line(registry: DeviceRegistry) -> None:
    figures = Figures(
        devices={"a\u202e": 1, "a\\u202e": 2, "other": 3, 'q"\n\\': 4},
        other_devices=5,
        devices_limit=1,
        history_limit=1,
        counts=Counts(),
    )
    families = {family.name: family for family in metrics._families(figures, responds=True)}
    samples = families["devicewatch_devices"].samples
    assert {sample.labels["device_type"]: sample.value for sample in samples} == {
        "other": 8, "a\\u202e": 3, 'q"\\u000a\\': 4
    }  # fmt: skip


def test_a_type_that_does_not_print_does_no_harm() -> None:
    with (
        registry_of_old({"device_type": HOSTILE}) as registry,
        MetricsServer(registry, 0) as server,
    ):
        assert scrape(server)["devices", SHOWN] == 1


# --- the process ----------------------------------------------------------------------------------


def test_a_service_that_sees_only_processes_in_proc_measures_its_own(tmp_path: Path) -> None:
    """`ProcSubset=pid`, as in our unit: there is no `/proc/stat`."""
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    collectors = CollectorRegistry()
    metrics._Process(proc=str(tmp_path), pid=os.getpid, registry=collectors)
    assert (collectors.get_sample_value("process_open_fds") or 0) > 2
    started = collectors.get_sample_value("process_start_time_seconds")
    assert started is not None
    assert 0 <= time.time() - started < 86_400


# --- in a program that has metrics of its own -----------------------------------------------------


def test_a_collector_for_another_registry_of_metrics(registry: DeviceRegistry) -> None:
    collectors = CollectorRegistry()
    collector = RegistryCollector(registry)
    collectors.register(collector)
    assert collectors.get_sample_value("devicewatch_loop_responding") == 1
    with pytest.raises(ValueError, match="Duplicated"):
        collectors.register(RegistryCollector(registry))
    described = {family.name for family in collector.describe()}
    assert described == {family.name for family in collector.collect()}


# --- health ---------------------------------------------------------------------------------------


class Blocking(MemoryJournal):
    """A disk that does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.go_on = threading.Event(), threading.Event()

    def append(self, change: Change) -> None:
        self.stuck.set()
        self.go_on.wait(2 * PATIENCE)
        super().append(change)


def test_a_loop_that_is_stuck_is_not_well_until_it_goes_on(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "HEALTH_TIMEOUT", 0.1)
    journal = Blocking()
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", journal=journal) as registry,
        MetricsServer(registry, 0) as server,
        raw_client(context, registry.url) as client,
    ):
        payload = {"device_type": "camera", "addr": "tcp://a:1", "name": ""}
        client.socket.send_json({"event": "REGISTER", "payload": payload})
        assert journal.stuck.wait(PATIENCE)
        status, text = ask(server, "/healthz")
        page = scrape(server)
        journal.go_on.set()
        assert client.socket.recv()
        assert status == 503
        assert text == "the registry's loop has not come round for 0.1 s: it is stuck\n"
        assert page["loop_responding"] == 0
        assert ask(server, "/healthz") == (200, "ok\n")
        page = scrape(server)
        assert page["loop_responding"] == 1
        assert page["stalls_total"] >= 1
        assert page["stall_seconds_total"] >= 0.1


def test_a_stopped_process_does_not_answer_at_all() -> None:
    with running(*SERVE) as serve:
        health = f"{metrics_url(serve).removesuffix('metrics')}healthz"
        serve.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(serve.process.pid, os.WUNTRACED)[1])
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(health, timeout=0.2).read()
        serve.process.send_signal(signal.SIGCONT)
        with urllib.request.urlopen(health, timeout=PATIENCE) as response:
            assert response.read() == b"ok\n"
        serve.process.terminate()
        assert serve.process.wait(PATIENCE) == 0
        serve.end()
        assert not any("GET" in line for line in serve.errors), "no log of who has asked"


# --- pages ----------------------------------------------------------------------------------------


def test_what_is_served_and_what_is_not(server: MetricsServer) -> None:
    assert ask(server, "/metrics?name[]=devicewatch_seq")[1].count("\n") == 3
    assert ask(server, "/healthz", "HEAD") == (200, "")
    assert ask(server, "/metrics", "HEAD") == (200, "")
    assert ask(server, "/")[0] == 404
    assert ask(server, "/metrics/x")[0] == 404
    assert ask(server, "/metrics", "POST")[0] == 405


def test_on_this_machine_only_who_asks_for_it_is_served(registry: DeviceRegistry) -> None:
    """A page from elsewhere may have its own name point here, and read along."""
    for bind in ("127.0.0.1", "localhost"):
        with MetricsServer(registry, 0, bind) as server:
            for path in ("/metrics", "/healthz"):
                for host in ("localhost", f"127.0.0.1:{server.port}", "[::1]"):
                    assert ask(server, path, Host=host)[0] == 200
                for host in ("evil.example", "", "localhost.evil.example:80"):
                    assert ask(server, path, Host=host)[0] == 421
    with MetricsServer(registry, 0, "*") as server:
        assert ask(server, "/metrics", Host="controller.lab.example")[0] == 200


def test_the_format_is_the_one_that_is_asked_for(server: MetricsServer) -> None:
    _, text = ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    names = {family.name for family in open_metrics(text)}  # type: ignore[no-untyped-call]
    assert {"devicewatch_build", "devicewatch_events"} <= names


def test_a_fault_of_ours_is_an_error_and_not_the_end(
    registry: DeviceRegistry, server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise RuntimeError("no figures")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "figures", fail)
        assert ask(server, "/metrics") == (500, "see the registry's log\n")
    assert ask(server, "/metrics")[0] == 200


# --- the command ----------------------------------------------------------------------------------


def metrics_url(serve: RunningCommand) -> str:
    assert "ready" in serve.next_line()
    return serve.next_line().removeprefix("metrics at ")


def test_a_port_in_use_is_one_clear_line_before_the_registry_is_there(
    server: MetricsServer, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with running(*SERVE[:-1], str(server.port), "--journal", str(journal)) as serve:
        assert serve.process.wait(PATIENCE) == 1
        serve.end()
    assert [line for line in serve.errors if not line.startswith("{")] == [
        f"Error: cannot serve metrics on port {server.port} at '127.0.0.1': "
        "it is in use: choose another port, or 0\n"
    ]
    assert not journal.exists()


@pytest.mark.parametrize("bind", ["192.0.2.1", "999.0.0.1", "\0", "x" * 300])
def test_an_address_that_is_none_of_this_machine_s(registry: DeviceRegistry, bind: str) -> None:
    with pytest.raises(BindError, match="cannot serve metrics"), MetricsServer(registry, 0, bind):
        pass


def test_all_interfaces(registry: DeviceRegistry) -> None:
    with MetricsServer(registry, 0, "*") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"
        assert ask(server, "/healthz")[0] == 200


def run(*code: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code), *arguments],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip


def test_without_the_library_it_says_what_to_install() -> None:
    result = run(
        "import sys",
        "sys.modules['prometheus_client'] = None",
        "from devicewatch.registry.cli import main",
        "main()",
        arguments=(*SERVE, "--no-journal"),
    )
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = (line for line in result.stderr.splitlines() if not line.startswith("{"))
    assert line.startswith("Error: ")
    assert "pip install 'devicewatch[metrics]'" in line


def test_an_interface_without_a_port_makes_no_sense() -> None:
    result = run(
        "from devicewatch.registry.cli import main", "main()",
        arguments=("serve", "--port", free_port(), "--no-journal", "--metrics-bind", "::1"),
    )  # fmt: skip
    assert result.returncode == 2
    assert "--metrics-port" in result.stderr
