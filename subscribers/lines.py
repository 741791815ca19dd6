"""The lines of a log: what a watcher tells, as structlog writes it, for programs or for people."""

import datetime as dt
import enum
from collections.abc import Mapping
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from ..events.plain import record_dict
from ..events.protocol import MAX_ADDR, MAX_NAME, Origin
from ..events.records import Added, Cursor, Live, Record, Removed, Stale
from ..events.text import LONGEST_MESSAGE, printable

_FIRST: Final = ("timestamp", "level", "event")

_LONGEST_METADATA: Final = 300
"""Characters of a device's metadata that people are shown."""

_EVENT_WIDTH: Final = 8


class LogFormat(enum.StrEnum):
    """How a line is written."""

    JSON = "json"
    """One JSON object, in ASCII."""
    CONSOLE = "console"
    """For people."""


class Lines:
    """Makes a line of everything that a log has to tell. Each ends in its only line break.

    Args:
        format: How.
        colors: Whether to colour those for people.
    """

    def __init__(self, format: LogFormat = LogFormat.JSON, *, colors: bool = False) -> None:  # noqa: A002
        self._for_people = format is LogFormat.CONSOLE
        render: list[Processor] = [structlog.processors.JSONRenderer()]
        if self._for_people:
            console = structlog.dev.ConsoleRenderer(
                _EVENT_WIDTH, colors=colors, sort_keys=False, pad_level=False
            )
            render = [_make_printable, console]
        self._page = _Page()
        self._logger = structlog.wrap_logger(
            self._page,
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _in_order,
                *render,
            ],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def start(self, cursor: Cursor | None, why: str | None) -> str:
        """A logger begins.

        Args:
            cursor: Where it goes on; None is with the devices that are there.
            why: What was not as it should be.
        """
        return self._line("info", "start", cursor=None if cursor is None else str(cursor), why=why)

    def stop(self, cursor: Cursor | None) -> str:
        """It ends, in an orderly manner."""
        return self._line("info", "stop", cursor=None if cursor is None else str(cursor))

    def record(self, record: Record, resumed: bool | None) -> str:
        """What a watcher tells.

        Args:
            record: That.
            resumed: Whether the watcher has gone on where the logger before it stopped.
        """
        fields = record_dict(record)
        event = str(fields.pop("event"))
        if isinstance(record, Stale):
            return self._line("warning", event, **fields)
        if isinstance(record, Live):
            return self._line("info", event, **fields, resumed=resumed)
        return self._line("info", event, **(_flat(record) if self._for_people else fields))

    def _line(self, level: str, event: str, **fields: Any) -> str:
        getattr(self._logger, level)(event, **fields)
        return f"{self._page.line}\n"


class _Page:
    """What structlog takes for a logger. It keeps the latest line."""

    def __init__(self) -> None:
        self.line = ""

    def info(self, line: str) -> None:
        self.line = line

    warning = info


def _in_order(_logger: object, _method: str, fields: EventDict) -> EventDict:
    first = {key: fields[key] for key in _FIRST}
    return first | {key: value for key, value in fields.items() if key not in first}


def _flat(event: Added | Removed) -> Mapping[str, Any]:
    """An event, with what people want to know."""
    device = event.device
    metadata = ", ".join(f"{key}={value}" for key, value in device.metadata.items())
    fields = {
        "name": printable(device.name, MAX_NAME),
        "type": printable(device.device_type, MAX_NAME),
        "addr": printable(device.addr, MAX_ADDR),
        "reason": str(event.reason) if isinstance(event, Removed) else None,
        "origin": None if event.origin is Origin.LIVE else str(event.origin),
        "metadata": printable(metadata, _LONGEST_METADATA) or None,
        "time": event.time,
        "seq": event.seq,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _make_printable(_logger: object, _method: str, fields: EventDict) -> EventDict:
    shown = {
        key: value
        if value is None or isinstance(value, bool | int | float)
        else printable(value, LONGEST_MESSAGE)
        for key, value in fields.items()
        if value is not None
    }
    if "time" in fields:
        shown["time"] = _clock(fields["time"])
    return shown


def _clock(seconds: float) -> str:
    try:
        when = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):  # no time that there will ever be
        return "?"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
