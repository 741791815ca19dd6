"""Whatever a device calls itself, and whatever answers in place of a registry: shown harmlessly."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
import zmq
from click.testing import CliRunner, Result

from devicewatch.events import DevicewatchError, MessageError
from devicewatch.events.logs import get_logger
from devicewatch.events.text import duration
from devicewatch.registry import DeviceRegistry, announce, register_device
from devicewatch.registry.cli import main
from devicewatch.registry.commands import display
from devicewatch.registry.presence import PresenceState, PresenceStatus
from devicewatch.subscribers import Watcher
from tests.support.hostile import (
    DEVICE,
    HOSTILE,
    REPLIES,
    SHOWN,
    TRICKS,
    error,
    lying_registry,
    registry_of_old,
)
from tests.support.journals import Changes
from tests.support.live import raw_client, silent_registry

Context = zmq.Context[zmq.Socket[bytes]]

OLD = {"name": HOSTILE, "device_type": HOSTILE, "addr": "tcp://a:1", "metadata": {HOSTILE: HOSTILE}}

COMMANDS = [["list"], ["info"], ["announce", "camera", "tcp://a:1", "--lease", "0.5", "--", "true"]]


def run(url: str, command: str, *arguments: str) -> Result:
    """Run a command, and see that its output is harmless."""
    result = CliRunner().invoke(main, [command, "--registry", url, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert not TRICKS & set(result.output)
    assert not any(line.startswith("2026 forged") for line in result.output.splitlines())
    assert "--json" in arguments or len(result.output) < 20_000
    return result


@pytest.fixture
def old_registry() -> Iterator[DeviceRegistry]:
    with registry_of_old(OLD) as registry:
        yield registry


# --- a device that was there before ---------------------------------------------------------------


def test_a_device_of_old_is_shown_harmlessly(old_registry: DeviceRegistry) -> None:
    for command in (["list"], ["watch", "--count", "1"]):
        assert SHOWN in run(old_registry.url, *command).output


def test_json_is_harmless_and_loses_nothing(old_registry: DeviceRegistry) -> None:
    listed = run(old_registry.url, "list", "--json").output
    watched = run(old_registry.url, "watch", "--json", "--count", "1").output
    assert listed.isascii()
    assert watched.isascii()
    (device,) = json.loads(listed)
    assert device == json.loads(watched)["device"]
    assert device.items() >= OLD.items()


def test_whoever_follows_gets_the_text_as_it_is(old_registry: DeviceRegistry) -> None:
    with Watcher(old_registry.url) as watcher:
        event = watcher.get(5)
        assert event is not None
        assert event.device.name == HOSTILE
        assert HOSTILE in watcher.devices


def test_it_is_named_harmlessly_to_whoever_it_is_in_the_way_of(
    old_registry: DeviceRegistry, context: Context
) -> None:
    with raw_client(context, old_registry.url) as client:
        wish = {"device_type": "camera", "addr": "tcp://a:1", "name": "cam", "displace": False}
        refused = client.ask("REGISTER", wish)["payload"]
    assert refused["code"] == "OCCUPIED"
    assert refused["message"].isprintable()


# --- a device that registers now ------------------------------------------------------------------


def test_a_device_with_such_a_name_is_refused(registry: DeviceRegistry, context: Context) -> None:
    with raw_client(context, registry.url) as client:
        wish = {"device_type": "camera", "addr": "tcp://a:1", "name": "a\u202eb"}
        refused = client.ask("REGISTER", wish)["payload"]
        assert refused == {
            "req_event": "REGISTER",
            "code": "INVALID",
            "message": "name holds U+202E (RIGHT-TO-LEFT OVERRIDE), which does not print",
        }
        assert client.register("tcp://a:1", "ab")["name"] == "ab"


def test_its_owner_is_told_without_any_registry(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    with silent_registry(context) as url:
        assert register_device(context, "camera", "tcp://a:1", HOSTILE, url) == ("", "")
        (record,) = caplog.records
        assert vars(record)["device"] == SHOWN
        assert vars(record)["why"] == "name holds U+001B, which does not print"
        with (
            pytest.raises(MessageError, match=r"^addr holds U\+001B, which does not print$"),
            announce("camera", HOSTILE, registry_url=url, context=context),
        ):
            pytest.fail("the block must not run")
        result = run(url, "announce", "camera", "tcp://a:1", "--name", HOSTILE)
    assert (result.exit_code, result.output) == (
        1,
        "Error: name holds U+001B, which does not print\n",
    )


# --- a registry that is none ----------------------------------------------------------------------


@pytest.mark.parametrize("time", [1.0, 1e300, -1e300])
def test_a_lying_registry_is_shown_harmlessly(context: Context, time: float) -> None:
    device = DEVICE | {"registered_at": time}
    page: Any = {
        "event": "SNAPSHOT",
        "payload": REPLIES["SNAPSHOT"]["payload"] | {"devices": [device]},
    }
    with lying_registry(context, {**REPLIES, "SNAPSHOT": page}, time=time) as url:
        for command in (["list"], ["info"], ["watch", "--count", "1"]):
            shown = run(url, *command)
            assert shown.exit_code == 0
            program = run(url, *command, "--json")
            assert program.output.isascii()
            assert json.loads(program.output)
        assert json.loads(run(url, "list", "--json").output) == [device]
        refused = run(url, *COMMANDS[-1])
        assert refused.exit_code == 1
        assert f"gives a name that does not print: {SHOWN}" in refused.output


@pytest.mark.parametrize(
    "reply",
    [
        error(),
        error("x" * 1_000_000, "y" * 1_000_000),
        {"event": "UNSUPPORTED", "payload": {"req_event": HOSTILE}},
        {"event": "UNSUPPORTED", "payload": {"req_event": "x" * 1_000_000}},
        {"event": HOSTILE, "payload": {}},
        {"event": "x" * 1_000_000, "payload": {}},
        {"event": "ACK", "payload": {"req_event": HOSTILE, "success": 1}},
    ],
    ids=range(7),
)
def test_what_it_says_in_refusing_is_one_harmless_line(
    context: Context, reply: dict[str, Any]
) -> None:
    with lying_registry(context, dict.fromkeys(("INFO", "SNAPSHOT", "REGISTER"), reply)) as url:
        for command in (*COMMANDS, ["watch", "--timeout", "0.1"]):
            result = run(url, *command)
            assert result.exit_code == 1
            (line,) = (line for line in result.output.splitlines() if line.startswith("Error: "))
            assert len(line) < 1_500


@pytest.mark.parametrize(
    "events_url", [f"tcp://{HOSTILE}", f"ipc://{HOSTILE}", "ipc:///" + "x" * 100_000, "", "\0"]
)
def test_where_it_says_its_stream_is_is_shown_harmlessly(context: Context, events_url: str) -> None:
    with lying_registry(context, events_url=events_url) as url:
        assert run(url, "info").exit_code == 0
        assert json.loads(run(url, "info", "--json").output)["events_url"] == events_url
        result = run(url, "watch", "--timeout", "0.1")
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: no live view of the registry at {url}")
        with Watcher(url, context=context) as watcher, pytest.raises(DevicewatchError):
            watcher.connect(0.05)
        assert watcher.status.why.isprintable()


# --- on a terminal --------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Lines that a terminal would be given."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def untouched_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("devicewatch")
    before = (logger.handlers, logger.propagate, logger.level)
    yield logger
    logger.handlers, logger.propagate, logger.level = before


def test_the_log_of_a_command_is_harmless_on_a_terminal(
    untouched_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    display.configure_logs()
    try:
        json.loads(HOSTILE)
        raise AssertionError
    except ValueError as failure:
        failure.add_note(HOSTILE)
        get_logger("devicewatch.test").exception("it failed", device=HOSTILE)
    written = click.unstyle(terminal.getvalue())
    first, *lines = written.removesuffix("\n").split("\n")
    assert repr(SHOWN) in first
    assert "Traceback (most recent call last):" in lines[0]
    assert lines[-2:] == [
        r"  \u001b[2Jgone\u202e",
        r"  2026 forged\u000d\u009b\u007f\u2028\U000e0041",
    ]
    assert not TRICKS & set(written)


def test_one_device_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    honest = Changes().register(name="cam", metadata={"lens": 50}).events[0].device
    long = {"name": "n" * 256, "device_type": "t" * 256, "addr": "a" * 1_024}
    hostile = Changes().register(**long, metadata={"k": "v" * 1_024}).events[0].device
    display.print_devices([honest, hostile])
    header, first, second, *_ = click.unstyle(terminal.getvalue()).splitlines()
    assert header.split() == ["NAME", "TYPE", "ADDRESS", "PRESENT", "FOR", "METADATA"]
    assert first.split()[:3] == ["cam", "camera", "tcp://1"]
    assert "lens=50" in first
    assert second.count("…") >= 3


def test_in_a_pipe_each_device_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    seals = {str(number): "\N{SEAL}" * 1_024 for number in range(32)}
    long = {"name": "\N{SEAL}" * 256, "device_type": "\N{SEAL}" * 256, "addr": "\N{SEAL}" * 1_024}
    device = Changes().register(**long, metadata=seals).events[0].device
    display.print_devices([device])
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == list(long.values())


def test_what_an_encoding_lacks_is_shown_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    display.configure_output()
    display.print_devices(
        [Changes().register(name="K\u00fchlpumpe", metadata={"Ort": "\u6cf5"}).events[0].device]
    )
    written = stream.buffer.getvalue()
    assert rb"K\xfchlpumpe" in written
    assert rb"Ort=\u6cf5" in written


def test_changes_of_a_presence_are_told_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    say = display.PresenceChanges(err=False)
    say(PresenceStatus(PresenceState.PRESENT, HOSTILE))
    say(PresenceStatus(PresenceState.DISPLACED, HOSTILE, why=HOSTILE))
    say(PresenceStatus(PresenceState.PRESENT, "cam", HOSTILE, why=HOSTILE))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() and SHOWN in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1e300, "now"), (0.5, "now"), (3e9, "34722 d"), (4e9, "> 36500 d"), (1e300, "> 36500 d")],
)
def test_a_time_span_is_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words
