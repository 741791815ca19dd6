"""Ticks, deadlines and the time of day in the core, and what its work costs."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from devicewatch.events.messages import (
    CheckAlive,
    Info,
    Replay,
    Request,
    Snapshot,
    Unregister,
)
from devicewatch.events.protocol import (
    Reason,
)
from devicewatch.events.records import Bye, Tick
from devicewatch.registry.core import GREETING_INTERVAL, RegistryCore
from devicewatch.registry.settings import CoreSettings
from tests.support.cores import (
    EPOCH,
    device,
    events_of,
    new_core,
    register,
    register_many,
    removed,
    wish,
)

# --- ticks, greetings and the last word ---------------------------------------------------------


def ticks_at(core: RegistryCore, *times: float) -> list[float]:
    return [now for now in times if core.tick(now) is not None]


def test_the_first_tick_is_due_after_one_interval() -> None:
    core = new_core(now=100.0)

    assert ticks_at(core, 100.0, 100.999, 101.0) == [101.0]


def test_a_tick_says_where_the_stream_is_at(core: RegistryCore) -> None:
    register_many(core, 3)
    core.wall_offset = 1_000.0

    assert core.tick(1.0) == Tick(EPOCH, seq=3, time=1_001.0)


def test_ticks_come_once_per_interval() -> None:
    core = new_core(settings=CoreSettings(tick_interval=0.5))

    assert ticks_at(core, 0.25, 0.5, 0.75, 1.0, 1.0, 1.25, 1.5) == [0.5, 1.0, 1.5]


def test_a_late_tick_does_not_put_off_the_next(core: RegistryCore) -> None:
    assert ticks_at(core, 1.4, 1.9, 2.0, 3.0) == [1.4, 2.0, 3.0]


def test_after_a_long_pause_there_is_one_tick_and_not_all_that_were_missed(
    core: RegistryCore,
) -> None:
    assert ticks_at(core, 100.5, 100.5, 101.0, 101.4, 101.5, 102.5) == [100.5, 101.5, 102.5]


def test_after_a_pause_of_exactly_two_intervals_there_is_one_tick(core: RegistryCore) -> None:
    assert ticks_at(core, 2.0, 2.0, 2.5, 3.0) == [2.0, 3.0]


def test_a_greeting_is_a_tick_that_does_not_put_off_the_next(core: RegistryCore) -> None:
    register(core, wish())
    core.wall_offset = 10.0
    core.subscribed(0.25)

    assert core.next_deadline() == 0.25
    assert core.tick(0.25) == Tick(EPOCH, seq=1, time=10.25)
    assert ticks_at(core, 0.5, 1.0) == [1.0]


def test_a_crowd_of_subscribers_is_greeted_together(core: RegistryCore) -> None:
    core.subscribed(0.25)
    assert ticks_at(core, 0.25) == [0.25]
    for later in (0.251, 0.252, 0.259):
        core.subscribed(later)

    assert core.next_deadline() == 0.25 + GREETING_INTERVAL
    assert ticks_at(core, 0.259, 0.261, 0.262, 0.9) == [0.261]


def test_a_regular_tick_greets_as_well(core: RegistryCore) -> None:
    core.subscribed(0.996)
    assert ticks_at(core, 0.996) == [0.996]
    core.subscribed(0.999)

    assert ticks_at(core, 1.0, 1.007, 1.5) == [1.0]


def test_a_greeting_waits_for_no_other_once_a_while_has_passed(core: RegistryCore) -> None:
    core.subscribed(0.25)
    ticks_at(core, 0.25)
    core.subscribed(0.5)

    assert core.next_deadline() == 0.5
    assert ticks_at(core, 0.5, 0.6) == [0.5]


def test_the_last_word_says_where_the_stream_ends(core: RegistryCore) -> None:
    register(core, wish())
    core.wall_offset = 10.0

    assert core.bye(3.5) == Bye(EPOCH, seq=1, time=13.5)


# --- next_deadline ------------------------------------------------------------------------------


def test_without_devices_the_next_deadline_is_the_tick(core: RegistryCore) -> None:
    assert core.next_deadline() == 1.0
    core.tick(1.0)
    assert core.next_deadline() == 2.0


def test_a_lease_that_ends_before_the_next_tick_is_the_next_deadline(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a", alive_timeout=0.5), 0.25)
    register(core, wish("arm", "tcp://b", alive_timeout=0.5), 0.375)

    assert core.next_deadline() == 0.75
    core.expire(0.75)
    assert core.next_deadline() == 0.875
    core.expire(0.875)
    assert core.next_deadline() == 1.0


def test_a_shorter_renewal_brings_the_next_deadline_forward(core: RegistryCore) -> None:
    ack = register(core, wish())
    core.handle(CheckAlive(ack.uuid, 0.5), 0.25)

    assert core.next_deadline() == 0.75


def test_once_all_is_done_the_next_deadline_is_in_the_future(core: RegistryCore) -> None:
    acks = register_many(core, 10, name="")
    for ack in acks[:5]:
        core.handle(CheckAlive(ack.uuid, 40.0), 10.0)
    for now in (19.0, 20.0, 49.0, 50.0, 1_000.0):
        core.expire(now)
        core.tick(now)
        assert core.next_deadline() > now


# --- the time of day ----------------------------------------------------------------------------


def test_the_time_of_day_dates_events_and_nothing_else(core: RegistryCore) -> None:
    ack = register(core, wish("cam", "tcp://a"))
    for wall_offset in (1e9, -1e9, 1.75e9):
        core.wall_offset = wall_offset
        assert core.expire(19.999) == []
    core.handle(CheckAlive(ack.uuid, 10.0), 19.0)
    core.wall_offset = 0.0
    assert core.next_deadline() == 1.0
    assert core.expire(28.999) == []

    core.wall_offset = 5_000.0
    assert core.expire(29.0) == [
        removed(device("cam", "tcp://a", 1, 0.0), 2, Reason.EXPIRED, time=5_029.0)
    ]


def test_where_the_clock_falters_time_stands_still(core: RegistryCore) -> None:
    core.wall_offset = 1_000.0
    [first] = events_of(core, wish("cam", "tcp://a"), 1.0)
    core.wall_offset = 998.5
    [second] = events_of(core, wish("arm", "tcp://b"), 2.0)

    assert (first.seq, first.time) == (1, 1_001.0)
    assert (second.seq, second.time) == (2, 1_001.0)
    assert core.devices["arm"].registered_at == 1_001.0
    tick = core.tick(3.0)
    assert tick is not None
    assert tick.time == 1_001.5, "it has caught up"


def test_where_somebody_sets_the_clock_back_time_goes_with_it(core: RegistryCore) -> None:
    core.wall_offset = 1_000.0
    events_of(core, wish("cam", "tcp://a"), 1.0)
    core.wall_offset = 500.0
    [event] = events_of(core, wish("arm", "tcp://b"), 2.0)

    assert event.time == 502.0


def test_times_are_rounded_to_microseconds(core: RegistryCore) -> None:
    core.wall_offset = 1_763_850_000.123456789
    [event] = events_of(core, wish(), 0.25)

    assert event.time == event.device.registered_at == 1_763_850_000.373457


# --- settings -----------------------------------------------------------------------------------


def test_settings_have_defaults() -> None:
    settings = RegistryCore(EPOCH, 0.0).settings

    assert settings == CoreSettings(tick_interval=1.0, history=10_000, events_port=0)


@pytest.mark.parametrize("tick_interval", [0, -1, 0.009, 3_600.1, float("nan"), float("inf")])
def test_a_tick_interval_out_of_range_is_refused(tick_interval: float) -> None:
    with pytest.raises(ValueError, match="tick_interval"):
        CoreSettings(tick_interval=tick_interval)


@pytest.mark.parametrize("history", [-1, 10_000_001])
def test_a_history_out_of_range_is_refused(history: int) -> None:
    with pytest.raises(ValueError, match="history"):
        CoreSettings(history=history)


@pytest.mark.parametrize("history", [10.0, "10", None])
def test_a_history_that_is_no_whole_number_is_refused(history: Any) -> None:
    with pytest.raises(TypeError, match="history"):
        CoreSettings(history=history)


@pytest.mark.parametrize("tick_interval", [0.01, 3_600])
@pytest.mark.parametrize("history", [0, 10_000_000])
def test_the_limits_of_settings_are_allowed(tick_interval: float, history: int) -> None:
    settings = CoreSettings(tick_interval=tick_interval, history=history)

    assert (settings.tick_interval, settings.history) == (tick_interval, history)
    assert isinstance(settings.tick_interval, float)


# --- what it costs ------------------------------------------------------------------------------


def steps(do: Callable[[], object]) -> int:
    """How many instructions of Python `do` takes: a time that is the same on every machine."""
    taken = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal taken
        frame.f_trace_opcodes = True
        taken += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)
    return taken


def costs(devices: int) -> Iterator[tuple[str, int]]:
    """The steps of each request where that many devices proposed the same name."""
    core = new_core()
    acks = register_many(core, devices)
    middle = acks[devices // 2].uuid
    requests: dict[str, Request] = {
        "renew": CheckAlive(middle),
        "snapshot": Snapshot(devices // 2, limit=3),
        "replay": Replay(EPOCH, devices // 2, limit=3),
        "info": Info(),
        "register under a taken name": wish("cam", "tcp://new"),
        "register without a name": wish("", "tcp://newer"),
        "register with overwrite": wish("cam", "tcp://newest", overwrite=True),
        "register at a taken address": wish("cam", "tcp://1"),
        "unregister": Unregister(middle),
    }
    for what, request in requests.items():
        yield what, steps(partial(core.handle, request, 0.0))
    yield "expire nobody", steps(partial(core.expire, 1.0))
    yield "tick", steps(partial(core.tick, 1.0))


@pytest.mark.interpreted
def test_no_request_takes_steps_in_proportion_to_the_devices() -> None:
    few, many = dict(costs(10)), dict(costs(3_000))

    assert all(few.values())
    for what, cost in many.items():
        assert cost <= 2 * few[what] + 100, what


def test_the_last_of_thousands_to_propose_a_name_waits_no_longer_than_the_first() -> None:
    core = new_core()
    cost = [steps(partial(core.handle, wish("cam", f"tcp://{n}"), 0.0)) for n in range(3_000)]

    assert list(core.devices)[-1] == "cam-2999"
    assert sum(cost[-500:]) <= 1.5 * sum(cost[:500])
