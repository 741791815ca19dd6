"""Devices, and what a watcher yields, as plain dicts: for JSON lines, files and web pages.

They are what the wire has, and a watcher's own knowledge besides: the origin of an event and the
cursor to resume from after it.
"""

from typing import Any, assert_never

from .records import Added, Device, Live, Record, Removed, Stale


def device_dict(device: Device) -> dict[str, Any]:
    """A device, as it is on the wire."""
    return {
        "name": device.name,
        "device_type": device.device_type,
        "addr": device.addr,
        "revision": device.revision,
        "registered_at": device.registered_at,
        "metadata": dict(device.metadata),
    }


def record_dict(record: Record) -> dict[str, Any]:
    """What a watcher yields.

    Events are as on the wire, with `origin` and `cursor`; the `reason` of an `added` is None. What
    is told of the view itself has the `event` "live", with `cursor` and `resynced`, or "stale",
    with `why`.
    """
    match record:
        case Added() | Removed():
            return {
                "event": record.topic,
                "origin": record.origin,
                "epoch": record.epoch,
                "seq": record.seq,
                "time": record.time,
                "device": device_dict(record.device),
                "reason": record.reason if isinstance(record, Removed) else None,
                "cursor": str(record.cursor),
            }
        case Live():
            return {
                "event": "live",
                "time": record.time,
                "cursor": str(record.cursor),
                "resynced": record.resynced,
            }
        case Stale():
            return {"event": "stale", "time": record.time, "why": record.why}
        case _:
            assert_never(record)
