"""The list of keys as a file: read while others edit it."""

import errno
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devicewatch.events.errors import KeyFileError
from devicewatch.events.keys import fingerprint
from devicewatch.events.protocol import Role
from devicewatch.registry.authorized import (
    LOOK,
    AuthorizedKeys,
    authorize,
    begin_list,
    revoke,
)
from devicewatch.registry.security import HEADER, Grant, parse_grants
from tests.support.keys import public_of
from tests.support.live import wait_until

ONE, TWO, THREE = (Grant(public_of(who), Role.DEVICE) for who in ("one", "two", "three"))


class Looking:
    """A list that a registry looks at again and again; its time is ours."""

    def __init__(self, path: Path) -> None:
        self.keys = AuthorizedKeys(path)
        self.grants = dict(self.keys.load())
        self.now = 100.0
        self.taken = 0

    def look(self) -> bool:
        """The next look; whether it found something new."""
        self.now = max(self.now, self.keys.next_look)
        grants = self.keys.look(self.now)
        if grants is not None:
            self.grants = dict(grants)
            self.taken += 1
        return grants is not None

    def take(self) -> None:
        """The file was changed, and has been left alone for two looks."""
        assert not self.look(), "it may still be written"
        assert self.look()
        assert not self.look()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "authorized_keys"
    authorize(path, ONE)
    return path


@pytest.fixture
def looking(path: Path) -> Looking:
    return Looking(path)


def rewrite(path: Path, text: str) -> None:
    """Write it until that shows: where time is coarse, two edits can look like one."""
    before = path.stat().st_ctime_ns
    wait_until(lambda: path.write_text(text) >= 0 and path.stat().st_ctime_ns != before)


def chmod(path: Path, bits: int) -> None:
    before = path.stat().st_ctime_ns

    def shows() -> bool:
        path.chmod(bits)
        return path.stat().st_ctime_ns != before

    wait_until(shows)


def keys_of(path: Path) -> list[str]:
    return list(parse_grants(path.read_text()))


# --- reading -------------------------------------------------------------------------------------


def test_a_list_is_read(path: Path) -> None:
    assert AuthorizedKeys(path).load() == {ONE.public: ONE}


def test_a_mark_at_the_beginning_is_none_of_the_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + f"{ONE}  Zo\u00eb's\r\n".encode())
    assert AuthorizedKeys(path).load() == {ONE.public: ONE}
    authorize(path, TWO)
    assert path.read_bytes() == f"{ONE}  Zo\u00eb's\n{TWO}\n".encode()


def test_a_missing_list_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="`devicewatch keys authorize` makes one"):
        AuthorizedKeys(tmp_path / "nothing").load()


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        AuthorizedKeys(tmp_path).load()
    with pytest.raises(KeyFileError, match="cannot be read"):
        authorize(tmp_path, ONE)


@pytest.mark.parametrize("bits", [0o664, 0o646, 0o666, 0o620])
def test_a_list_that_others_may_change_is_refused(path: Path, bits: int) -> None:
    path.chmod(bits)
    with pytest.raises(KeyFileError, match=f"`chmod go-w {path}`"):
        AuthorizedKeys(path).load()


@pytest.mark.parametrize("text", [b"\xff\xfe", b"root\n"])
def test_what_makes_no_sense_is_an_error_of_ours(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(KeyFileError, match=str(path)):
        AuthorizedKeys(path).load()
    for edit in (lambda: authorize(path, TWO), lambda: revoke(path, ONE.public)):
        with pytest.raises(KeyFileError, match=str(path)):
            edit()
    assert path.read_bytes() == text


# --- looking again -------------------------------------------------------------------------------


def edit_by_renaming(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


EDITS = pytest.mark.parametrize("edit", [rewrite, edit_by_renaming])
Edit = Callable[[Path, str], None]


def test_what_stays_as_it_is_is_not_read_again(looking: Looking) -> None:
    assert not any(looking.look() for _ in range(5))
    assert looking.keys.next_look == pytest.approx(looking.now + LOOK)
    assert looking.keys.look(looking.now) is None, "it was looked at just now"


@EDITS
def test_a_change_counts_once_it_has_settled(looking: Looking, path: Path, edit: Edit) -> None:
    edit(path, f"{ONE}\n{TWO}\n")
    looking.take()
    assert looking.grants == {ONE.public: ONE, TWO.public: TWO}
    edit(path, f"{TWO}\n")
    looking.take()
    assert looking.grants == {TWO.public: TWO}


def test_what_is_said_of_a_key_may_change_and_not_its_length(looking: Looking, path: Path) -> None:
    rewrite(path, path.read_text().replace("device ", "admin  "))
    looking.take()
    assert looking.grants[ONE.public].role is Role.ADMIN


def test_ours_is_taken_as_any_other(looking: Looking, path: Path) -> None:
    authorize(path, TWO)
    looking.take()
    revoke(path, ONE.public)
    looking.take()
    assert looking.grants == {TWO.public: TWO}


def test_a_file_that_is_emptied_and_written_anew_is_not_taken_half_way(
    looking: Looking, path: Path
) -> None:
    rewrite(path, "")
    assert not looking.look()
    rewrite(path, f"{ONE}\n")
    assert not looking.look()
    rewrite(path, f"{ONE}\n{TWO}\n")
    looking.take()
    assert looking.grants == {ONE.public: ONE, TWO.public: TWO}


@pytest.mark.parametrize("end", [0, 20])
def test_a_file_that_changes_while_it_is_read_is_not_taken(
    looking: Looking, path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    """Nobody is let out because an editor happened to be at work just then."""
    whole = f"{TWO}\n{ONE}\n"
    rewrite(path, whole)
    assert not looking.look()
    load = AuthorizedKeys.load

    def slowly(keys: AuthorizedKeys) -> object:
        rewrite(path, whole[:end])
        return load(keys)

    with monkeypatch.context() as patch:
        patch.setattr(AuthorizedKeys, "load", slowly)
        assert not looking.look()
    rewrite(path, whole)
    looking.take()
    assert looking.grants == {ONE.public: ONE, TWO.public: TWO}


@pytest.mark.parametrize("text", ["device\n", f"{ONE}\n{ONE}\n", "\x00"])
def test_a_bad_list_changes_nothing_and_is_logged_once(
    looking: Looking, path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    caplog.set_level(logging.INFO)
    rewrite(path, text)
    assert not any(looking.look() for _ in range(10))
    assert looking.grants == {ONE.public: ONE}
    [record] = caplog.records
    assert "what it said before counts" in record.getMessage()
    rewrite(path, f"{TWO}\n")
    looking.take()
    assert looking.grants == {TWO.public: TWO}


def test_a_list_that_is_gone_changes_nothing_and_may_come_back(
    looking: Looking, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = path.rename(path.with_suffix(".old"))
    assert not any(looking.look() for _ in range(10))
    assert looking.grants == {ONE.public: ONE}
    assert len(caplog.records) == 1
    kept.rename(path)
    looking.take()
    assert looking.grants == {ONE.public: ONE}


def test_a_list_that_others_may_change_counts_once_they_may_not(
    looking: Looking, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(path, f"{TWO}\n")
    chmod(path, 0o666)
    assert not any(looking.look() for _ in range(5))
    assert looking.grants == {ONE.public: ONE}
    assert len(caplog.records) == 1
    chmod(path, 0o644)
    looking.take()
    assert looking.grants == {TWO.public: TWO}


# --- editing it ----------------------------------------------------------------------------------


def test_the_first_key_makes_the_list(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "list"
    assert not authorize(path, ONE)
    assert path.read_text() == f"{HEADER}{ONE}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_list_may_begin_with_nobody(tmp_path: Path) -> None:
    path = tmp_path / "list"
    begin_list(path)
    assert path.read_text() == HEADER
    authorize(path, ONE)
    begin_list(path)
    assert keys_of(path) == [ONE.public]


def test_an_edit_leaves_everything_else_as_it_is(path: Path) -> None:
    path.write_text(f"# before\n\n   {ONE} the first\n\n# between\n{TWO}\n# after")
    path.chmod(0o640)
    inode = path.stat().st_ino
    changed = Grant(ONE.public, Role.ADMIN, "c*", "changed")
    assert authorize(path, changed)
    assert path.read_text() == f"# before\n\n{changed}\n\n# between\n{TWO}\n# after\n"
    assert not authorize(path, THREE)
    assert revoke(path, ONE.public) == changed
    assert path.read_text() == f"# before\n\n\n# between\n{TWO}\n# after\n{THREE}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != inode, "in one step"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_an_edit_leaves_the_file_to_its_owner(path: Path) -> None:
    os.chown(path, 12345, 54321)
    authorize(path, TWO)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_a_link_to_the_list_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(path)
    authorize(link, TWO)
    assert link.is_symlink()
    assert keys_of(path) == [ONE.public, TWO.public]


def test_a_key_is_revoked_by_its_fingerprint_too(path: Path) -> None:
    authorize(path, TWO)
    assert revoke(path, fingerprint(ONE.public)) == ONE
    assert keys_of(path) == [TWO.public]
    for key in (ONE.public, fingerprint(ONE.public), "", "#"):
        with pytest.raises(KeyFileError, match="is not in"):
            revoke(path, key)
    assert keys_of(path) == [TWO.public]


def test_what_cannot_be_written_is_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_text()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="cannot be written: No space left"):
        authorize(path, TWO)
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_no_folder_for_a_list(path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be used"):
        authorize(path / "list", ONE)


_EDITOR = """
import sys
from pathlib import Path
from devicewatch.events.protocol import Role
from devicewatch.registry.authorized import authorize, revoke
from devicewatch.registry.security import Grant
path, *keys = sys.argv[1:]
for key in keys:
    authorize(Path(path), Grant(key, Role.DEVICE))
    revoke(Path(path), key)
    authorize(Path(path), Grant(key, Role.VIEWER))
"""


def test_of_what_several_do_at_once_nothing_is_lost(path: Path) -> None:
    keys = [[_made_up(10 * editor + number) for number in range(8)] for editor in range(3)]
    editors = [subprocess.Popen([sys.executable, "-c", _EDITOR, str(path), *mine]) for mine in keys]
    assert [editor.wait(60) for editor in editors] == [0, 0, 0]
    grants = parse_grants(path.read_text())
    assert set(grants) == {ONE.public, *(key for mine in keys for key in mine)}
    assert [grant.role for grant in grants.values()].count(Role.VIEWER) == 24


def _made_up(number: int) -> str:
    return f"{number:05}" * 8
