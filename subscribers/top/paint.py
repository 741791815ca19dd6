"""Lines in a terminal's own colours, which its owner chose to be readable."""

from collections.abc import Iterable, Mapping
from typing import Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from .lines import Line, Tone

STYLES: Final[Mapping[Tone, Style]] = {
    Tone.PLAIN: Style(),
    Tone.DIM: Style(dim=True),
    Tone.BOLD: Style(bold=True),
    Tone.NAME: Style(color="cyan"),
    Tone.GOOD: Style(color="green"),
    Tone.BAD: Style(color="red"),
    Tone.ALARM: Style(color="red", bold=True),
    Tone.SHOUT: Style(color="red", bold=True, reverse=True),
}
"""None is told by colour alone: what is good or bad is so in words or signs as well."""


def painted(line: Line, style: Style, *, over: bool = False) -> Strip:
    """A line for a widget that draws its lines itself.

    Args:
        line: The line.
        style: The widget's style.
        over: Whether that goes over the line's own, which then counts for nothing.
    """
    if over:
        return Strip([Segment(text, style) for text, _tone in line])
    return Strip([Segment(text, style + STYLES[tone]) for text, tone in line])


def text_of(lines: Iterable[Line]) -> Text:
    """Lines for a widget that is given its text. Nothing in it is markup."""
    return Text("\n").join(
        Text.assemble(*((text, STYLES[tone]) for text, tone in line), end="") for line in lines
    )
