"""The `devicewatch` command, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.cli import main
from devicewatch.registry.commands.demo import SHORT_LEASE, RunningCommand, run_demo, running
from tests.support.live import (
    PATIENCE,
    RawClient,
    free_port,
    raw_client,
    raw_subscriber,
    wait_until,
)

Context = zmq.Context[zmq.Socket[bytes]]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devicewatch.registry", *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        env=os.environ | environment,
    )


def end(command: RunningCommand, number: int = signal.SIGTERM) -> int:
    command.process.send_signal(number)
    return command.process.wait(PATIENCE)


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


# --- help and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: main {command}" in result.output
    overview = CliRunner().invoke(main, ["--help"]).output.splitlines()
    (summary,) = [line for line in overview if line.split()[:1] == [command]]
    assert not summary.endswith("..."), "its first sentence is too long to be shown whole"


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["info"], ["watch"], ["announce", "camera", "tcp://a:1"], ["list", "--json"]],
    ids=" ".join,
)
def test_an_unreachable_registry_is_one_clear_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicewatch.registry.commands.options.CONNECT_TIMEOUT", 0.1)
    url = f"tcp://127.0.0.1:{free_port()}"
    result = CliRunner().invoke(main, [*arguments, "--registry", url])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert url in line


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "--registry", "controller"], 1, "looks like tcp://127.0.0.1:5555"),
        (["serve", "--tick", "0"], 2, "--tick"),
        (["serve", "--tick", "nan"], 2, "--tick"),
        (["serve", "--port", "99999"], 1, "a port from 0 to 65535"),
        (["watch", "--timeout", "inf"], 2, "--timeout"),
        (["serve", "--history", "-1"], 2, "--history"),
        (["serve", "--port", "http"], 1, "port http"),
        (["watch", "--count", "0"], 2, "--count"),
        (["watch", "--since", "yesterday"], 2, "no cursor"),
        (["announce", "camera", "tcp://a:1", "--lease", "0"], 2, "--lease"),
        (["announce", "camera", "tcp://a:1", "--metadata", "lens"], 2, "KEY=VALUE"),
        (["announce", "camera"], 2, "ADDR"),
    ],
)
def test_what_makes_no_sense_is_explained_without_a_traceback(
    arguments: list[str], code: int, words: str
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output


# --- serve ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_when_it_is_ready_and_ends_cleanly(number: int) -> None:
    with running("serve", "--port", "0", "--events-port", "0") as serve:
        words = serve.next_line().split()
        assert words[:4] == ["devicewatch", "registry", "ready", "at"]
        assert words[5] == "(events"
        result = run("info", "--json", "--registry", words[4])
        info = json.loads(result.stdout)
        assert words[6] == f"tcp://127.0.0.1:{info['events_port']})"
        since = time.monotonic()
        assert end(serve, number) == 0
        assert time.monotonic() - since < 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_bye(number: int, context: Context) -> None:
    with running("serve", "--port", "0", "--events-port", "0") as serve:
        stream = serve.next_line().split()[6].rstrip(")")
        with raw_subscriber(context, stream) as receive:
            assert end(serve, number) == 0
            while receive()["event"] != "bye":
                pass


def test_the_first_ctrl_c_leaves_a_command_to_clean_up(registry: DeviceRegistry) -> None:
    script = (
        "import time\n"
        "try: print('running', flush=True); time.sleep(30)\n"
        "except KeyboardInterrupt: print('parked', flush=True); raise SystemExit(5)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "devicewatch.registry", "announce", "arm", "tcp://a:1",
         "--registry", registry.url, "--", sys.executable, "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "parked\n"
        assert process.wait(PATIENCE) == 5
    assert registry.devices == {}


def test_serve_takes_its_settings() -> None:
    with running(
        "serve", "--port", "0", "--events-port", "0", "--history", "7", "--tick", "0.25"
    ) as serve:
        url = serve.next_line().split()[4]
        info = json.loads(run("info", "--json", DEVICEWATCH_REGISTRY=url).stdout)
    assert (info["history"], info["tick_interval"]) == (7, 0.25)


def test_serve_names_a_port_that_is_in_use(registry: DeviceRegistry) -> None:
    result = run("serve", "--port", registry.port, "--events-port", "0")
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"Error: cannot listen on port {registry.port}" in result.stderr
    assert "Traceback" not in result.stderr


# --- list and info -------------------------------------------------------------------------------


def test_list_shows_a_table_sorted_by_name(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "zoom", metadata={"lens": 50})
    client.register("tcp://a:2", "arm")
    result = CliRunner().invoke(main, ["list", "--registry", registry.url])
    header, first, second = result.output.splitlines()
    assert header.split() == ["NAME", "TYPE", "ADDRESS", "PRESENT", "FOR", "METADATA"]
    assert first.split() == ["arm", "camera", "tcp://a:2", "now"]
    assert second.split() == ["zoom", "camera", "tcp://a:1", "now", "lens=50"]


def test_list_says_when_there_are_none(registry: DeviceRegistry) -> None:
    result = CliRunner().invoke(main, ["list", "--registry", registry.url])
    assert result.output == "no devices are registered\n"


def test_list_in_json_is_the_wire_s(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam", metadata={"lens": 50})
    result = CliRunner().invoke(main, ["list", "--json", "--registry", registry.url])
    assert json.loads(result.output) == client.ask("SNAPSHOT", {})["payload"]["devices"]


def test_info_shows_the_registry(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1")
    result = CliRunner().invoke(main, ["info", "--registry", registry.url])
    lines = [line.split() for line in result.output.splitlines()]
    assert ["registry", registry.url] in lines
    assert ["devices", "1"] in lines
    assert ["event", "stream", "port", registry.events_port] in lines
    result = CliRunner().invoke(main, ["info", "--json", "--registry", registry.url])
    info, wire = json.loads(result.output), client.ask("INFO", {})["payload"]
    assert info | {"uptime": 0} == wire | {"uptime": 0}


def test_markup_is_text_like_any_other(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "[bold]cam[/bold]", metadata={"a": "[bold]b[/bold]"})
    for arguments in (["list"], ["watch", "--count", "1"]):
        output = CliRunner().invoke(main, [*arguments, "--registry", registry.url]).output
        assert "[bold]cam[/bold]" in output
    assert "[bold]b[/bold]" in CliRunner().invoke(main, ["list", "--registry", registry.url]).output


# --- watch ---------------------------------------------------------------------------------------


def test_watch_prints_a_line_of_json_for_every_event(
    registry: DeviceRegistry, client: RawClient
) -> None:
    uuid = client.register("tcp://a:1", "cam", metadata={"lens": 50})["uuid"]
    with running("watch", "--json", "--registry", registry.url) as watch:
        first = json.loads(watch.next_line())
        client.ask("UNREGISTER", {"uuid": uuid})
        second = json.loads(watch.next_line())
        assert end(watch) == 0
    epoch = client.ask("INFO", {})["payload"]["epoch"]
    assert first == {
        "event": "added",
        "origin": "snapshot",
        "epoch": epoch,
        "seq": 1,
        "time": first["time"],
        "device": first["device"],
        "reason": None,
        "cursor": f"1/{epoch}",
    }
    assert first["device"]["metadata"] == {"lens": 50}
    assert second == {
        "event": "removed",
        "origin": "live",
        "epoch": epoch,
        "seq": 2,
        "time": second["time"],
        "device": first["device"],
        "reason": "unregistered",
        "cursor": f"2/{epoch}",
    }


def test_watch_goes_on_after_a_cursor(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "one")
    watch = ("watch", "--json", "--count", "1", "--registry", registry.url)
    first = json.loads(run(*watch).stdout)
    client.register("tcp://a:2", "two")
    second = json.loads(run(*watch, "--since", first["cursor"]).stdout)
    assert (second["device"]["name"], second["origin"]) == ("two", "live")
    lost = run(*watch, "--since", "1/of another registry")
    assert "cannot go on after that cursor" in lost.stderr
    assert json.loads(lost.stdout)["origin"] == "resync"


def test_watch_for_people(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam")
    client.register("tcp://a:2", "arm", overwrite=True)
    output = CliRunner().invoke(main, ["watch", "--count", "2", "--registry", registry.url]).output
    first, second = output.splitlines()
    assert first.split()[1:] == ["+", "cam", "camera", "tcp://a:1", "(was", "there)"]
    assert second.split()[1:3] == ["+", "arm"]


def test_watch_stops_after_its_time(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam")
    command = ["watch", "--timeout", "0.2", "--registry", registry.url]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0
    result = CliRunner().invoke(main, [*command, "--count", "2"])
    assert result.exit_code == 1
    assert "1 of 2 events did not come" in result.output


def test_watch_shows_one_type_only(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "cam")
    client.ask("REGISTER", {"device_type": "arm", "addr": "tcp://a:2", "name": "arm"})
    command = ["watch", "--json", "--count", "1", "--type", "arm", "--registry", registry.url]
    assert json.loads(CliRunner().invoke(main, command).output)["device"]["name"] == "arm"


def test_two_watchers_in_two_processes_print_the_same_stream(
    registry: DeviceRegistry, client: RawClient
) -> None:
    with running("watch", "--json", "--registry", registry.url) as early:
        client.register("tcp://a:1", "one")
        first = json.loads(early.next_line())
        with running("watch", "--json", "--registry", registry.url) as late:
            joined = json.loads(late.next_line())
            assert joined | {"origin": ""} == first | {"origin": ""}
            for number in range(2, 22):
                client.register(f"tcp://a:{number}", "next", overwrite=True)
            seen = [early.next_line() for _ in range(39)]
            assert seen == [late.next_line() for _ in range(39)]
    assert [json.loads(line)["seq"] for line in seen] == list(range(2, 41))


# --- announce ------------------------------------------------------------------------------------


def test_announce_is_present_until_it_is_told_to_end(registry: DeviceRegistry) -> None:
    with running(
        "announce", "camera", "tcp://a:1", "--name", "cam", "--metadata", "lens=50",
        "--registry", registry.url,
    ) as announce:  # fmt: skip
        assert announce.next_line() == f"camera cam is present at {registry.url}"
        assert registry.devices == {"cam": ("camera", "tcp://a:1")}
        assert end(announce) == 0
        assert registry.devices == {}


def test_a_killed_device_is_removed_within_100_ms_of_its_deadline(
    registry: DeviceRegistry, client: RawClient
) -> None:
    with running("watch", "--json", "--registry", registry.url) as watch:
        lease = 0.6
        with running(
            "announce", "camera", "tcp://a:1", "--lease", str(lease), "--registry", registry.url
        ) as announce:
            assert json.loads(watch.next_line())["event"] == "added"
            announce.next_line()
            announce.process.kill()
            killed = time.time()
        removed = json.loads(watch.next_line())
    assert (removed["event"], removed["reason"]) == ("removed", "expired")
    # Its last renewal was up to a third of the lease before it was killed.
    assert -lease / 3 - 0.05 < removed["time"] - killed - lease < 0.1


def test_announce_is_present_for_as_long_as_a_command_runs(registry: DeviceRegistry) -> None:
    script = "import sys; sys.stdin.readline(); sys.exit(7)"
    process = subprocess.Popen(
        [sys.executable, "-m", "devicewatch.registry", "announce", "camera", "tcp://a:1",
         "--registry", registry.url, "--", sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        wait_until(lambda: registry.devices)
        process.communicate(b"\n", timeout=PATIENCE)
    assert process.returncode == 7
    assert registry.devices == {}


def test_a_command_is_ended_with_its_announcement(registry: DeviceRegistry) -> None:
    script = "import signal; print('running', flush=True); signal.pause()"
    with running(
        "announce", "camera", "tcp://a:1", "--registry", registry.url,
        "--", sys.executable, "-c", script,
    ) as announce:  # fmt: skip
        assert announce.next_line() == "running"
        assert end(announce) == 128 + signal.SIGTERM
    assert registry.devices == {}


def test_a_command_that_does_not_exist_is_one_clear_line(registry: DeviceRegistry) -> None:
    result = run(
        "announce", "camera", "tcp://a:1", "--registry", registry.url, "--", "no-such-command"
    )
    assert result.returncode == 1
    assert "Error: cannot run 'no-such-command': there is no such command" in result.stderr
    assert "Traceback" not in result.stderr
    assert registry.devices == {}


def test_logs_are_json_when_nobody_is_at_a_terminal(registry: DeviceRegistry) -> None:
    result = run("announce", "camera", "tcp://a:1", "--registry", registry.url, "--", "true")
    # What the command itself says is on stderr, too, before or after.
    record = json.loads(next(line for line in result.stderr.splitlines() if line[0] == "{"))
    assert (record["event"], record["device"]) == ("registered", "camera-0")


# --- demo ----------------------------------------------------------------------------------------


def test_the_demo_ends_with_equal_views_in_time() -> None:
    since = time.monotonic()
    result = run("demo")
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - since < 20
    for words in (
        "unregistered",
        "expired",
        "replaced",
        "the watcher's view equals the registry's",
    ):
        assert words in result.stdout


# Nothing can be waited for here: that a lease of this length would have ended by then is the point.
SLOW_TO_START_AGAIN = """
import pathlib, sys, time
from devicewatch.registry.cli import main
if "cam" in sys.argv:
    started = pathlib.Path({started!r})
    if started.exists():
        time.sleep({seconds})
    started.touch()
main()
"""


def test_the_demo_does_not_depend_on_how_soon_a_program_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SLOW_TO_START_AGAIN.format(started=str(tmp_path / "started"), seconds=SHORT_LEASE)
    monkeypatch.setattr(f"{run_demo.__module__}._COMMAND", (sys.executable, "-c", script))
    assert run_demo(), capsys.readouterr().err
    assert "replaced" in capsys.readouterr().out
