"""What a registry counts: every kind of request and outcome, and nothing that grows."""

import attrs
import pytest

from devicewatch.events.codec import decode_request
from devicewatch.events.errors import JournalError, MessageError
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
    UnknownRequest,
    Unregister,
    Unsupported,
)
from devicewatch.events.protocol import ErrorCode, Reason, RequestName
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.counts import BOUNDS, Counts, Kind, Outcome, Times
from devicewatch.registry.journal import Change, MemoryJournal
from devicewatch.registry.service import Service
from tests.support.cores import EPOCH, added, device, new_core, register, removed, wish

REGISTER = Register("camera", "tcp://a", "cam")


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reply", "kind", "outcome"),
    [
        (REGISTER, RegisterAck("cam", "u"), Kind.REGISTER, Outcome.OK),
        (CheckAlive("u"), Ack("CHECK_ALIVE", True), Kind.CHECK_ALIVE, Outcome.OK),
        (CheckAlive("u"), Ack("CHECK_ALIVE", False), Kind.CHECK_ALIVE, Outcome.UNKNOWN),
        (Unregister("u"), Ack("UNREGISTER", True), Kind.UNREGISTER, Outcome.OK),
        (Unregister("u"), Ack("UNREGISTER", False), Kind.UNREGISTER, Outcome.UNKNOWN),
        (Info(), InfoReply(1, EPOCH, 0, 0, 1.0, 0.0, 0), Kind.INFO, Outcome.OK),
        (Snapshot(), SnapshotReply(EPOCH, 0, [], None), Kind.SNAPSHOT, Outcome.OK),
        (Replay(EPOCH, 0), EventsReply(EPOCH, 0, []), Kind.REPLAY, Outcome.OK),
        (Replay(EPOCH, 0), CompactedReply(EPOCH, 9, 5), Kind.REPLAY, Outcome.COMPACTED),
        (UnknownRequest("X"), Unsupported("X"), Kind.UNSUPPORTED, Outcome.UNSUPPORTED),
    ],
)
def test_every_answer_has_its_kind_and_outcome(
    request_: Request, reply: Reply, kind: Kind, outcome: Outcome
) -> None:
    counts = Counts()
    counts.answered(request_, reply, 0.0)
    counts.answered(request_, reply, 0.0)
    assert list(counts.requests()) == [(kind, outcome, 2)]


@pytest.mark.parametrize("code", ErrorCode)
def test_what_was_refused_is_counted_by_its_code(code: ErrorCode) -> None:
    counts = Counts()
    counts.answered(REGISTER, ErrorReply("REGISTER", code, "no"), 0.0)
    assert list(counts.requests()) == [(Kind.REGISTER, Outcome(code.value), 1)]


@pytest.mark.parametrize(
    ("frame", "kind", "outcome"),
    [
        (b"garbage", Kind.MALFORMED, Outcome.MALFORMED),
        (b"x" * 70_000, Kind.MALFORMED, Outcome.TOO_LARGE),
        (b'{"event":"INFO","payload":7}', Kind.INFO, Outcome.INVALID),
        (b'{"event":"CHECK_ALIVE","payload":{}}', Kind.CHECK_ALIVE, Outcome.INVALID),
    ],
)
def test_what_was_not_understood_is_counted_by_its_name_if_it_has_one(
    frame: bytes, kind: Kind, outcome: Outcome
) -> None:
    counts = Counts()
    with pytest.raises(MessageError) as caught:
        decode_request([frame])
    counts.answered(None, ErrorReply(caught.value.req_event, caught.value.code, ""), 0.0)
    assert list(counts.requests()) == [(kind, outcome, 1)]


def test_a_name_that_is_none_of_ours_is_never_a_kind_of_its_own() -> None:
    counts = Counts()
    counts.answered(None, ErrorReply("malformed\n", ErrorCode.INVALID, ""), 0.0)
    counts.answered(None, ErrorReply("unsupported", ErrorCode.INVALID, ""), 0.0)
    assert list(counts.requests()) == [(Kind.MALFORMED, Outcome.INVALID, 2)]


def test_there_is_a_kind_for_every_request_and_an_outcome_for_every_code() -> None:
    assert {name.value for name in RequestName} < {kind.value for kind in Kind}
    assert {code.value for code in ErrorCode} < {outcome.value for outcome in Outcome}


def test_a_time_is_that_of_its_request() -> None:
    counts = Counts()
    counts.answered(Info(), InfoReply(1, EPOCH, 0, 0, 1.0, 0.0, 0), 0.02)
    counts.answered(None, ErrorReply(None, ErrorCode.MALFORMED, ""), 7.0)
    times = {kind: times for kind, times in counts.request_times() if times.seconds}
    assert {kind: times.seconds for kind, times in times.items()} == {
        Kind.INFO: 0.02,
        Kind.MALFORMED: 7.0,
    }
    assert times[Kind.INFO].cumulative()[-1] == 1
    assert times[Kind.MALFORMED].cumulative()[-2:] == [0, 1]


def test_renewals_that_were_not_timed_are_counted_all_the_same() -> None:
    counts = Counts()
    counts.answered(CheckAlive("u"), Ack("CHECK_ALIVE", True), 0.0)
    counts.renewals += 15
    assert list(counts.requests()) == [(Kind.CHECK_ALIVE, Outcome.OK, 16)]


def test_a_bound_belongs_to_the_class_below_it() -> None:
    times = Times()
    for seconds in (0.0, BOUNDS[0], BOUNDS[1], BOUNDS[-1], BOUNDS[-1] * 2):
        times.note(seconds)
    assert times.classes == [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1]
    assert times.cumulative() == [2, *[3] * (len(BOUNDS) - 2), 4, 5]


# --- events ---------------------------------------------------------------------------------------


def test_events_are_counted_by_reason() -> None:
    counts, camera = Counts(), device("cam", "tcp://a", 1)
    counts.published(added(camera))
    for seq, reason in enumerate((Reason.EXPIRED, Reason.REPLACED, Reason.EXPIRED), 2):
        counts.published(removed(camera, seq, reason))
    assert counts.added == 1
    assert counts.removed == {
        Reason.UNREGISTERED: 0,
        Reason.EXPIRED: 2,
        Reason.REPLACED: 1,
        Reason.REVOKED: 0,
    }


def test_a_service_counts_from_when_it_is_told_to() -> None:
    core, counts, journal = new_core(), Counts(), MemoryJournal()
    service = Service(core, journal, lambda _message: None)
    register_ = b'{"event":"REGISTER","payload":{"device_type":"t","addr":"a","name":""}}'
    service.answer([register_], 0.0)
    service.answer([b"garbage"], 0.0)
    assert not hasattr(service, "latest")
    service.count(counts, journal)
    service.answer([register_], 0.0)
    assert service.latest[0] == Register("t", "a", "")
    service.answer([b"garbage"], 0.0)
    assert service.latest[0] is None
    service.expire(100.0, drained=True)
    assert (counts.added, counts.removed[Reason.REPLACED], counts.removed[Reason.EXPIRED]) == (
        1,
        1,
        1,
    )


def test_what_could_not_be_kept_was_not_published() -> None:
    class Full(MemoryJournal):
        def append(self, change: Change) -> None:
            raise JournalError("the disk is full")

    core, counts = new_core(), Counts()
    service = Service(core, MemoryJournal(), lambda _message: None)
    service.count(counts, Full())
    service.answer(
        [b'{"event":"REGISTER","payload":{"device_type":"t","addr":"a","name":""}}'], 0.0
    )
    request, reply = service.latest
    counts.answered(request, reply, 0.0)
    assert list(counts.requests()) == [(Kind.REGISTER, Outcome.UNAVAILABLE, 1)]
    assert counts.added == 0
    assert sum(core.figures(counts).devices.values()) == 0


# --- types ----------------------------------------------------------------------------------------


def test_devices_are_counted_as_they_come_go_and_come_back(core: RegistryCore) -> None:
    def present() -> dict[str, int]:
        return {type_: n for type_, n in core.figures(Counts()).devices.items() if n}

    camera = register(core, wish("cam", "tcp://a"))
    register(core, wish("arm", "tcp://b", device_type="arm", alive_timeout=5.0))
    assert present() == {"camera": 1, "arm": 1}
    core.handle(CheckAlive(camera.uuid, 60.0), 1.0)  # another length of lease: not another device
    assert present() == {"camera": 1, "arm": 1}
    core.handle(wish("cam", "tcp://a", device_type="pump"), 1.0)
    assert present() == {"pump": 1, "arm": 1}
    core.revert()
    assert present() == {"camera": 1, "arm": 1}
    core.expire(30.0)
    assert present() == {"camera": 1}


def test_those_who_were_there_before_a_restart_are_counted() -> None:
    journal = MemoryJournal()
    journal.load(EPOCH, 10)
    before = new_core()
    for number in range(3):
        register(before, wish(addr=f"tcp://{number}"))
        change = before.change
        assert change is not None
        journal.append(change)
    journal.close()
    core = new_core()
    core.restore(journal.load(EPOCH, 10), 0.0)
    figures = core.figures(Counts())
    assert figures.devices == {"camera": 3}
    assert (figures.seq, figures.history, figures.epoch) == (3, 3, EPOCH)
    assert attrs.asdict(figures, recurse=False)["stalls"] == 0
