"""Who is there, and who left a while ago."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import Reason
from devicewatch.subscribers.top.board import KEEP_LEFT, MAX_LEFT, Board, Row, natural
from tests.support.hostile import HOSTILE, SHOWN
from tests.top.records import NOW, came, device, left, live, live_board, stale


def names(board: Board, *, left: bool = True) -> list[str]:
    return [row.name for row in board.rows(left=left)]


def test_devices_come_and_go() -> None:
    board = live_board(device("a"), device("b", kind="arm"))
    board.add(came(device("c")), NOW)
    board.add(left(device("a")), NOW)
    assert names(board) == ["b", "c", "a"]
    assert names(board, left=False) == ["b", "c"]
    assert (board.present, board.left) == (2, 1)
    assert board.kinds == {"arm": 1, "camera": 1}
    gone = board.row("a")
    assert gone is not None
    assert gone.left is not None
    assert gone.left.reason is Reason.EXPIRED
    assert board.row("nobody") is None
    assert board.departures("a", NOW) == 1


def test_one_that_comes_back_is_a_row_like_any_other() -> None:
    board = live_board(device("a"))
    board.add(left(device("a")), NOW)
    board.add(came(device("a", NOW)), NOW)
    assert (board.present, board.left) == (1, 0)
    assert [row.left for row in board.rows()] == [None]
    assert len(board.spans("a")) == 2


def test_every_change_has_a_version() -> None:
    board = live_board(device("a"))
    versions = [board.version]
    for record in (came(device("b")), left(device("b"))):
        board.add(record, NOW)
        versions.append(board.version)
    board.forget(NOW + KEEP_LEFT + 1)
    versions.append(board.version)
    assert versions == sorted(set(versions))


def test_what_no_watcher_says_breaks_nothing() -> None:
    board = live_board()
    board.add(left(device("ghost", kind="arm")), NOW)
    assert (board.present, board.left) == (0, 1)
    board.add(came(device("a")), NOW)
    board.add(came(device("a", kind="arm")), NOW)
    assert board.kinds == {"arm": 1}


def test_who_left_is_forgotten_after_a_while() -> None:
    board = live_board(device("a"), device("b"))
    board.add(left(device("a"), NOW), NOW)
    board.add(left(device("b"), NOW + 60), NOW + 60)
    board.forget(NOW + KEEP_LEFT - 1)
    assert board.left == 2
    board.forget(NOW + KEEP_LEFT + 1)
    assert names(board) == ["b"]
    board.forget(NOW + KEEP_LEFT + 61)
    assert names(board) == []


def test_not_too_many_are_kept() -> None:
    board = live_board()
    for number in range(MAX_LEFT + 5):
        board.add(left(device(f"d-{number}")), NOW)
    board.forget(NOW)
    assert board.left == MAX_LEFT
    assert board.row("d-4") is None
    assert board.row("d-5") is not None


# --- what is known --------------------------------------------------------------------------------


def test_a_stale_view_knows_up_to_when() -> None:
    board = live_board(device("a"))
    assert board.known(NOW + 5) == NOW + 5
    board.add(stale(NOW + 5), NOW + 5)
    board.add(stale(NOW + 6, "still"), NOW + 6)
    assert board.known(NOW + 60) == NOW + 5
    assert list(board.blind)[-1] == (NOW + 5, float("inf"))
    board.add(live(NOW + 70), NOW + 70)
    assert board.known(NOW + 80) == NOW + 80
    assert len(board.blind) == 1, "nothing was missed"


def test_what_was_missed_for_good_stays_unknown() -> None:
    board = live_board()
    board.add(stale(NOW + 5), NOW + 5)
    board.add(live(NOW + 70, resynced=True), NOW + 70)
    board.add(live(NOW + 71, resynced=True), NOW + 71)
    assert list(board.blind)[1:] == [(NOW + 5, NOW + 70)]


def test_before_it_was_live_nothing_is_known() -> None:
    board = Board()
    assert list(board.blind) == [(float("-inf"), float("inf"))]
    assert board.known(NOW) == NOW
    board.add(live(), NOW)
    assert list(board.blind) == [(float("-inf"), NOW)]


# --- another clock --------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [-86_400.0, -100.0, 100.0, 1e9])
def test_times_are_the_registrys(lead: float) -> None:
    board = live_board()
    board.add(came(device(at=NOW + lead)), NOW)
    assert board.ahead == lead
    board.add(left(device(at=NOW + lead), NOW + lead + 7), NOW + 7)
    assert board.ahead == lead
    assert board.departures("cam", NOW + 8) == 1
    board.forget(NOW + KEEP_LEFT)
    assert board.left == 1
    board.forget(NOW + KEEP_LEFT + 8)
    assert board.left == 0


# --- names ----------------------------------------------------------------------------------------


def test_numbers_in_names_count() -> None:
    names = ["cam-10", "cam-2", "Cam-1", "arm", "cam", "10", "9", "cam-02", "cam-2b"]
    assert sorted(names, key=natural) == [
        "9", "10", "arm", "cam", "Cam-1", "cam-02", "cam-2", "cam-2b", "cam-10",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=12) | st.text("0123456789a-", max_size=12)))
def test_any_names_have_one_order(texts: list[str]) -> None:
    once = sorted(texts, key=natural)
    backwards = once[::-1]
    assert sorted(backwards, key=natural) == once


def test_a_number_may_have_any_length() -> None:
    assert natural("a" + "9" * 10_000) < natural("a1" + "0" * 10_000)


def test_text_from_strangers_is_harmless() -> None:
    row = Row.of(device(HOSTILE, kind=HOSTILE, addr=HOSTILE, metadata={HOSTILE: HOSTILE}))
    assert row.name == row.device_type == row.addr == SHOWN
    assert row.metadata == f"{SHOWN}={SHOWN}"
    assert row.haystack.replace("\n", "").isprintable()
