"""Inputs that are worth keeping: `python -m tests.fuzz.corpus TARGET FILE…` plays those in files.

In `findings` there is a folder for each target, and in it each input that ever failed, by a name
that says what it showed. In `corpus` there are files with inputs that between them reach every line
that a long run of the fuzzer has reached; a line is one of them, in Base64. `--keep TARGET FOLDER`
writes such a file, from a folder of the fuzzer's.
"""

import argparse
import base64
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

HERE: Final = Path(__file__).parent
FINDINGS: Final = HERE / "findings"

Lines: TypeAlias = set[tuple[str, int]]


def kept(target: str) -> Iterator[bytes]:
    """The inputs of a long run."""
    path = _file(target)
    if path.exists():
        yield from map(base64.b64decode, path.read_text().splitlines())


def findings(target: str) -> Iterator[bytes]:
    """What has ever failed."""
    for path in sorted((FINDINGS / target).glob("*.bin")):
        yield path.read_bytes()


def keep(target: str, folder: Path, play: Callable[[bytes], object]) -> int:
    """Write what is worth keeping of a fuzzer's corpus, the shortest first; say how much it is."""
    reached: Lines = set()
    chosen = []
    for data in sorted({path.read_bytes() for path in folder.iterdir()}, key=len):
        lines: Lines = set()
        with noting(lines):
            play(data)
        if not lines <= reached:
            reached |= lines
            chosen.append(data)
    _file(target).parent.mkdir(exist_ok=True)
    _file(target).write_text("".join(f"{base64.b64encode(data).decode()}\n" for data in chosen))
    return len(chosen)


@contextmanager
def noting(lines: Lines) -> Iterator[None]:
    """Note the lines of devicewatch that are reached, for as long as a `with` block."""

    def note(frame: FrameType, event: str, _argument: object) -> Any:
        if "devicewatch" not in frame.f_globals.get("__name__", ""):
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        yield
    finally:
        sys.settrace(before)


def _file(target: str) -> Path:
    return HERE / "corpus" / f"{target}.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("target")
    parser.add_argument("path", type=Path, nargs="+")
    options = parser.parse_args()
    logging.getLogger("devicewatch").setLevel(logging.CRITICAL + 1)  # trouble is the point here
    play = importlib.import_module("tests.fuzz.targets").TARGETS[options.target].play
    if options.keep:
        print(f"{keep(options.target, options.path[0], play)} inputs are kept")
        sys.exit()
    for path in options.path:
        play(path.read_bytes())
        print(f"{path}: nothing fails")


if __name__ == "__main__":
    main()
