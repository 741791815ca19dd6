"""What browsers are told, in JSON."""

import json

import attrs

from devicewatch.events import Added, Device, Live, Origin, Reason, Removed, Stale, State, Status
from devicewatch.events.records import Cursor
from devicewatch.subscribers.timeline import Timeline
from devicewatch.subscribers.web.frames import (
    json_list,
    json_members,
    sent_event,
    status_dict,
    timeline_dict,
    to_json,
)
from tests.support.hostile import HOSTILE

CAM = Device("cam", "camera", "tcp://a:1", 1, 10.0)


def test_json_is_one_line_of_ascii_whatever_is_in_it() -> None:
    data = to_json({HOSTILE: [HOSTILE, 10**300]})
    assert data.isascii()
    assert len(data.splitlines()) == 1
    assert json.loads(data) == {HOSTILE: [HOSTILE, 10**300]}


def test_one_that_has_left_says_what_it_said_of_itself() -> None:
    timeline = Timeline()
    timeline.add(Added("e", 1, 10.0, attrs.evolve(CAM, metadata={"lens": "wide"})))
    timeline.add(
        Removed("e", 2, 13.0, attrs.evolve(CAM, metadata={"lens": "wide"}), Reason.EXPIRED)
    )
    (lane,) = timeline_dict(timeline)["lanes"]
    assert lane["metadata"] == {"lens": "wide"}


def test_json_can_be_put_together_from_parts() -> None:
    parts = json_list([to_json({"a": 1}), to_json("b")])
    assert json.loads(json_members({"x": None}, parts=parts, none=json_list([]))) == {
        "x": None,
        "parts": [{"a": 1}, "b"],
        "none": [],
    }


def test_a_server_sent_event() -> None:
    assert sent_event("pulse", b"1") == b"event: pulse\ndata: 1\n\n"
    assert sent_event("live", b"1", "7/e") == b"event: live\nid: 7/e\ndata: 1\n\n"


def test_a_status() -> None:
    told = json.loads(to_json(status_dict(Status(State.STALE, 1.5, "why"))))
    assert told == {"state": "stale", "since": 1.5, "why": "why"}


def test_a_timeline() -> None:
    timeline = Timeline()
    timeline.known_since = 9.0
    timeline.add(Added("e", 1, 10.0, CAM))
    timeline.add(Stale(11.0, "no link"))
    timeline.add(Live(12.0, Cursor("e", 1)))
    timeline.add(Removed("e", 1, 13.0, CAM, Reason.UNKNOWN, Origin.RESYNC))
    timeline.add(Added("e", 3, 14.0, Device("cam", "camera", "tcp://a:2", 3, 14.0)))
    timeline.add(Stale(15.0, "again"))
    assert json.loads(to_json(timeline_dict(timeline))) == {
        "lanes": [
            {
                "name": "cam",
                "metadata": None,
                "spans": [
                    {
                        "start": 10.0,
                        "end": 13.0,
                        "reason": "unknown",
                        "exact": False,
                        "device_type": "camera",
                        "addr": "tcp://a:1",
                    },
                    {
                        "start": 14.0,
                        "end": None,
                        "reason": None,
                        "exact": True,
                        "device_type": "camera",
                        "addr": "tcp://a:2",
                    },
                ],
            }
        ],
        "gaps": [
            {"start": 11.0, "end": 12.0, "why": "no link"},
            {"start": 15.0, "end": None, "why": "again"},
        ],
        "known_since": 9.0,
    }
