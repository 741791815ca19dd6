"""What the command shows: tables and lines for people, JSON for programs, and the log."""

import io
import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import TextIO

import click
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...events.logs import harmless_traceback
from ...events.messages import InfoReply
from ...events.protocol import MAX_ADDR, MAX_NAME, Origin
from ...events.records import Added, Device, Event
from ...events.text import LONGEST_MESSAGE, clock, duration, printable
from ..presence import PresenceState, PresenceStatus

_PIPE_WIDTH = 10_000
_LONGEST_PIPED = 3_000
_LONGEST_SHOWN = 1_000
"""Characters of a device's metadata in a table; JSON has all of it."""


def configure_output() -> None:
    """Have a character that the terminal's encoding lacks shown by its number, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: object) -> None:
    """One line of JSON on stdout, at once, in ASCII."""
    print(json.dumps(value), flush=True)  # noqa: T201


def print_devices(devices: Iterable[Device]) -> None:
    """A table of devices, sorted by name; a sentence if there are none."""
    rows = sorted(devices, key=lambda device: device.name)
    # Whoever reads a pipe wants one line a device, however long.
    on_terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if on_terminal else _PIPE_WIDTH)
    if not rows:
        console.print("no devices are registered")
        return
    table = Table(box=None, header_style="bold")
    # Where there is too little room the widest column gives way: no device hides the others'.
    for label in ("NAME", "TYPE", "ADDRESS"):
        table.add_column(label)
    table.add_column("PRESENT FOR", justify="right", no_wrap=True)
    table.add_column("METADATA")
    for device in rows:
        table.add_row(
            _line(printable(device.name, MAX_NAME), "cyan"),
            _line(printable(device.device_type, MAX_NAME)),
            _line(printable(device.addr, MAX_ADDR)),
            Text(duration(time.time() - device.registered_at)),
            Text(_metadata(device, on_terminal), "dim"),
        )
    console.print(table)


def print_info(url: str, info: InfoReply) -> None:
    """A registry's account of itself, a line each."""
    stream = f"port {info.events_port}" if info.events_port else str(info.events_url)
    rows = {
        "registry": url,
        "event stream": stream,
        "devices": info.devices,
        "events so far": info.seq,
        "epoch": info.epoch,
        "tick interval": f"{info.tick_interval:g} s",
        "history": f"{info.history} events",
        "up for": duration(info.uptime),
        "turned away": f"{info.refused} times",
        "protocol": info.version,
    }
    table = Table.grid(padding=(0, 2))
    for label, value in rows.items():
        table.add_row(Text(label, "bold"), Text(printable(value, MAX_ADDR)))
    Console(highlight=False).print(table)


def info_record(info: InfoReply) -> dict[str, object]:
    """The INFO payload, as it is on the wire."""
    record: dict[str, object] = {
        "version": info.version,
        "epoch": info.epoch,
        "seq": info.seq,
        "devices": info.devices,
        "tick_interval": info.tick_interval,
        "uptime": info.uptime,
        "history": info.history,
        "refused": info.refused,
    }
    if isinstance(info.events_port, int):
        record["events_port"] = info.events_port
    if isinstance(info.events_url, str):
        record["events_url"] = info.events_url
    return record


def print_event(event: Event) -> None:
    """One line for people: when, what, who, where, why."""
    device = event.device
    added = isinstance(event, Added)
    notes = [] if isinstance(event, Added) else [str(event.reason)]
    if event.origin is not Origin.LIVE:
        notes.append("was there" if event.origin is Origin.SNAPSHOT else "found on resync")
    line = Text.assemble(
        (clock(event.time), "dim"),
        (" + " if added else " - ", "bold green" if added else "bold red"),
        (f"{printable(device.name, MAX_NAME):<20} ", "cyan"),
        f"{printable(device.device_type, MAX_NAME):<12} {printable(device.addr, MAX_ADDR)}",
        (f"  ({', '.join(notes)})" if notes else "", "dim"),
    )
    Console(highlight=False, soft_wrap=True).print(line)
    sys.stdout.flush()


def configure_logs(level: int = logging.WARNING) -> None:
    """Log to stderr: coloured lines on a terminal, JSON lines otherwise."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=not sys.stderr.isatty()),
    ]
    renderers: list[structlog.typing.Processor]
    if sys.stderr.isatty():
        renderers = [structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)]
    else:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logger = logging.getLogger("devicewatch")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _metadata(device: Device, on_terminal: bool) -> str:
    entries = ", ".join(f"{key}={value}" for key, value in device.metadata.items())
    return printable(entries, _LONGEST_SHOWN if on_terminal else _LONGEST_PIPED)


def _write_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """A plain one: a fancy one shows local variables, and with them a device's uuid."""
    stream.write(f"\n{harmless_traceback(error)}")


class PresenceChanges:
    """Says what a device's owner has to know: another name, displaced, present again.

    To be called with each `PresenceStatus`. Short absences, such as the time that a registry takes
    to restart, go unmentioned; the log has them.

    Args:
        err: Whether to say it on stderr.
    """

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._name = ""
        self._displaced = False

    def __call__(self, status: PresenceStatus) -> None:
        """Say what is new."""
        if status.state is PresenceState.DISPLACED:
            self._displaced = True
            self._say(f"{status.name} is displaced: {status.why}")
        elif status.registered:
            if self._name not in ("", status.name):
                self._say(f"{self._name} is now called {status.name}: {status.why}")
            elif self._displaced:
                self._say(f"{status.name} is present again")
            self._name, self._displaced = status.name, False

    def _say(self, text: str) -> None:
        click.echo(printable(text, LONGEST_MESSAGE), err=self._err)
        (sys.stderr if self._err else sys.stdout).flush()
