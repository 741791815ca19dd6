"""Requests that come together are kept together; and if that cannot be, each by itself."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    CompactedReply,
    ErrorReply,
    EventsReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Unregister,
)
from devicewatch.events.protocol import MAX_PAGE, Role
from devicewatch.events.records import Added, Event, Removed, StreamMessage
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.counts import Counts
from devicewatch.registry.journal import Journal, MemoryJournal
from devicewatch.registry.limits import Limits
from devicewatch.registry.security import Grant
from devicewatch.registry.service import Service
from devicewatch.registry.settings import CoreSettings
from devicewatch.registry.sqlite import SqliteJournal
from tests.support.cores import EPOCH, summary, whole_state
from tests.support.journals import BAD, BAD_LEASE, PickyJournal


class World:
    """A registry that is asked several things at a time.

    Attributes:
        said: What has got out, in order.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        settings: CoreSettings | None = None,
        core: type[RegistryCore] = RegistryCore,
    ) -> None:
        self.picky = PickyJournal()
        self.journal = journal or self.picky
        past = self.journal.load(EPOCH, 10_000)
        # The same uuid for the same registration, however often it was tried.
        self.core = core(past.epoch, 0.0, settings, lambda: f"uuid-{self.core.seq + 1}")
        self.core.restore(past, 0.0)
        self.published: list[Event] = []
        self.service = Service(self.core, self.journal, self._publish)

    def _publish(self, message: StreamMessage) -> None:
        assert isinstance(message, Event)
        self.published.append(message)

    def together(
        self,
        *requests: Request | bytes,
        now: float = 0.0,
        peer: str | None = None,
        apart: float = 0.0,
    ) -> list[Reply]:
        """Ask what comes together, or so many seconds apart, as the registry's loop does."""
        service = self.service
        serve = service.answer if service.trouble else service.collect
        answers = [
            serve([encoded(request)], now + number * apart, peer)
            for number, request in enumerate(requests)
        ]
        again = service.commit()
        first = len(answers) - len(again)
        answers[first:] = [service.answer_again(collected, collected.now) for collected in again]
        return [decode_reply([answer]) for answer in answers]

    def ask(self, request: Request, now: float = 0.0, peer: str | None = None) -> Reply:
        return decode_reply([self.service.answer([encoded(request)], now, peer)])

    def register(self, number: int, lease: float = 20.0) -> str:
        reply = self.ask(wish(number, alive_timeout=lease))
        assert isinstance(reply, RegisterAck)
        return reply.uuid


def encoded(request: Request | bytes) -> bytes:
    return request if isinstance(request, bytes) else encode_request(request)


def wish(number: int, device_type: str = "camera", **more: Any) -> Register:
    return replace(Register(device_type, f"tcp://{number}", f"cam-{number}"), **more)


def codes(replies: Sequence[Reply]) -> list[str]:
    """What became of each, in short."""
    return [
        reply.code if isinstance(reply, ErrorReply) else type(reply).__name__ for reply in replies
    ]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def counts(world: World) -> Counts:
    counts = Counts()
    world.service.count(counts, world.journal)
    return counts


# --- kept together --------------------------------------------------------------------------------


def test_what_comes_together_is_one_change(world: World) -> None:
    uuid = world.register(0)
    replies = world.together(wish(1), wish(2), CheckAlive(uuid, 60.0), Unregister(uuid), wish(3))
    assert codes(replies) == ["RegisterAck", "RegisterAck", "Ack", "Ack", "RegisterAck"]
    _, change = world.picky.changes
    assert [event.seq for event in change.events] == [2, 3, 4, 5]
    assert world.published[1:] == list(change.events)
    assert [reply.seq for reply in replies if isinstance(reply, RegisterAck)] == [2, 3, 5]
    assert not world.core.unsettled


def test_nothing_gets_out_before_it_is_kept(world: World) -> None:
    for number in range(3):
        world.service.collect([encoded(wish(number))], 0.0)
    assert (world.published, world.picky.attempts) == ([], 0)
    assert world.service.commit() == ()
    assert (len(world.published), world.picky.attempts) == (3, 1)
    assert world.service.commit() == ()
    assert world.picky.attempts == 1


def test_where_nothing_has_changed_nothing_is_kept(world: World) -> None:
    uuid = world.register(0)
    world.picky.full = True
    replies = world.together(CheckAlive(uuid), Info(), b"no JSON", Unregister("nobody"))
    assert codes(replies) == ["Ack", "InfoReply", "MALFORMED", "Ack"]
    assert world.picky.attempts == 1


@pytest.fixture(params=["in memory", "in a file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    journal: Journal = (
        MemoryJournal() if request.param == "in memory" else SqliteJournal(tmp_path / "journal")
    )
    yield journal
    journal.close()


def test_who_comes_and_goes_at_once_leaves_no_trace_but_the_events(journal: Journal) -> None:
    world = World(journal)
    first = world.register(0)
    replies = world.together(
        wish(1),
        Register("camera", "tcp://1", "another"),  # displaces the one before
        Register("arm", "tcp://2", "another", overwrite=True),
        CheckAlive(first, 30.0),
        CheckAlive(first, 50.0),
        wish(3),
        CheckAlive("uuid-7", 40.0),
        Unregister(first),
    )
    assert codes(replies) == ["RegisterAck"] * 3 + ["Ack"] * 2 + ["RegisterAck", "Ack", "Ack"]
    devices = world.core.devices
    assert list(devices) == ["another", "cam-3"]
    journal.close()
    past = journal.load(EPOCH, 100)
    assert [(kept.device, kept.lease) for kept in past.registrations] == [
        (devices["another"], 20.0),
        (devices["cam-3"], 40.0),
    ]
    assert list(past.events) == world.published
    assert [event.seq for event in past.events] == list(range(1, 9))


def test_any_number_of_registrations_is_one_transaction(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    world = World(journal)
    statements: list[str] = []
    journal._connection.set_trace_callback(statements.append)
    world.together(*(wish(number) for number in range(64)))
    journal._connection.set_trace_callback(None)
    assert [s for s in statements if s in {"BEGIN IMMEDIATE", "COMMIT"}] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    journal.close()
    assert len(journal.load(EPOCH, 100).registrations) == 64
    journal.close()


# --- questions ------------------------------------------------------------------------------------


def test_who_asks_in_between_is_told_what_will_have_happened(world: World) -> None:
    world.register(0)
    replies = world.together(
        wish(1), Info(), Snapshot(), Replay(EPOCH, 1), wish(2), Replay(EPOCH, 0, 2)
    )
    _, info, snapshot, replay, _, page = replies
    assert isinstance(info, InfoReply)
    assert (info.seq, info.devices) == (2, 2)
    assert isinstance(snapshot, SnapshotReply)
    assert [device.revision for device in snapshot.devices] == [1, 2]
    assert isinstance(replay, EventsReply)
    assert (replay.seq, list(replay.events)) == (2, world.published[1:2])
    assert isinstance(page, EventsReply)
    assert list(page.events) == world.published[:2]


def test_the_events_that_are_not_kept_yet_go_on_where_the_history_ends() -> None:
    world = World(settings=CoreSettings(history=3))
    world.together(*(wish(number) for number in range(5)))
    for number in range(5, 8):
        world.service.collect([encoded(wish(number))], 0.0)
    for after in range(10):
        for limit in (1, 2, 4, MAX_PAGE):
            reply, _ = world.core.handle(Replay(EPOCH, after, limit), 0.0)
            if 2 <= after <= 8:
                assert isinstance(reply, EventsReply)
                seqs = [event.seq for event in reply.events]
                assert seqs == list(range(after + 1, 9))[:limit]
            else:
                assert isinstance(reply, CompactedReply)


def test_nobody_is_told_what_is_taken_back(world: World) -> None:
    world.register(0)
    world.picky.full = True
    replies = world.together(wish(1), Info(), Snapshot(), Replay(EPOCH, 1), wish(1))
    refused, info, snapshot, replay, _ = replies
    assert isinstance(refused, ErrorReply)
    assert refused.message.endswith("as the registry cannot keep it now: the disk is full")
    assert isinstance(info, InfoReply)
    assert (info.seq, info.devices) == (1, 1)
    assert isinstance(snapshot, SnapshotReply)
    assert [device.revision for device in snapshot.devices] == [1]
    assert isinstance(replay, EventsReply)
    assert (replay.seq, list(replay.events)) == (1, [])
    assert summary(world.published) == [("added", "cam-0", None)]


# --- what cannot be kept --------------------------------------------------------------------------


def test_what_cannot_be_kept_does_its_neighbours_no_harm(world: World) -> None:
    uuid = world.register(0)
    replies = world.together(
        CheckAlive(uuid), wish(1), wish(2, BAD), wish(3), CheckAlive(uuid, BAD_LEASE), wish(4)
    )
    assert codes(replies) == [
        "Ack", "RegisterAck", "UNAVAILABLE", "RegisterAck", "UNAVAILABLE", "RegisterAck",
    ]  # fmt: skip
    assert [reply.seq for reply in replies if isinstance(reply, RegisterAck)] == [2, 3, 4]
    assert [event.seq for event in world.published] == [1, 2, 3, 4]
    assert world.picky.content.keys() == {"uuid-1", "uuid-2", "uuid-3", "uuid-4"}
    assert list(world.core.devices) == ["cam-0", "cam-1", "cam-3", "cam-4"]


def test_answers_that_rest_on_what_is_taken_back_are_others(world: World) -> None:
    uuid = world.register(0)
    replies = world.together(
        Register(BAD, "tcp://0", "cam-0"),  # displaces the first one, but cannot be kept
        Unregister(uuid),
        Register("arm", "tcp://9", "cam-0"),
    )
    assert codes(replies) == ["UNAVAILABLE", "Ack", "RegisterAck"]
    assert replies[1] == Ack("UNREGISTER", True)
    assert summary(world.published)[1:] == [
        ("removed", "cam-0", "unregistered"),
        ("added", "cam-0", None),
    ]


def test_as_long_as_there_is_trouble_each_is_kept_by_itself(world: World) -> None:
    world.picky.full = True
    world.together(wish(0), wish(1))
    assert (world.picky.attempts, world.service.trouble) == (3, 2)
    world.together(wish(0), wish(1))
    assert (world.picky.attempts, world.service.trouble) == (5, 4)
    world.picky.full = False
    world.together(wish(0), wish(1))
    assert (world.picky.attempts, world.service.trouble) == (7, 0)
    world.together(wish(2), wish(3))
    assert world.picky.attempts == 8


def test_trouble_is_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.picky.full = True
    world.together(wish(0), wish(1), wish(2))
    world.picky.full = False
    world.together(wish(0), wish(1), wish(2))
    assert [(record.getMessage(), record.__dict__.get("refused")) for record in caplog.records] == [
        ("changes cannot be kept, and are refused until they can", None),
        ("changes are kept again", 3),
    ]


def test_a_journal_that_does_not_know_what_it_has_kept_lets_nothing_out(world: World) -> None:
    world.picky.uncertain = True
    with pytest.raises(TimeoutError):
        world.together(wish(0), Info(), wish(1))
    assert world.published == []


class Faulty(RegistryCore):
    """Falls over a name, when all is done."""

    def _register(
        self, request: Register, now: float, peer: str | None
    ) -> tuple[RegisterAck | ErrorReply, list[Event]]:
        done = super()._register(request, now, peer)
        if request.name == "cam-1":
            raise ZeroDivisionError
        return done


@pytest.mark.interpreted  # what is compiled calls its own method
@pytest.mark.parametrize("full", [False, True])
def test_a_fault_of_ours_is_one_request_s(full: bool) -> None:
    world = World(core=Faulty)
    world.picky.full = full
    replies = world.together(wish(0), wish(1), wish(2))
    well = "UNAVAILABLE" if full else "RegisterAck"
    assert codes(replies) == [well, "INTERNAL", well]
    assert [event.device.name for event in world.published] == ([] if full else ["cam-0", "cam-2"])
    assert [event.seq for event in world.published] == ([] if full else [1, 2])
    assert world.core.devices.keys() == world.picky.names


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_by", [Unregister, lambda uuid: CheckAlive(uuid, BAD_LEASE)])
def test_a_lease_that_is_given_back_has_the_time_that_the_registry_was_held_up(
    request_by: Callable[[str], Request],
) -> None:
    picky = PickyJournal()
    core = RegistryCore(EPOCH, 0.0, new_uuid=lambda: "uuid", watchful=True)
    service = Service(core, picky, lambda message: None)
    service.answer([encoded(wish(0, alive_timeout=20.0))], 0.0)
    (holder,) = core._registrations.by_uuid.values()
    service.collect([encoded(request_by("uuid"))], 0.01)
    service.collect([encoded(wish(1, BAD))], 10.0)  # it was stopped in between
    assert core.away == pytest.approx(9.99)
    assert len(service.commit()) == 2
    left = core._leases.left(holder, 10.0)
    assert left == pytest.approx(20.0 - 0.01 * (request_by is Unregister))


def test_a_lease_of_another_length_counts_at_the_old_one(world: World) -> None:
    uuid = world.register(0, lease=20.0)
    world.picky.full = True
    world.together(CheckAlive(uuid, 60.0), wish(1), now=15.0)
    world.service.expire(34.9, drained=True)
    assert list(world.core.devices) == ["cam-0"]
    world.picky.full = False
    world.service.expire(35.0, drained=True)
    assert not world.core.devices


def test_leases_that_end_after_a_bundle_are_told_after_it(world: World) -> None:
    world.register(0, lease=1.0)
    world.together(wish(1), wish(2), now=1.0)
    world.service.expire(1.0, drained=True)
    assert summary(world.published)[1:] == [
        ("added", "cam-1", None),
        ("added", "cam-2", None),
        ("removed", "cam-0", "expired"),
    ]
    assert [event.seq for event in world.published] == [1, 2, 3, 4]


# --- what counts ----------------------------------------------------------------------------------


def test_what_is_served_again_is_not_counted_again() -> None:
    limits = Limits(requests_per_peer=1.0)  # ten at once
    world = World(settings=CoreSettings(limits=limits))
    world.picky.full = True
    replies = world.together(*(wish(number) for number in range(12)), peer="10.0.0.1")
    assert codes(replies) == ["UNAVAILABLE"] * 10 + ["TOO_FAST"] * 2
    world.picky.full = False
    assert codes([world.ask(wish(1), 0.9, "10.0.0.1")]) == ["TOO_FAST"]
    assert codes([world.ask(wish(1), 1.0, "10.0.0.1")]) == ["RegisterAck"]


def grants(**roles: Role) -> dict[str, Grant]:
    return {key: Grant(public=key, role=role) for key, role in roles.items()}


def test_who_is_turned_away_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.core.authorize(grants(one=Role.DEVICE, two=Role.DEVICE, guest=Role.VIEWER), 0.0)
    world.picky.full = True
    serve = world.service.collect
    serve([encoded(wish(0))], 0.0, "one")
    serve([encoded(wish(0, displace=True))], 0.0, "two")  # forbidden, as it is the other one's
    serve([encoded(wish(1))], 0.0, "guest")
    serve([b"no JSON"], 0.0, "two")
    assert world.core.refused == 2
    again = world.service.commit()
    assert world.core.refused == 0
    replies = [decode_reply([world.service.answer_again(one, 0.0)]) for one in again]
    assert codes(replies) == ["UNAVAILABLE", "UNAVAILABLE", "FORBIDDEN", "MALFORMED"]
    assert world.core.refused == 1
    refusals = [r.__dict__ for r in caplog.records if r.getMessage() == "refused"]
    assert [(record["peer"], record["times"]) for record in refusals] == [("guest", 1)]
    assert [r.getMessage() for r in caplog.records].count("bad request") == 1


def test_what_is_refused_between_changes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.core.authorize(grants(one=Role.DEVICE, guest=Role.VIEWER), 0.0)
    world.service.collect([encoded(wish(0))], 0.0, "one")
    world.service.collect([encoded(wish(1))], 0.0, "guest")
    assert not caplog.records
    assert world.service.commit() == ()
    assert [record.__dict__["peer"] for record in caplog.records] == ["guest"]


def test_a_key_that_is_revoked_in_between_is_not_served_again(world: World) -> None:
    world.core.authorize(grants(one=Role.DEVICE), 0.0)
    world.service.collect([encoded(wish(0, BAD))], 0.0, "one")
    world.service.collect([encoded(wish(1))], 0.0, "one")
    again = world.service.commit()
    world.core.authorize({}, 0.0)
    replies = [decode_reply([world.service.answer_again(one, 0.0)]) for one in again]
    assert codes(replies) == ["FORBIDDEN", "FORBIDDEN"]
    assert not world.core.devices


def test_what_cannot_be_kept_counts_once(world: World, counts: Counts) -> None:
    world.together(wish(0), wish(1, BAD), wish(2))
    assert (counts.not_kept, counts.added) == (1, 2)
    assert isinstance(world.service.latest[1], RegisterAck)
    world.together(wish(3), b"no JSON")
    assert world.service.latest[0] is None
    world.together(wish(4, BAD), b"no JSON")
    assert world.service.latest[0] is None
    assert counts.not_kept == 2


# --- beside a registry that keeps each by itself -----------------------------------------------

ADDRS = st.sampled_from([f"tcp://{number}" for number in range(5)])
REGISTERS = st.builds(
    Register,
    device_type=st.sampled_from(["camera", "camera", "arm", BAD]),
    addr=ADDRS,
    name=st.sampled_from(["", "cam", "cam-0", "cam-1"]),
    overwrite=st.booleans(),
    alive_timeout=st.sampled_from([None, 20.0, 60.0]),
    instance=st.none() | st.sampled_from(["i", "j"]),
    displace=st.booleans(),
)
UUIDS = st.integers(1, 30).map("uuid-{}".format)
ASKED = st.one_of(
    REGISTERS,
    REGISTERS,
    st.builds(Unregister, UUIDS),
    st.builds(CheckAlive, UUIDS, st.sampled_from([20.0, 60.0])),
    st.builds(Info),
    st.builds(Snapshot, st.none() | st.integers(0, 20), st.sampled_from([1, 500])),
    st.builds(Replay, st.just(EPOCH), st.integers(0, 30), st.sampled_from([1, 500])),
    st.just(b"no JSON"),
)
APART = 2.0**-10
"""Seconds from request to request, so that no two leases end at the same time, in either order."""
STEPS = st.tuples(st.lists(ASKED, max_size=12), st.sampled_from([0.0, 1.0, 19.5]), st.booleans())


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=8))
def test_nobody_can_tell_whether_changes_were_kept_together(
    steps: list[tuple[list[Request | bytes], float, bool]],
) -> None:
    """Whatever of it cannot be kept: replies, events, state and journal are the same.

    (Only what has an event is bad here: a length of a lease that does not last needs no keeping.)
    """
    bundled, single = World(), World()
    now = 0.0
    for world in (bundled, single):
        world.core.wall_offset = 2.0**70  # so late that the time of day is always the same
    for requests, pause, full in steps:
        for world in (bundled, single):
            world.picky.full = full
        together = bundled.together(*requests, now=now, apart=APART)
        for reply, request in zip(together, requests, strict=True):
            assert [reply] == single.together(request, now=now)
            now += APART
        now += pause
        for world in (bundled, single):
            world.picky.full = False
            world.service.expire(now, drained=True)
            assert not world.core.unsettled
        assert bundled.published == single.published
        assert whole_state(bundled.core) == whole_state(single.core)
        assert bundled.picky.content == single.picky.content
        assert [event.seq for event in bundled.published] == list(range(1, bundled.core.seq + 1))
        devices = {kept[0] for kept in bundled.picky.content.values()}
        assert devices == set(bundled.core.devices.values())
    assert follow(bundled.published) == bundled.core.devices


def follow(events: Sequence[Event]) -> dict[str, object]:
    devices: dict[str, object] = {}
    for event in events:
        if isinstance(event, Added):
            devices[event.device.name] = event.device
        else:
            assert isinstance(event, Removed)
            del devices[event.device.name]
    return devices
