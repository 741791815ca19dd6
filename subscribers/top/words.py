"""What the dashboard says beside the table and the event log: status, details, help. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from ...events.records import State, Status
from ...events.text import LONGEST_MESSAGE, duration, printable
from ..timeline import Span
from .board import Board, Row
from .columns import departure
from .lines import Line, Part, Tone, clock, moment
from .strip import AWAY, BLOCKS, DOUBTFUL, MINUTES, UNSEEN, strip

LONGEST_HISTORY: Final = 200
"""Registrations of a name that the details show."""

_GAP: Final = "   "
_LABEL: Final = 12


def status(status: Status, url: str, board: Board, now: float, width: int) -> list[Line]:
    """Two lines: what the view is worth and whose it is; who is there. And why it is not live."""
    since = f"for {_span(now - status.since)}"
    shown = printable(url, LONGEST_MESSAGE)
    why = printable(status.why, LONGEST_MESSAGE)
    match status.state:
        case State.LIVE:
            first: Line = (("● LIVE", Tone.GOOD), (f" {since}{_GAP}{shown}", Tone.PLAIN))
            return [first, _counts(board, "", width)]
        case State.CONNECTING:
            first = (("◌ CONNECTING", Tone.ALARM), (f" {since}{_GAP}{shown}", Tone.PLAIN))
            return [first, ((why, Tone.BOLD),)]
        case State.STALE | State.CLOSED:
            at = clock(status.since)
            first = (
                ("○ STALE", Tone.ALARM),
                (f" {since}, since {at}{_GAP}{shown}", Tone.PLAIN),
            )
            return [first, _counts(board, f" at {at}", width), ((why, Tone.BOLD),)]


def _counts(board: Board, when: str, width: int) -> Line:
    """How many are there, and of which types, the most frequent ones first, as far as they fit."""
    total = f"{board.present} device{'' if board.present == 1 else 's'}{when}"
    gone = f"{_GAP}{board.left} left" if board.left else ""
    kinds = sorted(
        ((kind, count) for kind, count in board.kinds.items() if count > 0),
        key=lambda item: (-item[1], item[0]),
    )
    shown = ""
    for number, (kind, count) in enumerate(kinds):
        more = f"{', ' if shown else ': '}{count} {printable(kind, 24)}"
        rest = f", {len(kinds) - number} more types"
        if cell_len(total + shown + more + rest + gone) > width:
            shown += rest if shown else ""
            break
        shown += more
    return ((total, Tone.BOLD), (shown, Tone.PLAIN), (gone, Tone.DIM))


def found(shown: int, board: Board, *, left: bool) -> str:
    """How much of what is there a filter lets through."""
    return f"{shown} of {board.present + (board.left if left else 0)}"


def details(row: Row, board: Board, now: float, cells: int) -> list[Line]:
    """Everything about a device, and when it was there."""
    there = now + board.ahead
    device = row.device
    if row.left is None:
        state: Part = (f"present for {_span(there - device.registered_at)}", Tone.GOOD)
    else:
        state = (departure(row, there, 1_000), Tone.BAD)
    at = device.registered_at
    lines: list[Line] = [
        ((row.name, Tone.NAME), (_GAP, Tone.PLAIN), state),
        (),
        _entry("type", row.device_type),
        _entry("address", row.addr),
        _entry("registered", f"{moment(at)}, {_ago(there - at)}"),
        _entry("revision", str(device.revision)),
        (),
        (("METADATA", Tone.BOLD),),
    ]
    lines += [_entry(str(key), str(value)) for key, value in device.metadata.items()]
    if not device.metadata:
        lines.append((("none", Tone.DIM),))
    spans = board.spans(device.name)
    blocks = strip(spans, board.gaps, now=now, since=board.since, ahead=board.ahead, cells=cells)
    lines += [(), (("PRESENCE", Tone.BOLD), (f", the last {MINUTES} minutes", Tone.DIM))]
    lines += [((blocks, Tone.GOOD),), ()]
    lines += _history(spans, there)
    return lines


def _history(spans: Sequence[Span], now: float) -> Iterator[Line]:
    for span in list(spans)[: -LONGEST_HISTORY - 1 : -1]:
        if span.end is None:
            end, why = "now", ""
            length = _span(now - span.start)
        else:
            about = "" if span.exact else "about "
            end, why = about + clock(span.end), str(span.reason)
            length = _span(span.end - span.start)
        yield (
            (f"{moment(span.start)} to {end:<15}", Tone.PLAIN),
            (f" {length:>7}  ", Tone.BOLD),
            (why, Tone.BAD),
        )
    if len(spans) > LONGEST_HISTORY:
        yield ((f"and {len(spans) - LONGEST_HISTORY} times before", Tone.DIM),)


def _entry(label: str, value: str) -> Line:
    shown = printable(label)
    return ((f"{shown:<{_LABEL}} ", Tone.DIM), (printable(value), Tone.PLAIN))


def _span(seconds: float) -> str:
    text = duration(seconds)
    return "0 s" if text == "now" else text


def _ago(seconds: float) -> str:
    text = duration(seconds)
    return "just now" if text == "now" else f"{text} ago"


_KEYS: Final = (
    ("↑ ↓ PgUp PgDn", "choose a device (also j k)"),
    ("Home End", "to the first, to the last (also g G)"),
    ("Enter", "everything about the chosen device"),
    ("/", "filter by name, type, address, metadata; Esc clears it"),
    ("s, r", "sort by the next column, reverse; or click on a column"),
    ("l", "show or hide devices that left"),
    ("Tab", "to the event log and back, to scroll it"),
    ("q, Ctrl-C", "quit"),
)

_SIGNS: Final = (
    ("+ -", "came a moment ago; left, which is shown for a while, and why"),
    (BLOCKS[-1], "there all the time; lower: for a part of it, or left and came back"),
    (AWAY, "(blank) not there"),
    (UNSEEN, "not known: before this program looked, or while it could not"),
    (DOUBTFUL, "there when the view became stale, and perhaps still"),
)


def help_lines() -> list[Line]:
    """Keys, and what the signs mean."""
    lines: list[Line] = [(("KEYS", Tone.BOLD),)]
    lines += [_explained(sign, meaning) for sign, meaning in _KEYS]
    lines += [(), (("SIGNS", Tone.BOLD), (f" (the strip is the last {MINUTES} minutes)", Tone.DIM))]
    lines += [_explained(sign, meaning) for sign, meaning in _SIGNS]
    return lines


def _explained(sign: str, meaning: str) -> Line:
    return ((f"{sign:<14}", Tone.NAME), (meaning, Tone.PLAIN))
