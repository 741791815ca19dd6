"""What the ends of handshakes amount to: no verdict without a cause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events.errors import AuthenticationError
from devicewatch.events.handshake import HANG_UPS, Handshake, Outcome
from devicewatch.events.keys import Key, fingerprint
from tests.support.keys import client_key, public_of

URL = "tcp://registry:5555"
KEY = client_key("camera")

AGREED, REFUSED, MISMATCH = Outcome.AGREED, Outcome.REFUSED, Outcome.MISMATCH
UNPROVEN, HUNG_UP = Outcome.UNPROVEN, Outcome.HUNG_UP

KNOCK = "knock"
STEPS = st.lists(
    st.sampled_from(Outcome)
    | st.just(HUNG_UP)
    | st.tuples(st.just(KNOCK), st.sampled_from([AGREED, MISMATCH])),
    max_size=12,
)
Step = Outcome | tuple[str, Outcome]

KEYS = pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])


def seen(key: Key | None, *steps: Step) -> Handshake:
    """What is made of so many attempts; a knock counts only where somebody should knock."""
    handshake = Handshake(URL, key)
    for step in steps:
        if isinstance(step, Outcome):
            handshake.saw(step)
        elif handshake.in_doubt:
            handshake.saw_knock(step[1])
    return handshake


def verdict(key: Key | None, *steps: Step) -> str:
    return str(seen(key, *steps).refusal or "")


# --- one by one ----------------------------------------------------------------------------------


@KEYS
def test_at_first_and_where_both_agree_there_is_nothing_to_say(key: Key | None) -> None:
    assert seen(key).refusal is None
    assert seen(key, AGREED).refusal is None
    assert not seen(key, AGREED).in_doubt


def test_a_key_that_is_not_known_is_told_how_to_become_so() -> None:
    words = verdict(KEY, REFUSED)
    assert fingerprint(KEY.public) in words
    assert f"`devicewatch keys authorize {KEY.public} --role ROLE`" in words
    assert "does not let this program in" in verdict(None, REFUSED)


def test_a_mismatch_says_which_side_has_no_key() -> None:
    assert "lets in nobody without a key, and none was given" in verdict(None, MISMATCH)
    assert "has no key, so it is not the registry that this key is for" in verdict(KEY, MISMATCH)


@KEYS
def test_who_cannot_prove_its_key_is_another(key: Key | None) -> None:
    assert "it is another registry, or it was given a new key" in verdict(key, UNPROVEN)


@KEYS
@pytest.mark.parametrize("outcome", [REFUSED, MISMATCH, UNPROVEN])
def test_no_word_of_a_secret(key: Key | None, outcome: Outcome) -> None:
    words = verdict(key, outcome)
    assert URL in words
    assert KEY.secret not in words
    assert isinstance(seen(key, outcome).refusal, AuthenticationError)


def test_a_registry_with_another_key_is_told_apart_by_knocking() -> None:
    before = [HUNG_UP] * HANG_UPS
    assert not seen(KEY, *before[1:]).in_doubt
    assert seen(KEY, *before).in_doubt
    assert not verdict(KEY, *before, (KNOCK, MISMATCH)), "the next attempt may do"
    words = verdict(KEY, *before, (KNOCK, MISMATCH), HUNG_UP)
    assert "does not have the registry's key" in words
    assert public_of("registry") in words


def test_who_agrees_while_somebody_knocks_is_in_doubt_no_more() -> None:
    handshake = seen(KEY, HUNG_UP, HUNG_UP, (KNOCK, MISMATCH), AGREED)
    assert not handshake.in_doubt
    handshake.saw(HUNG_UP)
    assert handshake.refusal is None
    assert not handshake.in_doubt, "it counts from the beginning again"


def test_a_tunnel_without_an_end_greets_nobody() -> None:
    handshake = seen(KEY, *[HUNG_UP] * 20)
    assert handshake.refusal is None
    assert handshake.in_doubt


def test_without_a_key_a_knock_tells_whether_one_is_wanted() -> None:
    assert "lets in nobody without a key" in verdict(None, HUNG_UP, HUNG_UP, (KNOCK, MISMATCH))
    handshake = seen(None, HUNG_UP, HUNG_UP, (KNOCK, AGREED))
    assert handshake.refusal is None
    assert not handshake.in_doubt, "it was something else"


def test_who_lets_in_the_one_without_a_key_is_not_the_registry() -> None:
    assert "has no key" in verdict(KEY, HUNG_UP, HUNG_UP, (KNOCK, AGREED))


# --- in whatever order ---------------------------------------------------------------------------


@given(st.integers(0, 50), st.booleans())
def test_being_hung_up_on_is_never_a_verdict(times: int, has_key: bool) -> None:
    handshake = seen(KEY if has_key else None, *[HUNG_UP] * times)
    assert handshake.refusal is None
    assert handshake.in_doubt == (times >= HANG_UPS)


@given(STEPS)
def test_a_verdict_has_a_cause(steps: list[Step]) -> None:
    """The reason that is given is one that was seen, in that order, and the first verdict shows."""
    handshake = Handshake(URL, KEY)
    hung_up, wants_keys = 0, False
    for step in steps:
        if isinstance(step, Outcome):
            handshake.saw(step)
            hung_up = 0 if step is AGREED else hung_up + (step is HUNG_UP)
            due = step in (REFUSED, MISMATCH, UNPROVEN) or (step is HUNG_UP and wants_keys)
        elif handshake.in_doubt:
            handshake.saw_knock(step[1])
            wants_keys |= step[1] is MISMATCH
            due = step[1] is AGREED
        else:
            continue
        if step is AGREED:
            wants_keys = False
        assert (handshake.refusal is not None) == due
        if due:
            return
        assert handshake.in_doubt == (hung_up >= HANG_UPS)


@given(STEPS)
def test_whoever_agrees_is_taken_for_new(steps: list[Step]) -> None:
    """As long as there was no verdict, what was before counts no more."""
    handshake = seen(KEY, *steps)
    if handshake.refusal is None:
        handshake.saw(AGREED)
        handshake.saw(HUNG_UP)
        assert handshake.refusal is None
        assert not handshake.in_doubt
