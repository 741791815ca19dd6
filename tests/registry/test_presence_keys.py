"""A device's presence, driven by hand: the registry does not let it in, at first or any more."""

import pytest

from devicewatch.events.errors import AuthenticationError
from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    Register,
    Unregister,
)
from devicewatch.events.protocol import RequestName
from tests.registry.test_presence import displaced
from tests.support.presences import RENEWED, UNKNOWN, Hand, forgotten, granted, present

ERROR = AuthenticationError("the registry does not know the key")


def not_let_in(hand: Hand) -> None:
    hand.presence.not_let_in(ERROR, hand.now)


def refusal(code: str) -> ErrorReply:
    return ErrorReply(RequestName.REGISTER, code, "no")


def test_at_the_start_it_is_over_at_once() -> None:
    hand = Hand()
    hand.asked()
    not_let_in(hand)
    assert hand.presence.ended
    assert hand.presence.error is ERROR
    assert hand.told() == [("refused", "")]
    assert hand.silent()


def test_not_to_be_let_in_any_more_is_not_to_be_registered_any_more() -> None:
    hand = present()
    hand.to_deadline()
    not_let_in(hand)
    assert hand.told() == [("refused", "cam")]
    assert hand.presence.status.why == str(ERROR)
    assert not hand.presence.status.registered
    assert not hand.presence.ended
    assert hand.silent(), "it does not ask at once"


def test_between_two_renewals_it_is_told_as_well() -> None:
    """Its connection was cut; nothing was asked just then."""
    hand = present()
    hand.pass_time(1.0)
    not_let_in(hand)
    assert hand.state == "refused"
    assert isinstance(hand.to_deadline(), CheckAlive)


def test_it_asks_less_and_less_often() -> None:
    hand = present()
    pauses = []
    for _ in range(8):
        hand.to_deadline()
        not_let_in(hand)
        pauses.append(round(hand.pause, 6))
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(5.0)
    assert pauses[-1] == pytest.approx(10.0)
    assert hand.told() == [("refused", "cam")], "which is told once"


@pytest.mark.parametrize("known", [True, False])
def test_it_comes_back_when_it_is_let_in_again(known: bool) -> None:
    hand = present()
    hand.to_deadline()
    not_let_in(hand)
    hand.told()
    assert isinstance(hand.to_deadline(), CheckAlive)
    hand.reply(RENEWED if known else UNKNOWN)
    if not known:
        request = hand.asked()
        assert isinstance(request, Register)
        assert (request.name, request.overwrite, request.displace) == ("cam", False, False)
        hand.reply(granted(uuid="uuid-2"))
        assert hand.told() == [("registering", "cam"), ("present", "cam")]
    else:
        assert hand.told() == [("present", "cam")]
    assert hand.presence.status.why == ""
    assert hand.pause == pytest.approx(20.0 / 3)
    hand.to_deadline()
    not_let_in(hand)
    assert hand.pause == pytest.approx(5.0), "the pauses begin anew"


def test_a_device_that_was_forgotten_tries_on_as_well() -> None:
    hand = forgotten()
    hand.asked()
    not_let_in(hand)
    assert not hand.presence.ended
    assert hand.told() == [("refused", "cam")]
    assert isinstance(hand.to_deadline(), Register)


def test_whoever_stands_by_goes_on_standing_by() -> None:
    hand = displaced()
    assert isinstance(hand.to_deadline(), Info)
    not_let_in(hand)
    assert hand.state == "displaced"
    assert isinstance(hand.to_deadline(), Info)


def test_without_being_let_in_there_is_no_way_to_unregister() -> None:
    hand = present()
    hand.leave()
    assert hand.asked() == Unregister("uuid-1")
    not_let_in(hand)
    assert hand.presence.ended
    assert hand.told() == [("left", "cam")]
    assert "could not unregister, so the lease will have to end" in hand.presence.status.why


def test_leaving_while_it_is_not_let_in_tries_once() -> None:
    hand = present()
    hand.to_deadline()
    not_let_in(hand)
    hand.leave()
    assert isinstance(hand.asked(), Unregister)
    hand.reply(Ack(RequestName.UNREGISTER, True))
    assert hand.presence.ended


def test_what_comes_after_the_end_makes_no_difference() -> None:
    hand = Hand()
    hand.asked()
    hand.leave()
    not_let_in(hand)
    assert hand.presence.ended
    hand.told()
    hand.pass_time(1000.0)
    assert (hand.told(), hand.silent()) == ([], True)


# --- what the registry answers -------------------------------------------------------------------


@pytest.mark.parametrize("code", ["TOO_MANY", "TOO_FAST", "UNAVAILABLE"])
def test_what_may_pass_is_waited_for_even_at_the_start(code: str) -> None:
    hand = Hand()
    hand.asked()
    hand.reply(refusal(code))
    assert not hand.presence.ended
    assert hand.state == "refused"
    assert isinstance(hand.to_deadline(), Register)
    hand.reply(granted())
    assert hand.presence.error is None
    assert hand.told() == [("refused", ""), ("present", "cam")]


def test_what_is_forbidden_at_the_start_is_over() -> None:
    hand = Hand()
    hand.asked()
    hand.reply(refusal("FORBIDDEN"))
    assert hand.presence.ended
    assert "FORBIDDEN" in str(hand.presence.error)


@pytest.mark.parametrize("code", ["FORBIDDEN", "TOO_MANY", "TOO_FAST"])
def test_what_is_refused_later_is_tried_on(code: str) -> None:
    hand = forgotten()
    hand.asked()
    hand.reply(refusal(code))
    assert (hand.state, hand.presence.ended) == ("refused", False)
    hand.to_deadline()
    hand.reply(granted())
    assert hand.state == "present"


def test_a_renewal_that_is_forbidden_is_not_the_end_of_the_lease() -> None:
    """It is revoked a moment later, or it was an error: the lease says which."""
    hand = present()
    hand.to_deadline()
    hand.reply(ErrorReply(RequestName.CHECK_ALIVE, "FORBIDDEN", "no"))
    assert hand.state == "present"
    for _ in range(4):
        hand.to_deadline()
        hand.reply(ErrorReply(RequestName.CHECK_ALIVE, "FORBIDDEN", "no"))
    assert hand.state == "refused"
