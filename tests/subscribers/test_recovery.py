"""What has become of a batch, decided from what the files show."""

import pytest

from devicewatch.events import Cursor
from devicewatch.subscribers.recovery import (
    Batch,
    Bookmark,
    Candidate,
    Fate,
    Finding,
    decode_bookmark,
    encode_bookmark,
    find_batch,
)

BEFORE = b"before 1\nbefore 2\n"
BATCH = Batch(1, 2, len(BEFORE), "line 1\nline 2\n")
DATA = BATCH.data


def file(
    content: bytes, name: str = "log", *, same: bool = True, batch: Batch = BATCH
) -> Candidate:
    length = len(batch.data)
    at = content[batch.offset : batch.offset + length]
    return Candidate(name, same, len(content), at, content[-length:])


# --- bookmarks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", [None, Cursor("E", 7), Cursor("E/1", 7, 3)])
@pytest.mark.parametrize("pending", [None, BATCH, Batch(1, 2, 0, '"\u00e9\U0001f600\n')])
def test_a_bookmark_is_read_as_it_was_written(cursor: Cursor | None, pending: Batch | None) -> None:
    bookmark = Bookmark(cursor, pending)
    data = encode_bookmark(bookmark)
    assert data.count(b"\n") == 1
    assert decode_bookmark(data) == bookmark


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 80,
        b"7/E",
        b"[]",
        encode_bookmark(Bookmark(Cursor("E", 7), BATCH))[:-20],
        b'{"format":2,"cursor":null,"pending":null}',
        b'{"format":1,"cursor":"yesterday","pending":null}',
        b'{"format":1,"cursor":7,"pending":null}',
        b'{"format":1,"pending":null}',
        b'{"format":1,"cursor":null,"pending":{"device":1,"inode":2,"offset":-1,"lines":""}}',
        b'{"format":1,"cursor":null,"pending":{"device":1,"inode":2,"lines":""}}',
    ],
)
def test_what_is_no_bookmark_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_bookmark(data)


# --- where a batch is -----------------------------------------------------------------------------


@pytest.mark.parametrize("written", range(len(DATA)))
def test_what_is_begun_is_finished_where_it_is(written: int) -> None:
    place = len(BEFORE) + written
    part = BEFORE + DATA[:written]
    finding = Finding(Fate.PARTLY, "log", place, written)
    assert find_batch(BATCH, [file(part)]) == finding
    moved = [file(part, "log.1"), file(b"", "log", same=False)]
    assert find_batch(BATCH, moved) == Finding(Fate.PARTLY, "log.1", place, written)


@pytest.mark.parametrize("written", range(len(DATA)))
def test_zeros_in_its_place_are_what_a_power_cut_leaves(written: int) -> None:
    part = BEFORE + DATA[:written] + b"\0" * (len(DATA) - written)
    finding = Finding(Fate.PARTLY, "log", len(BEFORE) + written, written)
    assert find_batch(BATCH, [file(part)]) == finding


@pytest.mark.parametrize(
    "files",
    [
        [file(BEFORE + DATA)],
        [file(BEFORE + DATA + b"and more\n")],
        [file(BEFORE + DATA, "log.1"), file(b"", "log", same=False)],
        # copied and emptied, before and after it was written
        [file(b"", "log"), file(BEFORE + DATA, "log.1", same=False)],
        [file(DATA, "log"), file(BEFORE, "log.1", same=False)],
        # and its inode has gone to another one
        [file(b"new\n" * 20, "log"), file(BEFORE + DATA, "log.1", same=False)],
    ],
)
def test_what_is_there_is_there_whatever_the_file_is_called(files: list[Candidate]) -> None:
    assert find_batch(BATCH, files).fate is Fate.WRITTEN


@pytest.mark.parametrize("written", range(1, len(DATA)))
def test_a_copy_is_finished_as_well(written: int) -> None:
    files = [file(b"", "log"), file(BEFORE + DATA[:written], "log.1", same=False)]
    finding = Finding(Fate.PARTLY, "log.1", len(BEFORE) + written, written)
    assert find_batch(BATCH, files) == finding


@pytest.mark.parametrize("written", range(1, len(DATA)))
def test_a_file_that_was_emptied_and_then_written_to_is_finished(written: int) -> None:
    finding = find_batch(BATCH, [file(DATA[:written])])
    assert finding == Finding(Fate.PARTLY, "log", written, written)


def test_a_copy_from_just_before_shows_that_it_was_not_written() -> None:
    files = [file(b"new\n"), file(BEFORE, "log.1", same=False)]
    assert find_batch(BATCH, files) == Finding(Fate.PARTLY, "log", 4)


@pytest.mark.parametrize(
    "files",
    [
        [],
        [file(b"")],
        [file(b"other\n")],
        [file(b"x" * (len(BEFORE) - 1))],
        [file(BEFORE + b"other\n")],
        [file(BEFORE + b"l" + b"\0" * 50)],
        [file(BEFORE + b"\0" * (len(DATA) + 1))],
        [file(BEFORE, same=False)],
        [file(BEFORE + b"other lines, and many\n", same=False)],
    ],
)
def test_what_nobody_shows_is_not_known(files: list[Candidate]) -> None:
    assert find_batch(BATCH, files) == Finding(Fate.UNKNOWN)


def test_the_first_lines_of_all() -> None:
    batch = Batch(1, 2, 0, "line 1\n")
    assert find_batch(batch, [file(b"", batch=batch)]) == Finding(Fate.PARTLY, "log")
    partly = find_batch(batch, [file(b"line", batch=batch)])
    assert partly == Finding(Fate.PARTLY, "log", 4, 4)
    assert find_batch(batch, [file(b"line 1\n", batch=batch)]).fate is Fate.WRITTEN


def test_the_very_file_comes_first() -> None:
    part = BEFORE + DATA[:3]
    files = [file(part, "log"), file(part, "copy", same=False)]
    assert find_batch(BATCH, files).name == "log"
