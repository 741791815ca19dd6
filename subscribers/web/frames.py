"""What browsers are told, in JSON and as server-sent events. Pure."""

import json
from collections.abc import Iterable
from typing import Any

from ...events.records import Status
from ..timeline import Gap, Span, Timeline


def to_json(value: object) -> bytes:
    """JSON in ASCII on one line, whatever strangers have put into it."""
    return json.dumps(value, separators=(",", ":")).encode()


def sent_event(kind: str, data: bytes, name: str | None = None) -> bytes:
    """A server-sent event.

    Args:
        kind: What it is, in one word.
        data: One line.
        name: What to send back as `Last-Event-ID`; None leaves that as it was.
    """
    line = "" if name is None else f"id: {name}\n"
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), line.encode(), data)


def status_dict(status: Status) -> dict[str, Any]:
    """What the view is worth."""
    return {"state": status.state, "since": status.since, "why": status.why}


def timeline_dict(timeline: Timeline) -> dict[str, Any]:
    """Who was present when."""
    return {
        "lanes": [
            {
                "name": name,
                "metadata": None if spans[-1].end is None else dict(spans[-1].device.metadata),
                "spans": [_span_dict(span) for span in spans],
            }
            for name, spans in timeline.lanes.items()
        ],
        "gaps": [_gap_dict(gap) for gap in timeline.gaps],
        "known_since": timeline.known_since,
    }


def _span_dict(span: Span) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "reason": span.reason,
        "exact": span.exact,
        "device_type": span.device.device_type,
        "addr": span.device.addr,
    }


def _gap_dict(gap: Gap) -> dict[str, Any]:
    return {"start": gap.start, "end": gap.end, "why": gap.why}


def json_list(members: Iterable[bytes]) -> bytes:
    """A list of what is JSON already."""
    return b"[%b]" % b",".join(members)


def json_members(members: dict[str, object], **ready: bytes) -> bytes:
    """An object.

    Args:
        members: Its first members; at least one.
        ready: More members, which are JSON already.
    """
    more = (b',"%b":%b' % (name.encode(), value) for name, value in ready.items())
    return to_json(members)[:-1] + b"".join(more) + b"}"
