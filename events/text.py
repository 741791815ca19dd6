"""Text from strangers, shown so that it does no harm.

A device calls itself what it likes, and a registry that is none says what it likes: a sequence that
clears a terminal, a line break with a forged line of a log behind it, a character that has what
follows read from right to left, a formula for a spreadsheet. A registry takes only characters that
print (`unprintable` finds another one); whoever shows text from elsewhere calls `printable`, since
what it reads may come from an older registry, or from something that is no registry at all.

What prints is what `str.isprintable` says: letters, marks, digits, punctuation, symbols and the
space. It leaves out control characters and escapes, whatever steers the direction of text or has
no width, other kinds of space, halves of characters, private use, and what Unicode has not
assigned.
"""

import time
import unicodedata
from typing import Final

LONGEST_MESSAGE: Final = 1_000
"""Characters of a message that are shown, or logged; a stranger's may be as long as it likes."""

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_LONGEST_DURATION: Final = 100 * 365 * 86_400

_FORMULAS: Final = tuple(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)


def printable(text: object, longest: int | None = None) -> str:
    r"""Text as one line that plays no tricks: what does not print is shown by its number.

    That is `\u202e`, or `\U000e0041` beyond the first 65,536. A backslash is shown as it is, and
    so text that has been through this stays the same, however many places make sure of it: an
    error, then a log, then a terminal. So it cannot be told from the same text spelled out.
    Nothing can be gained by that, as no registry takes the former; and JSON tells them apart.

    Args:
        text: Whatever is to be shown.
        longest: How many characters at the most; what is too long ends in an ellipsis.
    """
    shown = _cut(str(text), longest)
    if shown.isprintable():
        return shown
    return _cut("".join(c if c.isprintable() else _escape(c) for c in shown), longest)


def printable_lines(text: str, indent: str = "") -> str:
    """The same for text whose line breaks are to stay, a traceback, say.

    Args:
        text: Whatever is to be shown.
        indent: What each line begins with, so that none can pass for one of a log.
    """
    return "\n".join(indent + printable(line) for line in text.split("\n"))


def csv_text(text: str) -> str:
    """Text for a cell of a CSV file that no spreadsheet takes for a formula.

    Where it begins like one an apostrophe is put before it, as OWASP advises against "CSV
    injection". Commas and quotes are the business of whoever writes the file: the `csv` module.
    Numbers need none of this.
    """
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULAS) else shown


def unprintable(text: str) -> str | None:
    """The first character that does not print, in words: "U+202E (RIGHT-TO-LEFT OVERRIDE)"."""
    if text.isprintable():
        return None
    found = next(c for c in text if not c.isprintable())
    name = unicodedata.name(found, "")
    return f"U+{ord(found):04X} ({name})" if name else f"U+{ord(found):04X}"


def duration(seconds: float) -> str:
    """A time span in its largest unit: `"3 min"`."""
    if seconds > _LONGEST_DURATION:
        return f"> {_LONGEST_DURATION // 86_400} d"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def clock(seconds: float) -> str:
    """The time of day, where we are, of a time in seconds since 1970: `"13:05:00"`."""
    return local_time("%H:%M:%S", seconds, "??:??:??")


def local_time(form: str, seconds: float, otherwise: str) -> str:
    """A time in seconds since 1970, as `time.strftime` writes it; `otherwise` if it is none."""
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # no time that there will ever be
        return otherwise


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"


def _cut(text: str, longest: int | None) -> str:
    if longest is None or len(text) <= longest:
        return text
    return text[: max(0, longest - 1)] + "\N{HORIZONTAL ELLIPSIS}"
