"""What the dashboard says beside the table and the event log."""

import pytest

from devicewatch.events import Origin, Reason, Status
from devicewatch.events.records import State
from devicewatch.events.text import clock
from devicewatch.subscribers.top.board import Board, Row
from devicewatch.subscribers.top.lines import plain, width_of
from devicewatch.subscribers.top.words import (
    LONGEST_HISTORY,
    details,
    found,
    help_lines,
    status,
)
from tests.support.hostile import HOSTILE, SHOWN, TRICKS
from tests.top.records import NOW, came, device, left, live, live_board, stale

URL = "tcp://controller:5555"


def said(
    board: Board, state: State, why: str = "", *, width: int = 78, url: str = URL
) -> list[str]:
    lines = status(Status(state, NOW - 130, why), url, board, NOW, width)
    return [plain(line).rstrip() for line in lines]


def about(board: Board, name: str, now: float = NOW) -> str:
    row = board.row(name)
    assert row is not None
    return "\n".join(plain(line) for line in details(row, board, now, 60))


# --- status ---------------------------------------------------------------------------------------


def test_live() -> None:
    board = live_board(device("a"), device("b"), device("c", kind="arm"))
    assert said(board, State.LIVE) == [
        f"● LIVE for 2 min   {URL}",
        "3 devices: 1 arm, 2 camera",
    ]
    board.add(left(device("a")), NOW)
    board.add(left(device("c", kind="arm")), NOW)
    assert said(board, State.LIVE)[1] == "1 device: 1 camera   2 left"


def test_connecting() -> None:
    why = f"no registry has answered yet at {URL}"
    assert said(Board(), State.CONNECTING, why) == [f"◌ CONNECTING for 2 min   {URL}", why]


@pytest.mark.parametrize("state", [State.STALE, State.CLOSED])
def test_stale(state: State) -> None:
    at = clock(NOW - 130)
    assert said(live_board(device()), state, "a cut cable") == [
        f"○ STALE for 2 min, since {at}   {URL}",
        f"1 device at {at}: 1 camera",
        "a cut cable",
    ]


def test_a_moment_ago() -> None:
    lines = status(Status(State.LIVE, NOW, ""), URL, live_board(), NOW, 78)
    assert plain(lines[0]).startswith("● LIVE for 0 s ")
    assert plain(lines[1]) == "0 devices"


def test_as_many_types_as_there_is_room_for() -> None:
    kinds = [f"kind-{number}" for number in range(30)]
    board = live_board(*(device(kind, kind=kind) for kind in kinds))
    _first, counts = said(board, State.LIVE)
    assert counts.startswith("30 devices: 1 kind-0, 1 kind-1, 1 kind-10, ")
    assert counts.endswith(" more types")
    told = counts.count("kind-")
    assert counts.endswith(f", {30 - told} more types")
    assert len(counts) <= 78
    assert said(board, State.LIVE, width=20)[1] == "30 devices: 30 more types"
    two = live_board(device("a", kind="k" * 20), device("b", kind="l" * 20))
    assert said(two, State.LIVE, width=60)[1] == f"2 devices: 1 {'k' * 20}, 1 {'l' * 20}"


def test_text_from_strangers_in_the_status() -> None:
    board = live_board(device(HOSTILE, kind=HOSTILE))
    for state in State:
        lines = said(board, state, HOSTILE, url=HOSTILE)
        assert not TRICKS & set("".join(lines))
    assert SHOWN in said(board, State.STALE, HOSTILE)[2]


def test_how_much_a_filter_lets_through() -> None:
    board = live_board(device("a"), device("b"))
    board.add(left(device("a")), NOW)
    assert found(1, board, left=True) == "1 of 2"
    assert found(1, board, left=False) == "1 of 1"


# --- details --------------------------------------------------------------------------------------


def test_everything_about_a_device() -> None:
    board = live_board(device("cam", NOW - 125, metadata={"room": "A", "gain": 1.5, "note": None}))
    text = about(board, "cam")
    assert text.startswith("cam   present for 2 min\n")
    for words in (
        "type         camera",
        "address      tcp://cam:1",
        ", 2 min ago",
        "revision     1",
        "room         A",
        "gain         1.5",
        "note         None",
        "PRESENCE, the last 12 minutes",
        "to now               2 min",
    ):
        assert words in text
    assert "▇▇▇▇▇▇▇▇▇▇" in text


def test_one_that_left_and_its_history() -> None:
    board = live_board(device("cam", NOW - 300))
    board.add(left(device("cam", NOW - 300), NOW - 200, Reason.UNREGISTERED), NOW - 200)
    board.add(came(device("cam", NOW - 100)), NOW - 100)
    board.add(left(device("cam", NOW - 100), NOW - 90), NOW - 90)
    text = about(board, "cam")
    assert text.startswith("cam   expired 1 min ago\n")
    history = text.splitlines()[-2:]
    assert [line.split()[-1] for line in history] == ["expired", "unregistered"]
    assert "  10 s " in history[0]
    assert "   1 min " in history[1]
    assert "none" in text


def test_a_departure_that_was_missed() -> None:
    board = live_board(device())
    board.add(stale(), NOW)
    assert about(board, "cam", NOW + 100).startswith(f"cam   present for 1 min, at {clock(NOW)}\n")
    board.add(left(device(), NOW + 1, Reason.UNKNOWN, Origin.RESYNC), NOW + 5)
    board.add(live(NOW + 5, resynced=True), NOW + 5)
    text = about(board, "cam", NOW + 6)
    assert text.startswith("cam   gone 5 s ago\n")
    assert f"to about {clock(NOW + 1)}" in text
    assert text.endswith("unknown")


def test_one_that_came_this_moment() -> None:
    text = about(live_board(device(at=NOW)), "cam")
    assert text.startswith("cam   present for 0 s\n")
    assert ", just now" in text


def test_a_long_history_is_cut() -> None:
    board = live_board()
    for _ in range(LONGEST_HISTORY + 5):
        board.add(came(device()), NOW)
        board.add(left(device()), NOW)
    text = about(board, "cam")
    assert text.count("expired") == LONGEST_HISTORY + 1
    assert text.endswith("and 5 times before")


def test_text_from_strangers_in_the_details() -> None:
    who = device(HOSTILE, at=1e300, kind=HOSTILE, addr=HOSTILE, metadata={HOSTILE: HOSTILE})
    board = live_board(who)
    text = about(board, HOSTILE)
    assert not TRICKS & set(text)
    gone = Row.of(who, left(who))
    assert all(plain(line).isprintable() for line in details(gone, board, NOW, 12))


# --- help -----------------------------------------------------------------------------------------


def test_the_help_fits_on_a_small_screen() -> None:
    lines = help_lines()
    assert len(lines) <= 24 - 5
    assert max(width_of(line) for line in lines) <= 80 - 5
