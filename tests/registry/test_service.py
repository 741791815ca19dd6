"""What becomes of a request: durable, then published, then replied; or nothing of it."""

import logging
from collections.abc import Callable

import pytest

from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.errors import JournalError
from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Reply,
    Request,
    Unregister,
)
from devicewatch.events.records import StreamMessage
from devicewatch.registry.core import RETRY
from devicewatch.registry.journal import Change, MemoryJournal
from devicewatch.registry.ledger import Ledger
from devicewatch.registry.service import Service
from tests.support.cores import new_core


class World(MemoryJournal):
    """A registry whose journal writes down what it is given, and may have no room."""

    def __init__(self) -> None:
        super().__init__()
        self.core = new_core()
        self.said: list[str] = []
        self.error: Exception | None = None
        self.service = Service(self.core, self, self.publish)

    def append(self, change: Change) -> None:
        if self.error is not None:
            raise self.error
        super().append(change)
        self.said.append("keep " + " ".join(event.topic for event in change.events))

    def publish(self, message: StreamMessage) -> None:
        self.said.append(f"publish {message.topic}")

    def ask(self, request: Request, now: float = 0.0) -> Reply:
        reply = decode_reply([self.service.answer([encode_request(request)], now)])
        self.said.append(f"reply {type(reply).__name__}")
        return reply

    def register(self, name: str = "cam", addr: str = "tcp://a", lease: float = 20.0) -> str:
        reply = self.ask(Register("camera", addr, name, alive_timeout=lease))
        assert isinstance(reply, RegisterAck)
        self.said.clear()
        return reply.uuid


@pytest.fixture
def world() -> World:
    return World()


def test_a_change_is_kept_then_published_then_replied(world: World) -> None:
    request = Register("camera", "tcp://a", "cam")
    world.ask(request)
    world.ask(request)
    assert world.said == [
        "keep added",
        "publish added",
        "reply RegisterAck",
        "keep removed added",
        "publish removed",
        "publish added",
        "reply RegisterAck",
    ]


def test_what_changes_nothing_is_not_kept(world: World) -> None:
    uuid = world.register()
    assert world.ask(CheckAlive(uuid, 20.0)) == Ack("CHECK_ALIVE", True)
    assert world.ask(Unregister("unknown")) == Ack("UNREGISTER", False)
    assert isinstance(world.ask(Info()), InfoReply)
    assert world.said == ["reply Ack", "reply Ack", "reply InfoReply"]


def test_another_length_of_a_lease_is_kept_and_no_event(world: World) -> None:
    uuid = world.register()
    assert world.ask(CheckAlive(uuid, 60.0)) == Ack("CHECK_ALIVE", True)
    assert world.said == ["keep ", "reply Ack"]
    assert [held.lease for held in world.load("", 0).registrations] == [60.0]


def test_the_end_of_leases_is_kept_then_published(world: World) -> None:
    world.register("one", "tcp://a", 1.0)
    world.register("two", "tcp://b", 1.0)
    world.service.expire(1.0, drained=True)
    assert world.said == ["keep removed removed", "publish removed", "publish removed"]


REQUESTS: list[Callable[[str], Request]] = [
    lambda _: Register("camera", "tcp://b", "cam"),
    lambda _: Register("camera", "tcp://a", "another"),
    lambda _: Register("camera", "tcp://b", "cam", overwrite=True),
    Unregister,
    lambda uuid: CheckAlive(uuid, 60.0),
]


@pytest.mark.parametrize(
    "request_by", REQUESTS, ids=["another", "moves", "displaces", "leaves", "resizes"]
)
def test_what_cannot_be_kept_is_refused_and_has_not_happened(
    world: World, request_by: Callable[[str], Request]
) -> None:
    uuid = world.register()
    request = request_by(uuid)
    before = world.core.devices, world.core.seq
    world.error = JournalError("the disk is full")
    reply = world.ask(request)
    assert isinstance(reply, ErrorReply)
    assert (reply.req_event, reply.code) == (
        {Register: "REGISTER", Unregister: "UNREGISTER", CheckAlive: "CHECK_ALIVE"}[type(request)],
        "UNAVAILABLE",
    )
    assert reply.message.endswith("as the registry cannot keep it now: the disk is full")
    assert world.said == ["reply ErrorReply"]
    assert (world.core.devices, world.core.seq) == before
    world.error = None
    assert not isinstance(world.ask(request), ErrorReply)


def test_a_renewal_at_another_length_counts_at_the_old_one(world: World) -> None:
    uuid = world.register(lease=20.0)
    world.error = JournalError("the disk is full")
    assert isinstance(world.ask(CheckAlive(uuid, 60.0), now=15.0), ErrorReply)
    world.error = None
    world.service.expire(34.9, drained=True)
    assert list(world.core.devices) == ["cam"]
    world.service.expire(35.0, drained=True)
    assert not world.core.devices


def test_renewals_go_on_without_room(world: World) -> None:
    uuid = world.register()
    world.error = JournalError("the disk is full")
    assert world.ask(CheckAlive(uuid, 20.0), now=15.0) == Ack("CHECK_ALIVE", True)
    world.service.expire(25.0, drained=True)
    assert list(world.core.devices) == ["cam"]


def test_the_end_of_a_lease_that_cannot_be_kept_is_tried_again(world: World) -> None:
    world.register(lease=1.0)
    world.error = JournalError("the disk is full")
    world.service.expire(1.0, drained=True)
    assert list(world.core.devices) == ["cam"]
    world.error = None
    world.service.expire(0.9 + RETRY, drained=True)
    assert list(world.core.devices) == ["cam"]
    world.said.clear()
    world.service.expire(1.0 + RETRY, drained=True)
    assert world.said == ["keep removed", "publish removed"]
    assert not world.core.devices


def test_trouble_is_logged_when_it_begins_and_when_it_ends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world.error = JournalError("the disk is full")
    for number in range(3):
        world.ask(Register("camera", f"tcp://{number}", ""))
    world.error = None
    world.register()
    world.register()
    assert [record.getMessage() for record in caplog.records] == [
        "changes cannot be kept, and are refused until they can",
        "changes are kept again",
    ]


def test_a_journal_that_does_not_know_what_it_has_kept_stops_the_registry(world: World) -> None:
    world.error = TimeoutError("the other machine does not answer")
    with pytest.raises(TimeoutError):
        world.ask(Register("camera", "tcp://a", "cam"))


@pytest.mark.interpreted
def test_a_fault_of_ours_is_answered_and_leaves_nothing_half_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register()

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "enter", fail)
        reply = world.ask(Register("camera", "tcp://a", "another"))
    assert isinstance(reply, ErrorReply)
    assert reply.code == "INTERNAL"
    assert list(world.core.devices) == ["cam"]
    assert world.core.seq == 1


def test_bad_requests_are_answered(world: World) -> None:
    reply = decode_reply([world.service.answer([b"no JSON"], 0.0)])
    assert isinstance(reply, ErrorReply)
    assert reply.code == "MALFORMED"


# --- the log -------------------------------------------------------------------------------------


def test_what_is_refused_is_logged_now_and_then(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.core.authorize({}, 0.0)
    request = [encode_request(Info())]
    for second in range(15):
        world.service.answer(request, float(second), "camera")
    world.service.answer(request, 15.0, "arm")
    refusals = [record.__dict__ for record in caplog.records]
    assert [record["times"] for record in refusals] == [1, 10, 1]
    assert [record["peer"] for record in refusals] == ["camera", "camera", "arm"]
    assert {record["code"] for record in refusals} == {"FORBIDDEN"}
    assert all("was revoked" in record["why"] for record in refusals)


def test_bad_requests_are_logged_now_and_then(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        world.service.answer([b"no JSON"], 0.0)
    world.service.answer([b"no JSON"], 0.0, "10.0.0.5")
    assert [record.__dict__["peer"] for record in caplog.records] == ["unknown", "10.0.0.5"]


def test_what_may_be_refused_every_day_is_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.register()
    assert isinstance(world.ask(Register("camera", "tcp://a", "x", displace=False)), ErrorReply)
    assert not caplog.records
