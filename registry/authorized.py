"""The file that lists the keys that are let in: read at the start, and whenever it changes."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from platformdirs import user_config_path

from ..events.errors import KeyFileError
from ..events.keys import fingerprint
from ..events.logs import get_logger
from .security import HEADER, Grant, Grants, is_comment, parse_grant, parse_grants

LOOK: Final = 0.2
"""Seconds between two looks at whether the file has changed. A change counts once the file has been
the same for two looks: an editor may empty a file before it writes the new text."""

_LONGEST: Final = 16 * 1024 * 1024

_ENCODING: Final = "utf-8-sig"
"""UTF-8, and the mark with which some editors begin a file in it is none of the text."""

_Signature: TypeAlias = tuple[int, int, int]

log = get_logger(__name__)


def authorized_path() -> Path:
    """Where the list is unless something else is said."""
    return user_config_path("devicewatch") / "authorized_keys"


class AuthorizedKeys:
    """The list, as a file that people and `devicewatch keys` edit while the registry runs.

    A file that cannot be read, or in which a line makes no sense, changes nothing: what was read
    last goes on to count, and the log says what is wrong.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next_look = 0.0
        self._read: _Signature | None = None
        self._last: _Signature | None = None

    def load(self) -> Grants:
        """Read it.

        Raises:
            KeyFileError: It cannot be read, a line makes no sense, or others may change it.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                self._read = self._last = _signature(status)
                text = file.read(_LONGEST)
        except FileNotFoundError:
            raise KeyFileError(
                f"there is no list of keys {self.path}: `devicewatch keys authorize` makes one"
            ) from None
        except OSError as error:
            raise KeyFileError(
                f"the list of keys {self.path} cannot be read: {error.strerror}"
            ) from None
        if status.st_mode & 0o022:
            raise KeyFileError(
                f"others than its owner may change the list of keys {self.path}: look at what is "
                f"in it, then `chmod go-w {self.path}`"
            )
        try:
            return parse_grants(text.decode(_ENCODING))
        except ValueError as error:
            raise KeyFileError(f"{self.path}: {error}") from None

    def look(self, now: float) -> Grants | None:
        """What the file says, if that has changed; None otherwise, and before `next_look`."""
        if now < self.next_look:
            return None
        self.next_look = now + LOOK
        before, found = self._read, self._find()
        settled, self._last = found == self._last, found
        if found == before or not settled:
            return None
        self._read = found
        grants, why = None, ""
        try:
            grants = self.load()
        except KeyFileError as error:
            why = str(error)
        if self._find() != found:  # changed just while it was read: it has not settled at all
            self._read = before
            return None
        if why:
            log.error("the list of keys cannot be used; what it said before counts", why=why)
        return grants

    def _find(self) -> _Signature | None:
        try:
            return _signature(self.path.stat())
        except OSError:
            return None


def _signature(status: os.stat_result) -> _Signature:
    # Not the time of the last change to what is in it: who may write it counts as well.
    return status.st_ctime_ns, status.st_size, status.st_ino


# --- editing it ----------------------------------------------------------------------------------


def authorize(path: Path, grant: Grant) -> bool:
    """Let a key in: add its line to a list, or put that in place of the one that it has.

    Everything else in the file stays as it is. A file that is not there yet is made.

    Returns:
        Whether the key had a line before.

    Raises:
        KeyFileError: The list cannot be read or written, or makes no sense.
    """
    with _locked(path):
        lines = _lines(path)
        places = [place for place, line in enumerate(lines) if _public(line) == grant.public]
        if places:
            lines[places[0]] = str(grant)
        else:
            lines.append(str(grant))
        _replace(path, lines)
        return bool(places)


def begin_list(path: Path) -> None:
    """Make a list that lets in nobody yet, if there is none.

    Raises:
        KeyFileError: It cannot be written.
    """
    with _locked(path):
        if not path.exists():
            _replace(path, HEADER.splitlines())


def revoke(path: Path, key: str) -> Grant:
    """Let a key in no more: strike out its line.

    Args:
        path: The list.
        key: The public key, or its fingerprint.

    Returns:
        What it was allowed.

    Raises:
        KeyFileError: It is not in the list; or as in `authorize`.
    """
    with _locked(path):
        lines = _lines(path)
        for place, line in enumerate(lines):
            public = _public(line)
            if public is not None and key in (public, fingerprint(public)):
                del lines[place]
                _replace(path, lines)
                return parse_grant(line)
        raise KeyFileError(f"the key {key} is not in {path}: `devicewatch keys show` has the list")


def _public(line: str) -> str | None:
    return None if is_comment(line) else parse_grant(line).public


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(_ENCODING)
    except FileNotFoundError:
        return HEADER.splitlines()
    except (OSError, ValueError) as error:
        raise KeyFileError(f"the list of keys {path} cannot be read: {error}") from None
    try:
        parse_grants(text)
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    return text.splitlines()


def _replace(path: Path, lines: list[str]) -> None:
    """Write the file anew, in one step: the registry may read it at any moment."""
    path = path.resolve()
    try:
        number, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write("\n".join([*lines, ""]))
                file.flush()
                os.fsync(number)
            _take_over(path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise KeyFileError(f"the list of keys {path} cannot be written: {error.strerror}") from None


def _take_over(path: Path, temporary: Path) -> None:
    """Give a file the owner and the rights of the one that it is to replace."""
    try:
        old = path.stat()
    except FileNotFoundError:
        temporary.chmod(0o644)  # the registry may run as somebody else; there is no secret in it
        return
    temporary.chmod(stat.S_IMODE(old.st_mode))
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(temporary, old.st_uid, old.st_gid)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time: whoever comes second would undo what the first has done."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise KeyFileError(f"{path.parent} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
