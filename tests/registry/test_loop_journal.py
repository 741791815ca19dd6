"""The loop and its journal: what was asked together is kept together, then sent."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

from devicewatch.events.codec import encode_request
from devicewatch.events.messages import CheckAlive, Info, Register, Request, Unregister
from devicewatch.events.sockets import Context, Socket
from devicewatch.registry.counts import Kind, Outcome
from devicewatch.registry.journal import Change
from devicewatch.registry.loop import _TOGETHER
from tests.support.journals import BAD, PickyJournal
from tests.support.shop import Shop, dealer

pytestmark = pytest.mark.interpreted


class Journal(PickyJournal):
    """One that lets a test look around before it keeps anything."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], object] = lambda: None

    def append(self, change: Change) -> None:
        self.before()
        super().append(change)


class Desk:
    """A loop with a journal, a client that asks many things at a time, and a watcher."""

    def __init__(self, context: Context, stack: ExitStack) -> None:
        self.journal = Journal()
        self.shop = Shop(context, stack, self.journal)
        self.client: Socket = stack.enter_context(dealer(context))
        self.watcher: Socket = stack.enter_context(context.socket(zmq.SUB))
        self.watcher.connect("inproc://stream")
        self.watcher.set(zmq.SUBSCRIBE, b"")
        self.shop.run_until_it_sleeps()
        self.heard()

    def ask(self, *requests: Request) -> None:
        for request in requests:
            self.client.send_multipart([b"", encode_request(request)])

    def in_a_crowd(self) -> None:
        """The next requests are not the first after a sleep."""
        self.shop.loop._has_slept = False

    def heard(self) -> list[int]:
        """The numbers of the events that have gone out since the last time."""
        seqs = []
        while self.watcher.poll(0):
            topic, body = self.watcher.recv_multipart()
            if topic in (b"added", b"removed"):
                seqs.append(json.loads(body)["seq"])
        return seqs

    def replies(self) -> list[str]:
        """What the client was answered since the last time, in short."""
        replies = []
        while self.client.poll(0):
            reply: dict[str, Any] = json.loads(self.client.recv_multipart()[1])
            replies.append(reply["payload"].get("code", reply["event"]))
        return replies


@pytest.fixture
def desk(context: Context) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(context, stack)


def wishes(number: int, device_type: str = "camera") -> list[Request]:
    return [Register(device_type, f"tcp://{one}", "") for one in range(number)]


def test_those_who_come_together_wait_for_one_transaction(desk: Desk) -> None:
    looks: list[object] = []
    desk.journal.before = lambda: looks.append((desk.heard(), desk.replies()))
    desk.ask(*wishes(10))
    desk.in_a_crowd()
    desk.shop.run_until_it_sleeps()
    assert looks == [([], [])], "nothing has got out before it was kept, and all was kept at once"
    assert desk.heard() == list(range(1, 11))
    assert desk.replies() == ["REGISTER_ACK"] * 10


def test_the_first_after_a_sleep_does_not_wait_for_others(desk: Desk) -> None:
    answered: list[object] = []
    desk.journal.before = lambda: answered.append((desk.heard(), desk.replies()))
    desk.ask(*wishes(3))
    desk.shop.run_until_it_sleeps()
    assert answered == [([], []), ([1], ["REGISTER_ACK"])]
    assert [len(change.events) for change in desk.journal.changes] == [1, 2]


def test_no_more_are_kept_together_than_go_out_together(desk: Desk) -> None:
    desk.ask(*wishes(2 * _TOGETHER))
    desk.in_a_crowd()
    desk.shop.run_until_it_sleeps()
    sizes = [len(change.events) for change in desk.journal.changes]
    assert sum(sizes) == 2 * _TOGETHER == len(desk.replies())
    assert max(sizes) <= _TOGETHER


def test_what_cannot_be_kept_is_refused_and_the_rest_served_in_their_order(desk: Desk) -> None:
    desk.ask(*wishes(2), *wishes(3, BAD)[2:], Info(), *wishes(4)[3:])
    desk.in_a_crowd()
    desk.shop.run_until_it_sleeps()
    assert desk.replies() == ["REGISTER_ACK", "REGISTER_ACK", "UNAVAILABLE", "INFO", "REGISTER_ACK"]
    assert desk.heard() == [1, 2, 3]
    assert not desk.shop.loop._again


def test_nothing_goes_out_where_nobody_knows_what_is_kept(desk: Desk) -> None:
    desk.journal.uncertain = True
    desk.ask(Info(), *wishes(3), Info())
    desk.in_a_crowd()
    with pytest.raises(TimeoutError):
        desk.shop.run_until_it_sleeps()
    assert (desk.journal.attempts, desk.heard(), desk.replies()) == (1, [], [])


def test_a_slow_failing_disk_holds_up_the_loop_for_one_request_at_a_time(desk: Desk) -> None:
    desk.ask(*wishes(3, BAD))
    desk.in_a_crowd()
    desk.shop.loop.do_round()
    assert (desk.replies(), len(desk.shop.loop._again)) == ([], 3)
    desk.ask(Info())
    desk.shop.loop._batch_time = -1.0  # every request takes longer than that
    for left in (2, 1):
        desk.shop.loop.do_round()
        assert (desk.replies(), len(desk.shop.loop._again)) == (["UNAVAILABLE"], left)
    desk.shop.run_until_it_sleeps()
    assert desk.replies() == ["UNAVAILABLE", "INFO"]


def test_no_lease_ends_while_its_renewal_has_to_be_served_again(desk: Desk) -> None:
    desk.ask(*wishes(1))
    desk.shop.run_until_it_sleeps()
    desk.heard()
    desk.replies()
    core = desk.shop.core
    (holder,) = core._registrations.by_uuid.values()
    leases, now = core._leases, time.monotonic()
    leases.set(holder, 0.0, now)
    leases._proven_until = leases._empty_until = now + 5.0 - core.away  # as if markers were read
    desk.ask(Register(BAD, "tcp://0", ""), CheckAlive(holder.uuid))
    desk.in_a_crowd()
    desk.shop.loop.do_round()
    assert (desk.replies(), len(desk.shop.loop._again)) == ([], 2)
    desk.shop.run_until_it_sleeps()
    assert (desk.replies(), desk.heard()) == (["UNAVAILABLE", "ACK"], [])
    assert list(core.devices.values()) == [holder.device]


def test_what_is_served_again_counts_once(desk: Desk) -> None:
    desk.ask(*wishes(1))
    desk.shop.run_until_it_sleeps()
    (uuid,) = desk.shop.core._registrations.by_uuid
    desk.shop.counts.wanted = True
    renewals = [CheckAlive(uuid)] * 20
    desk.ask(*wishes(3)[1:], *wishes(4, BAD)[3:], *renewals, Unregister(uuid), *renewals)
    desk.in_a_crowd()
    desk.shop.run_until_it_sleeps()
    counts = desk.shop.counts
    assert {(kind, outcome): number for kind, outcome, number in counts.requests()} == {
        (Kind.REGISTER, Outcome.OK): 2,
        (Kind.REGISTER, Outcome.UNAVAILABLE): 1,
        (Kind.CHECK_ALIVE, Outcome.OK): 20,
        (Kind.CHECK_ALIVE, Outcome.UNKNOWN): 20,
        (Kind.UNREGISTER, Outcome.OK): 1,
    }
    assert counts.not_kept == 1
    assert counts.appends.cumulative()[-1] == desk.journal.attempts - 1
