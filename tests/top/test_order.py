"""Which rows are shown, and in which order."""

import pytest

from devicewatch.subscribers.top.board import Board
from devicewatch.subscribers.top.order import Choice, SortKey, arrange
from tests.top.records import NOW, came, device, left, live_board


@pytest.fixture
def board() -> Board:
    board = live_board(
        device("cam-10", NOW - 50, "camera", "tcp://10.0.0.9:1", {"room": "A"}),
        device("cam-2", NOW - 40, "camera", "tcp://10.0.0.10:1", {"room": "B"}),
        device("Arm", NOW - 30, "robot", "tcp://10.0.0.11:1", {"firmware": 1.5}),
        device("pump", NOW - 20, "Pump", "tcp://10.0.0.8:1"),
        device("gone", NOW - 10, "camera", "tcp://10.0.0.7:1"),
    )
    board.add(left(device("gone", NOW - 10, "camera", "tcp://10.0.0.7:1")), NOW)
    for _ in range(2):
        board.add(left(device("pump", NOW - 20, "Pump", "tcp://10.0.0.8:1")), NOW)
        board.add(came(device("pump", NOW - 20, "Pump", "tcp://10.0.0.8:1")), NOW)
    return board


def shown(board: Board, choice: Choice) -> str:
    return " ".join(row.name for row in arrange(board, choice, NOW))


@pytest.mark.parametrize(
    ("key", "forwards", "backwards"),
    [
        (SortKey.NAME, "Arm cam-2 cam-10 gone pump", "pump gone cam-10 cam-2 Arm"),
        (SortKey.TYPE, "cam-2 cam-10 gone pump Arm", "Arm pump cam-2 cam-10 gone"),
        (SortKey.ADDRESS, "gone pump cam-10 cam-2 Arm", "Arm cam-2 cam-10 pump gone"),
        (SortKey.FLAPS, "pump gone Arm cam-2 cam-10", "Arm cam-2 cam-10 gone pump"),
        (SortKey.PRESENT, "pump Arm cam-2 cam-10 gone", "gone cam-10 cam-2 Arm pump"),
    ],
)
def test_sorted(board: Board, key: SortKey, forwards: str, backwards: str) -> None:
    assert shown(board, Choice(key)) == forwards
    assert shown(board, Choice(key, reverse=True)) == backwards


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "Arm cam-2 cam-10 gone pump"),
        ("CAM", "cam-2 cam-10 gone"),
        ("cam room=a", "cam-10"),
        ("  ROBOT ", "Arm"),
        ("10.0.0.10", "cam-2"),
        ("firmware=1.5", "Arm"),
        ("[red]", ""),
        ("camera pump", ""),
    ],
)
def test_filtered(board: Board, words: str, found: str) -> None:
    assert shown(board, Choice(words=words)) == found


def test_without_those_who_left(board: Board) -> None:
    assert shown(board, Choice(left=False)) == "Arm cam-2 cam-10 pump"


def test_the_same_column_again_is_backwards() -> None:
    choice = Choice().by(SortKey.TYPE)
    assert choice == Choice(SortKey.TYPE)
    assert choice.by(SortKey.TYPE) == Choice(SortKey.TYPE, reverse=True)
    assert choice.by(SortKey.TYPE).by(SortKey.NAME) == Choice()


def test_the_columns_take_turns() -> None:
    key, seen = SortKey.NAME, []
    for _ in SortKey:
        seen.append(key)
        key = key.next()
    assert seen == list(SortKey)
    assert key is SortKey.NAME
