"""A device's presence, driven by hand: registering, renewing, being forgotten."""

import itertools
import math
from typing import Any

import pytest
from msgspec.structs import replace

from devicewatch.events import MessageError, RequestRefused
from devicewatch.events.messages import (
    CheckAlive,
    ErrorReply,
    Info,
    InfoReply,
    Register,
    Reply,
    Unsupported,
)
from devicewatch.events.protocol import MAX_LEASE, MIN_LEASE, RequestName
from devicewatch.registry.presence import PresenceState
from tests.support.presences import RENEWED, UNKNOWN, Hand, forgotten, granted, present

OCCUPIED = ErrorReply(RequestName.REGISTER, "OCCUPIED", "tcp://a is the camera 'cam' now")
INVALID = ErrorReply(RequestName.REGISTER, "INVALID", "no such type")
INTERNAL = ErrorReply(None, "INTERNAL", "its own fault")

CLAIM = Register("camera", "tcp://a", "cam", instance="i", displace=False)


def info(uptime: float) -> InfoReply:
    return InfoReply(1, "e", 0, 0, 1.0, uptime, 100, events_port=5556)


# --- registering ---------------------------------------------------------------------------------


def test_it_first_registers_as_it_wished() -> None:
    hand = Hand(overwrite=True, metadata={"lens": 50}, alive_timeout=5.0)

    assert hand.asked() == hand.wish
    assert hand.state is PresenceState.REGISTERING
    assert "tcp://registry:5555" in hand.presence.status.why


def test_once_it_has_an_answer_it_is_present_and_tells() -> None:
    hand = Hand()
    hand.reply(granted("cam-1"))

    assert hand.told() == [("present", "cam-1")]
    assert hand.told() == []
    assert hand.presence.status.registered
    assert hand.presence.status.why == ""
    assert hand.presence.status.previous_name == ""


def test_without_an_answer_it_asks_the_same_again() -> None:
    hand = Hand()
    first = hand.asked()

    assert hand.to_deadline() == first
    assert hand.told() == [("unreachable", "")]
    assert "no answer from tcp://registry:5555" in hand.presence.status.why
    assert hand.to_deadline() == first
    assert hand.told() == []


def test_an_answer_that_comes_at_the_last_moment_counts() -> None:
    hand = Hand()
    hand.asked()
    hand.now = hand.presence.next_deadline()
    hand.reply(granted())
    hand.pass_time(0.0)

    assert hand.silent()
    assert hand.told() == [("present", "cam")]


def test_before_its_time_it_does_nothing() -> None:
    hand = Hand()
    hand.asked()
    hand.pass_time(hand.pause - 0.001)

    assert hand.silent()


@pytest.mark.parametrize("lease", [MIN_LEASE, 1.0, 20.0, MAX_LEASE])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_the_time_between_two_attempts_grows_to_a_limit(lease: float, jitter: float) -> None:
    hand = Hand(alive_timeout=lease, jitter=jitter)
    hand.asked()
    pauses = []
    for _ in range(30):
        pauses.append(hand.pause)
        hand.to_deadline()

    assert all(before < after + 1e-9 for before, after in itertools.pairwise(pauses))
    assert pauses[:3] == pytest.approx([min(lease / 4, 5.0) * (1 - jitter / 4)] * 3)
    assert pauses[-1] == pytest.approx(7.5 if jitter else 10.0)


def test_jitter_spreads_out_the_attempts() -> None:
    assert Hand(jitter=1.0).pause < Hand(jitter=0.5).pause < Hand(jitter=0.0).pause


def test_what_json_cannot_hold_is_an_error_at_once() -> None:
    with pytest.raises(MessageError, match="'lens' is nan"):
        Hand(metadata={"lens": math.nan})


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (INVALID, "no such type"),
        (INTERNAL, "its own fault"),
        (OCCUPIED, "the camera 'cam' now"),
        (Unsupported("REGISTER"), "an older one"),
    ],
)
def test_a_refusal_at_the_start_is_the_end(reply: Reply, words: str) -> None:
    hand = Hand()
    hand.asked()
    hand.reply(reply)

    assert isinstance(hand.presence.error, RequestRefused)
    assert words in str(hand.presence.error)
    assert hand.presence.ended
    assert hand.told() == [("refused", "")]
    assert hand.presence.next_deadline() == math.inf
    hand.leave()
    hand.presence.abandon("the context was terminated")
    assert hand.silent()
    assert hand.told() == []


@pytest.mark.parametrize("reply", [None, RENEWED, info(1.0)])
def test_nonsense_at_the_start_is_the_end(reply: Reply | None) -> None:
    hand = Hand()
    hand.asked()
    hand.garbage() if reply is None else hand.reply(reply)

    assert isinstance(hand.presence.error, MessageError)
    assert hand.presence.ended


# --- renewing ------------------------------------------------------------------------------------


def test_it_renews_at_a_third_of_its_lease() -> None:
    hand = present()

    assert hand.pause == pytest.approx(20.0 / 3)
    assert hand.to_deadline() == CheckAlive("uuid-1", 20.0)
    hand.now += 0.5
    hand.reply(RENEWED)
    assert hand.pause == pytest.approx(20.0 / 3 - 0.5), "counted from when it asked"
    assert hand.told() == []


def test_two_renewals_may_get_lost_and_the_third_is_in_time() -> None:
    for lease in (MIN_LEASE, 3.0, 20.0, 3_600.0):
        hand = Hand(alive_timeout=lease)
        asked_at = hand.now
        hand.asked()
        hand.reply(granted(lease=lease))
        for _ in range(3):
            hand.to_deadline()

        assert hand.now < asked_at + lease * 0.9
        assert hand.state is PresenceState.PRESENT


def test_it_is_unreachable_once_its_lease_has_ended() -> None:
    hand = present()
    told: list[tuple[str, str]] = []
    while not told:
        assert hand.to_deadline() == CheckAlive("uuid-1", 20.0)
        told = hand.told()

    assert told == [("unreachable", "cam")]
    assert 20.0 <= hand.now - 100.0 < 30.0
    hand.to_deadline()
    assert hand.told() == []
    hand.reply(RENEWED)
    assert hand.told() == [("present", "cam")]
    assert hand.pause == pytest.approx(20.0 / 3)


@pytest.mark.parametrize("lease", [2.0, 60.0])
def test_the_registry_may_grant_another_lease(lease: float) -> None:
    hand = Hand(alive_timeout=20.0)
    hand.asked()
    hand.reply(granted(lease=lease))

    assert hand.pause == pytest.approx(lease / 3)
    assert hand.to_deadline() == CheckAlive("uuid-1", lease)


@pytest.mark.parametrize(
    ("asked", "pause"), [(5.0, 5.0 / 3), (None, 20.0 / 3), (3_600.0, 20.0 / 3)]
)
def test_an_older_registry_grants_twenty_seconds_at_first(
    asked: float | None, pause: float
) -> None:
    hand = Hand(alive_timeout=asked)
    hand.asked()
    hand.reply(granted(lease=None))

    assert hand.pause == pytest.approx(pause)
    assert hand.to_deadline() == CheckAlive("uuid-1", asked or 20.0)
    hand.reply(RENEWED)
    assert hand.pause == pytest.approx((asked or 20.0) / 3)


@pytest.mark.parametrize("lease", [0.0, -5.0, 1e300])
def test_no_lease_makes_it_spin(lease: float) -> None:
    hand = Hand()
    hand.asked()
    hand.reply(granted(lease=lease))

    assert MIN_LEASE / 4 <= hand.pause <= MAX_LEASE


def test_a_lease_that_makes_no_sense_is_the_registry_s_to_refuse() -> None:
    hand = Hand(alive_timeout=-1.0)

    assert hand.pause >= MIN_LEASE / 8


def test_a_registry_without_room_is_asked_again() -> None:
    hand = Hand()
    first = hand.asked()
    hand.reply(ErrorReply(RequestName.REGISTER, "UNAVAILABLE", "the disk is full"))

    assert hand.told() == [("refused", "")]
    assert "the disk is full" in str(hand.presence.error)
    assert not hand.presence.ended
    assert hand.to_deadline() == first
    hand.reply(granted())
    assert hand.told() == [("present", "cam")]
    assert hand.presence.error is None


@pytest.mark.parametrize("reply", [None, granted(), INTERNAL, Unsupported("CHECK_ALIVE")])
def test_a_renewal_answered_with_nonsense_is_tried_again(reply: Reply | None) -> None:
    hand = present()
    renewal = hand.to_deadline()
    hand.garbage() if reply is None else hand.reply(reply)

    assert hand.silent()
    assert 0.5 <= hand.pause <= 5.0
    assert hand.to_deadline() == renewal
    assert hand.told() == []
    assert not hand.presence.ended


@pytest.mark.parametrize(("reply", "state"), [(None, "unreachable"), (INTERNAL, "refused")])
def test_nonsense_for_longer_than_a_lease_is_told(reply: Reply | None, state: str) -> None:
    hand = present()
    requests = 0
    while hand.state is PresenceState.PRESENT:
        hand.to_deadline()
        hand.garbage() if reply is None else hand.reply(reply)
        requests += 1

    assert hand.told() == [(state, "cam")]
    assert requests < 6
    assert hand.to_deadline() == CheckAlive("uuid-1", 20.0)
    hand.reply(RENEWED)
    assert hand.told() == [("present", "cam")]


def test_a_reply_that_nobody_waits_for_is_ignored() -> None:
    hand = present()
    pause = hand.pause
    for reply in (UNKNOWN, RENEWED, granted("thief"), OCCUPIED):
        hand.reply(reply)
    hand.garbage()

    assert hand.silent()
    assert hand.told() == []
    assert hand.pause == pause


def test_after_a_pause_it_asks_once_and_not_for_all_that_it_missed() -> None:
    hand = present()
    hand.pass_time(3_600.0)

    assert hand.asked() == CheckAlive("uuid-1", 20.0)
    assert hand.pause > 1.0
    assert hand.told() == []


def test_a_reply_that_waited_through_a_pause_counts() -> None:
    hand = present()
    hand.to_deadline()
    hand.now += 3_600.0
    hand.reply(RENEWED)
    hand.pass_time(0.0)

    assert hand.asked() == CheckAlive("uuid-1", 20.0), "it was long ago"


# --- being forgotten -----------------------------------------------------------------------------


def test_a_device_that_is_not_known_any_more_claims_its_name_at_once() -> None:
    hand = Hand(overwrite=True, name="", alive_timeout=5.0, metadata={"lens": 50})
    hand.asked()
    hand.reply(granted("camera-3", 5.0))
    hand.to_deadline()
    hand.told()
    hand.reply(UNKNOWN)

    assert hand.told() == [("registering", "camera-3")]
    assert "no longer knows" in hand.presence.status.why
    assert hand.asked() == replace(hand.wish, name="camera-3", overwrite=False, displace=False)
    hand.reply(granted("camera-3", 5.0, "uuid-2"))
    assert hand.told() == [("present", "camera-3")]
    assert hand.presence.status.why == ""
    assert hand.to_deadline() == CheckAlive("uuid-2", 5.0)


def test_a_claim_without_an_answer_is_repeated() -> None:
    hand = forgotten()
    claim = hand.asked()

    assert claim == CLAIM
    assert hand.to_deadline() == claim
    assert hand.told() == [("unreachable", "cam")]


def test_a_device_that_lost_its_name_tells_and_keeps_the_new_one() -> None:
    hand = forgotten()
    hand.asked()
    hand.reply(granted("cam-1", uuid="uuid-2"))

    assert hand.told() == [("present", "cam-1")]
    status = hand.presence.status
    assert status.previous_name == "cam"
    assert "taken the name 'cam'" in status.why
    hand.to_deadline()
    hand.reply(UNKNOWN)
    assert hand.asked() == replace(CLAIM, name="cam-1")
    hand.reply(granted("cam-1", uuid="uuid-3"))
    assert hand.presence.status.why == ""
    assert hand.presence.status.previous_name == "cam"


@pytest.mark.parametrize(("reply", "state"), [(INVALID, "refused"), (None, "unreachable")])
def test_a_device_that_is_refused_later_goes_on_trying(reply: Reply | None, state: str) -> None:
    hand = forgotten()
    pauses = []
    for _ in range(8):
        assert hand.asked() == CLAIM
        hand.garbage() if reply is None else hand.reply(reply)
        pauses.append(hand.pause)
        hand.pass_time(hand.pause)

    assert hand.told() == [(state, "cam")]
    assert pauses[0] == 5.0
    assert pauses[-1] == 10.0
    hand.reply(granted())
    assert hand.told() == [("present", "cam")]


# --- displaced -----------------------------------------------------------------------------------


def displaced(**more: Any) -> Hand:
    hand = forgotten(**more)
    hand.asked()
    hand.reply(OCCUPIED)
    return hand


def test_a_device_whose_address_was_taken_tells_and_stands_by() -> None:
    hand = displaced()

    assert hand.told() == [("displaced", "cam")]
    assert hand.presence.status.why == OCCUPIED.message
    assert not hand.presence.status.registered
    assert hand.silent()


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 15.0), (0.5, 20.0), (1.0, 25.0)])
def test_it_asks_once_a_lease_whether_the_other_has_gone(jitter: float, pause: float) -> None:
    hand = displaced(jitter=jitter)
    hand.told()
    for _ in range(3):
        assert hand.pause == pytest.approx(pause)
        assert hand.to_deadline() == Info()
        hand.reply(info(3_600.0))
        assert hand.asked() == CLAIM
        hand.reply(OCCUPIED)
    assert hand.told() == []


def test_it_comes_back_when_the_other_has_gone() -> None:
    hand = displaced()
    hand.to_deadline()
    hand.reply(info(3_600.0))
    hand.asked()
    hand.told()
    hand.reply(granted(uuid="uuid-2"))

    assert hand.told() == [("present", "cam")]
    assert hand.presence.status.why == ""
    assert hand.to_deadline() == CheckAlive("uuid-2", 20.0)


def test_after_a_restart_the_other_may_come_back_first() -> None:
    hand = displaced()
    hand.to_deadline()
    hand.reply(info(19.9))

    assert hand.silent()
    assert hand.pause == pytest.approx(15.0)
    assert hand.to_deadline() == Info()
    hand.reply(info(34.9))
    assert hand.asked() == CLAIM


@pytest.mark.parametrize("reply", [Unsupported("INFO"), INTERNAL])
def test_a_registry_that_does_not_say_since_when_it_is_up_is_asked_all_the_same(
    reply: Reply,
) -> None:
    hand = displaced()
    hand.to_deadline()
    hand.reply(reply)

    assert hand.asked() == CLAIM


@pytest.mark.parametrize("reply", [None, RENEWED, INVALID])
def test_trouble_while_it_stands_by_does_not_change_what_it_says(reply: Reply | None) -> None:
    hand = displaced()
    hand.told()
    hand.to_deadline()
    if reply is INVALID:
        hand.reply(info(3_600.0))
        hand.asked()
    hand.garbage() if reply is None else hand.reply(reply)
    hand.to_deadline()
    hand.to_deadline()

    assert hand.told() == []
    assert hand.state is PresenceState.DISPLACED
    assert hand.pause > 1.0


# --- text ----------------------------------------------------------------------------------------


def test_a_name_that_does_not_print_is_no_answer() -> None:
    hand = Hand()
    hand.reply(granted("\x1b[2J"))

    assert hand.state is PresenceState.REFUSED
    assert isinstance(hand.presence.error, MessageError)
    assert str(hand.presence.error).endswith(r"gives a name that does not print: \u001b[2J")


def test_a_device_that_is_present_lets_such_a_name_pass() -> None:
    hand = forgotten()
    hand.asked()
    hand.reply(granted("\x1b[2J"))

    assert hand.to_deadline() == CLAIM
    hand.reply(granted())
    assert hand.state is PresenceState.PRESENT


def test_what_a_registry_says_is_harmless_to_show() -> None:
    hand = forgotten()
    hand.asked()
    hand.reply(ErrorReply(RequestName.REGISTER, "OCCUPIED", "\x1b[2J\n" + "x" * 10_000))

    why = hand.presence.status.why
    assert why.startswith(r"\u001b[2J\u000axxx")
    assert why.isprintable()
    assert len(why) == 1_000
