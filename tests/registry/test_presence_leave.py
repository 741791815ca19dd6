"""A device's presence, driven by hand: how it leaves."""

import math

import pytest

from devicewatch.events.messages import Ack, ErrorReply, Info, Register, Reply, Unregister
from devicewatch.events.protocol import RequestName
from tests.registry.test_presence import displaced
from tests.support.presences import RENEWED, UNKNOWN, Hand, forgotten, granted, present

UNREGISTERED = Ack(RequestName.UNREGISTER, True)
INTERNAL = ErrorReply(None, "INTERNAL", "its own fault")


def over(hand: Hand, why: str = "") -> bool:
    """Whether it has ended, with these words for the owner."""
    assert hand.presence.ended
    assert hand.presence.next_deadline() == math.inf
    assert hand.silent()
    assert hand.told()[-1:] == [("left", hand.presence.status.name)]
    return why in hand.presence.status.why and bool(why) == bool(hand.presence.status.why)


@pytest.mark.parametrize("success", [True, False])
def test_it_unregisters(success: bool) -> None:
    hand = present()
    hand.leave()

    assert hand.asked() == Unregister("uuid-1")
    assert not hand.presence.ended
    assert hand.pause == 1.0
    hand.reply(Ack(RequestName.UNREGISTER, success))
    assert over(hand)
    assert not hand.presence.status.registered


def test_leaving_twice_is_leaving_once() -> None:
    hand = present()
    hand.leave()
    hand.asked()
    hand.leave()
    assert hand.silent()
    hand.reply(UNREGISTERED)
    hand.leave()
    assert over(hand)


def test_it_does_not_wait_for_the_answer_to_a_renewal() -> None:
    hand = present()
    hand.to_deadline()
    hand.leave()

    assert hand.asked() == Unregister("uuid-1")


def test_without_an_answer_it_ends_after_a_second() -> None:
    hand = present()
    hand.leave()
    hand.asked()
    hand.pass_time(0.999)
    assert not hand.presence.ended
    hand.pass_time(0.001)

    assert over(hand, "could not unregister")


@pytest.mark.parametrize("reply", [None, INTERNAL, granted()])
def test_nonsense_for_an_answer_is_the_end_as_well(reply: Reply | None) -> None:
    hand = present()
    hand.leave()
    hand.asked()
    hand.garbage() if reply is None else hand.reply(reply)

    assert over(hand, "could not unregister")


def test_told_to_leave_while_it_registers_it_takes_that_back() -> None:
    hand = Hand()
    assert isinstance(hand.asked(), Register)
    hand.leave()
    assert hand.silent()
    assert hand.pause == 1.0
    hand.now += 0.9
    hand.reply(granted())

    assert hand.asked() == Unregister("uuid-1")
    assert hand.pause == 1.0
    hand.reply(UNREGISTERED)
    assert over(hand)


def test_the_same_holds_when_it_registers_again() -> None:
    hand = forgotten()
    hand.asked()
    hand.leave()
    hand.reply(granted(uuid="uuid-2"))

    assert hand.asked() == Unregister("uuid-2")


def test_it_waits_a_second_for_an_answer_to_its_registration() -> None:
    hand = Hand()
    hand.asked()
    hand.leave()
    hand.pass_time(1.0)

    assert over(hand)


def test_a_registration_that_is_refused_needs_no_taking_back() -> None:
    hand = Hand()
    hand.asked()
    hand.leave()
    hand.reply(INTERNAL)

    assert over(hand)


def test_without_a_registration_there_is_nothing_to_take_back() -> None:
    standing_by = displaced()
    standing_by.leave()
    assert over(standing_by)

    asking = displaced()
    assert asking.to_deadline() == Info()
    asking.leave()
    assert over(asking)

    refused = forgotten()
    refused.asked()
    refused.reply(INTERNAL)
    refused.leave()
    assert over(refused)


def test_once_it_is_over_nothing_comes_of_anything() -> None:
    hand = present()
    hand.presence.abandon("the context was terminated")
    assert over(hand, "the context was terminated")
    hand.reply(UNKNOWN)
    hand.reply(RENEWED)
    hand.pass_time(3_600.0)
    hand.leave()

    assert hand.silent()
    assert hand.told() == []
