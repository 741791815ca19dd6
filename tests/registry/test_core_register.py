"""REGISTER and UNREGISTER in the core: names, addresses, secrets."""

from uuid import UUID

import pytest

from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    RegisterAck,
    Replay,
    Snapshot,
    Unregister,
)
from devicewatch.events.protocol import (
    Origin,
    Reason,
)
from devicewatch.events.records import Added, Device
from devicewatch.registry.core import RegistryCore
from tests.events.vectors import explicit
from tests.support.cores import (
    EPOCH,
    added,
    device,
    events_of,
    new_core,
    register,
    register_many,
    removed,
    summary,
    wish,
)

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


# --- REGISTER: without displacing anybody -------------------------------------------------------


@pytest.mark.parametrize("instance", [None, "newcomer"])
def test_without_displace_the_device_at_an_address_stays(
    core: RegistryCore, instance: str | None
) -> None:
    holder = register(core, wish("arm", "tcp://a", instance="holder", device_type="robot"), 1.0)
    request = wish("cam", "tcp://a", instance=instance, displace=False, overwrite=True)
    reply, events = core.handle(request, 2.0)

    assert isinstance(reply, ErrorReply)
    assert (reply.req_event, reply.code) == ("REGISTER", "OCCUPIED")
    for words in ("tcp://a", "robot", "'arm'"):
        assert words in reply.message
    for secret in (holder.uuid, "holder"):
        assert secret not in reply.message
    assert events == []
    assert list(core.devices) == ["arm"]
    assert core.expire(20.9) == []
    assert len(core.expire(21.0)) == 1, "the lease of the holder is untouched"


def test_without_an_instance_nobody_is_the_same(core: RegistryCore) -> None:
    register(core, wish())

    reply, _ = core.handle(wish(displace=False), 0.0)
    assert isinstance(reply, ErrorReply)


def test_without_displace_a_free_address_is_taken(core: RegistryCore) -> None:
    assert register(core, wish("cam", "tcp://a", displace=False)).name == "cam"


def test_without_displace_a_name_may_be_taken_all_the_same(core: RegistryCore) -> None:
    """It speaks of the address only; `overwrite` speaks of the name."""
    register(core, wish("cam", "tcp://a"))
    request = wish("cam", "tcp://b", displace=False, overwrite=True)

    assert summary(events_of(core, request)) == [
        ("removed", "cam", "replaced"),
        ("added", "cam", None),
    ]


def test_an_instance_is_not_in_its_own_way(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a", instance="i"))
    request = wish("arm", "tcp://a", instance="i", displace=False)

    assert summary(events_of(core, request)) == [
        ("removed", "cam", "replaced"),
        ("added", "arm", None),
    ]


def test_when_the_device_at_the_address_has_gone_it_is_free(core: RegistryCore) -> None:
    ack = register(core, wish("cam", "tcp://a"))
    core.handle(Unregister(ack.uuid), 0.0)

    assert register(core, wish("cam", "tcp://a", displace=False)).name == "cam"


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

    seen = str([explicit(each) for each in (*events, *replies)])
    assert "cam" in seen
    assert "uuid" not in seen
    assert "secret" not in seen
    assert "uuid-1" not in repr(ack)
    assert "secret" not in repr(request)


def test_the_registry_does_not_show_secrets_when_it_is_printed(core: RegistryCore) -> None:
    register(core, wish(instance="secret"))
    registration = str(core._registrations.by_name)

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
