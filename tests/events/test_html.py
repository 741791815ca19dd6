"""What notebooks show: whole tables, and no tag in them but our own."""

from collections.abc import Mapping
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicewatch.events import Device, State, Status
from devicewatch.events.html import (
    MAX_ROWS,
    MAX_SUMMARY,
    device_html,
    moment,
    summary,
    view_html,
)
from devicewatch.events.protocol import MAX_METADATA
from tests.events.strategies import devices
from tests.support.hostile import DEVICE, HOSTILE, SHOWN, TRICKS

CAM: Final = Device("cam", "camera", "tcp://a:1", 7, 0.0, {"lens": "wide", "ok": True})
LIVE: Final = Status(State.LIVE, 60.0, "")
STALE: Final = Status(State.STALE, 60.0, "the event stream is silent")
URL: Final = "tcp://controller:5555"
OURS: Final = {"table", "thead", "tbody", "tr", "th", "td", "b", "i", "div", "br"}
STYLES: Final = {"text-align: left; vertical-align: top", "opacity: 0.6"}


class Reader(HTMLParser):
    """Fails where a tag is not ours, or not closed; collects the text of each cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in OURS
        assert all(name == "style" and value in STYLES for name, value in attrs)
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data}")


def test_a_device_is_a_table_with_its_metadata() -> None:
    cells = Reader(device_html(CAM)).cells
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {
        "name": "cam",
        "type": "camera",
        "address": "tcp://a:1",
        "present since": moment(0.0),
        "lens": "wide",
        "ok": "True",
    }
    assert CAM._repr_html_() == device_html(CAM)
    assert repr(CAM).startswith("Device(name='cam'")


def test_a_live_view_is_its_status_and_its_devices_by_name() -> None:
    arm = Device("arm", "arm", "tcp://a:2", 8, 0.0)
    reader = Reader(view_html(URL, LIVE, {"cam": CAM, "arm": arm}))
    assert reader.text.startswith(f"live since {moment(60.0)}2 devices at {URL}")
    heads, (first, second) = reader.cells[:5], (reader.cells[5:10], reader.cells[10:])
    assert heads == ["name", "type", "address", "present since", "metadata"]
    assert first == ["arm", "arm", "tcp://a:2", moment(0.0), ""]
    assert second == ["cam", "camera", "tcp://a:1", moment(0.0), "lens=wide, ok=True"]
    assert "opacity" not in view_html(URL, LIVE, {"cam": CAM})
    proxy = MappingProxyType({"cam": CAM})
    assert view_html(URL, LIVE, proxy) == view_html(URL, LIVE, {"cam": CAM})


def test_a_view_that_nobody_has_looked_at_yet_has_no_time() -> None:
    html = view_html(URL, Status(State.CONNECTING, 0.0, "no answer"), {})
    assert html.startswith("<div><b>connecting</b>: no answer<br>0 devices")


def test_a_stale_view_says_so_and_is_faint() -> None:
    html = view_html(URL, STALE, {"cam": CAM})
    text = Reader(html).text
    assert text.startswith(f"stale since {moment(60.0)}: the event stream is silent1 device at")
    assert "opacity: 0.6" in html


def test_a_view_without_devices_has_no_table() -> None:
    reader = Reader(view_html(URL, STALE, {}))
    assert reader.text.endswith(f"0 devices at {URL}")
    assert "table" not in reader.tags


def test_a_view_of_many_devices_says_how_many_more_there_are() -> None:
    many = {f"cam-{n:04}": Device(f"cam-{n:04}", "camera", f"a{n}", n, 0.0) for n in range(1000)}
    reader = Reader(view_html(URL, LIVE, dict(reversed(many.items()))))
    assert reader.tags.count("tr") == 1 + MAX_ROWS
    assert reader.cells[-5] == f"cam-{MAX_ROWS - 1:04}"
    assert reader.text.endswith("… and 800 more")
    assert "1,000 devices" in reader.text


def test_a_device_with_endless_metadata_is_cut() -> None:
    metadata = {f"key-{n}": "x" * 100 for n in range(5_000)}
    reader = Reader(device_html(Device("cam", "camera", "a", 1, 0.0, metadata)))
    assert reader.cells[-1] == f"… and {5_000 - MAX_METADATA:,} more"
    assert len(summary(metadata)) == MAX_SUMMARY


@pytest.mark.parametrize("seconds", [1e300, -1e300, float("inf"), float("nan")])
def test_a_time_that_will_never_be_is_none(seconds: float) -> None:
    assert moment(seconds) == "?"


def test_a_hostile_device_does_no_harm() -> None:
    device = Device(**DEVICE)
    for html in (device_html(device), view_html(HOSTILE, STALE, {device.name: device})):
        reader = Reader(html)
        assert SHOWN in reader.cells
        assert not TRICKS & set(html)
        assert "\n" not in html


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", '"><img src=x onerror=y>', "<!--", "</table>", "&lt;", "'"],
)
def test_tags_are_text(text: str) -> None:
    device = Device(text, text, text, 1, 0.0, {text: text})
    assert [cell for cell in Reader(device_html(device)).cells if cell == text] == [text] * 5
    cells = Reader(view_html(text, Status(State.STALE, 60.0, text), {text: device})).cells
    assert cells[5:8] == [text] * 3


@settings(max_examples=50)
@given(st.dictionaries(st.text(), devices, max_size=3), st.text(), st.text(), st.floats())
def test_whatever_the_text_the_tags_are_ours(
    view: Mapping[str, Device], url: str, why: str, since: float
) -> None:
    html = view_html(url, Status(State.STALE, since, why), view)
    assert html.isprintable()
    reader = Reader(html)
    assert reader.tags.count("tr") == (1 + len(view) if view else 0)
    for device in view.values():
        assert device_html(device).isprintable()
        cells = Reader(device_html(device)).cells
        assert len(cells) == 2 * (4 + len(device.metadata))
