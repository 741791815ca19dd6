"""The lines of the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import Reason
from devicewatch.subscribers.top.board import Board, Row
from devicewatch.subscribers.top.columns import Columns, departure, header, line
from devicewatch.subscribers.top.lines import Tone, plain, width_of
from devicewatch.subscribers.top.order import Choice, SortKey
from tests.support.hostile import HOSTILE, TRICKS
from tests.top.records import NOW, came, device, left, live_board, stale

CAMERA = device("cam-2", NOW - 300, "camera", "tcp://10.0.0.2:7000", {"room": "A", "fw": 2})


def only_row(board: Board) -> Row:
    (row,) = board.rows()
    return row


def shown(board: Board, width: int = 79, now: float = NOW) -> str:
    columns = Columns.fitting(board.rows(), width)
    return plain(line(only_row(board), columns, board, now))


def test_a_device_that_is_there() -> None:
    assert shown(live_board(CAMERA)) == (
        "  cam-2 camera tcp://10.0.0.2:7000 ······▄▇▇▇▇▇    5 min room=A, fw=2"
    ).ljust(79)


def test_one_that_has_just_come_is_marked() -> None:
    board = live_board()
    board.add(came(device(at=NOW - 3)), NOW)
    assert shown(board).startswith("+ cam ")
    assert shown(board, now=NOW + 10).startswith("  cam ")


def test_one_that_left_says_why() -> None:
    board = live_board(CAMERA)
    board.add(left(CAMERA), NOW)
    assert shown(board, now=NOW + 130).startswith("- cam-2 ")
    assert shown(board, now=NOW + 130).rstrip().endswith(" expired 2 min ago")
    row = only_row(board)
    assert departure(row, NOW, 30) == "expired just now"
    assert departure(row, NOW + 130, 14) == "expired 2 min"
    assert departure(Row.of(CAMERA), NOW, 30) == ""
    unknown = Row.of(CAMERA, left(CAMERA, reason=Reason.UNKNOWN))
    assert departure(unknown, NOW + 5, 30) == "gone 5 s ago"


def test_usual_addresses_are_whole_at_80_cells() -> None:
    rows = [Row.of(device("incubator-4", kind="incubator", addr="tcp://10.0.0.23:7000"))]
    columns = Columns.fitting(rows, 79)
    assert (columns.name, columns.device_type, columns.addr) == (11, 9, 20)
    rows = [Row.of(device("cam-12", kind="camera", addr="tcp://192.168.100.231:7000"))]
    columns = Columns.fitting(rows, 79)
    assert (columns.name, columns.device_type, columns.addr) == (6, 6, 26)


def test_every_reason_fits_at_80_cells() -> None:
    board = live_board(device("incubator-4", NOW - 99, "incubator", "tcp://10.0.0.23:7000"))
    columns = Columns.fitting(board.rows(), 79)
    room = 8 + 1 + columns.metadata
    for reason in Reason:
        who = only_row(board)
        gone = departure(Row.of(who.device, left(who.device, reason=reason)), NOW + 661, room)
        assert len(gone) <= room, gone


def test_one_that_flaps_stands_out() -> None:
    board = live_board(CAMERA)
    columns = Columns.fitting(board.rows(), 79)
    for alarming in (False, False, False, True):
        tones = {tone for _text, tone in line(only_row(board), columns, board, NOW)}
        assert (Tone.ALARM in tones) == alarming
        board.add(left(CAMERA), NOW)
        board.add(came(CAMERA), NOW)


def test_a_stale_view_counts_no_further() -> None:
    board = live_board(CAMERA)
    board.add(stale(), NOW)
    assert "    5 min " in shown(board, now=NOW + 3600)


def test_the_registrys_clock_may_be_another() -> None:
    board = live_board()
    board.add(came(device(at=NOW + 1000)), NOW)
    assert shown(board, now=NOW + 5).startswith("+ cam ")
    assert "     5 s " in shown(board, now=NOW + 5)


# --- how wide -------------------------------------------------------------------------------------


def test_what_is_sorted_by_is_in_the_header() -> None:
    columns = Columns.fitting([Row.of(CAMERA)], 79)
    assert plain(header(columns, Choice())).split() == [
        "NAME▲", "TYPE", "ADDRESS", "LAST", "12", "MIN", "PRESENT", "METADATA",
    ]  # fmt: skip
    for key, start, end in columns.places():
        for reverse, arrow in ((False, "▲"), (True, "▼")):
            shown = plain(header(columns, Choice(key, reverse)))
            assert arrow in shown[start:end]
            assert shown.count("▲") + shown.count("▼") == 1


def test_columns_are_found_where_they_are() -> None:
    columns = Columns.fitting([Row.of(CAMERA)], 79)
    shown = plain(header(columns, Choice()))
    for word, key in (
        ("NAME", SortKey.NAME),
        ("TYPE", SortKey.TYPE),
        ("ADDRESS", SortKey.ADDRESS),
        ("LAST", SortKey.FLAPS),
        ("PRESENT", SortKey.PRESENT),
    ):
        assert columns.at(shown.index(word)) is key
    assert columns.at(shown.index("METADATA")) is None
    assert columns.at(0) is None


@pytest.mark.parametrize("width", [20, 40, 63, 64, 79, 110, 145, 180, 250])
def test_one_long_name_leaves_room_for_the_others(width: int) -> None:
    long = device("n" * 256, kind="t" * 256, addr="a" * 1024, metadata={"k": "v" * 1000})
    board = live_board(long, CAMERA)
    columns = Columns.fitting(board.rows(), width)
    for row in board.rows():
        assert width_of(line(row, columns, board, NOW)) == width
    assert width_of(header(columns, Choice())) == width
    if width >= 79:
        assert columns.metadata >= 11
        assert columns.name >= 13
    assert bool(columns.strip) == (width >= 64)


def test_wide_letters_take_two_cells() -> None:
    board = live_board(device("相機" * 30, metadata={"室": "甲"}))
    columns = Columns.fitting(board.rows(), 79)
    assert width_of(line(only_row(board), columns, board, NOW)) == 79


@given(st.text(max_size=20), st.text(max_size=20), st.integers(10, 220))
def test_whatever_it_is_called_a_line_is_a_line(name: str, addr: str, width: int) -> None:
    board = live_board(device(name, addr=addr or "a", metadata={name: addr}))
    shown_line = line(only_row(board), Columns.fitting(board.rows(), width), board, NOW)
    assert width_of(shown_line) == width
    assert plain(shown_line).isprintable()


def test_text_from_strangers_is_harmless() -> None:
    board = live_board(device(HOSTILE, kind=HOSTILE, addr=HOSTILE, metadata={HOSTILE: HOSTILE}))
    assert not TRICKS & set(shown(board, 250))
    assert "\\u001b[2Jgone" in shown(board, 250)
