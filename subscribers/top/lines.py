"""Lines of text for a terminal: what they say, in which tone, and how wide they are. Pure.

Every text from elsewhere has been through `printable` before it gets into a line, and nothing in
a line is markup: square brackets are square brackets.
"""

import enum
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

from ...events.text import local_time

ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"


class Tone(enum.Enum):
    """How a piece of text is meant; the terminal's side decides what that looks like."""

    PLAIN = enum.auto()
    DIM = enum.auto()
    BOLD = enum.auto()
    NAME = enum.auto()
    GOOD = enum.auto()
    BAD = enum.auto()
    ALARM = enum.auto()
    SHOUT = enum.auto()


Part: TypeAlias = tuple[str, Tone]
Line: TypeAlias = tuple[Part, ...]


def width_of(line: Line) -> int:
    """How many cells of a terminal it takes."""
    return sum(cell_len(text) for text, _tone in line)


def plain(line: Line) -> str:
    """Its text alone."""
    return "".join(text for text, _tone in line)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Text in exactly so many cells: cut with an ellipsis, or filled up with spaces."""
    missing = width - cell_len(text)
    if missing >= 0:
        return " " * missing + text if right else text + " " * missing
    if width <= 0:
        return ""
    # Half of a character of two cells becomes a space: the ellipsis stays the last cell.
    return set_cell_size(text, width - 1) + ELLIPSIS


def fit_line(line: Line, width: int) -> Line:
    """A line in exactly so many cells."""
    parts: list[Part] = []
    for text, tone in line:
        size = cell_len(text)
        if size > width:
            parts.append((fit(text, width), tone))
            return tuple(parts)
        parts.append((text, tone))
        width -= size
    return (*parts, (" " * width, Tone.PLAIN)) if width else tuple(parts)


def moment(seconds: float) -> str:
    """Date and time."""
    return local_time("%Y-%m-%d %H:%M:%S", seconds, "at no time that there is")
