"""The registry core beside a naive model of it, through whatever requests and time may bring.

The model is the protocol's text and little else: a list of who is present, in order of
registration, and a list of everything that was ever published. It looks at every device for every
question, and finds a free number by trying. There are few names and addresses, so that devices
are in each other's way all the time; all times are exact in binary, so that a deadline can be met
to the bit.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import count

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace

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
from devicewatch.events.protocol import MAX_INTEGER, MAX_PAGE, PROTOCOL_VERSION, Reason
from devicewatch.events.records import Added, Device, Event, Removed, Tick
from devicewatch.registry.core import GREETING_INTERVAL, RETRY, RegistryCore
from devicewatch.registry.counts import Counts
from devicewatch.registry.journal import MemoryJournal
from devicewatch.registry.settings import CoreSettings
from tests.support.cores import lease_deadlines

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

EPOCH = "epoch-1"
TICK_INTERVAL = 1.0

TYPES = st.sampled_from(["cam", "arm"])
NAMES = st.sampled_from(["", "cam", "cam-0", "cam-1", "cam-01", "arm"])
ADDRS = st.sampled_from([f"tcp://{n}" for n in range(7)])
TIMEOUTS = st.sampled_from([0.5, 2.0, 20.0, 60.0])
REQUESTS = st.builds(
    Register,
    device_type=TYPES,
    addr=ADDRS,
    name=NAMES,
    overwrite=st.booleans(),
    alive_timeout=st.none() | TIMEOUTS,
    instance=st.none() | st.sampled_from(["i", "j"]),
    metadata=st.none() | st.just({"fps": 30}),
    displace=st.booleans(),
)
LIMITS = st.sampled_from([1, 2, 3, MAX_PAGE, MAX_INTEGER])
STEPS = st.sampled_from([0.25, 0.5, 1.0, 1.75, 10.0, 20.0, 59.5, 100_000.0])


@attrs.define
class Held:
    """A registration, as the model remembers it."""

    device: Device
    uuid: str
    lease: float  # its length, in seconds
    deadline: float
    request: Register


class CoreBesideAModel(RuleBasedStateMachine):
    """`_present` and `_published` are the model; `_folded` is what a subscriber makes of events."""

    def __init__(self) -> None:
        super().__init__()
        self._present: list[Held] = []
        self._published: list[Event] = []
        self._seen = 0
        self._folded: dict[str, Device] = {}
        self._issued: list[str] = []
        self._wall_offset = 0.0
        self._latest_time = -math.inf
        self._last_tick = -math.inf
        self._greet_at = math.inf

    @initialize(
        start=st.sampled_from([0.0, -7.5, 1_000_000.25]),
        history=st.sampled_from([0, 1, 3, 10, 10_000]),
    )
    def the_registry_starts(self, start: float, history: int) -> None:
        numbers = count(1)
        self._new_uuid = lambda: f"uuid-{next(numbers)}"
        self._history = history
        self._journal = MemoryJournal()
        self._now = start
        self._start()

    def _start(self) -> None:
        past = self._journal.load(EPOCH, self._history)
        self._core = RegistryCore(
            past.epoch,
            self._now,
            CoreSettings(tick_interval=TICK_INTERVAL, history=self._history, events_port=5556),
            new_uuid=self._new_uuid,
        )
        self._core.restore(past, self._now)
        self._core.wall_offset = self._wall_offset
        self._started = self._now
        self._next_tick = self._now + TICK_INTERVAL

    # --- the model ------------------------------------------------------------------------------

    @property
    def _seq(self) -> int:
        return len(self._published)

    @property
    def _time_of_day(self) -> float:
        """Of an event that happens now: it never runs backwards."""
        time = self._now + self._wall_offset
        if not 0.0 < self._latest_time - time < 1.0:
            self._latest_time = time
        return self._latest_time

    def _model_enter(self, request: Register, uuid: str) -> Held:
        taken = {held.device.name for held in self._present}
        device = Device(
            name=free_name(request, taken),
            device_type=request.device_type,
            addr=request.addr,
            revision=self._seq + 1,
            registered_at=self._time_of_day,
            metadata={} if request.metadata is None else request.metadata,
        )
        lease = length_of_lease(request)
        held = Held(device, uuid, lease, self._now + lease, request)
        self._present.append(held)
        self._published.append(Added(EPOCH, self._seq + 1, self._time_of_day, device))
        return held

    def _model_leave(self, held: Held, reason: Reason) -> None:
        self._present.remove(held)
        self._published.append(
            Removed(EPOCH, self._seq + 1, self._time_of_day, held.device, reason)
        )

    def _model_register(self, request: Register, uuid: str) -> Held:
        for held in list(self._present):
            if held.device.addr == request.addr:
                if same_instance(request, held.request) and asks_for_the_same(request, held):
                    held.lease = length_of_lease(request)
                    held.deadline = self._now + held.lease
                    return held
                self._model_leave(held, Reason.REPLACED)
        for held in list(self._present):
            if request.overwrite and held.device.name == request.name:
                self._model_leave(held, Reason.REPLACED)
        return self._model_enter(request, uuid)

    def _holder_of(self, uuid: str) -> Held | None:
        return next((held for held in self._present if held.uuid == uuid), None)

    # --- what both are told ---------------------------------------------------------------------

    def _ask(self, request: Request) -> tuple[Reply, list[Event]]:
        reply, events = self._core.handle(request, self._now)
        self._keep()
        self._fold(events)
        return reply, events

    def _keep(self) -> None:
        change = self._core.change
        if change is not None:
            self._journal.append(change)

    def _fold(self, events: list[Event]) -> None:
        """Follow the events like a subscriber, and hold each to its promises on the way."""
        for event in events:
            self._seen += 1
            assert event.seq == self._seen, "P1: seq rises by one with each event"
            if isinstance(event, Added):
                assert event.device.revision == event.seq, "a revision is the seq of its added"
                assert event.device.name not in self._folded, "P9: one name, one device"
                addrs = {device.addr for device in self._folded.values()}
                assert event.device.addr not in addrs, "P9: one address, one device"
                self._folded[event.device.name] = event.device
            else:
                gone = self._folded.pop(event.device.name)
                assert event.device == gone, "P7: a removed carries exactly what was added"

    def _register(self, request: Register) -> None:
        before = self._seq
        reply, events = self._ask(request)
        if not request.displace and any(
            held.device.addr == request.addr and not same_instance(request, held.request)
            for held in self._present
        ):
            assert isinstance(reply, ErrorReply)
            assert (reply.code, events) == ("OCCUPIED", [])
            return
        assert isinstance(reply, RegisterAck)
        held = self._model_register(request, reply.uuid)

        assert events == self._published[before:]
        assert reply == RegisterAck(held.device.name, held.uuid, EPOCH, self._seq, held.lease)
        if events:
            assert reply.uuid not in self._issued, "a new registration has a new uuid"
            self._issued.append(reply.uuid)

    @rule(request=REQUESTS)
    def a_device_registers(self, request: Register) -> None:
        self._register(request)

    @precondition(lambda self: self._present)
    @rule(data=st.data())
    def a_device_registers_again(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self._present))
        self._register(replace(held.request))

    @precondition(lambda self: self._present)
    @rule(data=st.data(), displace=st.booleans(), overwrite=st.booleans())
    def a_device_claims_the_name_that_it_got(
        self, data: st.DataObject, displace: bool, overwrite: bool
    ) -> None:
        held = data.draw(st.sampled_from(self._present))
        self._register(
            replace(held.request, name=held.device.name, displace=displace, overwrite=overwrite)
        )

    @precondition(lambda self: self._present)
    @rule(data=st.data(), addr=ADDRS)
    def a_device_moves_and_takes_its_name_along(self, data: st.DataObject, addr: str) -> None:
        held = data.draw(st.sampled_from(self._present))
        self._register(replace(held.request, name=held.device.name, addr=addr, overwrite=True))

    def _some_uuid(self, data: st.DataObject) -> str:
        choices = [st.sampled_from(["", "made-up", "cam", "tcp://1"])]
        if self._issued:
            choices.insert(0, st.sampled_from(self._issued))
        if self._present:
            choices.insert(0, st.sampled_from([held.uuid for held in self._present]))
        return data.draw(st.one_of(choices))

    @rule(data=st.data())
    def someone_unregisters(self, data: st.DataObject) -> None:
        uuid = self._some_uuid(data)
        before = self._seq
        held = self._holder_of(uuid)
        reply, events = self._ask(Unregister(uuid))
        if held is not None:
            self._model_leave(held, Reason.UNREGISTERED)

        assert reply == Ack("UNREGISTER", success=held is not None)
        assert events == self._published[before:]

    @rule(data=st.data(), alive_timeout=TIMEOUTS)
    def someone_renews(self, data: st.DataObject, alive_timeout: float) -> None:
        uuid = self._some_uuid(data)
        held = self._holder_of(uuid)
        if held is not None:
            held.lease = alive_timeout
            held.deadline = self._now + alive_timeout

        assert self._ask(CheckAlive(uuid, alive_timeout)) == (
            Ack("CHECK_ALIVE", success=held is not None),
            [],
        )

    @rule(name=st.text(max_size=5))
    def someone_asks_for_what_nobody_knows(self, name: str) -> None:
        assert self._ask(UnknownRequest(name)) == (Unsupported(name), [])

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=STEPS)
    def time_passes(self, seconds: float) -> None:
        self._now += seconds

    @precondition(lambda self: any(held.deadline > self._now for held in self._present))
    @rule(data=st.data(), seconds_short=st.sampled_from([0.0, 0.0, 0.125]))
    def time_passes_to_a_deadline(self, data: st.DataObject, seconds_short: float) -> None:
        deadlines = [held.deadline for held in self._present if held.deadline > self._now]
        self._now = max(self._now, data.draw(st.sampled_from(deadlines)) - seconds_short)

    @rule(offset=st.sampled_from([0.0, 1_763_850_000.25, -3_600.0]))
    def somebody_sets_the_clock(self, offset: float) -> None:
        self._wall_offset = self._core.wall_offset = offset

    @rule()
    def leases_end(self) -> None:
        before = self._seq
        due = {held.device.revision: held for held in self._present if held.deadline <= self._now}
        events = self._core.expire(self._now)
        self._keep()
        self._fold(events)
        for event in events:
            assert event.device.revision in due, "P8: nothing expires early"
            self._model_leave(due.pop(event.device.revision), Reason.EXPIRED)

        assert not due, "P8: who fell silent is removed"
        assert events == self._published[before:]
        self._tick()
        assert self._core.next_deadline() > self._now

    # --- the journal ----------------------------------------------------------------------------

    @rule(request=REQUESTS)
    def a_registration_cannot_be_kept(self, request: Register) -> None:
        self._is_not_kept(request)

    @precondition(lambda self: self._present)
    @rule(data=st.data(), alive_timeout=TIMEOUTS)
    def what_someone_changes_cannot_be_kept(
        self, data: st.DataObject, alive_timeout: float
    ) -> None:
        held = data.draw(st.sampled_from(self._present))
        requests: list[Request] = [
            Unregister(held.uuid),
            CheckAlive(held.uuid, held.lease + alive_timeout),
            replace(held.request, name="", instance="another", displace=True),
        ]
        self._is_not_kept(data.draw(st.sampled_from(requests)))

    def _is_not_kept(self, request: Request) -> None:
        """The invariants see whether anything of it has remained."""
        renewed = self._renewed_by(request)
        reply, events = self._core.handle(request, self._now)
        if self._core.change is not None:
            self._core.revert()
            assert self._core.change is None
            for held in renewed if not events else ():  # at the length that it had
                held.deadline = max(held.deadline, self._now + held.lease)
        else:
            assert not events
            self._renewed_all_the_same(reply)

    def _renewed_by(self, request: Request) -> list[Held]:
        """Who asks for another length of a lease, if that is all that it comes to."""
        if isinstance(request, CheckAlive):
            return [held for held in self._present if held.uuid == request.uuid]
        if isinstance(request, Register):
            return [held for held in self._present if held.device.addr == request.addr]
        return []

    def _renewed_all_the_same(self, reply: Reply) -> None:
        """What needs no keeping has happened: somebody's lease was renewed."""
        if isinstance(reply, RegisterAck):
            held = self._holder_of(reply.uuid)
            assert held is not None
            held.deadline = self._now + held.lease

    @rule()
    def the_end_of_leases_cannot_be_kept(self) -> None:
        due = [held for held in self._present if held.deadline <= self._now]
        events = self._core.expire(self._now)
        assert (self._core.change is not None) == bool(due)
        assert len(events) == len(due)
        self._core.revert()
        for held in due:
            held.deadline = self._now + RETRY

    @rule()
    def the_registry_starts_again(self) -> None:
        self._journal.close()
        self._start()
        self._last_tick, self._greet_at = -math.inf, math.inf
        kept = self._published[-self._history :] if self._history else []
        self._latest_time = kept[-1].time if kept else -math.inf
        for held in self._present:
            held.deadline = self._now + held.lease

    # --- time, still ----------------------------------------------------------------------------

    @rule()
    def a_tick_may_be_due(self) -> None:
        self._tick()

    @rule()
    def somebody_subscribes(self) -> None:
        self._core.subscribed(self._now)
        soon = max(self._now, self._last_tick + GREETING_INTERVAL)
        self._greet_at = min(self._greet_at, soon)

    def _tick(self) -> None:
        due, tick = self._next_tick, self._core.tick(self._now)
        if self._now < min(due, self._greet_at):
            assert tick is None
            return
        assert tick == Tick(EPOCH, self._seq, self._time_of_day)
        self._last_tick, self._greet_at = self._now, math.inf
        if self._now >= due:
            missed_more = self._now >= due + TICK_INTERVAL
            self._next_tick = (self._now if missed_more else due) + TICK_INTERVAL

    # --- questions ------------------------------------------------------------------------------

    @rule(data=st.data(), limit=LIMITS)
    def someone_asks_for_a_page(self, data: st.DataObject, limit: int) -> None:
        after = data.draw(st.none() | st.integers(0, self._seq + 1))
        to_come = [
            held.device for held in self._present if after is None or held.device.revision > after
        ]
        page = to_come[: min(limit, MAX_PAGE)]

        assert self._ask(Snapshot(after, limit)) == (
            SnapshotReply(
                EPOCH, self._seq, page, page[-1].revision if len(page) < len(to_come) else None
            ),
            [],
        )

    @rule(limit=LIMITS)
    def someone_asks_for_all_pages(self, limit: int) -> None:
        devices = [device for page in self._pages(limit) for device in page]
        assert devices == [held.device for held in self._present]

    def _pages(self, limit: int) -> Iterator[list[Device]]:
        after: int | None = None
        while True:
            reply, _ = self._ask(Snapshot(after, limit))
            assert isinstance(reply, SnapshotReply)
            yield list(reply.devices)
            if reply.next is None:
                return
            assert after is None or reply.next > after, "paging goes on"
            after = reply.next

    @rule(data=st.data(), limit=LIMITS, epoch=st.sampled_from([EPOCH, EPOCH, EPOCH, "another"]))
    def someone_asks_for_a_replay(self, data: st.DataObject, limit: int, epoch: str) -> None:
        after = data.draw(st.integers(0, self._seq + 1))
        first_kept = max(0, self._seq - self._history)
        expected: Reply
        if epoch == EPOCH and first_kept <= after <= self._seq:
            missed = self._published[after:][: min(limit, MAX_PAGE)]
            expected = EventsReply(EPOCH, self._seq, missed)
        else:
            expected = CompactedReply(EPOCH, self._seq, first_kept + 1)

        assert self._ask(Replay(epoch, after, limit)) == (expected, [])

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def the_devices_are_those_of_the_model(self) -> None:
        expected = {held.device.name: held.device for held in self._present}
        assert self._core.devices == expected

    @invariant()
    def p1_no_seq_is_without_its_event(self) -> None:
        assert self._core.seq == self._seen

    @invariant()
    def p4_folding_all_events_gives_the_devices(self) -> None:
        assert self._folded == self._core.devices

    @invariant()
    def p9_one_name_one_device_and_one_address_one_device(self) -> None:
        devices = self._core.devices
        assert all(name == device.name for name, device in devices.items())
        assert len({device.addr for device in devices.values()}) == len(devices)

    @invariant()
    def info_counts(self) -> None:
        reply, events = self._core.handle(Info(), self._now)
        assert events == []
        assert reply == InfoReply(
            version=PROTOCOL_VERSION,
            epoch=EPOCH,
            seq=self._seq,
            devices=len(self._present),
            tick_interval=TICK_INTERVAL,
            uptime=self._now - self._started,
            history=self._history,
            events_port=5556,
        )

    @invariant()
    def the_types_are_counted(self) -> None:
        figures = self._core.figures(Counts())
        present = Counter(held.device.device_type for held in self._present)
        assert Counter(figures.devices) == present  # those of which there are none do not matter
        assert figures.other_devices == 0
        assert figures.history == min(self._seq, self._history)

    @invariant()
    def no_deadline_is_missed(self) -> None:
        deadlines = [held.deadline for held in self._present]
        assert self._core.next_deadline() <= min([self._next_tick, self._greet_at, *deadlines])

    @invariant()
    def every_lease_ends_when_it_should(self) -> None:
        deadlines = {held.uuid: held.deadline for held in self._present}
        assert lease_deadlines(self._core) == deadlines

    @invariant()
    def nothing_is_left_of_those_who_left(self) -> None:
        held, present = self._core._registrations, len(self._present)
        assert len(held.by_name) == len(held.by_addr) == len(held.by_uuid) == present
        assert len(held._in_order) == len(held._in_order.values) == present
        assert present or not len(held._numbered._bitmaps)


def same_instance(request: Register, other: Register) -> bool:
    return request.instance is not None and request.instance == other.instance


def asks_for_the_same(request: Register, held: Held) -> bool:
    """Whether it is as it asked to be, with the name that it wished for, or that it has."""
    old = held.request
    return (
        request.device_type == old.device_type
        and request.alive_timeout == old.alive_timeout
        and request.metadata == old.metadata
        and (
            request.name == held.device.name
            or (request.name, request.overwrite) == (old.name, old.overwrite)
        )
    )


def length_of_lease(request: Register) -> float:
    return 20.0 if request.alive_timeout is None else request.alive_timeout


def free_name(request: Register, taken: set[str]) -> str:
    if request.name and request.name not in taken:
        return request.name
    base, start = (request.name, 1) if request.name else (request.device_type, 0)
    return next(name for n in count(start) if (name := f"{base}-{n}") not in taken)


CoreBesideAModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None
)
test_the_core_does_what_the_model_does = CoreBesideAModel.TestCase
