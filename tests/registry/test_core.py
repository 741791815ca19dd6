"""The registry core, one sentence of the protocol at a time. There is no clock: time is a number.

`test_core_machine` looks for what nobody thought of; these say what was meant.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from types import FrameType
from typing import Any
from uuid import UUID

import attrs
import pytest

from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    CompactedReply,
    EventsReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Replay,
    Request,
    Snapshot,
    SnapshotReply,
    UnknownRequest,
    Unregister,
    Unsupported,
)
from devicewatch.events.protocol import (
    DEFAULT_LEASE,
    MAX_INTEGER,
    MAX_LEASE,
    MAX_PAGE,
    MIN_LEASE,
    PROTOCOL_VERSION,
    Origin,
    Reason,
)
from devicewatch.events.records import Added, Bye, Device, Event, Removed, Tick
from devicewatch.registry.core import DRAIN_GRACE, EXPIRED_PER_CALL, CoreSettings, RegistryCore

EPOCH = "epoch-1"


def numbered_uuids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


def new_core(now: float = 0.0, settings: CoreSettings | None = None) -> RegistryCore:
    return RegistryCore(EPOCH, now, settings, numbered_uuids())


@pytest.fixture
def core() -> RegistryCore:
    return new_core()


def wish(name: str = "cam", addr: str = "tcp://a", **more: Any) -> Register:
    return Register(**{"device_type": "camera", "addr": addr, "name": name} | more)


def register(core: RegistryCore, request: Register, now: float = 0.0) -> RegisterAck:
    reply, _ = core.handle(request, now)
    assert isinstance(reply, RegisterAck)
    return reply


def register_many(core: RegistryCore, number: int, **more: Any) -> list[RegisterAck]:
    return [register(core, wish(addr=f"tcp://{n}", **more)) for n in range(number)]


def events_of(core: RegistryCore, request: Request, now: float = 0.0) -> list[Event]:
    return core.handle(request, now)[1]


def snapshot(core: RegistryCore, after: int | None = None, limit: int = 500) -> SnapshotReply:
    reply, events = core.handle(Snapshot(after, limit), 0.0)
    assert isinstance(reply, SnapshotReply)
    assert events == []
    return reply


def replay(core: RegistryCore, after: int, limit: int = 500) -> list[Event]:
    reply, events = core.handle(Replay(EPOCH, after, limit), 0.0)
    assert isinstance(reply, EventsReply)
    assert (reply.epoch, reply.seq) == (EPOCH, core.seq)
    assert events == []
    return list(reply.events)


def device(name: str, addr: str, revision: int, registered_at: float = 0.0) -> Device:
    return Device(name, "camera", addr, revision, registered_at, {})


def added(device: Device) -> Added:
    return Added(EPOCH, device.revision, device.registered_at, device)


def removed(device: Device, seq: int, reason: Reason, time: float = 0.0) -> Removed:
    return Removed(EPOCH, seq, time, device, reason)


def summary(events: list[Event]) -> list[tuple[str, str, str | None]]:
    """Topic, name and reason of each event."""
    return [
        (event.topic, event.device.name, event.reason if isinstance(event, Removed) else None)
        for event in events
    ]


# --- REGISTER: the reply and the event ----------------------------------------------------------


def test_a_new_registry_is_empty(core: RegistryCore) -> None:
    assert core.seq == 0
    assert core.devices == {}


def test_a_registration_is_acknowledged_with_all_that_the_device_needs(core: RegistryCore) -> None:
    reply, _ = core.handle(wish("cam"), 0.0)

    assert reply == RegisterAck("cam", "uuid-1", EPOCH, seq=1, alive_timeout=20.0)


def test_a_registration_is_one_event_with_the_whole_device() -> None:
    core = new_core(now=100.0)
    core.wall_offset = 1_000_000.0
    events = events_of(core, wish("cam", "tcp://a", metadata={"lens": "wide", "fps": 30}), 105.5)

    expected = Device("cam", "camera", "tcp://a", 1, 1_000_105.5, {"lens": "wide", "fps": 30})
    assert events == [Added(EPOCH, 1, 1_000_105.5, expected)]
    assert events[0].origin is Origin.LIVE
    assert core.devices == {"cam": expected}


def test_a_device_without_metadata_has_an_empty_mapping(core: RegistryCore) -> None:
    register(core, wish("cam"))

    assert core.devices["cam"].metadata == {}


def test_the_revision_of_a_device_is_the_seq_of_its_added(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    [event] = events_of(core, wish("arm", "tcp://b"))

    assert event.seq == event.device.revision == core.seq == 2


def test_epochs_tell_two_registries_apart() -> None:
    ack = register(RegistryCore("one", 0.0), wish())
    other = register(RegistryCore("two", 0.0), wish())

    assert (ack.epoch, other.epoch) == ("one", "two")


# --- REGISTER: names ----------------------------------------------------------------------------


def test_a_free_name_is_accepted_as_it_is(core: RegistryCore) -> None:
    assert register(core, wish("front door ☃")).name == "front door ☃"


def test_an_empty_name_becomes_the_device_type_with_the_first_free_number(
    core: RegistryCore,
) -> None:
    names = [ack.name for ack in register_many(core, 3, name="")]

    assert names == ["camera-0", "camera-1", "camera-2"]


def test_a_taken_name_gets_the_first_free_number_from_one(core: RegistryCore) -> None:
    names = [ack.name for ack in register_many(core, 4, name="cam")]

    assert names == ["cam", "cam-1", "cam-2", "cam-3"]


def test_numbers_that_devices_chose_themselves_are_left_out(core: RegistryCore) -> None:
    register(core, wish("camera-0", "tcp://a"))
    register(core, wish("camera-2", "tcp://b"))

    assert register(core, wish("", "tcp://c")).name == "camera-1"
    assert register(core, wish("", "tcp://d")).name == "camera-3"


def test_a_taken_name_with_a_number_gets_another_number(core: RegistryCore) -> None:
    register(core, wish("cam-1", "tcp://a"))

    assert register(core, wish("cam-1", "tcp://b")).name == "cam-1-1"


def test_a_name_that_looks_like_a_number_but_is_none_blocks_none(core: RegistryCore) -> None:
    for n, name in enumerate(["cam", "cam-01", "cam-٢"]):
        register(core, wish(name, f"tcp://{n}"))

    assert register(core, wish("cam", "tcp://a")).name == "cam-1"
    assert register(core, wish("cam", "tcp://b")).name == "cam-2"


def test_the_name_of_a_device_that_left_is_free_again(core: RegistryCore) -> None:
    acks = register_many(core, 4, name="cam")
    core.handle(Unregister(acks[2].uuid), 0.0)

    assert register(core, wish("cam", "tcp://new")).name == "cam-2"
    assert register(core, wish("cam", "tcp://newer")).name == "cam-4"


def test_the_name_of_a_device_that_expired_is_free_again(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    core.expire(20.0)

    assert register(core, wish("cam", "tcp://b"), 20.0).name == "cam"


def test_until_it_is_removed_an_expired_device_keeps_its_name(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))

    assert register(core, wish("cam", "tcp://b"), 25.0).name == "cam-1"


# --- REGISTER: addresses and overwrite ----------------------------------------------------------


def test_a_device_that_starts_again_at_its_address_keeps_its_name(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"), 1.0)
    events = events_of(core, wish("cam", "tcp://a"), 2.0)

    assert events == [
        removed(device("cam", "tcp://a", 1, 1.0), 2, Reason.REPLACED, 2.0),
        added(device("cam", "tcp://a", 3, 2.0)),
    ]


def test_whoever_comes_to_an_address_displaces_who_was_there(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    events = events_of(core, wish("arm", "tcp://a"))

    assert summary(events) == [("removed", "cam", "replaced"), ("added", "arm", None)]
    assert list(core.devices) == ["arm"]


def test_a_device_without_a_name_gets_back_the_number_of_who_was_at_its_address(
    core: RegistryCore,
) -> None:
    register_many(core, 3, name="")

    assert register(core, wish("", "tcp://1")).name == "camera-1"


def test_without_overwrite_the_holder_of_a_name_stays(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    events = events_of(core, wish("cam", "tcp://b"))

    assert summary(events) == [("added", "cam-1", None)]
    assert {name: each.addr for name, each in core.devices.items()} == {
        "cam": "tcp://a",
        "cam-1": "tcp://b",
    }


def test_with_overwrite_the_holder_of_a_name_is_displaced(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    events = events_of(core, wish("cam", "tcp://b", overwrite=True))

    assert events == [
        removed(device("cam", "tcp://a", 1), 2, Reason.REPLACED),
        added(device("cam", "tcp://b", 3)),
    ]


def test_one_registration_may_displace_two_first_by_address_then_by_name(
    core: RegistryCore,
) -> None:
    register(core, wish("arm", "tcp://a"))
    register(core, wish("cam", "tcp://b"))
    events = events_of(core, wish("cam", "tcp://a", overwrite=True))

    assert events == [
        removed(device("arm", "tcp://a", 1), 3, Reason.REPLACED),
        removed(device("cam", "tcp://b", 2), 4, Reason.REPLACED),
        added(device("cam", "tcp://a", 5)),
    ]
    assert core.devices == {"cam": device("cam", "tcp://a", 5)}


def test_a_device_that_overwrites_itself_is_displaced_once(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    events = events_of(core, wish("cam", "tcp://a", overwrite=True))

    assert summary(events) == [("removed", "cam", "replaced"), ("added", "cam", None)]


def test_overwrite_of_a_name_that_nobody_holds_displaces_nobody(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))

    assert summary(events_of(core, wish("arm", "tcp://b", overwrite=True))) == [
        ("added", "arm", None)
    ]


def test_overwrite_without_a_name_displaces_nobody(core: RegistryCore) -> None:
    register(core, wish("camera-0", "tcp://a"))
    events = events_of(core, wish("", "tcp://b", overwrite=True))

    assert summary(events) == [("added", "camera-1", None)]


def test_a_displaced_device_finds_its_uuid_unknown(core: RegistryCore) -> None:
    by_address = register(core, wish("arm", "tcp://a"))
    by_name = register(core, wish("cam", "tcp://b"))
    register(core, wish("cam", "tcp://a", overwrite=True))

    for ack in (by_address, by_name):
        assert core.handle(CheckAlive(ack.uuid), 0.0)[0] == Ack("CHECK_ALIVE", success=False)


def test_the_lease_of_a_displaced_device_ends_nothing(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a", alive_timeout=5.0))
    register(core, wish("cam", "tcp://b", overwrite=True))

    assert core.expire(19.9) == []
    assert list(core.devices) == ["cam"]


# --- uuid ---------------------------------------------------------------------------------------


def test_a_uuid_is_random() -> None:
    core = RegistryCore(EPOCH, 0.0)
    drawn = [UUID(ack.uuid) for ack in register_many(core, 100)]

    assert len(set(drawn)) == 100
    assert {uuid.version for uuid in drawn} == {4}


def test_each_registration_has_a_uuid_of_its_own(core: RegistryCore) -> None:
    first = register(core, wish())
    second = register(core, wish())

    assert first.uuid != second.uuid


def test_no_uuid_or_instance_is_in_what_others_get_to_see(core: RegistryCore) -> None:
    request = wish(instance="secret")
    ack, events = core.handle(request, 0.0)
    events += events_of(core, wish("cam", "tcp://b", overwrite=True, instance="secret"))
    events += core.expire(20.0)
    replies = [core.handle(each, 0.0)[0] for each in (Info(), Snapshot(), Replay(EPOCH, 0))]
    assert summary(events)[-1] == ("removed", "cam", "expired")

    seen = str([attrs.asdict(each) for each in (*events, *replies)])
    assert "cam" in seen
    assert "uuid" not in seen
    assert "secret" not in seen
    assert "uuid-1" not in repr(ack)
    assert "secret" not in repr(request)


def test_the_registry_does_not_show_secrets_when_it_is_printed(core: RegistryCore) -> None:
    register(core, wish(instance="secret"))
    registration = str(core._by_name)

    assert "tcp://a" in registration
    assert "uuid-1" not in registration
    assert "secret" not in registration


# --- UNREGISTER ---------------------------------------------------------------------------------


def test_a_device_unregisters_with_its_uuid(core: RegistryCore) -> None:
    ack = register(core, wish("cam"), 1.0)
    reply, events = core.handle(Unregister(ack.uuid), 2.0)

    assert reply == Ack("UNREGISTER", success=True)
    assert events == [removed(device("cam", "tcp://a", 1, 1.0), 2, Reason.UNREGISTERED, 2.0)]
    assert core.devices == {}


@pytest.mark.parametrize("uuid", ["", "cam", "uuid-2", "tcp://a"])
def test_nobody_unregisters_a_device_without_its_uuid(core: RegistryCore, uuid: str) -> None:
    register(core, wish("cam"))

    assert core.handle(Unregister(uuid), 0.0) == (Ack("UNREGISTER", success=False), [])
    assert list(core.devices) == ["cam"]
    assert core.seq == 1


def test_a_device_unregisters_once(core: RegistryCore) -> None:
    ack = register(core, wish())
    core.handle(Unregister(ack.uuid), 0.0)

    assert core.handle(Unregister(ack.uuid), 0.0) == (Ack("UNREGISTER", success=False), [])


def test_an_old_uuid_does_not_unregister_the_new_registration(core: RegistryCore) -> None:
    old = register(core, wish("cam", "tcp://a"))
    register(core, wish("cam", "tcp://a"))

    assert core.handle(Unregister(old.uuid), 0.0) == (Ack("UNREGISTER", success=False), [])
    assert list(core.devices) == ["cam"]


def test_the_lease_of_an_unregistered_device_ends_nothing(core: RegistryCore) -> None:
    core.handle(Unregister(register(core, wish()).uuid), 0.0)

    assert core.expire(1e6) == []
    assert core.seq == 2


def test_a_device_unregisters_after_its_deadline_if_nobody_has_noticed(core: RegistryCore) -> None:
    ack = register(core, wish())

    [event] = events_of(core, Unregister(ack.uuid), 30.0)
    assert summary([event]) == [("removed", "cam", "unregistered")]


# --- leases -------------------------------------------------------------------------------------


def ends_at(core: RegistryCore, deadline: float) -> bool:
    """Whether the next lease ends at that time, and no sooner."""
    return core.expire(deadline - 0.001) == [] and len(core.expire(deadline)) == 1


def test_a_lease_lasts_twenty_seconds() -> None:
    core = new_core(now=1_000.0)
    register(core, wish(), 1_000.0)

    assert ends_at(core, 1_020.0)


@pytest.mark.parametrize("alive_timeout", [MIN_LEASE, 7.5, 3_600.0, MAX_LEASE])
def test_a_device_may_ask_for_another_length(core: RegistryCore, alive_timeout: float) -> None:
    ack = register(core, wish(alive_timeout=alive_timeout), 10.0)

    assert ack.alive_timeout == alive_timeout
    assert ends_at(core, 10.0 + alive_timeout)


def test_an_expired_device_is_removed_in_full(core: RegistryCore) -> None:
    register(core, wish("cam"), 1.0)

    assert core.expire(21.0) == [removed(device("cam", "tcp://a", 1, 1.0), 2, Reason.EXPIRED, 21.0)]
    assert core.devices == {}
    assert core.expire(22.0) == []


def test_an_expired_device_finds_its_uuid_unknown(core: RegistryCore) -> None:
    ack = register(core, wish())
    core.expire(20.0)

    assert core.handle(CheckAlive(ack.uuid), 20.0) == (Ack("CHECK_ALIVE", success=False), [])
    assert core.handle(Unregister(ack.uuid), 20.0) == (Ack("UNREGISTER", success=False), [])


def test_a_renewal_makes_no_event(core: RegistryCore) -> None:
    ack = register(core, wish())

    assert core.handle(CheckAlive(ack.uuid), 5.0) == (Ack("CHECK_ALIVE", success=True), [])
    assert core.seq == 1


def test_a_renewal_lasts_from_now_for_as_long_as_it_says(core: RegistryCore) -> None:
    ack = register(core, wish(alive_timeout=5.0))
    core.handle(CheckAlive(ack.uuid, 30.0), 4.0)

    assert ends_at(core, 34.0)


def test_a_renewal_lasts_twenty_seconds_if_it_does_not_say(core: RegistryCore) -> None:
    ack = register(core, wish(alive_timeout=5.0))
    core.handle(CheckAlive(ack.uuid), 4.0)

    assert ends_at(core, 24.0)


def test_a_renewal_may_shorten_a_lease(core: RegistryCore) -> None:
    ack = register(core, wish(alive_timeout=1_000.0))
    core.handle(CheckAlive(ack.uuid, 2.0), 4.0)

    assert ends_at(core, 6.0)


def test_only_the_last_renewal_counts(core: RegistryCore) -> None:
    ack = register(core, wish())
    for now, alive_timeout in ((1.0, 100.0), (2.0, 3.0), (3.0, 50.0)):
        core.handle(CheckAlive(ack.uuid, alive_timeout), now)

    assert ends_at(core, 53.0)


def test_a_device_may_live_on_renewals_for_ever(core: RegistryCore) -> None:
    ack = register(core, wish())
    for now in range(10, 5_000, 10):
        assert core.handle(CheckAlive(ack.uuid), now)[0] == Ack("CHECK_ALIVE", success=True)
        assert core.expire(now) == []
    assert core.seq == 1


def test_a_renewal_after_the_deadline_counts_if_nobody_has_noticed(core: RegistryCore) -> None:
    ack = register(core, wish())

    assert core.handle(CheckAlive(ack.uuid), 500.0)[0] == Ack("CHECK_ALIVE", success=True)
    assert ends_at(core, 520.0)


def test_a_renewal_with_an_unknown_uuid_fails_and_renews_nobody(core: RegistryCore) -> None:
    register(core, wish())

    for uuid in ("", "cam", "uuid-2"):
        reply = core.handle(CheckAlive(uuid, 1_000.0), 10.0)
        assert reply == (Ack("CHECK_ALIVE", success=False), [])
    assert ends_at(core, 20.0)


def test_devices_expire_in_order_of_their_deadlines(core: RegistryCore) -> None:
    for name, alive_timeout in (("late", 9.0), ("soon", 3.0), ("later", 12.0), ("middle", 6.0)):
        register(core, wish(name, f"tcp://{name}", alive_timeout=alive_timeout))

    events = core.expire(10.0)
    assert [event.device.name for event in events] == ["soon", "middle", "late"]
    assert [event.seq for event in events] == [5, 6, 7]
    assert list(core.devices) == ["later"]


def test_a_mass_expiry_is_done_in_parts(core: RegistryCore) -> None:
    register_many(core, 2 * EXPIRED_PER_CALL + 50, name="")

    lengths = []
    while core.next_deadline() <= 20.0:
        lengths.append(len(core.expire(20.0)))
        if core.tick(20.0) is None:
            assert lengths[-1] > 0, "the deadline is stuck in the past"

    assert [n for n in lengths if n] == [EXPIRED_PER_CALL, EXPIRED_PER_CALL, 50]
    assert core.devices == {}
    assert core.seq == 2 * (2 * EXPIRED_PER_CALL + 50)


def test_between_the_parts_of_a_mass_expiry_renewals_still_count(core: RegistryCore) -> None:
    acks = register_many(core, EXPIRED_PER_CALL + 10, name="")
    gone = {event.device.name for event in core.expire(20.0)}
    left = [ack for ack in acks if ack.name not in gone]
    assert len(left) == 10

    core.handle(CheckAlive(left[3].uuid), 20.0)
    assert len(core.expire(20.0)) == 9
    assert list(core.devices) == [left[3].name]


def test_with_unread_requests_a_lease_is_given_a_little_longer(core: RegistryCore) -> None:
    register(core, wish())

    assert core.expire(20.0, drained=False) == []
    assert core.expire(20.0 + DRAIN_GRACE - 0.001, drained=False) == []
    assert len(core.expire(20.0 + DRAIN_GRACE + 0.001, drained=False)) == 1


def test_the_grace_leaves_time_to_be_punctual() -> None:
    assert 0 < DRAIN_GRACE < 0.1


def test_a_renewal_that_was_still_unread_at_the_deadline_is_in_time(core: RegistryCore) -> None:
    ack = register(core, wish())
    core.expire(20.01, drained=False)

    assert core.handle(CheckAlive(ack.uuid), 20.02)[0] == Ack("CHECK_ALIVE", success=True)
    assert core.expire(20.03) == []


# --- instance -----------------------------------------------------------------------------------


def test_a_repeated_request_of_an_instance_gets_the_same_registration(core: RegistryCore) -> None:
    request = wish(instance="i", metadata={"fps": 30})
    first = register(core, request)

    assert core.handle(attrs.evolve(request), 5.0) == (first, [])
    assert core.seq == 1
    assert list(core.devices) == ["cam"]


def test_a_repeated_request_is_told_the_name_that_was_accepted(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    request = wish("cam", "tcp://b", instance="i")

    assert [register(core, request).name for _ in range(3)] == ["cam-1"] * 3


def test_a_repeated_request_is_told_where_the_stream_is_now(core: RegistryCore) -> None:
    request = wish(instance="i")
    first = register(core, request)
    register(core, wish("arm", "tcp://b"))

    assert register(core, request) == attrs.evolve(first, seq=2)


def test_a_repeated_request_renews_the_lease(core: RegistryCore) -> None:
    register(core, wish(instance="i"))
    register(core, wish(instance="i"), 15.0)

    assert ends_at(core, 15.0 + DEFAULT_LEASE)


def test_a_repeated_request_renews_the_lease_for_as_long_as_it_asked(core: RegistryCore) -> None:
    request = wish(instance="i", alive_timeout=50.0)
    register(core, request)

    assert register(core, request, 15.0).alive_timeout == 50.0
    assert ends_at(core, 65.0)


def test_a_repeated_request_with_overwrite_displaces_nobody(core: RegistryCore) -> None:
    request = wish(instance="i", overwrite=True)
    register(core, request)

    assert events_of(core, request) == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "cam-7"},
        {"device_type": "webcam"},
        {"overwrite": True},
        {"alive_timeout": 30.0},
        {"metadata": {"fps": 60}},
        {"instance": "another"},
        {"instance": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_different_request_of_an_instance_is_a_new_registration(
    core: RegistryCore, change: dict[str, Any]
) -> None:
    request = wish(instance="i", metadata={"fps": 30})
    first = register(core, request)
    reply, events = core.handle(attrs.evolve(request, **change), 0.0)

    assert isinstance(reply, RegisterAck)
    assert reply.uuid != first.uuid
    assert [event.topic for event in events] == ["removed", "added"]


def test_an_instance_at_another_address_is_a_new_registration(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a", instance="i"))
    events = events_of(core, wish("cam", "tcp://b", instance="i"))

    assert summary(events) == [("added", "cam-1", None)]


def test_without_an_instance_every_request_is_a_new_registration(core: RegistryCore) -> None:
    first = register(core, wish())
    reply, events = core.handle(wish(), 0.0)

    assert isinstance(reply, RegisterAck)
    assert reply.uuid != first.uuid
    assert summary(events) == [("removed", "cam", "replaced"), ("added", "cam", None)]


@pytest.mark.parametrize("ended_by", ["unregister", "expiry", "overwrite", "address"])
def test_a_registration_that_has_ended_is_not_given_again(
    core: RegistryCore, ended_by: str
) -> None:
    request = wish("cam", "tcp://a", instance="i")
    first = register(core, request)
    match ended_by:
        case "unregister":
            core.handle(Unregister(first.uuid), 0.0)
        case "expiry":
            core.expire(20.0)
        case "overwrite":
            register(core, wish("cam", "tcp://b", overwrite=True))
        case "address":
            register(core, wish("arm", "tcp://a"))

    again = register(core, request, 20.0)
    assert again.uuid != first.uuid
    assert core.devices[again.name].revision == core.seq


# --- UNSUPPORTED and INFO -----------------------------------------------------------------------


def test_an_unknown_request_is_unsupported(core: RegistryCore) -> None:
    assert core.handle(UnknownRequest("DANCE"), 0.0) == (Unsupported("DANCE"), [])


def test_info_says_who_the_registry_is_and_where_it_is_at() -> None:
    core = new_core(now=100.0, settings=CoreSettings(tick_interval=2, history=7, events_port=5556))
    acks = register_many(core, 3)
    core.handle(Unregister(acks[0].uuid), 100.0)

    assert core.handle(Info(), 160.5) == (
        InfoReply(
            version=PROTOCOL_VERSION,
            epoch=EPOCH,
            seq=4,
            devices=2,
            tick_interval=2.0,
            uptime=60.5,
            history=7,
            events_port=5556,
        ),
        [],
    )


# --- SNAPSHOT -----------------------------------------------------------------------------------


def test_the_snapshot_of_an_empty_registry_is_one_empty_page(core: RegistryCore) -> None:
    assert snapshot(core) == SnapshotReply(EPOCH, 0, [], None)


def test_a_snapshot_holds_the_devices_in_order_of_revision(core: RegistryCore) -> None:
    for name in ("zoom", "arm", "cam"):
        register(core, wish(name, f"tcp://{name}"))
    register(core, wish("zoom", "tcp://zoom"))

    assert snapshot(core) == SnapshotReply(
        EPOCH,
        5,
        [
            device("arm", "tcp://arm", 2),
            device("cam", "tcp://cam", 3),
            device("zoom", "tcp://zoom", 5),
        ],
        None,
    )


def test_a_snapshot_holds_only_devices_after_the_given_revision(core: RegistryCore) -> None:
    register_many(core, 4)

    assert [each.revision for each in snapshot(core, after=0).devices] == [1, 2, 3, 4]
    assert [each.revision for each in snapshot(core, after=2).devices] == [3, 4]
    assert snapshot(core, after=4) == SnapshotReply(EPOCH, 4, [], None)
    assert snapshot(core, after=MAX_INTEGER) == SnapshotReply(EPOCH, 4, [], None)


@pytest.mark.parametrize(
    ("limit", "pages"),
    [
        (1, [[1], [2], [3], [4]]),
        (2, [[1, 2], [3, 4]]),
        (3, [[1, 2, 3], [4]]),
        (4, [[1, 2, 3, 4]]),
        (5, [[1, 2, 3, 4]]),
    ],
)
def test_next_is_null_exactly_on_the_last_page(
    core: RegistryCore, limit: int, pages: list[list[int]]
) -> None:
    register_many(core, 4)

    after: int | None = None
    for number, page in enumerate(pages, start=1):
        reply = snapshot(core, after, limit)
        assert [each.revision for each in reply.devices] == page
        assert reply.next == (page[-1] if number < len(pages) else None)
        after = reply.next


def test_a_page_is_never_longer_than_the_protocol_allows(core: RegistryCore) -> None:
    register_many(core, MAX_PAGE + 1, name="")
    page = snapshot(core, limit=MAX_INTEGER)

    assert len(page.devices) == MAX_PAGE
    assert page.next == MAX_PAGE
    assert len(snapshot(core, page.next, MAX_INTEGER).devices) == 1


def test_a_device_that_comes_between_two_pages_is_on_the_last(core: RegistryCore) -> None:
    register_many(core, 4)
    first = snapshot(core, limit=2)
    register(core, wish("new", "tcp://new"))
    second = snapshot(core, first.next)

    assert [each.revision for each in second.devices] == [3, 4, 5]
    assert second.next is None
    assert (first.seq, second.seq) == (4, 5)


def test_a_device_that_leaves_between_two_pages_is_not_on_the_next(core: RegistryCore) -> None:
    acks = register_many(core, 5)
    first = snapshot(core, limit=2)
    core.handle(Unregister(acks[1].uuid), 0.0)  # where the next page begins
    core.handle(Unregister(acks[2].uuid), 0.0)

    assert [each.revision for each in snapshot(core, first.next, 2).devices] == [4, 5]


def test_when_all_that_was_to_come_has_left_the_last_page_is_empty(core: RegistryCore) -> None:
    acks = register_many(core, 3)
    first = snapshot(core, limit=2)
    core.handle(Unregister(acks[2].uuid), 0.0)

    assert snapshot(core, first.next, 2) == SnapshotReply(EPOCH, 4, [], None)


# --- REPLAY -------------------------------------------------------------------------------------


def test_a_replay_holds_the_events_as_they_were_published(core: RegistryCore) -> None:
    published = events_of(core, wish("cam", "tcp://a"), 1.0)
    published += events_of(core, wish("cam", "tcp://b", overwrite=True), 2.0)
    published += events_of(core, Unregister("uuid-2"), 3.0)
    published += events_of(core, wish("arm", "tcp://c", metadata={"dof": 6}), 4.0)
    published += core.expire(24.0)
    assert [event.seq for event in published] == [1, 2, 3, 4, 5, 6]

    for after in range(7):
        assert replay(core, after) == published[after:]


def test_a_replay_of_nothing_holds_nothing(core: RegistryCore) -> None:
    assert replay(core, 0) == []


def test_a_replay_is_no_longer_than_was_asked_for(core: RegistryCore) -> None:
    register_many(core, 5)

    assert [event.seq for event in replay(core, 1, limit=2)] == [2, 3]
    assert [event.seq for event in replay(core, 3, limit=2)] == [4, 5]


def test_a_replay_is_never_longer_than_the_protocol_allows(core: RegistryCore) -> None:
    register_many(core, MAX_PAGE + 1, name="")

    assert len(replay(core, 0, limit=MAX_INTEGER)) == MAX_PAGE
    assert [event.seq for event in replay(core, MAX_PAGE, limit=MAX_INTEGER)] == [MAX_PAGE + 1]


@pytest.mark.parametrize("after", [0, 3, 5])
def test_events_of_another_epoch_are_compacted(core: RegistryCore, after: int) -> None:
    register_many(core, 3)

    assert core.handle(Replay("another", after), 0.0) == (CompactedReply(EPOCH, 3, oldest=1), [])


def test_events_that_have_not_happened_are_compacted(core: RegistryCore) -> None:
    register_many(core, 3)

    for after in (4, 100, MAX_INTEGER):
        reply = core.handle(Replay(EPOCH, after), 0.0)
        assert reply == (CompactedReply(EPOCH, 3, oldest=1), [])


def test_events_older_than_the_history_are_compacted() -> None:
    core = new_core(settings=CoreSettings(history=3))
    register_many(core, 5)

    for after in (0, 1):
        reply = core.handle(Replay(EPOCH, after), 0.0)
        assert reply == (CompactedReply(EPOCH, 5, oldest=3), [])
    assert [event.seq for event in replay(core, 2)] == [3, 4, 5]


def test_a_registry_without_history_replays_nothing() -> None:
    core = new_core(settings=CoreSettings(history=0))
    register_many(core, 2)

    assert replay(core, 2) == []
    assert core.handle(Replay(EPOCH, 1), 0.0) == (CompactedReply(EPOCH, 2, oldest=3), [])


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

    assert core.greet(0.25) == Tick(EPOCH, seq=1, time=10.25)
    assert ticks_at(core, 0.5, 1.0) == [1.0]


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


def test_a_clock_that_is_set_back_dates_events_back_but_keeps_their_order(
    core: RegistryCore,
) -> None:
    core.wall_offset = 1_000.0
    [first] = events_of(core, wish("cam", "tcp://a"), 1.0)
    core.wall_offset = 500.0
    [second] = events_of(core, wish("arm", "tcp://b"), 2.0)

    assert (first.seq, first.time) == (1, 1_001.0)
    assert (second.seq, second.time) == (2, 502.0)
    assert core.devices["cam"].registered_at == 1_001.0


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


# --- devices ------------------------------------------------------------------------------------


def test_devices_are_a_copy(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    before = core.devices
    before.clear()
    assert list(core.devices) == ["cam"]

    before = core.devices
    register(core, wish("arm", "tcp://b"))
    after = core.devices
    assert (list(before), list(after)) == (["cam"], ["cam", "arm"])


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
