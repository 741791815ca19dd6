"""Descriptors are waited for in the same way, whichever code does it."""

import importlib
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest

from devicewatch.events import files
from devicewatch.events.files import plain
from devicewatch.events.sockets import Bell
from devicewatch.registry.build import COMPILED
from tests.support.live import PATIENCE

OPEN = Path("/proc/self/fd")

EPOLL = COMPILED and sys.platform == "linux"

WAYS = ["plain.Files", "plain.LastingFiles"]
if COMPILED:
    WAYS += ["speedups.Files"]
if EPOLL:
    WAYS += ["epoll.LastingFiles"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> type[plain.Files]:
    module, name = request.param.split(".")
    found: type[plain.Files] = getattr(
        importlib.import_module(f"devicewatch.events.files.{module}"), name
    )
    return found


@pytest.fixture
def bell() -> Iterator[Bell]:
    with Bell() as bell:
        yield bell


def test_what_is_compiled_is_used() -> None:
    assert (files.Files is not plain.Files) == COMPILED
    assert (files.LastingFiles is not plain.LastingFiles) == EPOLL


def test_all_that_can_be_read_are_told_and_no_others(way: type[plain.Files]) -> None:
    with ExitStack() as stack:
        bells = [stack.enter_context(Bell()) for _ in range(40)]
        waiting = way([bell.fileno() for bell in bells])
        for rung in ([], bells[3:4], bells[:2], bells, []):
            for bell in rung:
                bell.ring()
            expected = {bell.fileno() for bell in rung}
            for _ in range(2):  # it is there until it is read
                assert set(waiting.wait(PATIENCE if rung else 0)) == expected
            for bell in rung:
                bell.hush()


@pytest.mark.parametrize("seconds", [0, 0.0, -1, -math.inf, math.nan])
def test_without_any_time_it_only_looks(way: type[plain.Files], bell: Bell, seconds: float) -> None:
    waiting = way([bell.fileno()])
    assert waiting.wait(seconds) == []
    bell.ring()
    assert waiting.wait(seconds) == [bell.fileno()]


def test_it_wakes_up_after_each_deadline_and_not_before(way: type[plain.Files], bell: Bell) -> None:
    """Whether it is sooner or later than the one before, and how much is left of that."""
    waiting = way([bell.fileno()])
    for seconds in (0.01, 0.02, 0.001, 0.02, 0.015, 0.0001, 1e-9):
        end = time.monotonic() + seconds
        assert waiting.wait(seconds) == []
        assert end <= time.monotonic() < end + PATIENCE


def test_an_earlier_deadline_that_was_not_reached_ends_no_later_wait(
    way: type[plain.Files], bell: Bell
) -> None:
    waiting = way([bell.fileno()])
    bell.ring()
    for seconds in (0.02, 0.01, 0.03):
        assert waiting.wait(seconds) == [bell.fileno()]
    bell.hush()
    end = time.monotonic() + 0.05
    assert waiting.wait(0.05) == []
    assert time.monotonic() >= end


@pytest.mark.parametrize("seconds", [PATIENCE, 1e9, math.inf])
def test_it_wakes_up_when_something_comes_however_long_it_would_wait(
    way: type[plain.Files], bell: Bell, seconds: float
) -> None:
    waiting = way([bell.fileno()])
    ringer = threading.Timer(0.01, bell.ring)
    ringer.start()
    assert waiting.wait(seconds) == [bell.fileno()]
    ringer.join()


def test_a_closed_connection_can_be_read(way: type[plain.Files]) -> None:
    here, there = socket.socketpair()
    with here:
        waiting = way([here.fileno()])
        there.close()
        assert waiting.wait(PATIENCE) == [here.fileno()]


def test_with_nothing_to_wait_for_it_waits(way: type[plain.Files]) -> None:
    end = time.monotonic() + 0.01
    assert way([]).wait(0.01) == []
    assert time.monotonic() >= end


def test_a_signal_is_dealt_with_and_ends_no_wait(way: type[plain.Files], bell: Bell) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        handled.append(time.monotonic())
        if len(handled) == 3:
            bell.ring()

    handled: list[float] = []
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        assert way([bell.fileno()]).wait(PATIENCE) == [bell.fileno()]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) >= 3


def test_what_a_signal_raises_ends_it(way: type[plain.Files], bell: Bell) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        raise InterruptedError("enough")

    waiting = way([bell.fileno()])
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        with pytest.raises(InterruptedError, match="enough"):
            waiting.wait(PATIENCE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    bell.ring()
    assert waiting.wait(PATIENCE) == [bell.fileno()]


def test_what_is_closed_is_not_waited_for(way: type[plain.Files]) -> None:
    """It can be told from one that is silent only here."""
    with pytest.raises(ValueError, match="descriptor"):
        way([-1])


@pytest.mark.skipif(not OPEN.is_dir(), reason="it counts them in Linux's way")
def test_it_leaves_no_descriptors_open_and_closes_no_others(
    way: type[plain.Files], bell: Bell
) -> None:
    before = sorted(OPEN.iterdir())
    for _ in range(20):
        way([bell.fileno()]).wait(0)
        with pytest.raises(ValueError, match="descriptor"):
            way([bell.fileno(), -1])
        for wrong in ((), (None,), ([bell.fileno()], 1)):
            with pytest.raises(TypeError):
                way(*wrong)
    assert sorted(OPEN.iterdir()) == before


@pytest.mark.skipif(not OPEN.is_dir(), reason="it counts them in Linux's way")
def test_what_lasts_is_closed_when_it_is_told_to(bell: Bell) -> None:
    before = sorted(OPEN.iterdir())
    waiting = files.LastingFiles([bell.fileno()])
    bell.ring()
    assert waiting.wait(PATIENCE) == [bell.fileno()]
    waiting.close()
    waiting.close()
    assert sorted(OPEN.iterdir()) == before


@pytest.mark.skipif(not EPOLL, reason="only this opens any")
def test_where_no_more_files_may_be_opened_that_is_said() -> None:
    resource = importlib.import_module("resource")  # which not every system has
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Bell() as bell:
        resource.setrlimit(resource.RLIMIT_NOFILE, (bell.fileno() + 1, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                [files.LastingFiles([]) for _ in range(bell.fileno() + 1)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
