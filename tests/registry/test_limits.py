"""How much a registry takes, how fast, and how much it logs of that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    InfoReply,
    Register,
    Reply,
    Unregister,
)
from devicewatch.events.protocol import BURST, MAX_DEVICES
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.journal import MemoryJournal
from devicewatch.registry.limits import KEYED, MAX_RATE, Limits, Rates
from devicewatch.registry.settings import CoreSettings
from devicewatch.registry.tally import INTERVAL, MAX_KEPT, MAX_LINES, Tally
from tests.support.cores import EPOCH, new_core, numbered_uuids, register, wish


def limited(**limits: Any) -> RegistryCore:
    return new_core(settings=CoreSettings(limits=Limits(**limits)))


def ask(core: RegistryCore, request: Register | Info, peer: str | None = "a") -> str:
    """What the reply is called, or its code."""
    return code(core.handle(request, 0.0, peer)[0])


def code(reply: Reply) -> str:
    return reply.code if isinstance(reply, ErrorReply) else type(reply).__name__


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"devices": 0},
        {"devices": MAX_DEVICES + 1},
        {"devices": 1.5},
        {"devices": None},
        {"devices_per_peer": 0},
        {"devices_per_peer": 2.5},
        {"requests_per_peer": 0.5},
        {"requests_per_peer": MAX_RATE * 2},
        {"requests_per_peer": float("nan")},
    ],
)
def test_what_is_out_of_range_is_no_limit(limits: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Limits(**limits)


def test_only_a_registry_with_keys_tells_peers_apart_unasked() -> None:
    assert (Limits().devices_per_peer, Limits().requests_per_peer) == (None, None)
    assert (KEYED.devices_per_peer, KEYED.requests_per_peer) == (1_000, 500.0)
    assert KEYED.devices == Limits().devices


# --- devices -------------------------------------------------------------------------------------


def test_one_device_too_many_is_refused_and_changes_nothing() -> None:
    core = limited(devices=2)
    register(core, wish("one", "tcp://1"))
    register(core, wish("two", "tcp://2"))
    before = core.devices, core.seq
    reply, events = core.handle(wish("three", "tcp://3"), 0.0)
    assert isinstance(reply, ErrorReply)
    assert (reply.req_event, reply.code, events) == ("REGISTER", "TOO_MANY", [])
    assert "takes 2 devices" in reply.message
    assert (core.devices, core.seq, core.change) == (*before, None)


def test_at_the_limit_a_device_may_start_again_or_take_the_place_of_another() -> None:
    core = limited(devices=2, devices_per_peer=2)
    uuid = register(core, wish("one", "tcp://1", instance="i")).uuid
    register(core, wish("two", "tcp://2"))
    assert ask(core, wish("one", "tcp://1", instance="i"), None) == "RegisterAck"
    assert ask(core, wish("one", "tcp://1", instance="j"), None) == "RegisterAck"
    assert ask(core, wish("two", "tcp://3", overwrite=True), None) == "RegisterAck"
    assert ask(core, wish("two", "tcp://1", overwrite=True), None) == "RegisterAck", "of both"
    assert ask(core, wish("four", "tcp://4"), None) == "RegisterAck"
    assert ask(core, wish("five", "tcp://5"), None) == "TOO_MANY"
    assert core.handle(CheckAlive(uuid), 0.0)[0] == Ack("CHECK_ALIVE", False)


def test_whoever_leaves_makes_room() -> None:
    core = limited(devices=1)
    uuid = register(core, wish("one", "tcp://1")).uuid
    core.handle(Unregister(uuid), 0.0)
    register(core, wish("two", "tcp://2"), now=0.0)
    assert ask(core, wish("one", "tcp://1")) == "TOO_MANY"
    assert core.expire(20.0)
    register(core, wish("one", "tcp://1"), now=20.0)


def test_one_peer_may_have_so_many() -> None:
    core = limited(devices_per_peer=2)
    for number in range(2):
        assert ask(core, wish("", f"tcp://{number}")) == "RegisterAck"
    assert ask(core, wish("", "tcp://2")) == "TOO_MANY"
    assert ask(core, wish("", "tcp://1")) == "RegisterAck", "at its address"
    assert ask(core, wish("", "tcp://2"), "b") == "RegisterAck"
    assert ask(core, wish("", "tcp://3"), None) == "RegisterAck", "it cannot be told apart"
    assert ask(core, wish("", "tcp://2")) == "TOO_MANY", "that of another does not count as its own"
    assert core._registrations.by_addr["tcp://2"].peer == "b"


def test_a_refusal_puts_back_whoever_was_there() -> None:
    core = limited(devices_per_peer=1)
    register_as(core, wish("one", "tcp://1", instance="i"), "a", 5.0)
    register_as(core, wish("two", "tcp://2", instance="j"), "b", 5.0)
    held = core._registrations.by_uuid["uuid-2"]
    before = core._leases.left(held, 10.0)
    reply, events = core.handle(wish("two", "tcp://3", overwrite=True), 10.0, "a")
    assert (code(reply), events) == ("TOO_MANY", [])
    assert core._leases.left(held, 10.0) == before
    assert sorted(core.devices) == ["one", "two"]
    assert core.handle(CheckAlive("uuid-2"), 10.0, "b")[0] == Ack("CHECK_ALIVE", True)


def register_as(core: RegistryCore, request: Register, peer: str, now: float) -> None:
    assert code(core.handle(request, now, peer)[0]) == "RegisterAck"


def test_after_a_restart_with_less_room_those_who_are_there_stay() -> None:
    journal = MemoryJournal()
    journal.load(EPOCH, 100)
    core = new_core()
    for number in range(3):
        register(core, wish(f"n{number}", f"tcp://{number}", instance="i"))
        assert core.change is not None
        journal.append(core.change)
    journal.close()
    settings = CoreSettings(limits=Limits(devices=2))
    core = RegistryCore(EPOCH, 0.0, settings, numbered_uuids())
    core.restore(journal.load(EPOCH, 100), 0.0)
    assert core.handle(CheckAlive("uuid-3"), 0.0)[0] == Ack("CHECK_ALIVE", True)
    assert ask(core, wish("n1", "tcp://1", instance="i")) == "RegisterAck", "asked again"
    assert ask(core, wish("new", "tcp://new")) == "TOO_MANY"
    assert len(core.devices) == 3
    core.handle(Unregister("uuid-1"), 0.0)
    assert ask(core, wish("new", "tcp://new")) == "TOO_MANY"
    core.handle(Unregister("uuid-2"), 0.0)
    assert ask(core, wish("new", "tcp://new")) == "RegisterAck"


# --- requests ------------------------------------------------------------------------------------


def test_who_was_quiet_may_ask_for_ten_seconds_worth_at_once() -> None:
    rates = Rates(2.0)
    assert [rates.allows("a", 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert rates.allows("b", 0.0)
    assert [rates.allows("a", 0.5) for _ in range(2)] == [True, False]
    assert [rates.allows("a", 100.0) for _ in range(21)] == [True] * 20 + [False]


def test_any_number_is_no_number() -> None:
    rates = Rates(None)
    assert all(rates.allows("a", 0.0) for _ in range(1000))
    assert not rates._busy_until


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.0, 0.125, 0.5, 4.0, 30.0]))),
    st.sampled_from([1.0, 2.0, 4.0]),
)
def test_nobody_gets_more_than_the_burst_and_the_rate(
    requests: list[tuple[str, float]], per_second: float
) -> None:
    rates = Rates(per_second, burst=2.0)
    now, allowed = 0.0, [("", 0.0)]
    for peer, pause in requests:
        now += pause
        if rates.allows(peer, now):
            allowed.append((peer, now))
        else:
            mine = [time for who, time in allowed if who == peer]
            assert len(mine) >= 2.0 * per_second, "nobody is refused before the burst is used up"
    for peer in "ab":
        times = [time for who, time in allowed if who == peer]
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                most = (times[last] - start + 2.0) * per_second
                assert last - first + 1 <= most


def test_strangers_are_not_remembered_for_ever() -> None:
    rates = Rates(1.0)
    for number in range(20_000):
        assert rates.allows(f"peer {number}", number / 100)
    assert len(rates._busy_until) < 3_000


def test_those_who_still_count_are_not_forgotten() -> None:
    rates = Rates(1.0, burst=2.0)
    rates.allows("a", 0.0)
    rates.allows("a", 0.0)
    for number in range(5_000):
        rates.allows(f"peer {number}", 0.0)
    assert not rates.allows("a", 0.0)


def test_who_asks_too_fast_is_refused_and_may_go_on_later() -> None:
    core = limited(requests_per_peer=1)
    for _ in range(int(BURST)):
        assert ask(core, Info()) == "InfoReply"
    reply, _ = core.handle(Info(), 0.0, "a")
    assert isinstance(reply, ErrorReply)
    assert (reply.req_event, reply.code) == ("INFO", "TOO_FAST")
    assert "1 requests per second" in reply.message
    assert ask(core, wish()) == "TOO_FAST"
    assert core.seq == 0
    assert ask(core, Info(), "b") == "InfoReply"
    assert isinstance(core.handle(Info(), 1.0, "a")[0], InfoReply)
    assert code(core.handle(Info(), 1.0, "a")[0]) == "TOO_FAST"
    assert core.refused == 0, "no key has to do with it"


def test_renewing_and_leaving_are_never_too_fast() -> None:
    core = limited(requests_per_peer=1)
    uuid = register(core, wish()).uuid
    while ask(core, Info()) != "TOO_FAST":
        pass
    for _ in range(100):
        assert core.handle(CheckAlive(uuid), 0.0, "a")[0] == Ack("CHECK_ALIVE", True)
    assert core.handle(Unregister(uuid), 0.0, "a")[0] == Ack("UNREGISTER", True)
    assert core.handle(Unregister(uuid), 0.0, "a")[0] == Ack("UNREGISTER", False)


def test_who_is_not_told_apart_is_not_counted() -> None:
    core = limited(requests_per_peer=1)
    assert all(ask(core, Info(), None) == "InfoReply" for _ in range(100))


# --- the log -------------------------------------------------------------------------------------


def test_the_first_time_is_told_at_once_and_the_rest_now_and_then() -> None:
    tally = Tally()
    assert tally.note("a", 5.0) == 1
    assert [tally.note("a", 5.0 + n) for n in range(9)] == [0] * 9
    assert tally.note("b", 6.0) == 1
    assert tally.note("a", 5.0 + INTERVAL) == 10
    assert tally.note("a", 5.0 + INTERVAL) == 0
    assert tally.note("a", 500.0) == 2


def test_things_without_number_are_not_remembered() -> None:
    tally = Tally()
    for number in range(3 * MAX_KEPT):
        tally.note(f"thing {number}", number)
        tally.note("often", number)
    assert len(tally._counts) == MAX_KEPT
    assert "often" in tally._counts


def test_whoever_is_somebody_else_each_time_fills_no_disk() -> None:
    tally = Tally()
    told = [tally.note(f"key {number}", number / 1000) for number in range(20_000)]
    assert sum(times > 0 for times in told) == 2 * MAX_LINES
    assert tally.note("key 19999", 19.999) == 0
    assert tally.note("key 19999", 20.0) == 3, "what was not told is told when there is room"
