"""Devices, and a watcher's view of them, as HTML tables: for notebooks, and for tooltips.

All text is from strangers: it is made printable, cut, and escaped, so that no tag is in the result
but those written here. There is hardly any style, and no colour: a notebook's theme, light or dark,
knows better. A view that is not live is faint, and says since when and why.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from heapq import nsmallest
from html import escape
from itertools import islice
from types import MappingProxyType
from typing import Final

from .protocol import MAX_ADDR, MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE, MAX_NAME
from .records import Device, State, Status
from .text import LONGEST_MESSAGE, printable

MAX_ROWS: Final = 200
"""Devices that a view's table has at the most; it says how many more there are."""

MAX_SUMMARY: Final = 200
"""Characters of a device's metadata in a view's table; the device's own table has all of it."""

_LEFT: Final = ' style="text-align: left; vertical-align: top"'
_FAINT: Final = ' style="opacity: 0.6"'


def device_html(device: Device, longest: int = MAX_METADATA_VALUE) -> str:
    """A table of two columns: what is known of a device, and below it its metadata.

    Args:
        device: The device.
        longest: Characters of each text that are shown.
    """
    metadata = islice(device.metadata.items(), MAX_METADATA)
    more = len(device.metadata) - MAX_METADATA
    rows = [
        _row("name", _shown(device.name, longest)),
        _row("type", _shown(device.device_type, longest)),
        _row("address", _shown(device.addr, longest)),
        _row("present since", moment(device.registered_at)),
        *(
            _row(f"<i>{_shown(key, MAX_METADATA_KEY)}</i>", _shown(value, longest))
            for key, value in metadata
        ),
    ]
    if more > 0:
        rows.append(_row("", f"… and {more:,} more"))
    return f"<table>{''.join(rows)}</table>"


def view_html(url: str, status: Status, devices: Mapping[str, Device]) -> str:
    """A line that says what a view is worth, and a table of its devices, sorted by name.

    Args:
        url: The registry's address.
        status: What the view is worth.
        devices: The devices, by name; behind a proxy another thread may change them meanwhile.
    """
    # Copying a dict is one step to other threads; iterating over it is not.
    devices = devices.copy() if isinstance(devices, MappingProxyType) else devices
    line = f"<b>{status.state}</b>"
    if status.since > 0:  # else nobody has waited for its events yet
        line += f" since {moment(status.since)}"
    if status.why:
        line += f": {_shown(status.why, LONGEST_MESSAGE)}"
    number = f"{len(devices):,} device{'' if len(devices) == 1 else 's'}"
    line += f"<br>{number} at {_shown(url, MAX_ADDR)}"
    if not devices:
        return f"<div>{line}</div>"
    shown = nsmallest(MAX_ROWS, devices.values(), key=lambda device: device.name)
    table = _table(shown, faint=status.state is not State.LIVE)
    more = len(devices) - len(shown)
    return f"<div>{line}{table}{f'… and {more:,} more' if more else ''}</div>"


def moment(seconds: float) -> str:
    """A time, in seconds since 1970, for people: where they are, and which zone that is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(" ", "seconds")
    except (OverflowError, ValueError, OSError):  # no time that there will ever be
        return "?"


def summary(metadata: Mapping[str, object]) -> str:
    """Metadata as one line of harmless text, cut to `MAX_SUMMARY`. It is not escaped."""
    # A hostile registry's may be endless; what would not be seen is not even put together.
    entries = islice(metadata.items(), MAX_METADATA)
    return printable(", ".join(f"{key}={value}" for key, value in entries), MAX_SUMMARY)


def _table(devices: Iterable[Device], *, faint: bool) -> str:
    heads = ("name", "type", "address", "present since", "metadata")
    head = "".join(f"<th{_LEFT}>{label}</th>" for label in heads)
    rows = "".join(
        f"<tr>{''.join(f'<td{_LEFT}>{cell}</td>' for cell in _cells(device))}</tr>"
        for device in devices
    )
    style = _FAINT if faint else ""
    return f"<table{style}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(device: Device) -> tuple[str, ...]:
    return (
        _shown(device.name, MAX_NAME),
        _shown(device.device_type, MAX_NAME),
        _shown(device.addr, MAX_ADDR),
        moment(device.registered_at),
        escape(summary(device.metadata)),
    )


def _row(head: str, cell: str) -> str:
    return f"<tr><th{_LEFT}>{head}</th><td{_LEFT}>{cell}</td></tr>"


def _shown(text: object, longest: int) -> str:
    return escape(printable(text, longest))
