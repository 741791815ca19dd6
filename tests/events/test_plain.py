"""What a watcher yields, as plain dicts."""

import json

from devicewatch.events import Added, Cursor, Device, Live, Origin, Reason, Removed, Stale
from devicewatch.events.plain import device_dict, record_dict

CAM = Device("cam", "camera", "tcp://a:1", 7, 1.5, {"lens": "wide"})


def test_a_device_is_as_on_the_wire() -> None:
    assert device_dict(CAM) == {
        "name": "cam",
        "device_type": "camera",
        "addr": "tcp://a:1",
        "revision": 7,
        "registered_at": 1.5,
        "metadata": {"lens": "wide"},
    }


def test_an_event_has_its_origin_and_cursor_besides() -> None:
    added = Added("e", 7, 1.5, CAM, Origin.SNAPSHOT, Cursor("e", 9, 7))
    assert json.loads(json.dumps(record_dict(added))) == {
        "event": "added",
        "origin": "snapshot",
        "epoch": "e",
        "seq": 7,
        "time": 1.5,
        "device": device_dict(CAM),
        "reason": None,
        "cursor": "9.7/e",
    }
    assert record_dict(Removed("e", 8, 2.5, CAM, Reason.EXPIRED))["reason"] == "expired"


def test_word_on_the_view_is_a_record_as_well() -> None:
    assert record_dict(Live(1.0, Cursor("e", 8), resynced=True)) == {
        "event": "live",
        "time": 1.0,
        "cursor": "8/e",
        "resynced": True,
    }
    assert record_dict(Stale(2.0, "silence")) == {"event": "stale", "time": 2.0, "why": "silence"}
