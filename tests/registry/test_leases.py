"""Deadlines: small examples, a plain dict beside it, and what they cost."""

import heapq
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devicewatch.registry.entries import Entry
from devicewatch.registry.leases import EARLY
from tests.support.leases import NamedLeases

pytestmark = pytest.mark.interpreted

YEAR = 365 * 86_400.0


def granted(**deadlines: float) -> NamedLeases:
    leases = NamedLeases()
    for key, deadline in deadlines.items():
        leases.grant(key, deadline)
    return leases


def is_past(leases: NamedLeases, now: float) -> bool:
    deadline = leases.next_deadline()
    return deadline is not None and deadline <= now


# --- examples -----------------------------------------------------------------------------------


def test_without_leases_there_is_no_deadline() -> None:
    leases = NamedLeases()

    assert len(leases) == 0
    assert leases.next_deadline() is None
    assert leases.ended(1e9, 10) == []


def test_a_lease_lasts_up_to_its_deadline() -> None:
    leases = granted(a=10.0)

    assert leases.ended(9.999, 10) == []
    assert len(leases) == 1
    assert leases.ended(10.0, 10) == ["a"]
    assert len(leases) == 0


def test_renewed_leases_end_in_order_of_their_deadlines_too() -> None:
    leases = granted(a=5.0, b=6.0)
    leases.grant("a", 8.0)

    assert leases.ended(10.0, 10) == ["b", "a"]


def test_whether_any_has_ended_changes_nothing() -> None:
    leases = granted(a=5.0, b=6.0)

    assert not leases.any_ended(4.999, 10)
    assert leases.any_ended(5.0, 10)
    assert leases.ended(5.0, 10) == ["a"]


def test_whether_any_has_ended_takes_several_looks_after_renewals() -> None:
    leases = granted(a=5.0, b=6.0)
    leases.grant("a", 8.0)

    assert not leases.any_ended(7.0, 1)
    assert is_past(leases, 7.0), "so it has to be asked again"
    assert leases.any_ended(7.0, 1)


def test_a_crowd_of_renewed_leases_is_put_right_a_few_at_a_time() -> None:
    leases = granted(**{f"crowd-{number:03}": 10.0 for number in range(100)}, dead=10.5)
    for number in range(100):
        leases.grant(f"crowd-{number:03}", 20.0)

    for _ in range(10):
        assert is_past(leases, 10.5)
        assert leases.ended(10.5, 10) == []
    assert leases.ended(10.5, 10) == ["dead"]
    assert not is_past(leases, 10.5)
    assert len(leases) == 100


def test_renewed_leases_that_come_up_one_after_the_other_are_put_right_together() -> None:
    """Each would wake the registry up otherwise, as often as there are renewals."""
    leases = granted(**{f"camera-{number}": 10 + number / 1_000 for number in range(1_000)})
    for number in range(1_000):
        leases.grant(f"camera-{number}", 20 + number / 1_000)
    looks = 0
    while (now := leases.next_deadline()) is not None and now < 20:
        looks += 1
        assert not leases.any_ended(now, 200)

    assert looks <= 1 / EARLY + 1


def test_what_is_put_right_early_is_not_taken_for_ended() -> None:
    leases = granted(due=5.0, soon=5.0 + EARLY / 2, later=5.0 + 2 * EARLY)
    leases.grant("due", 9.0)

    assert not leases.any_ended(5.0, 10)
    assert leases.next_deadline() == 5.0 + EARLY / 2
    assert not leases.any_ended(5.0 + EARLY / 4, 10)
    assert leases.ended(5.0 + EARLY, 10) == ["soon"]


def test_a_lease_ends_once() -> None:
    leases = granted(a=10.0)
    leases.ended(10.0, 10)

    assert leases.ended(1e9, 10) == []
    assert leases.next_deadline() is None


def test_leases_end_in_order_of_their_deadlines() -> None:
    leases = granted(c=3.0, a=1.0, d=4.0, b=2.0)

    assert leases.ended(3.5, 10) == ["a", "b", "c"]
    assert leases.ended(4.0, 10) == ["d"]


def test_a_limit_leaves_the_later_ones_for_the_next_call() -> None:
    leases = granted(c=3.0, a=1.0, b=2.0)

    assert leases.ended(9.0, 2) == ["a", "b"]
    assert leases.next_deadline() == 3.0
    assert leases.ended(9.0, 2) == ["c"]


def test_a_renewal_moves_the_deadline_to_later() -> None:
    leases = granted(a=10.0)
    leases.grant("a", 20.0)

    assert leases.ended(19.9, 10) == []
    assert leases.ended(20.0, 10) == ["a"]


def test_a_renewal_may_move_the_deadline_to_earlier() -> None:
    leases = granted(a=10.0)
    leases.grant("a", 5.0)

    assert leases.next_deadline() == 5.0
    assert leases.ended(5.0, 10) == ["a"]
    assert leases.ended(10.0, 10) == []


def test_the_last_renewal_counts_however_often_it_moved() -> None:
    leases = granted(a=10.0)
    for deadline in (30.0, 5.0, 40.0, 3.0, 12.0):
        leases.grant("a", deadline)

    assert leases.ended(11.9, 10) == []
    assert leases.ended(12.0, 10) == ["a"]


def test_a_cancelled_lease_does_not_end() -> None:
    leases = granted(a=10.0, b=20.0)
    leases.end("a")

    assert len(leases) == 1
    assert leases.ended(30.0, 10) == ["b"]


def test_a_cancelled_lease_may_be_granted_again() -> None:
    leases = granted(a=10.0)
    leases.end("a")
    leases.grant("a", 10.0)

    assert leases.ended(10.0, 10) == ["a"]
    assert leases.ended(10.0, 10) == []


def test_a_cancelled_lease_leaves_no_deadline_once_it_has_come_up() -> None:
    leases = granted(a=10.0)
    leases.end("a")

    assert leases.ended(10.0, 10) == []
    assert leases.next_deadline() is None


def test_cancelling_what_is_not_there_changes_nothing() -> None:
    leases = granted(a=10.0)

    with pytest.raises(KeyError):
        leases.end("b")

    assert len(leases) == 1
    assert leases.ended(10.0, 10) == ["a"]


def test_after_a_renewal_came_up_the_deadline_is_the_new_one() -> None:
    leases = granted(a=10.0)
    leases.grant("a", 20.0)
    leases.ended(10.0, 10)

    assert leases.next_deadline() == 20.0


# --- against a plain dict -----------------------------------------------------------------------

KEYS = st.sampled_from("abcdef")
SOON_OR_LATE = st.sampled_from([1, 2, 3, 5, 8, 30, 100])


class LeasesBesideADict(RuleBasedStateMachine):
    """`_deadline` is the truth: the deadline of each key.

    A burst of renewals or of short visits leaves enough behind for the heap to be tidied up, while
    other things happen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._leases = NamedLeases()
        self._deadline: dict[str, float] = {}
        self._now = 0.0

    def _grant(self, key: str, deadline: float) -> None:
        self._leases.grant(key, deadline)
        self._deadline[key] = deadline

    def _cancel(self, key: str) -> None:
        self._leases.end(key)
        del self._deadline[key]

    @rule(key=KEYS, seconds=SOON_OR_LATE)
    def grant_or_renew(self, key: str, seconds: int) -> None:
        self._grant(key, self._now + seconds)

    @precondition(lambda self: self._deadline)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._cancel(data.draw(st.sampled_from(sorted(self._deadline))))

    @rule(key=KEYS)
    def cancel_what_is_not_there(self, key: str) -> None:
        if key not in self._deadline:
            with pytest.raises(KeyError):
                self._leases.end(key)

    @rule(key=KEYS, count=st.integers(1, 120))
    def renew_to_earlier_and_earlier(self, key: str, count: int) -> None:
        for step in range(count):
            self._grant(key, self._now + 200.0 - step)

    @rule(count=st.integers(1, 120), stay=st.booleans())
    def visitors(self, count: int, stay: bool) -> None:
        for number in range(count):
            self._grant(f"visitor-{number}", self._now + 300.0 + number % 7)
        if not stay:
            for number in range(count):
                self._cancel(f"visitor-{number}")

    @rule(seconds=SOON_OR_LATE, limit=st.sampled_from([1, 2, 1000]))
    def let_time_pass(self, seconds: int, limit: int) -> None:
        self._now += seconds
        self._expire(limit)

    @precondition(lambda self: self._deadline)
    @rule(limit=st.sampled_from([1, 1000]))
    def let_time_pass_to_the_next_deadline(self, limit: int) -> None:
        self._now = max(self._now, min(self._deadline.values()))
        self._expire(limit)

    @rule()
    def let_all_leases_end(self) -> None:
        self._now += 1_000
        self._expire(1_000_000)
        assert not self._deadline
        assert self._leases.entries == 0

    def _expire(self, limit: int) -> None:
        """One call ends the first of those that are due; calls until none is past end them all."""
        due = [key for deadline, key in self._by_deadline() if deadline <= self._now]
        ended = self._leases.ended(self._now, limit)
        assert [self._deadline[key] for key in ended] == [
            self._deadline[key] for key in due[: len(ended)]
        ]
        assert len(ended) <= limit
        if limit > 1:
            calls = self._leases.entries + 1
            while is_past(self._leases, self._now):
                ended += self._leases.ended(self._now, limit)
                calls -= 1
                assert calls > 0, "a shell would never sleep again"
            assert sorted(ended) == sorted(due)
        for key in ended:
            del self._deadline[key]

    def _by_deadline(self) -> list[tuple[float, str]]:
        return sorted((deadline, key) for key, deadline in self._deadline.items())

    @invariant()
    def as_many_leases_as_in_the_dict(self) -> None:
        assert len(self._leases) == len(self._deadline)

    @invariant()
    def no_deadline_is_missed(self) -> None:
        if self._deadline:
            deadline = self._leases.next_deadline()
            assert deadline is not None
            assert deadline <= min(self._deadline.values())

    @invariant()
    def what_is_queued_stays_within_a_multiple_of_what_counts(self) -> None:
        assert self._leases.entries <= 5 * len(self._deadline) + 300


LeasesBesideADict.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
test_leases_agree_with_a_plain_dict = LeasesBesideADict.TestCase


@pytest.mark.parametrize("variety", [3, 30, 10_000])
@pytest.mark.parametrize("seed", range(5))
def test_no_lease_is_lost_or_late_while_many_others_come_and_go(seed: int, variety: int) -> None:
    random = Random(seed)
    leases, deadlines = NamedLeases(), dict[str, float]()
    for step in range(3_000):
        crowd = 150 if step % 1_000 < 500 else 8
        key = f"key-{random.randrange(crowd)}"
        if key in deadlines and random.random() < 0.6:
            leases.end(key)
            del deadlines[key]
        else:
            deadlines[key] = float(random.randint(1, variety))
            leases.grant(key, deadlines[key])
        earliest = leases.next_deadline()
        assert not deadlines or (earliest is not None and earliest <= min(deadlines.values()))

    while deadlines:
        now = min(deadlines.values())
        assert leases.ended(now - 0.5, 1_000) == []
        ended = leases.ended(now, 1_000)
        assert sorted(ended) == sorted(key for key in deadlines if deadlines[key] == now)
        for key in ended:
            del deadlines[key]
    assert len(leases) == 0


@pytest.mark.parametrize("renewals", [20, 25, 30, 35, 40])
def test_no_lease_is_lost_where_tidying_up_would_have_to_begin_again(renewals: int) -> None:
    leases = granted(first=1.0, again=10.0)
    for _ in range(60):
        leases.end("again")
        leases.grant("again", 10.0)
    for step in range(renewals):
        leases.grant("shorter", 9.0 - step / 1_000)

    assert leases.ended(20.0, 1_000) == ["first", "shorter", "again"]


# --- what it costs ------------------------------------------------------------------------------


@pytest.mark.no_cover
def test_memory_stays_bounded_when_long_leases_are_cancelled_early() -> None:
    leases = granted(a=YEAR, b=YEAR, c=YEAR)
    most = 0
    for number in range(100_000):
        leases.grant(f"visitor-{number}", YEAR + number)
        leases.end(f"visitor-{number}")
        most = max(most, leases.entries)

    assert len(leases) == 3
    assert most < 200


@pytest.mark.no_cover
def test_memory_stays_bounded_when_one_lease_is_granted_and_cancelled_again_and_again() -> None:
    leases = NamedLeases()
    most = 0
    for _ in range(10_000):
        leases.grant("a", YEAR)
        leases.end("a")
        most = max(most, leases.entries)

    assert most < 200


@pytest.mark.parametrize("long", [30.0, YEAR])
def test_memory_stays_bounded_when_long_and_short_renewals_alternate(long: float) -> None:
    leases = granted(a=0.0)
    for now in range(20_000):
        leases.grant("a", now + long)
        assert leases.ended(now, 10) == []
        leases.grant("a", now + 1.0)
        assert leases.entries < 200

    assert len(leases) == 1


@pytest.mark.no_cover
def test_memory_stays_bounded_when_every_renewal_is_shorter_than_the_last() -> None:
    leases = granted(other=YEAR)
    most = 0
    for step in range(50_000):
        leases.grant("a", YEAR - step)
        most = max(most, leases.entries)

    assert most < 200


@pytest.mark.no_cover
def test_memory_is_given_back_when_many_leases_are_cancelled() -> None:
    leases = NamedLeases()
    for number in range(20_000):
        leases.grant(f"key-{number}", YEAR + number)
    for number in range(19_990):
        leases.end(f"key-{number}")
        assert leases.entries <= 5 * len(leases) + 300

    assert leases.ended(3 * YEAR, 100) == [f"key-{number}" for number in range(19_990, 20_000)]


def test_no_single_change_does_all_the_tidying_up(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = 0

    def counted_push(heap: list[Entry], entry: Entry) -> None:
        nonlocal operations
        operations += 1
        heapq.heappush(heap, entry)

    monkeypatch.setattr("devicewatch.registry.leases.heappush", counted_push)
    leases = NamedLeases()
    for number in range(10_000):
        leases.grant(f"key-{number}", YEAR + number)
    assert operations == 10_000

    most = 0
    for number in range(10_000):
        operations = 0
        leases.end(f"key-{number}")
        most = max(most, operations)

    assert 0 < most < 10


def test_a_renewal_to_later_queues_nothing() -> None:
    leases = granted(a=20.0)
    for now in range(1_000):
        leases.grant("a", now + 20.0)

    assert leases.entries == 1
