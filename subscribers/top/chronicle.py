"""The event log: what a watcher yields, a line each. Pure."""

from collections import deque
from typing import Final, assert_never

from ...events.protocol import MAX_ADDR, MAX_NAME, Origin, Reason
from ...events.records import Added, Device, Live, Record, Removed, Stale
from ...events.text import LONGEST_MESSAGE, clock, duration, printable
from .lines import Line, Tone, fit

MAX_LINES: Final = 1_000
"""Lines that are kept."""

_NAME: Final = 14


class Chronicle:
    """Lines, in the order in which things happened. What was there at the beginning is counted.

    Attributes:
        lines: The last ones.
        count: How many there have been.
    """

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=MAX_LINES)
        self.count = 0
        self._there = 0  # devices of the beginning
        self._stale = False

    def add(self, record: Record) -> None:
        """Take in what a watcher has yielded."""
        match record:
            case Added() if record.origin is Origin.SNAPSHOT:
                self._there += 1
            case Added():
                self._put(record.time, ("+ ", Tone.GOOD), _name(record.device), _came(record))
            case Removed():
                self._put(record.time, ("- ", Tone.BAD), _name(record.device), _went(record))
            case Live():
                self._put(record.time, ("● ", Tone.GOOD), (self._live(record), Tone.BOLD))
                self._there, self._stale = 0, False
            case Stale():
                why = printable(record.why, LONGEST_MESSAGE)
                self._put(
                    record.time, ("○ ", Tone.ALARM), ("stale: ", Tone.ALARM), (why, Tone.PLAIN)
                )
                self._stale = True
            case _:
                assert_never(record)

    def _live(self, live: Live) -> str:
        if live.resynced:
            return "live again; some events were missed: what they come to stands above"
        if self._stale:
            return "live again; nothing was missed"
        return f"live; {self._there} device{'' if self._there == 1 else 's'} there already"

    def _put(self, seconds: float, *parts: tuple[str, Tone]) -> None:
        self.lines.append(((f"{clock(seconds)} ", Tone.DIM), *parts))
        self.count += 1


def _name(device: Device) -> tuple[str, Tone]:
    name = printable(device.name, MAX_NAME)
    return (fit(name, _NAME) if len(name) < _NAME else name) + " ", Tone.NAME


def _came(added: Added) -> tuple[str, Tone]:
    found = "found on resync: " if added.origin is Origin.RESYNC else ""
    return found + _kind(added.device), Tone.PLAIN


def _went(removed: Removed) -> tuple[str, Tone]:
    why = "reason unknown" if removed.reason is Reason.UNKNOWN else str(removed.reason)
    if removed.origin is Origin.RESYNC:
        return f"found gone on resync: {why}; {_kind(removed.device)}", Tone.PLAIN
    present = duration(removed.time - removed.device.registered_at)
    after = "at once" if present == "now" else f"after {present}"
    return f"{why} {after}; {_kind(removed.device)}", Tone.PLAIN


def _kind(device: Device) -> str:
    return f"{printable(device.device_type, MAX_NAME)} {printable(device.addr, MAX_ADDR)}"
