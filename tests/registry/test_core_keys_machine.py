"""The core of a registry with keys beside a naive model, whatever peers, their grants and time do.

As in `test_core_machine`, whose model of names and registrations this shares, there are few names
and addresses. There are few keys as well, and everybody knows everybody's uuid and instance, so
that each is in the others' way all the time; and each may lose its rights at any moment.
"""

from fnmatch import fnmatchcase
from itertools import count
from typing import Final

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
    ErrorReply,
    Info,
    Register,
    RegisterAck,
    Reply,
    Request,
    Snapshot,
    UnknownRequest,
    Unregister,
)
from devicewatch.events.protocol import BURST, Reason, Role
from devicewatch.events.records import Event
from devicewatch.registry.core import RETRY, RegistryCore
from devicewatch.registry.journal import MemoryJournal
from devicewatch.registry.limits import Limits
from devicewatch.registry.security import Grant
from devicewatch.registry.settings import CoreSettings
from tests.registry.test_core_machine import (
    ADDRS,
    EPOCH,
    REQUESTS,
    STEPS,
    TIMEOUTS,
    Held,
    asks_for_the_same,
    free_name,
    length_of_lease,
    same_instance,
)
from tests.support.cores import lease_deadlines, whole_state

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

PEERS: Final = ("alice", "bob", "carol")
PEER = st.sampled_from(PEERS)
ROLES = st.sampled_from([Role.DEVICE, Role.DEVICE, Role.DEVICE, Role.ADMIN, Role.VIEWER])
PATTERNS = st.sampled_from(["*", "*", "cam*", "cam", "cam-?", "a*"])
LIMITS = st.builds(
    Limits,
    devices=st.sampled_from([3, 100]),
    devices_per_peer=st.sampled_from([None, 2]),
    requests_per_peer=st.sampled_from([None, 1.0]),
)
Grants = dict[str, Grant]


@attrs.define
class Owned(Held):
    """A registration, and whose it is."""

    peer: str = ""


class KeyedCoreBesideAModel(RuleBasedStateMachine):
    """`_present`, `_grants`, `_busy_until` and `_refused` are the model."""

    @initialize(limits=LIMITS, closed=st.booleans())
    def the_registry_starts(self, limits: Limits, closed: bool) -> None:
        numbers = count(1)
        self._new_uuid = lambda: f"uuid-{next(numbers)}"
        self._issued: list[str] = ["made-up"]
        self._limits = limits
        self._now = 0.0
        self._present: list[Owned] = []
        self._retried: set[str] = set()  # revoked, and could not be removed yet
        self._list: Grants = {who: Grant(who, Role.DEVICE) for who in PEERS}
        self._journal = MemoryJournal()
        self._start(closed)

    def _start(self, closed: bool) -> None:
        past = self._journal.load(EPOCH, 100)
        core_settings = CoreSettings(limits=self._limits)
        self._core = RegistryCore(past.epoch, self._now, core_settings, self._new_uuid)
        self._core.restore(past, self._now)
        self._busy_until: dict[str, float] = {}
        self._refused = 0
        self._retried.clear()
        for held in self._present:
            held.deadline = self._now + held.lease
        self._grants: Grants | None = None
        if closed:
            self._authorize(self._list)

    # --- the model ------------------------------------------------------------------------------

    def _role(self, peer: str) -> Role | None:
        grant = None if self._grants is None else self._grants.get(peer)
        return None if grant is None else grant.role

    def _may_have(self, peer: str, name: str) -> bool:
        if self._grants is None or self._role(peer) is Role.ADMIN:
            return True
        return self._role(peer) is Role.DEVICE and fnmatchcase(name, self._grants[peer].names)

    def _may_stay(self, held: Owned) -> bool:
        return self._may_have(held.peer, held.device.name)

    def _may_end(self, held: Owned, peer: str) -> bool:
        mine = self._grants is None or held.peer == peer
        return mine or self._role(peer) is Role.ADMIN or not self._may_stay(held)

    def _of(self, peer: str, held: Owned) -> bool:
        return self._grants is None or (held.peer == peer and self._may_stay(held))

    def _refusal(self, peer: str, request: Request) -> str:
        """Why nobody even looks at a request; "" if somebody does. It is counted, if it counts."""
        acting = isinstance(request, Register | Unregister | CheckAlive)
        if self._grants is not None:
            role = self._role(peer)
            if role is None or (acting and role is Role.VIEWER):
                return "FORBIDDEN"
        if self._limits.requests_per_peer and not isinstance(request, CheckAlive | Unregister):
            busy_until = max(self._busy_until.get(peer, 0.0), self._now) + 1.0
            if busy_until > self._now + BURST:
                return "TOO_FAST"
            self._busy_until[peer] = busy_until
        return ""

    def _displaced_by(self, request: Register) -> list[Owned]:
        at_addr = [held for held in self._present if held.device.addr == request.addr]
        named = [
            held
            for held in self._present
            if request.overwrite and held.device.name == request.name and held not in at_addr
        ]
        return at_addr + named

    def _register_refusal(self, peer: str, request: Register) -> str:
        displaced = self._displaced_by(request)
        for held in displaced:
            there = held.device.addr == request.addr
            again = same_instance(request, held.request) and self._of(peer, held)
            if there and not again and not request.displace:
                return "OCCUPIED"
        if not all(self._may_end(held, peer) for held in displaced):
            return "FORBIDDEN"
        left = [held for held in self._present if held not in displaced]
        name = free_name(request, {held.device.name for held in left})
        if not self._may_have(peer, name):
            return "FORBIDDEN"
        most = self._limits.devices_per_peer
        mine = [held for held in left if held.peer == peer]
        too_many = len(left) >= self._limits.devices or (most is not None and len(mine) >= most)
        return "TOO_MANY" if too_many else ""

    def _asked_again(self, peer: str, request: Register) -> Owned | None:
        """The registration that a request would get again."""
        for held in self._present:
            if (
                held.device.addr == request.addr
                and same_instance(request, held.request)
                and self._of(peer, held)
                and asks_for_the_same(request, held)
            ):
                return held
        return None

    # --- requests -------------------------------------------------------------------------------

    def _ask(self, peer: str, request: Request, *, kept: bool = True) -> None:
        self._core._ledger.settle()
        before = whole_state(self._core)
        refusal = self._refusal(peer, request)
        if not refusal:
            refusal = self._decision(peer, request)
        reply, events = self._core.handle(request, self._now, peer)
        if refusal:
            self._refused += refusal == "FORBIDDEN"
            assert isinstance(reply, ErrorReply), f"{refusal} was expected"
            assert (reply.code, events) == (refusal, [])
            assert whole_state(self._core) == before, "what is refused changes nothing"
            return
        assert not isinstance(reply, ErrorReply), reply
        change = self._core.change
        if change is not None and not kept:
            self._core.revert()
            for held in self._renewed(peer, request) if not events else ():
                held.deadline = max(held.deadline, self._now + held.lease)
            return
        if change is not None:
            self._journal.append(change)
        self._apply(peer, request, reply, events)

    def _decision(self, peer: str, request: Request) -> str:
        if isinstance(request, Register):
            again = self._asked_again(peer, request)
            return "" if again is not None else self._register_refusal(peer, request)
        if isinstance(request, Unregister | CheckAlive):
            others = [held for held in self._with(request.uuid) if not self._may_end(held, peer)]
            return "FORBIDDEN" if others else ""
        return ""

    def _with(self, uuid: str) -> list[Owned]:
        return [held for held in self._present if held.uuid == uuid]

    def _renewed(self, peer: str, request: Request) -> list[Owned]:
        if isinstance(request, CheckAlive):
            return [held for held in self._with(request.uuid) if self._may_stay(held)]
        again = self._asked_again(peer, request) if isinstance(request, Register) else None
        return [] if again is None else [again]

    def _apply(self, peer: str, request: Request, reply: Reply, events: list[Event]) -> None:
        expected: list[tuple[str, str, Reason | None]] = []
        match request, reply:
            case CheckAlive(), Ack():
                renewed = self._renewed(peer, request)
                assert reply.success == bool(renewed)
                self._renew(renewed, request.alive_timeout)
            case Unregister(), Ack():
                gone = self._with(request.uuid)
                assert reply.success == bool(gone)
                expected = self._leave(gone, Reason.UNREGISTERED)
            case Register(), RegisterAck():
                renewed = self._renewed(peer, request)
                if renewed:
                    assert (reply.uuid, reply.name) == (
                        renewed[0].uuid,
                        renewed[0].device.name,
                    )
                    self._renew(renewed, length_of_lease(request))
                else:
                    expected = self._leave(self._displaced_by(request), Reason.REPLACED)
                    expected.append(self._enter(peer, request, reply))
            case _:
                assert not isinstance(request, Register | Unregister | CheckAlive)
        assert [
            (event.topic, event.device.name, getattr(event, "reason", None)) for event in events
        ] == expected

    def _renew(self, renewed: list[Owned], seconds: float) -> None:
        for held in renewed:
            held.lease, held.deadline = seconds, self._now + seconds

    def _leave(self, gone: list[Owned], reason: Reason) -> list[tuple[str, str, Reason | None]]:
        self._present = [held for held in self._present if held not in gone]
        return [("removed", held.device.name, reason) for held in gone]

    def _enter(
        self, peer: str, request: Register, ack: RegisterAck
    ) -> tuple[str, str, Reason | None]:
        name = free_name(request, {held.device.name for held in self._present})
        assert ack.name == name
        assert ack.uuid not in self._issued, "nobody is given the uuid of another"
        self._issued.append(ack.uuid)
        lease = length_of_lease(request)
        device = self._core.devices[name]
        self._present.append(Owned(device, ack.uuid, lease, self._now + lease, request, peer))
        return ("added", name, None)

    @rule(peer=PEER, request=REQUESTS, kept=st.sampled_from([True, True, True, False]))
    def a_device_registers(self, peer: str, request: Register, kept: bool) -> None:
        self._ask(peer, request, kept=kept)

    @precondition(lambda self: self._present)
    @rule(peer=PEER, data=st.data(), overwrite=st.booleans(), displace=st.booleans())
    def somebody_registers_as_another_did(
        self, peer: str, data: st.DataObject, overwrite: bool, displace: bool
    ) -> None:
        """Its owner, or whoever has stolen its instance."""
        held = data.draw(st.sampled_from(self._present))
        name = data.draw(st.sampled_from([held.request.name, held.device.name]))
        request = replace(held.request, name=name, overwrite=overwrite, displace=displace)
        self._ask(peer, request)

    @precondition(lambda self: self._present)
    @rule(peer=PEER, data=st.data(), addr=ADDRS)
    def somebody_takes_a_name(self, peer: str, data: st.DataObject, addr: str) -> None:
        held = data.draw(st.sampled_from(self._present))
        request = replace(held.request, name=held.device.name, addr=addr, overwrite=True)
        self._ask(peer, request)

    def _some_uuid(self, data: st.DataObject) -> str:
        present = [held.uuid for held in self._present]
        return data.draw(st.sampled_from(present or self._issued) | st.sampled_from(self._issued))

    @rule(peer=PEER, data=st.data(), seconds=TIMEOUTS, kept=st.booleans())
    def somebody_renews(self, peer: str, data: st.DataObject, seconds: float, kept: bool) -> None:
        self._ask(peer, CheckAlive(self._some_uuid(data), seconds), kept=kept)

    @rule(peer=PEER, data=st.data(), kept=st.booleans())
    def somebody_unregisters(self, peer: str, data: st.DataObject, kept: bool) -> None:
        self._ask(peer, Unregister(self._some_uuid(data)), kept=kept)

    @rule(peer=PEER, request=st.sampled_from([Info(), Snapshot(), UnknownRequest("COFFEE")]))
    def somebody_looks(self, peer: str, request: Request) -> None:
        self._ask(peer, request)

    @rule(peer=PEER)
    def somebody_asks_as_fast_as_it_can(self, peer: str) -> None:
        for _ in range(int(BURST) + 1):
            self._ask(peer, Info())

    # --- rights ---------------------------------------------------------------------------------

    @rule(peer=PEER, role=ROLES, names=PATTERNS)
    def a_key_is_authorized(self, peer: str, role: Role, names: str) -> None:
        self._change_list(self._list | {peer: Grant(peer, role, names)})

    @rule(peer=PEER)
    def a_key_is_revoked(self, peer: str) -> None:
        self._change_list({who: grant for who, grant in self._list.items() if who != peer})

    @rule(peer=PEER)
    def a_key_is_revoked_and_given_back(self, peer: str) -> None:
        before = self._list
        self._change_list({who: grant for who, grant in before.items() if who != peer})
        self._change_list(before)

    def _change_list(self, grants: Grants) -> None:
        self._list = grants
        if self._grants is not None:
            self._authorize(grants)

    def _authorize(self, grants: Grants | None) -> None:
        before = [(held, self._may_stay(held)) for held in self._present]
        self._grants = grants
        self._core.authorize(grants, self._now)
        for held, was_allowed in before:
            if was_allowed and not self._may_stay(held):
                held.deadline = self._now
            elif not was_allowed and self._may_stay(held):
                held.deadline = self._now + held.lease
                self._retried.discard(held.uuid)

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=STEPS)
    def time_passes(self, seconds: float) -> None:
        self._now += seconds

    @rule(kept=st.sampled_from([True, True, False]))
    def leases_end(self, kept: bool) -> None:
        while events := self._core.expire(self._now):  # those that are proven come first
            change = self._core.change
            assert change is not None
            gone = [held for held in self._present if held.device in [e.device for e in events]]
            assert all(held.deadline <= self._now for held in gone)
            assert {event.device.name: getattr(event, "reason", None) for event in events} == {
                held.device.name: Reason.EXPIRED if self._may_stay(held) else Reason.REVOKED
                for held in gone
            }
            if kept:
                self._journal.append(change)
                self._leave(gone, Reason.EXPIRED)
            else:
                self._core.revert()
                for held in gone:
                    held.deadline = self._now + RETRY
                    self._retried.add(held.uuid)
        assert self._core.change is None
        assert not any(held.deadline <= self._now for held in self._present)

    @rule(closed=st.booleans())
    def the_registry_starts_again(self, closed: bool) -> None:
        """With keys, or without: what was registered in the other way is there at first."""
        self._journal.close()
        self._start(closed)

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def whoever_is_there_may_be_there_or_is_about_to_leave(self) -> None:
        for registration in self._core._registrations.by_uuid.values():
            (held,) = self._with(registration.uuid)
            leaving = held.deadline <= self._now or held.uuid in self._retried
            assert self._may_stay(held) or leaving

    @invariant()
    def the_registrations_are_those_of_the_model(self) -> None:
        registrations = self._core._registrations.by_uuid
        assert {uuid: (r.device, r.peer, r.lease) for uuid, r in registrations.items()} == {
            held.uuid: (held.device, held.peer, held.lease) for held in self._present
        }

    @invariant()
    def every_lease_ends_when_it_should(self) -> None:
        deadlines = {held.uuid: held.deadline for held in self._present}
        assert lease_deadlines(self._core) == deadlines

    @invariant()
    def whoever_was_turned_away_was_counted(self) -> None:
        assert self._core.refused == self._refused

    @invariant()
    def each_is_counted_among_those_of_its_peer(self) -> None:
        by_peer = self._core._registrations.by_peer
        assert {peer: set(mine) for peer, mine in by_peer.items()} == {
            peer: {held.uuid for held in self._present if held.peer == peer}
            for peer in {held.peer for held in self._present}
        }


KeyedCoreBesideAModel.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None
)
test_the_core_with_keys_does_what_the_model_does = KeyedCoreBesideAModel.TestCase
