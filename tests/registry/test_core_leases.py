"""Leases in the core, and instances, which make it harmless to ask again."""

from typing import Any

import pytest
from msgspec.structs import replace

from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    RegisterAck,
    Unregister,
)
from devicewatch.events.protocol import (
    DEFAULT_LEASE,
    MAX_LEASE,
    MIN_LEASE,
    Reason,
)
from devicewatch.registry.core import EXPIRED_PER_CALL, RegistryCore
from tests.support.cores import (
    device,
    events_of,
    new_core,
    register,
    register_many,
    removed,
    summary,
    wish,
)

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


# --- instance -----------------------------------------------------------------------------------


def test_a_repeated_request_of_an_instance_gets_the_same_registration(core: RegistryCore) -> None:
    request = wish(instance="i", metadata={"fps": 30})
    first = register(core, request)

    assert core.handle(replace(request), 5.0) == (first, [])
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

    assert register(core, request) == replace(first, seq=2)


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
    reply, events = core.handle(replace(request, **change), 0.0)

    assert isinstance(reply, RegisterAck)
    assert reply.uuid != first.uuid
    assert [event.topic for event in events] == ["removed", "added"]


def test_an_instance_may_claim_the_name_that_it_got(core: RegistryCore) -> None:
    """Its wish may come late, and after its claim."""
    register(core, wish("cam", "tcp://a"))
    wished = wish("cam", "tcp://b", instance="i")
    claim = wish("cam-1", "tcp://b", instance="i", displace=False)
    first = register(core, wished)

    assert register(core, claim) == register(core, wished) == first
    core.handle(Unregister(first.uuid), 0.0)
    second = register(core, claim)
    assert second.name == "cam-1"
    assert register(core, claim) == register(core, replace(claim, displace=True)) == second


@pytest.mark.parametrize("change", [{"metadata": {"fps": 60}}, {"device_type": "webcam"}])
def test_a_claim_to_a_name_that_changes_something_else_is_a_new_registration(
    core: RegistryCore, change: dict[str, Any]
) -> None:
    register(core, wish("", "tcp://a", instance="i"))
    claim = wish("camera-0", "tcp://a", instance="i", **change)

    assert summary(events_of(core, claim)) == [
        ("removed", "camera-0", "replaced"),
        ("added", "camera-0", None),
    ]


def test_an_instance_that_overwrites_another_s_name_gets_it(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    request = wish("cam", "tcp://b", instance="i")
    register(core, request)

    assert summary(events_of(core, replace(request, overwrite=True))) == [
        ("removed", "cam-1", "replaced"),
        ("removed", "cam", "replaced"),
        ("added", "cam", None),
    ]


def test_an_instance_that_overwrites_its_own_name_changes_nothing(core: RegistryCore) -> None:
    request = wish(instance="i")
    register(core, request)

    assert events_of(core, replace(request, overwrite=True)) == []


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
