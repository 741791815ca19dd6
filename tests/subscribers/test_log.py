"""`LogSubscriber`: what it writes, how it goes on, and how it ends."""

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import zmq

from devicewatch.events import (
    AddressError,
    AuthenticationError,
    Cursor,
    Live,
    LogError,
    Record,
    Stale,
)
from devicewatch.events.protocol import Role
from devicewatch.events.text import printable
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import LogFormat, LogSubscriber
from devicewatch.subscribers.lines import Lines
from devicewatch.subscribers.logfile import LogFile
from tests.support.hostile import DEVICE, HOSTILE, TRICKS, lying_registry, registry_of_old
from tests.support.keys import guarded, let_in_by
from tests.support.live import RawClient, free_port, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


def lines(log: Path | io.StringIO) -> list[dict[str, Any]]:
    text = log.getvalue() if isinstance(log, io.StringIO) else log.read_text()
    return [json.loads(line) for line in text.splitlines()]


def kinds(log: Path | io.StringIO) -> list[str]:
    return [line["event"] for line in lines(log)]


def events(log: Path) -> list[tuple[int, str]]:
    return [(line["seq"], line["origin"]) for line in lines(log) if "seq" in line]


def wait_for(log: Path | io.StringIO, kind: str, count: int = 1) -> None:
    def has_come() -> bool:
        text = log.getvalue() if isinstance(log, io.StringIO) else log.read_text()
        return text.count(f'"event": "{kind}"') >= count

    wait_until(lambda: (isinstance(log, io.StringIO) or log.exists()) and has_come())


# --- what it writes -------------------------------------------------------------------------------


def test_each_line_has_the_keys_that_are_documented(
    client: RawClient, registry: DeviceRegistry, path: Path
) -> None:
    with LogSubscriber(registry.url, path):
        wait_for(path, "live")
        uuid = client.register("tcp://a:1", "cam", metadata={"lens": "50 mm"})["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})
        wait_for(path, "removed")
        registry.stop()
        wait_for(path, "stale")
    found = lines(path)
    first = ["timestamp", "level", "event"]
    event = ["origin", "epoch", "seq", "time", "device", "reason", "cursor"]
    expected = {
        "start": ["cursor", "why"],
        "live": ["time", "cursor", "resynced", "resumed"],
        "added": event,
        "removed": event,
        "stale": ["time", "why"],
        "stop": ["cursor"],
    }
    assert [line["event"] for line in found] == list(expected)
    for line in found:
        assert list(line) == first + expected[line["event"]]
    added, removed, stale = found[2:5]
    assert added["device"]["metadata"] == {"lens": "50 mm"}
    assert (added["reason"], removed["reason"]) == (None, "unregistered")
    assert (stale["level"], stale["why"]) == ("warning", "the registry has stopped")
    page = (Path(__file__).parents[2] / "docs" / "log.md").read_text()
    for key in {key for keys in expected.values() for key in keys} | {*first, *expected}:
        assert f"`{key}`" in page, key


def test_a_stream_has_the_lines_at_once_and_keeps_nothing(
    client: RawClient, registry: DeviceRegistry, tmp_path: Path
) -> None:
    client.register("tcp://a:1", "cam")
    for _ in range(2):
        stream = io.StringIO()
        with LogSubscriber(registry.url, stream) as logger:
            wait_for(stream, "live")
            logger.reopen()
        assert kinds(stream) == ["start", "added", "live", "stop"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", LogFormat)
def test_whatever_a_device_calls_itself_is_one_harmless_line(form: LogFormat) -> None:
    stream = io.StringIO()
    with (
        registry_of_old(dict.fromkeys(("name", "device_type", "addr"), HOSTILE)) as registry,
        LogSubscriber(registry.url, stream, format=form),
    ):
        wait_until(lambda: "live" in stream.getvalue())
    text = stream.getvalue()
    assert not (TRICKS - {"\n"}) & set(text)
    assert len(text.splitlines()) == 4
    if form is LogFormat.JSON:
        assert text.isascii()
        assert lines(stream)[1]["device"]["name"] == HOSTILE
    else:
        assert printable(HOSTILE).replace("\\", "\\\\") in text


def test_whatever_a_registry_says_is_one_harmless_line(context: Context) -> None:
    stream = io.StringIO()
    with (
        lying_registry(context, time=1e300) as url,
        LogSubscriber(url, stream, format=LogFormat.CONSOLE),
    ):
        wait_until(lambda: "live" in stream.getvalue())
    text = stream.getvalue()
    assert not (TRICKS - {"\n"}) & set(text)
    assert len(text.splitlines()) == 4
    assert "time=?" not in text.splitlines()[0]
    assert DEVICE["registered_at"] == 1e300
    assert "time=?" in text.splitlines()[1]


def test_people_are_told_the_essential(client: RawClient, registry: DeviceRegistry) -> None:
    stream = io.StringIO()
    with LogSubscriber(registry.url, stream, format=LogFormat.CONSOLE):
        wait_until(lambda: " live " in stream.getvalue())
        uuid = client.register("tcp://a:1", "cam", metadata={"lens": "wide"})["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})
        wait_until(lambda: "removed" in stream.getvalue())
    text = stream.getvalue()
    assert " added    name=cam type=camera addr=tcp://a:1 " in text
    assert "metadata=lens=wide" in text or "metadata='lens=wide'" in text
    assert "reason=unregistered" in text
    assert "\x1b" not in text


# --- how it goes on -------------------------------------------------------------------------------


def test_a_stream_whose_encoding_lacks_a_character_shows_its_number(
    client: RawClient, registry: DeviceRegistry
) -> None:
    client.register("tcp://a:1", "\N{SEAL}")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with LogSubscriber(registry.url, stream, format=LogFormat.CONSOLE):
        wait_until(lambda: rb"name=\U0001f9ad" in raw.getvalue())


def test_it_goes_on_where_it_stopped(
    client: RawClient, registry: DeviceRegistry, path: Path
) -> None:
    client.register("tcp://a:1", "one")
    for number in range(2, 5):
        with LogSubscriber(registry.url, path):
            wait_for(path, "live", number - 1)
        client.register(f"tcp://a:{number}")
    assert events(path) == [(1, "snapshot"), (2, "live"), (3, "live")]
    resumed = [line["resumed"] for line in lines(path) if line["event"] == "live"]
    assert resumed == [None, True, True]
    starts = [line["cursor"] for line in lines(path) if line["event"] == "start"]
    epoch = lines(path)[1]["epoch"]
    assert starts == [None, f"1/{epoch}", f"2/{epoch}"]


def test_where_the_history_does_not_reach_the_lines_say_so(context: Context, path: Path) -> None:
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", history=2) as registry,
        raw_client(context, registry.url) as client,
    ):
        client.register("tcp://a:1", "one")
        with LogSubscriber(registry.url, path):
            wait_for(path, "live")
        for number in range(2, 6):
            client.register(f"tcp://a:{number}")
        with LogSubscriber(registry.url, path):
            wait_for(path, "live", 2)
    assert events(path) == [(1, "snapshot"), *((seq, "resync") for seq in range(1, 6))]
    assert [line["resumed"] for line in lines(path) if line["event"] == "live"] == [None, False]


def test_a_difference_is_written_in_one_piece(
    context: Context, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or nobody could go on in the middle of it."""
    monkeypatch.setattr("devicewatch.subscribers.log.BATCH", 1)
    monkeypatch.setattr("devicewatch.subscribers.inquiry.LONGEST_PAUSE", 0.2)
    batches: list[list[str]] = []
    put = LogFile.put

    def note(log: LogFile, text: str, cursor: Any) -> None:
        batches.append([json.loads(line)["event"] for line in text.splitlines()])
        put(log, text, cursor)

    monkeypatch.setattr(LogFile, "put", note)
    port, events_port = free_port(), free_port()

    def begin() -> DeviceRegistry:
        return DeviceRegistry(addr="127.0.0.1", port=port, events_port=events_port)

    with begin() as registry, raw_client(context, registry.url) as client:
        for number in range(3):
            client.register(f"tcp://a:{number}")
        logger = LogSubscriber(registry.url, path)
        logger.start()
        wait_for(path, "live")
    with begin() as registry, raw_client(context, registry.url) as client:
        client.register("tcp://a:9", "new")
        wait_for(path, "live", 2)
        logger.stop()
    assert ["removed", "removed", "removed", "added"] in batches
    assert max(len(batch) for batch in batches) == 4


class Script:
    """A watcher that tells what is written down here, and is closed then."""

    def __init__(self, *records: Record) -> None:
        self.cursor: Cursor | None = None
        self.resumed: bool | None = None
        self.closed = False
        self._records = list(records)

    def __call__(self, url: str, **options: Any) -> Self:
        return self

    def get_record(self, timeout: float | None = None) -> Record | None:
        self.closed = not self._records
        return self._records.pop(0) if self._records else None

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def test_a_silence_is_one_line_however_often_it_tries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(1.0, Cursor("E", 1))
    told = (Stale(1.0, "one"), Stale(2.0, "two"), live, Stale(3.0, "three"), Stale(4.0, "four"))
    monkeypatch.setattr("devicewatch.subscribers.log.Watcher", Script(*told))
    LogSubscriber("tcp://controller:5555", path).run()
    assert kinds(path) == ["start", "stale", "live", "stale", "stop"]
    assert [line["why"] for line in lines(path) if line["event"] == "stale"] == ["one", "three"]


def test_what_is_of_no_interest_takes_the_cursor_along(
    client: RawClient, registry: DeviceRegistry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the history might not reach back to what was."""
    monkeypatch.setattr("devicewatch.subscribers.log.NOTE_AFTER", 0.05)
    note = path.with_name("events.log.cursor")
    with LogSubscriber(registry.url, path, device_type="arm"):
        wait_for(path, "live")
        for number in range(3):
            client.register(f"tcp://a:{number}")
        wait_until(lambda: '"cursor":"3/' in note.read_text())
    assert kinds(path) == ["start", "live", "stop"]


def test_a_cursor_that_no_registry_gives_is_damaged(
    client: RawClient, registry: DeviceRegistry, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.register("tcp://a:1", "cam")
    note = json.dumps({"format": 1, "cursor": f"1/{'x' * 5000}", "pending": None})
    path.with_name("events.log.cursor").write_text(note)
    with LogSubscriber(registry.url, path):
        wait_for(path, "live")
    start = lines(path)[0]
    assert "events.log.cursor is damaged" in start["why"]
    assert start["cursor"] is None
    assert events(path) == [(1, "snapshot")]
    assert "the log goes on, but" in caplog.text


def test_while_it_cannot_write_it_says_so_once_and_loses_nothing(
    client: RawClient,
    registry: DeviceRegistry,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devicewatch.subscribers.log.FIRST_PAUSE", 0.01)
    flush, full, attempts = LogFile.flush, threading.Event(), [0]

    def flush_if_there_is_room(log: LogFile) -> None:
        if full.is_set():
            attempts[0] += 1
            raise OSError(28, "No space left on device")
        flush(log)

    monkeypatch.setattr(LogFile, "flush", flush_if_there_is_room)
    with LogSubscriber(registry.url, path) as logger:
        wait_for(path, "live")
        full.set()
        for number in range(20):
            client.register(f"tcp://a:{number}")
        wait_until(lambda: attempts[0] > 2)
        full.clear()
        logger.reopen()
        wait_for(path, "added", 20)
    assert [seq for seq, _ in events(path)] == list(range(1, 21))
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert "cannot write the log" in said[0]
    assert "nothing is missing" in said[1]


def test_what_could_not_be_written_until_it_was_stopped_is_written_by_the_next_one(
    client: RawClient, registry: DeviceRegistry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LogSubscriber(registry.url, path):
        wait_for(path, "live")
        with monkeypatch.context() as patch:
            tried = threading.Event()

            def fail(log: LogFile) -> None:
                tried.set()
                raise OSError(28, "No space left on device")

            patch.setattr(LogFile, "flush", fail)
            client.register("tcp://a:1", "cam")
            assert tried.wait(5)
            logger_ended = time.monotonic()
        monkeypatch.setattr(LogFile, "flush", fail)
    assert time.monotonic() - logger_ended < 5
    monkeypatch.undo()
    with LogSubscriber(registry.url, path):
        wait_for(path, "live", 2)
    assert [seq for seq, _ in events(path)] == [1]


@pytest.mark.parametrize(
    "step",
    [(LogFile, "put"), (LogFile, "_append"), (LogFile, "_strike_off"), (Lines, "record")],
    ids=lambda step: step[1],
)
@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_may_strike_anywhere(
    step: tuple[type, str],
    before: bool,
    client: RawClient,
    registry: DeviceRegistry,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(1, 4):
        client.register(f"tcp://a:{number}")
    owner, name = step
    method, calls = getattr(owner, name), iter(range(1000))

    def interrupted(*arguments: Any, **options: Any) -> Any:
        last = next(calls) == 1
        if last and before:
            raise KeyboardInterrupt
        result = method(*arguments, **options)
        if last:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            LogSubscriber(registry.url, path).run()
    with LogSubscriber(registry.url, path):
        wait_for(path, "live")
    assert [seq for seq, _ in events(path)] == [1, 2, 3]


# --- how it ends ----------------------------------------------------------------------------------


def test_run_works_in_the_caller_s_thread_until_it_is_stopped(
    registry: DeviceRegistry, path: Path
) -> None:
    logger = LogSubscriber(registry.url, path)
    thread = threading.Thread(target=logger.run, name="devicewatch-test-run")
    thread.start()
    wait_for(path, "live")
    with pytest.raises(RuntimeError, match="starts once"):
        logger.start()
    since = time.monotonic()
    logger.stop()
    thread.join()
    assert time.monotonic() - since < 5
    assert kinds(path) == ["start", "live", "stop"]
    logger.stop()
    assert not logger.is_alive


def test_one_that_is_stopped_before_it_starts_does_nothing(
    registry: DeviceRegistry, path: Path
) -> None:
    logger = LogSubscriber(registry.url, path)
    logger.stop()
    logger.start()
    logger.run()
    logger.join()
    assert not path.exists()


def test_the_end_of_its_context_ends_it(registry: DeviceRegistry, path: Path) -> None:
    mine: Context = zmq.Context()
    logger = LogSubscriber(registry.url, path, context=mine)
    logger.start()
    wait_for(path, "live")
    assert logger.is_alive
    mine.term()
    logger.join(5)
    assert not logger.is_alive
    assert kinds(path) == ["start", "live", "stop"]
    LogFile(path).open()


def test_what_makes_no_sense_is_raised_at_the_start(registry: DeviceRegistry, path: Path) -> None:
    with pytest.raises(AddressError):
        LogSubscriber("controller", path).start()
    with LogSubscriber(registry.url, path), pytest.raises(LogError, match="another logger"):
        LogSubscriber(registry.url, path).run()
    with pytest.raises(LogError, match="No such file"):
        LogSubscriber(registry.url, path.parent / "no" / "folder").start()


def test_a_stream_that_cannot_be_written_to_ends_it(registry: DeviceRegistry) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        LogSubscriber(registry.url, Broken()).run()
    logger = LogSubscriber(registry.url, Broken())
    logger.start()
    with pytest.raises(BrokenPipeError):
        logger.join()


def test_a_registry_that_does_not_let_it_in_ends_it(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded(let_in_by(tmp_path / "list", camera=Role.DEVICE)) as gate:
        logger = LogSubscriber(gate.registry.url, path)
        logger.start()
        with pytest.raises(AuthenticationError):
            logger.join()
        with pytest.raises(AuthenticationError):
            LogSubscriber(gate.registry.url, path).run()
    assert "the log has ended" in caplog.text
    told = [kind for kind in kinds(path) if kind != "stale"]  # it may be in time
    assert told == ["start", "stop", "start", "stop"]
