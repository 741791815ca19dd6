"""The log file: whoever dies when, each line is in it once; and all that may happen to a file."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicewatch.events import Cursor, LogError
from devicewatch.subscribers import Durability
from devicewatch.subscribers.logfile import LogFile
from devicewatch.subscribers.recovery import Batch, Bookmark, decode_bookmark, encode_bookmark
from tests.support.disk import Death, MortalDisk

STREAM: Final = tuple(f"{number} {'x' * (number % 3)}\u00e9" for number in range(1, 6))
"""Its cursors are the numbers of its lines."""

ATTEMPTS: Final = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


@pytest.fixture
def log(path: Path) -> Iterator[LogFile]:
    log = LogFile(path)
    log.open()
    yield log
    log.close()


def reopened(path: Path) -> LogFile:
    """By the next logger."""
    log = LogFile(path)
    log.open()
    return log


def put(log: LogFile, first: int, last: int, *, together: bool = False) -> None:
    """Write these lines of the stream."""
    lines = [f"{line}\n" for line in STREAM[first - 1 : last]]
    if together:
        log.put("".join(lines), Cursor("E", last))
    else:
        for number, line in enumerate(lines, first):
            log.put(line, Cursor("E", number))
    log.flush()


def at(log: LogFile) -> int:
    return 0 if log.cursor is None else log.cursor.seq


def written(path: Path) -> list[str]:
    """What is in the file, and before it in the ones that it was renamed to, or copied to."""
    old = sorted(path.parent.glob(f"{path.name}.[0-9]"), reverse=True)
    data = b"".join(file.read_bytes() for file in (*old, path) if file.exists())
    assert not data or data.endswith(b"\n")
    return data.decode().splitlines()


# --- whoever dies when ----------------------------------------------------------------------------


@attrs.frozen
class Life:
    """A logger's, from its start to its end.

    Attributes:
        sizes: How many lines its batches have, by turns.
        together: Whether these belong together.
        dies_after: So many steps of its disk; None is not at all.
        room: Bytes that its disk has room for, until somebody makes some.
        moves: After how many batches its file is renamed and opened anew, again and again.
        then: What happens to its file after its death.
    """

    sizes: tuple[int, ...] = (2, 1)
    together: bool = False
    dies_after: int | None = None
    room: int | None = None
    moves: int = 0
    then: str = "nothing"
    durability: Durability = Durability.PROCESS


def live(path: Path, life: Life, disk: MortalDisk) -> list[str]:
    """Log the rest of the stream; return what it had to remark."""
    log = LogFile(path, life.durability)
    disk.left, disk.room = life.dies_after, life.room
    try:
        with disk.in_place():
            log.open()
            flush(log, disk)
            batches = 0
            while at(log) < len(STREAM):
                first = at(log) + 1
                last = min(len(STREAM), at(log) + life.sizes[batches % len(life.sizes)])
                try:
                    put(log, first, last, together=life.together)
                except OSError:
                    flush(log, disk)
                batches += 1
                if life.moves and batches % life.moves == 0:
                    rename(path)
                    log.reopen()
                elif batches % 2:
                    log.settle()
            log.close()
    except Death:
        log._let_go()  # as the system does
    return log.remarks


def flush(log: LogFile, disk: MortalDisk) -> None:
    for _ in range(ATTEMPTS):
        try:
            log.flush()
        except OSError:
            disk.room = (disk.room or 0) + 60
        else:
            return
    disk.room = None
    log.flush()


def nothing(path: Path) -> None:
    """It stays as it is."""


def rename(path: Path) -> None:
    """As logrotate does, without its `copytruncate`."""
    if path.exists():
        for number in range(9, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.rename(path.with_name(f"{path.name}.{number + 1}"))
        path.rename(path.with_name(f"{path.name}.1"))


def copytruncate(path: Path) -> None:
    """With it."""
    if path.exists():
        content = path.read_bytes()
        inode = path.stat().st_ino
        rename(path)
        path.with_name(f"{path.name}.1").rename(path)
        shutil.copy(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
        assert path.stat().st_ino == inode
        assert path.with_name(f"{path.name}.1").read_bytes() == content


FATES: Final[dict[str, Callable[[Path], None]]] = {
    "nothing": nothing,
    "rename": rename,
    "copytruncate": copytruncate,
}


def live_all(path: Path, lives: list[Life]) -> None:
    """Live them all, and then one that nothing happens to; what is written is the stream."""
    for life in (*lives, Life()):
        live(path, life, MortalDisk())
        FATES[life.then](path)
    assert written(path) == list(STREAM)
    bookmark = decode_bookmark(path.with_name("events.log.cursor").read_bytes())
    assert bookmark.cursor == Cursor("E", len(STREAM))
    assert bookmark.pending is None


@pytest.mark.parametrize("then", FATES)
@pytest.mark.parametrize("durability", Durability)
def test_a_logger_may_die_at_every_step_and_at_every_byte(
    then: str, durability: Durability, tmp_path: Path
) -> None:
    whole = MortalDisk()
    live(tmp_path / "whole.log", Life(durability=durability), whole)
    every = 1 if then == "nothing" else 3  # most bytes are those of the cursor, in another file
    life = Life(then=then, durability=durability)
    die_at_every_step(tmp_path, life, range(1, whole.steps + 1, every))


def die_at_every_step(folder: Path, life: Life, steps: range) -> None:
    for step in steps:
        path = folder / str(step) / "events.log"
        path.parent.mkdir()
        live_all(path, [attrs.evolve(life, dies_after=step)])


class Hasty(LogFile):
    """Notes that a batch is there before it is."""

    def _note(self, bookmark: Bookmark) -> None:
        super()._note(Bookmark(bookmark.cursor))


class Forgetful(LogFile):
    """Does not look for what the logger before it was writing, and writes it again."""

    def _recover(self, batch: Batch) -> None:
        self._rest.appendleft((batch.data, self.cursor))
        self._unsettled = None


class Trusting(LogFile):
    """Takes for granted that it was written."""

    def _recover(self, batch: Batch) -> None:
        self._unsettled = None


class Loud(LogFile):
    """Writes the note in place, not in one step."""

    def _note(self, bookmark: Bookmark) -> None:
        note = os.open(self._beside(".cursor"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(note, encode_bookmark(bookmark))
        finally:
            os.close(note)


@pytest.mark.parametrize("kind", [Hasty, Forgetful, Trusting, Loud])
def test_one_that_does_it_another_way_is_found_out(
    kind: type[LogFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "LogFile", kind)
    with pytest.raises(AssertionError):
        die_at_every_step(tmp_path, Life(), range(1, 1000))


def test_the_disk_may_be_full_at_every_byte(tmp_path: Path) -> None:
    for room in range(0, 800, 5):
        folder = tmp_path / str(room)
        folder.mkdir()
        live_all(folder / "events.log", [Life(room=room, sizes=(3, 2), together=room % 2 > 0)])


lives = st.builds(
    Life,
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    together=st.booleans(),
    dies_after=st.none() | st.integers(1, 1500),
    room=st.none() | st.integers(0, 1500),
    moves=st.integers(0, 2),
    then=st.sampled_from(sorted(FATES)),
)


@settings(max_examples=60)
@given(lives=st.lists(lives, max_size=4))
def test_whatever_happens_to_loggers_their_files_and_their_disk(
    lives: list[Life], tmp_path_factory: pytest.TempPathFactory
) -> None:
    live_all(tmp_path_factory.mktemp("log") / "events.log", lives)


def test_what_was_compressed_or_deleted_after_a_kill_is_written_again_and_that_is_said(
    tmp_path: Path,
) -> None:
    """Only if it was being written at that moment; and it is never missing."""
    whole = MortalDisk()
    live(tmp_path / "whole.log", Life(), whole)
    doubts = 0
    for step in range(1, whole.steps + 1, 2):
        path = tmp_path / str(step) / "events.log"
        path.parent.mkdir()
        live(path, Life(dies_after=step), MortalDisk())
        gone = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        rename(path)
        for file in path.parent.glob("*.1"):
            file.rename(f"{file}.gz")
        remarks = live(path, Life(), MortalDisk())
        before = [line.decode().strip() for line in gone if line.endswith(b"\n")]
        after = written(path)
        twice = len(before) + len(after) - len(STREAM)
        assert before[: len(before) - twice] + after == list(STREAM)
        assert 0 <= twice <= 2
        if twice:
            doubts += 1
            assert "may be there, too" in remarks[0]
    assert doubts


def test_where_there_is_room_for_a_few_lines_a_few_are_written(path: Path) -> None:
    """And not all of them or none: there may never be room for all."""
    disk = MortalDisk()
    log = LogFile(path)
    log.open()
    put(log, 1, 1)
    note = path.with_name("events.log.cursor")
    with disk.in_place():
        disk.longest = note.stat().st_size + 4
        put(log, 2, 5)
        log.close()
    assert written(path) == list(STREAM)


# --- what may happen to a file --------------------------------------------------------------------


def test_a_file_that_was_moved_away_is_written_to_until_it_is_opened_anew(
    log: LogFile, path: Path
) -> None:
    put(log, 1, 1)
    rename(path)
    put(log, 2, 2)
    assert not path.exists()
    log.reopen()
    assert path.read_text() == ""
    put(log, 3, 3)
    assert path.read_text() == f"{STREAM[2]}\n"
    assert written(path) == list(STREAM[:3])


def test_a_file_that_was_replaced_is_left_at_once(log: LogFile, path: Path) -> None:
    """Whoever moved it away may be about to compress it; the signal may come too late."""
    put(log, 1, 1)
    rename(path)
    put(log, 2, 2)
    path.touch()
    put(log, 3, 3)
    assert path.read_text() == f"{STREAM[2]}\n"
    assert written(path) == list(STREAM[:3])


def test_a_file_that_was_deleted_is_made_again(log: LogFile, path: Path) -> None:
    put(log, 1, 1)
    path.unlink()
    put(log, 2, 3)
    assert written(path) == list(STREAM[1:3])


def test_a_file_that_is_deleted_while_it_is_written_loses_nothing(
    log: LogFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(log, 1, 1)
    write = os.write

    def delete_and_write(file: int, data: bytes) -> int:
        if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
            monkeypatch.undo()
            path.unlink()
        return write(file, data)

    monkeypatch.setattr(os, "write", delete_and_write)
    put(log, 2, 3)
    assert written(path) == list(STREAM[1:3])


def test_a_file_that_is_emptied_goes_on_at_its_beginning(log: LogFile, path: Path) -> None:
    put(log, 1, 2)
    copytruncate(path)
    put(log, 3, 4)
    assert written(path) == list(STREAM[:4])


def test_a_folder_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "events.log"
    path.parent.mkdir()
    log = reopened(path)
    put(log, 1, 1)
    shutil.rmtree(path.parent)
    with pytest.raises(FileNotFoundError):
        put(log, 2, 2)
    log.reopen()
    path.parent.mkdir()
    log.flush()
    log.close()
    assert written(path) == [STREAM[1]]


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"7/E\n", b'{"format": 9}'])
def test_a_cursor_that_is_damaged_is_said_to_be(damage: bytes, path: Path) -> None:
    path.with_name("events.log.cursor").write_bytes(damage)
    log = reopened(path)
    assert log.cursor is None
    (remark,) = log.remarks
    assert "events.log.cursor is damaged" in remark
    put(log, 1, 1)
    log.close()
    assert reopened_at(path) == 1


def reopened_at(path: Path) -> int:
    log = reopened(path)
    seq = at(log)
    assert not log.remarks
    log.close()
    return seq


def test_a_cursor_that_is_missing_beside_a_log_is_said_to_be(path: Path) -> None:
    path.write_text("older line\nand a torn one")
    log = reopened(path)
    assert log.cursor is None
    (remark,) = log.remarks
    assert "there is no events.log.cursor" in remark
    put(log, 1, 1)
    log.close()
    assert written(path) == ["older line", "and a torn one", STREAM[0]]


def test_a_cursor_without_a_log_goes_on(path: Path) -> None:
    log = reopened(path)
    put(log, 1, 3)
    log.close()
    path.unlink()
    assert reopened_at(path) == 3


def test_a_cursor_may_move_without_lines(log: LogFile, path: Path) -> None:
    put(log, 1, 1)
    log.put("", Cursor("E", 5))
    log.flush()
    log.settle()
    note = decode_bookmark(path.with_name("events.log.cursor").read_bytes())
    assert note.cursor == Cursor("E", 5)


# --- who may write --------------------------------------------------------------------------------


def test_two_loggers_do_not_write_to_one_file(log: LogFile, path: Path) -> None:
    with pytest.raises(LogError, match="another logger writes to"):
        LogFile(path).open()
    link = path.with_name("link.log")
    link.symlink_to(path)
    with pytest.raises(LogError, match="another logger writes to"):
        LogFile(link).open()
    rename(path)
    with pytest.raises(LogError, match="another logger writes to"):
        LogFile(path).open()
    log.close()
    assert reopened_at(path) == 0


def test_a_link_is_followed_and_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.log").symlink_to("real/events.log")
    monkeypatch.chdir(tmp_path)
    log = LogFile("link.log")
    log.open()
    monkeypatch.chdir("/")
    put(log, 1, 1)
    log.reopen()
    put(log, 2, 2)
    log.close()
    assert (tmp_path / "link.log").is_symlink()
    assert written(tmp_path / "real" / "events.log") == list(STREAM[:2])
    assert (tmp_path / "real" / "events.log.cursor").exists()


@pytest.mark.parametrize("place", ["missing/events.log", ".", "fifo", "loop"])
def test_what_cannot_be_a_log_is_one_clear_error(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    log = LogFile(tmp_path / place)
    with pytest.raises(LogError, match=r"cannot log to .*: (No such file|Too many)|is no file"):
        log.open()
    log.close()
    log.settle()
    log.reopen()


def test_files_are_not_for_everybody(log: LogFile, path: Path) -> None:
    put(log, 1, 1)
    log.settle()
    for name in ("events.log", "events.log.cursor", "events.log.lock"):
        assert path.with_name(name).stat().st_mode & 0o007 == 0
