"""The backlog of the web page: what is still known, and who can go on where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import Cursor
from devicewatch.subscribers.web.backlog import PIECE, Backlog, read_id, wire_id

EPOCH = "e"
LIFE = "l1"


def at(seq: int, revision: int | None = None) -> Cursor:
    return Cursor(EPOCH, seq, revision)


def backlog(*seqs: int, since: int = 0, life: str = LIFE, **limits: int) -> Backlog:
    made = Backlog(at(since), life=life, **limits)
    for seq in seqs:
        made.add("added", at(seq), b"%d" % seq)
    return made


def rest(made: Backlog, after: str) -> list[str] | None:
    """The ids of what comes after one."""
    position = made.find(after)
    if position is None:
        return None
    ids: list[str] = []
    while position < made.end:
        found = made.read(position)
        assert found is not None
        data, position = found
        ids += [
            line.removeprefix("id: ")
            for line in data.decode().splitlines()
            if line.startswith("id: ")
        ]
    return ids


def test_a_record_is_a_server_sent_event() -> None:
    made = backlog(1)
    assert made.read(0) == (b"event: added\nid: 1/e\ndata: 1\n\n", 1)
    assert made.read(1) == (b"", 1)


def test_one_goes_on_after_what_one_has() -> None:
    made = backlog(1, 2, 3)
    assert rest(made, "0/e") == ["1/e", "2/e", "3/e"]
    assert rest(made, "2/e") == ["3/e"]
    assert rest(made, "3/e") == []
    assert made.last_id == "3/e"


def test_what_was_never_told_or_not_by_this_registry_is_not_known() -> None:
    made = backlog(11, 12, since=10)
    for unknown in ("9/e", "13/e", "11/f", "11.5/e", "11~1/e", "", "rubbish", "/", "11", "\x00/é"):
        assert made.find(unknown) is None, unknown
    assert rest(made, " 11/e ") == ["12/e"]


def test_what_was_dropped_is_not_known_but_what_is_next_to_it_is() -> None:
    made = backlog(1, 2, 3, 4, 5, max_records=2)
    assert (made.begin, made.end) == (3, 5)
    assert made.find("2/e") is None
    assert rest(made, "3/e") == ["4/e", "5/e"]
    assert made.read(2) is None
    assert made.read(3) is not None


def test_it_is_bounded_in_bytes_but_keeps_the_newest() -> None:
    made = Backlog(at(0), life=LIFE, max_bytes=1_000)
    for seq in range(1, 30):
        made.add("added", at(seq), b"x" * 100)
    assert made.end - made.begin == 1_000 // len(b"event: added\nid: 29/e\ndata: \n\n" + b"x" * 100)
    made.add("added", at(30), b"x" * 2_000)
    assert made.end - made.begin == 1
    assert rest(made, "29/e") == ["30/e"]


def test_a_reader_gets_pieces_and_a_large_record_whole() -> None:
    made = Backlog(at(0), life=LIFE)
    for seq, size in ((1, 10), (2, 2 * PIECE), (3, PIECE // 2), (4, PIECE // 4), (5, PIECE // 2)):
        made.add("added", at(seq), b"x" * size)
    ends = []
    position = 0
    while position < made.end:
        found = made.read(position)
        assert found is not None
        position = found[1]
        ends.append(position)
    assert ends == [1, 2, 4, 5]


# --- records that lead nowhere -------------------------------------------------------------------


def test_words_on_the_view_are_counted() -> None:
    made = backlog(1)
    made.add("live", at(1), b"1")
    made.add("stale", None, b"2")
    made.add("added", at(2), b"3")
    assert rest(made, "0/e") == ["1/e", "1+1-l1/e", "1+2-l1/e", "2/e"]
    assert rest(made, "1+1-l1/e") == ["1+2-l1/e", "2/e"]


def test_another_life_s_words_on_the_view_mean_the_event_before_them() -> None:
    """Also where both have counted as far: the other one's may have been of something else."""
    made = backlog(1)
    made.add("live", at(1), b"1")
    made.add("added", at(2), b"2")
    for other in ("1+1-l2/e", "1+7-l1/e", "1+1/e"):
        assert rest(made, other) == ["1+1-l1/e", "2/e"], other
    assert made.find("5+1-l2/e") is None


def test_the_parts_of_a_difference_are_counted_and_no_place_for_another_life() -> None:
    made = backlog(1)
    made.add("removed", at(1), b"gone")
    made.add("removed", at(1), b"gone as well")
    made.add("removed", at(9, 1), b"the last to go")
    made.add("added", at(9), b"came")
    made.add("live", at(9), b"live")
    assert rest(made, "1/e") == ["1~1-l1/e", "1~2-l1/e", "9.1/e", "9/e", "9+1-l1/e"]
    assert rest(made, "1~1-l1/e") == ["1~2-l1/e", "9.1/e", "9/e", "9+1-l1/e"]
    assert rest(made, "9.1/e") == ["9/e", "9+1-l1/e"]
    for other in ("1~1-l2/e", "1~1/e"):
        assert made.find(other) is None


def test_an_id_told_twice_leads_on_after_the_later_one() -> None:
    """No watcher does it: it never goes back. But if one did, nothing must break."""
    made = backlog(1, 2, 1, 3, max_records=2)
    assert rest(made, "1/e") == ["3/e"]
    assert rest(made, "2/e") == ["1/e", "3/e"]


# --- ids -----------------------------------------------------------------------------------------


@given(epoch=st.text(alphabet=st.characters(exclude_categories=())), seq=st.integers(0, 10**18))
def test_an_id_is_a_line_of_ascii_whatever_the_epoch_is_called(epoch: str, seq: int) -> None:
    name = wire_id(Cursor(epoch, seq))
    assert name.isascii()
    assert name.isprintable()
    assert read_id(name) == name


@pytest.mark.parametrize("epoch", ["\x1b[2J\n\x9b/é", "\udc80", "a b", "%41", ""])
def test_an_id_comes_back_however_it_was_encoded(epoch: str) -> None:
    made = Backlog(Cursor(epoch, 1), life=LIFE)
    assert made.find(made.last_id) == 0


def test_a_plus_in_a_url_may_have_become_a_space() -> None:
    assert read_id("42 1-9f3c01aa/e") == "42+1-9f3c01aa/e"


def test_the_cursor_of_an_event_is_its_id_where_the_epoch_is_a_plain_one() -> None:
    cursor = Cursor("c6824572-4997-4166-af6f-3606a6ffd902", 42, 7)
    assert wire_id(cursor) == str(cursor)
