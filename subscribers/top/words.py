"""What the dashboard says beside the table and the event log: status, details, help. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from rich.cells import cell_len

from ...events.records import State, Status
from ...events.text import LONGEST_MESSAGE, clock, duration, printable
from ..timeline import Span
from .board import Board, Row
from .columns import departure
from .lines import Line, Part, Tone, fit, fit_line, moment
from .strip import AWAY, BLOCKS, DOUBTFUL, MINUTES, UNSEEN, strip

LONGEST_HISTORY: Final = 200
"""Registrations of a name that the details show."""

_GAP: Final = "   "
_LABEL: Final = 12


def status(status: Status, url: str, board: Board, now: float, width: int) -> list[Line]:
    """Two lines: what the view is worth and whose it is; who is there. And why it is not live."""
    at = ""
    match status.state:
        case State.LIVE:
            state: Part = ("● LIVE", Tone.GOOD)
        case State.CONNECTING:
            state = ("◌ CONNECTING", Tone.ALARM)
        case State.STALE | State.CLOSED:
            state = ("○ STALE", Tone.SHOUT)
            at = clock(status.since)
        case _:
            assert_never(status.state)
    since = f" for {_span(now - status.since)}" + (f", since {at}" if at else "")
    lines = [fit_line((state, (f"{since}{_GAP}{printable(url)}", Tone.PLAIN)), width)]
    if status.state is not State.CONNECTING:
        lines.append(_counts(board, f" at {at}" if at else "", width))
    if status.why:
        lines.append(((printable(status.why, LONGEST_MESSAGE), Tone.BOLD),))
    return lines


def _counts(board: Board, when: str, width: int) -> Line:
    """How many are there, and of which types, as many of these as there is room for."""
    total = f"{board.present} device{'' if board.present == 1 else 's'}{when}"
    gone = f"{_GAP}{board.left} left" if board.left else ""
    kinds = sorted(board.kinds)
    shown = ""
    for number, kind in enumerate(kinds, 1):
        more = f"{', ' if shown else ': '}{board.kinds[kind]} {fit(kind, min(24, cell_len(kind)))}"
        others = f", {len(kinds) - number} more types" if number < len(kinds) else ""
        if cell_len(total + shown + more + others + gone) > width:
            shown += f"{', ' if shown else ': '}{len(kinds) - number + 1} more types"
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
        known = board.known(now)
        when = "" if known == now else f", at {clock(known)}"
        length = _span(known + board.ahead - device.registered_at)
        state: Part = (f"present for {length}{when}", Tone.GOOD)
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
    blocks = strip(spans, board.blind, now=now, ahead=board.ahead, cells=cells)
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
    ("/", "filter by name, type, address, metadata; Esc clears"),
    ("s, r", "sort by the next column, reverse; or click a column"),
    ("l", "show or hide devices that left"),
    ("Tab", "to the event log and back, to scroll it"),
    ("q, Ctrl-C", "quit"),
)

_SIGNS: Final = (
    ("+ -", "came just now; left, shown for a while, with the reason"),
    (BLOCKS[-1], "there all the time; lower: a part of it, or it came and went"),
    (AWAY, "(blank) not there"),
    (UNSEEN, "not known: this program did not look yet, or could not"),
    (DOUBTFUL, "not known either, but it was there before: perhaps still"),
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
