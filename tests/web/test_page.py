"""The page of `devicewatch web` in a real browser, before a real server and a real registry."""

import json
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import resources
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
import zmq

from devicewatch.events.text import printable
from devicewatch.registry import DeviceRegistry, register_device, unregister_device
from devicewatch.registry.journal import MemoryJournal
from devicewatch.subscribers.web import feed
from devicewatch.subscribers.web.server import WebServer
from tests.conftest import TICK
from tests.support.chromium import Visit, chromium, visit
from tests.support.contrast import contrasts
from tests.support.hostile import HOSTILE, REPLIES, SHOWN, error, lying_registry, registry_of_old
from tests.support.live import free_port, raw_client
from tests.web.scripts import MODEL, SKEW, STREAM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOR_GOOD: Final = 86_400.0
"""Seconds: a lease that nobody has to renew."""

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One browser for all of them: it takes longer to start than most of them take."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def registry() -> Iterator[DeviceRegistry]:
    """A registry that nobody takes for silent because the machine is busy."""
    with DeviceRegistry(addr="127.0.0.1", port="0", events_port="0") as registry:
        yield registry


@contextmanager
def page_of(browser: "Browser", url: str, **circumstances: Any) -> Iterator[Visit]:
    """The page of a registry, once it is live."""
    with WebServer(url, port=0) as server, visit(browser, server.url, **circumstances) as look:
        look.until_state("live")
        yield look


def register(url: str, name: str, kind: str = "camera", **more: Any) -> str:
    """Register a device; returns its uuid."""
    more = {"alive_timeout": FOR_GOOD} | more
    return register_device(None, kind, f"tcp://{name}", name, url, **more)[1]


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    before = time.monotonic()
    action()
    return time.monotonic() - before


def registry_on(port: str, events_port: str, journal: MemoryJournal) -> DeviceRegistry:
    """A registry that can be started again as the same one."""
    return DeviceRegistry(
        addr="127.0.0.1", port=port, events_port=events_port, tick_interval=TICK, journal=journal
    )


# --- what happens ---------------------------------------------------------------------------------


def test_joins_and_leaves_are_shown_as_they_happen(
    browser: "Browser", registry: DeviceRegistry
) -> None:
    with page_of(browser, registry.url) as look:
        look.until("document.getElementById('nothing').textContent.startsWith('No devices')")

        def come_and_go(name: str) -> None:
            uuid = register(registry.url, name)
            look.until_shown(name)
            unregister_device(None, uuid, registry.url)
            look.until_shown(name, gone=True)

        # The best of three, as the machine may be busy with something else.
        assert min(seconds(partial(come_and_go, name)) for name in ("a", "b", "c")) < 2.0
        assert look.texts(".group") == ["camera 0 present, 3 left"]
        assert look.texts("tr.gone .reason") == ["unregistered"] * 3
        assert look.page.title() == "0 present · devicewatch"
        log = look.texts("#log li p")
        assert len(log) == 6
        assert log[-1] == "+ a joined"
        assert log[-2].startswith("\N{MINUS SIGN} a left: unregistered after ")


def test_each_reason_for_leaving_is_told(browser: "Browser", registry: DeviceRegistry) -> None:
    register(registry.url, "silent", alive_timeout=0.1)
    register(registry.url, "first", "arm")
    register_device(None, "arm", "tcp://second", "first", registry.url, overwrite=True)
    with page_of(browser, registry.url) as look:
        look.until_shown("silent", gone=True)
        look.until_shown("first")
        assert look.texts(".group") == ["arm 1 present", "camera 0 present, 1 left"]
        assert look.texts("tr.device .left") == [
            "1\N{MULTIPLICATION SIGN}",
            "1\N{MULTIPLICATION SIGN}",
        ]
        assert "expired" in look.texts("tr.gone .age")[0]
        key = [text.split() for text in look.texts("#key li")]
        assert ["expired", "1"] in key
        assert ["replaced", "1"] in key
        assert ["revoked"] in key
        # A bar tells what it stands for.
        look.page.locator("tr.gone canvas").hover(position={"x": 1, "y": 14})
        assert look.page.locator("#tip").is_hidden()
        look.until(
            """() => {
              const canvas = document.querySelector("tr.gone canvas");
              const { left, top, width } = canvas.getBoundingClientRect();
              const at = { clientX: left + width - 2, clientY: top + 14, bubbles: true };
              canvas.dispatchEvent(new PointerEvent("pointermove", at));
              return document.getElementById("tip").textContent.endsWith("): expired");
            }"""
        )
        assert look.page.locator("#tip").is_visible()
        # All there is to know of one, the past included, which it had in full from the start.
        look.page.get_by_role("button", name="first").click()
        spans = look.texts(".detail li")
        assert spans[0].endswith(": present")
        assert spans[1].endswith(": replaced")
        assert look.texts(".detail dd") == ["first", "arm", "tcp://second", "4"]


def test_a_stopped_registry_greys_the_page_out_and_comes_back(browser: "Browser") -> None:
    ports, journal = (free_port(), free_port()), MemoryJournal()
    registry = registry_on(*ports, journal)
    registry.start()
    try:
        for name in ("a", "b"):
            register(registry.url, name, metadata={"room": "12"})
        with page_of(browser, registry.url) as look:
            look.until_shown("a")
            look.page.evaluate("window.marker = document.querySelector('tr.device')")
            green = look.page.evaluate("() => getComputedStyle(document.body).color")
            registry.stop()
            look.until_state("stale")
            assert look.page.title() == "stale · devicewatch"
            assert look.texts("tr.device .name") == ["a", "b"]  # it greys out, it does not empty
            assert look.page.evaluate("() => getComputedStyle(document.body).color") != green
            assert look.texts("#state") == ["Stale"]
            assert look.texts("#since")[0].startswith("since ")
            assert look.texts("#why")[0].startswith("the registry has stopped. The devices ")
            assert look.texts("#spoken-status")[0].startswith("Stale since ")
            assert min(contrasts(look.page).values()) >= 4.5
            registry = registry_on(*ports, journal)
            registry.start()
            register(registry.url, "c")
            look.until_state("live")
            look.until_shown("c")
            assert look.texts("tr.device .name") == ["a", "b", "c"]
            assert look.page.title() == "3 present · devicewatch"
            look.until(
                "document.querySelector('#log .live') && document.querySelector('#log .stale')"
            )
            assert look.page.evaluate("marker === document.querySelector('tr.device')")
    finally:
        registry.stop()


def test_a_restarted_server_is_found_again_and_nothing_is_lost_or_told_twice(
    browser: "Browser", registry: DeviceRegistry
) -> None:
    port = int(free_port())
    going = register(registry.url, "going")
    register(registry.url, "staying")
    with WebServer(registry.url, port=port) as server:
        url = server.url
        look_at = visit(browser, url)
        look = look_at.__enter__()
        look.until_state("live")
        look.until_shown("going")
        look.page.evaluate("window.marker = 1")
    try:
        look.until_state("stale")
        assert "dashboard server" in look.texts("#why")[0]
        assert look.texts("tr.device .name") == ["going", "staying"]
        unregister_device(None, going, registry.url)
        register(registry.url, "coming")
        with WebServer(registry.url, port=port):
            look.until_state("live")
            look.until_shown("going", gone=True)
            look.until_shown("coming")
            register(registry.url, "last")
            look.until_shown("last")
            log = [text.split(" after ")[0] for text in look.texts("#log li p")]
            assert log == [
                "+ last joined",
                "+ coming joined",
                "\N{MINUS SIGN} going left: unregistered",
                "+ staying joined",
                "+ going joined",
            ]
            assert look.page.evaluate("marker") == 1
            look.excused = ("Failed to load resource: net::ERR_",)  # the browser's own words
    finally:
        look_at.__exit__(None, None, None)


def test_a_server_that_turns_the_page_away_is_asked_again(
    browser: "Browser", registry: DeviceRegistry
) -> None:
    register(registry.url, "a")
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=503, body="too many")  # for an EventSource that is final
        else:
            route.continue_()

    with (
        WebServer(registry.url, port=0) as server,
        visit(browser, server.url, lambda page: page.route("**/api/events*", answer)) as look,
    ):
        look.until_state("live")
        look.until_shown("a")
        assert len(asked) == 2
        assert look.texts("#log li p") == ["+ a joined"]  # it has lost nothing: it had nothing
        look.excused = ("Failed to load resource: ",)  # the browser's own words


@pytest.mark.parametrize("ahead", [-1_200.0, 1_200.0])
def test_a_registry_s_clock_may_be_another(
    browser: "Browser", registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    ours = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() - ahead)
    monkeypatch.setattr(feed, "time", ours)
    with page_of(browser, registry.url) as look:
        register(registry.url, "here")
        register(registry.url, "silent", alive_timeout=0.1)
        look.until_shown("silent", gone=True)
        look.until("document.querySelector('tr.gone .for').textContent.startsWith('left ')")
        assert re.match(r"left \d+ s ago", look.texts("tr.gone .for")[0])
        look.until_shown("here")
        assert re.match(r"\d+ s", look.texts("tr.device .for")[0])
        assert look.texts("#joins") == ["2"]
        assert look.texts("#leaves") == ["1"]
        shown = look.page.evaluate(
            "Date.parse(document.querySelector('#log time').dateTime) / 1000"
        )
        assert abs(shown - ours.time()) < 60


# --- how much of it -------------------------------------------------------------------------------


def test_a_thousand_devices(
    browser: "Browser", registry: DeviceRegistry, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with page_of(browser, registry.url) as look, raw_client(context, registry.url) as client:
        for number in range(1000):  # while the page looks on
            kind = ("camera", "arm", "pump", "scale", "valve")[number % 5]
            client.ask(
                "REGISTER",
                {
                    "device_type": kind,
                    "addr": f"tcp://10.0.0.1:{number}",
                    "name": f"{kind}-{number}",
                    "alive_timeout": FOR_GOOD,
                    "metadata": {"room": f"R{number % 7}"},
                },
            )
        look.until("document.getElementById('present').textContent === '1,000'")
        assert look.page.locator("tr.device").count() == 1000
        assert look.texts(".group .count") == ["200 present"] * 5
        # Only what is seen is drawn: a canvas has this width before it is painted.
        drawn = look.page.evaluate(
            """() => [...document.querySelectorAll(".device canvas")]
            .filter((canvas) => canvas.width !== 300).length"""
        )
        assert 0 < drawn < 100

        look.page.fill("#query", "room r3 CAMERA")
        look.until("document.querySelectorAll('tr.device').length === 29")
        assert look.texts("#found") == ["29 of 1,000 devices"]
        look.page.fill("#query", "no such thing")
        look.until("!document.getElementById('nothing').hidden")
        assert look.texts("#nothing") == ["No device matches the search."]
        look.page.fill("#query", "")
        look.until("document.querySelectorAll('tr.device').length === 1000")

        look.page.click("[data-column=name]")
        look.until("document.querySelector('tr.device .name').textContent === 'arm-996'")
        look.page.click("[data-column=age]")
        assert look.page.get_attribute("th.age", "aria-sort") == "descending"
        look.until("document.querySelector('tr.device .name').textContent === 'arm-1'")

        register(registry.url, "aa", "arm")
        look.until_shown("aa")
        # It shows ages and lanes anew each second, and yet there is time for whoever uses it. (Some
        # stretch without a hitch will do: the machine is busy with other tests as well.)
        look.until(
            """() => {
              const now = performance.now();
              if (slow.splice(0).some((duration) => duration > 200)) window.hitch = now;
              window.hitch ??= now;
              return now - window.hitch > 1100;
            }"""
        )


# --- what strangers say ---------------------------------------------------------------------------

IMAGE: Final = "<img src=x onerror=window.hacked=1>"


def test_hostile_text_is_text(browser: "Browser") -> None:
    turned = "</script><script>window.hacked=1</script>\u202egpj.exe"
    device = {
        "name": turned,
        "device_type": IMAGE,
        "addr": "javascript:window.hacked=1",
        "metadata": {IMAGE: "'\"--><svg onload=window.hacked=1>"},
    }
    with registry_of_old(device) as registry, page_of(browser, registry.url) as look:
        register(registry.url, "__proto__", "constructor", metadata={"__proto__": "x"})
        look.until_shown("__proto__")
        shown = "</script><script>window.hacked=1</script>\\u202egpj.exe"
        assert look.texts("tr.device .name") == [shown, "__proto__"]
        for button in look.page.locator(".device button").all():
            button.click()
        assert look.texts(".detail dt")[3] == IMAGE
        assert look.texts(".group bdi") == [IMAGE, "constructor"]
        look.page.get_by_role("searchbox").fill("\\u202egpj")
        look.until("document.querySelectorAll('tr.device').length === 1")
        assert look.page.locator("img, svg, a:not(.skip), body script").count() == 0
        assert look.page.evaluate("window.hacked") is None


def test_a_registry_that_lies_turns_nothing_round(
    browser: "Browser", context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with (
        lying_registry(context, {**REPLIES, "REPLAY": error()}) as url,
        WebServer(url, port=0, context=context) as server,
        visit(browser, server.url) as look,
    ):
        look.until("document.querySelector('#why').textContent !== ''")
        tricks = set(HOSTILE) - set(SHOWN)
        assert not tricks & set("".join(look.texts("body")).replace("\n", ""))


# --- whoever looks at it, and with what -----------------------------------------------------------


def test_the_keyboard_is_enough(browser: "Browser", registry: DeviceRegistry) -> None:
    for name in ("a", "b", "c"):
        register(registry.url, name)
    with page_of(browser, registry.url, reduced_motion="reduce") as look:
        look.until_shown("c")
        keys = look.page.keyboard

        def focused() -> str:
            text: str = look.page.evaluate("document.activeElement.textContent.trim()")
            outline = look.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            return text

        keys.press("/")
        assert look.page.evaluate("document.activeElement.id") == "query"
        focused()
        keys.type("b/")
        assert look.page.input_value("#query") == "b/"
        keys.press("Escape")
        assert look.page.input_value("#query") == ""
        look.until("document.querySelectorAll('tr.device').length === 3")
        keys.press("Tab")
        assert look.page.evaluate("document.activeElement.value") == "600"
        keys.press("ArrowRight")
        look.until("document.getElementById('period').textContent === 'in 1 h'")
        keys.press("Tab")
        keys.press("Tab")
        assert focused() == "Name"
        keys.press("Enter")
        look.until("document.querySelector('tr.device .name').textContent === 'c'")
        assert look.page.get_attribute("th.name", "aria-sort") == "descending"
        for _ in range(4):
            keys.press("Tab")
        assert focused() == "camera 3 present"
        keys.press("Tab")
        assert focused() == "c"
        keys.press("ArrowDown")
        assert focused() == "b"
        keys.press("Enter")
        assert look.page.locator(".detail").count() == 1
        register(registry.url, "bb")
        look.until_shown("bb")
        look.page.evaluate("chosen = location.hash; location.hash = ''")
        look.until("document.querySelector('tr.device .name').textContent === 'a'")
        assert focused() == "b"  # rows moved, and the reader did not
        look.page.evaluate("location.hash = chosen")
        look.until("document.querySelector('tr.device .name').textContent === 'c'")
        assert focused() == "b"
        assert look.page.evaluate("document.getAnimations().length") == 0
        keys.press("Tab")
        assert look.page.evaluate("document.activeElement.id") == "log"
        # The choices are in the address, for a screen on a wall.
        look.page.reload()
        look.until_shown("c")
        assert look.texts("tr.device .name") == ["c", "bb", "b", "a"]


def test_a_screen_reader_finds_its_way(browser: "Browser", registry: DeviceRegistry) -> None:
    register(registry.url, "cam", metadata={"room": "12"})
    with page_of(browser, registry.url) as look:
        look.until_shown("cam")
        page = look.page
        table = page.get_by_role("table", name="Devices and when they were present")
        assert page.get_by_role("search").count() == 1
        heads = [head.inner_text().strip() for head in table.get_by_role("columnheader").all()]
        assert [head.split("\n")[0] for head in heads[:5]] == [
            "Name", "Address", "Present for", "Left", "Metadata",
        ]  # fmt: skip
        assert table.get_by_role("rowheader", name="camera 1 present").count() == 1
        row = table.get_by_role("row", name="cam tcp://cam")
        assert row.get_by_role("rowheader", name="cam").count() == 1
        assert row.get_by_role("cell").count() == 5
        assert row.get_by_role("img", name="present").count() == 1
        assert page.get_by_role("radio", name="10 min").is_checked()
        assert page.get_by_role("status").inner_text().startswith("Live since ")
        assert page.get_by_role("complementary", name="Joins and leaves").count() == 1
        # Joins and leaves are told, but not all at once, and not the past.
        assert look.texts("#spoken-changes") == [""]
        register(registry.url, "b")
        look.until("document.getElementById('spoken-changes').textContent === 'b joined'")


def test_all_text_can_be_read(browser: "Browser", registry: DeviceRegistry) -> None:
    uuid = register(registry.url, "left", metadata={"room": "12"})
    register(registry.url, "silent", alive_timeout=0.1)
    register(registry.url, "here", metadata={"room": "12"})
    with page_of(browser, registry.url) as look:
        unregister_device(None, uuid, registry.url)
        look.until_shown("left", gone=True)
        look.until_shown("silent", gone=True)
        look.until("!document.querySelector('.new')")  # what flashes is not measured
        look.page.get_by_role("button", name="here").click()
        grounds = set()
        for scheme in SCHEMES:
            look.page.emulate_media(color_scheme=scheme)
            grounds.add(look.page.evaluate("getComputedStyle(document.body.parentNode).background"))
            found = contrasts(look.page)
            assert len(found) > 20
            assert min(found.values()) >= 4.5, sorted(found.items(), key=lambda item: item[1])[:3]
        assert len(grounds) == 2


def test_a_phone_shows_all_of_it(browser: "Browser", registry: DeviceRegistry) -> None:
    long = "a-device-with-a-name-that-is-much-too-long-for-any-phone-" * 4
    register(registry.url, long, "type-" * 40, metadata={"key" * 20: "value" * 100})
    register(registry.url, "b")
    with page_of(browser, registry.url, **PHONE) as look:
        look.until_shown("b")
        for button in look.page.locator(".device button").all():
            button.tap()
        width = "document.documentElement.scrollWidth"
        assert look.page.evaluate(width) == 360
        small = look.page.evaluate(
            """() => [...document.querySelectorAll("button, input:not([type=checkbox]), label")]
            .filter((part) => part.getBoundingClientRect().height < 40)
            .map((part) => part.outerHTML)"""
        )
        assert small == []


def test_every_module_is_loaded_at_once() -> None:
    static = resources.files("devicewatch.subscribers.web").joinpath("static")
    modules = {file.name for file in static.iterdir() if file.name.endswith(".js")}
    page = static.joinpath("index.html").read_text()
    assert set(re.findall(r'"static/(\w+\.js)"', page)) == modules


# --- the parts that are pure ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def modules(browser: "Browser") -> Iterator[Visit]:
    """A page without a registry, whose modules are tried one by one."""
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    with WebServer(nowhere, port=0) as server, visit(browser, server.url) as look:
        yield look


def test_without_a_registry_it_says_so(modules: Visit) -> None:
    modules.until("document.getElementById('registry').textContent !== ''")
    modules.until_state("connecting")
    assert modules.texts("#nothing")[0].startswith("Looking for the registry")
    assert modules.texts("#registry")[0].startswith("tcp://127.0.0.1:")
    assert modules.page.title() == "connecting · devicewatch"


def test_what_prints_is_what_prints_in_python(modules: Visit) -> None:
    shown = modules.page.evaluate(
        """async () => {
          const { printable } = await import("/static/text.js");
          const all = Array.from({ length: 0x20000 }, (_, number) => String.fromCodePoint(number));
          return all.map((one) => Number(printable(one) === one)).join("");
        }"""
    )
    # Each has its own edition of Unicode: what is not assigned yet in Python's is left out.
    wrong = [
        hex(number)
        for number, prints in enumerate(shown)
        if unicodedata.category(chr(number)) != "Cn"
        and chr(number).isprintable() is not (prints == "1")
    ]
    assert wrong == []
    call = "async (given) => (await import('/static/text.js')).printable(...given)"
    for text in ("a\u202eb", HOSTILE, "\U000e0041\uffff", "a" * 10, "\U0001f600" * 10):
        assert modules.page.evaluate(call, [text]) == printable(text)
        assert modules.page.evaluate(call, [text, 9]) == printable(printable(text), 9)


def test_what_the_view_is_worth(modules: Visit) -> None:
    call = """async ([state, empty, lost]) => {
      const { verdict } = await import("/static/status.js");
      const told = verdict({ status: { state, since: 5, why: "" }, empty }, lost);
      return [told.state, told.since, told.why];
    }"""
    lost = {"since": 7, "why": "w"}
    for (state, empty, loss), worth in (
        (("connecting", True, None), ["connecting", 5, ""]),
        (("connecting", True, lost), ["connecting", 7, "w"]),
        (("connecting", False, lost), ["stale", 7, "w"]),
        (("live", True, lost), ["stale", 7, "w"]),
        (("live", True, None), ["live", 5, ""]),
        (("connecting", False, None), ["stale", 5, "the server is not there"]),
    ):
        assert modules.page.evaluate(call, [state, empty, loss]) == worth


def test_the_model(modules: Visit) -> None:
    found = modules.page.evaluate(MODEL)
    assert found == {
        "twice": [False, True],
        "late": [False, 3],
        "left": [True, False, 2],
        "spans": {
            "a": [[1, None, None, True]],
            "b": [[2, 12, "expired", True], [15, None, None, True]],
            "c": [[3, 14, "unknown", False]],
        },
        "gaps": [[14, 20]],
        "present": 2,
        "knownSince": 5,
        "log": [["stale", 30], ["live", 31]],
        "pulses": [
            [[40, None]],
            [[40, 50]],
            [[40, 45], [60, 61]],
            [[40, 45], [60, 61], [70, None]],
            [[40, 45], [60, 61], [70, 72]],
            ["live", 16],
        ],
        "kept": 1,
    }, json.dumps(found, indent=1)


@pytest.mark.parametrize("ahead", [0, -1_200, 1_200, -1e9, 1e9])
def test_a_registry_with_another_clock(modules: Visit, ahead: float) -> None:
    found = modules.page.evaluate(SKEW, ahead)
    span = found.pop("span")
    assert found == {
        "shown": 1,
        "joins": 1,
        "leaves": 1,
        "bars": [[540, 50, 590]],
        "moments": [0, 50],
        "lost": 70,
        "kept": ["b"],
    }
    assert span == modules.page.evaluate(SKEW, 0)["span"]


def test_the_scale(modules: Visit) -> None:
    bars = modules.page.evaluate(
        """async () => {
          const { Scale, bars, spanAt, ticks } = await import("/static/scale.js");
          const scale = new Scale(1000, 100, 200);  // from 900 on, two pixels a second
          const span = (start, end) => ({ start, end, reason: end && "expired" });
          const beat = (n) => span(950 + n / 50, 950.005 + n / 50);
          const flapping = Array.from({ length: 50 }, (_, n) => beat(n));
          const shown = ({ x, width, end }) => [x, width, end];
          const found = (spans) => bars(spans, scale).map(shown);
          return {
            past: found([span(1, 899), span(800, 910), span(920, 920.1), span(990, null)]),
            dense: found(flapping).length,
            apart: found([span(910, 919.9), span(920, null)]),
            at: spanAt([span(910, 915), span(950, null)], scale, 199).start,
            none: spanAt([span(910, 915)], scale, 100) ?? null,
            ticks: ticks(scale).times.length,
          };
        }"""
    )
    assert bars == {
        "past": [[0, 20, 20], [40, 2, 40], [180, 20, None]],
        "dense": 3,
        "apart": [[20, 19, 40], [40, 160, None]],
        "at": 950,
        "none": None,
        "ticks": 2,
    }


def test_the_stream_is_taken_up_again_by_itself(browser: "Browser") -> None:
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    with (
        WebServer(nowhere, port=0) as server,
        visit(
            browser,
            f"{server.url}static/favicon.svg",  # a page on which nothing else runs
        ) as look,
    ):
        look.excused = ("Failed to load resource: ",)  # a page without an icon
        found = look.page.evaluate(STREAM)
        assert found["calm"] == 0
        assert found["silent"] == [1, True]  # after three seconds, and once
        assert found["urls"] == ["events", "events?after=1%2Fe%20e"]
        for pause, usual in zip(
            found["pauses"], [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 500], strict=True
        ):
            assert 0.75 * usual <= pause <= 1.25 * usual
        lost = "the connection to the dashboard server is lost"
        silent = "the dashboard server is silent"
        assert found["said"] == ["snapshot", "pulse", silent, *[lost] * 8, "pulse", lost]
        # The first word of a connection may take its time, and longer still if that was too short.
        assert found["first"] == [
            *[True, 0, True, False],
            *[True, True, False] * 2,
            *[True, True, False, False],
        ]
        asking = "waiting for the dashboard server to answer"
        coming = "the dashboard server has answered, and its picture is on the way"
        assert found["told"] == [
            *[asking, "the dashboard server does not answer"],
            *[asking, coming, silent] * 2,
            *[coming, "snapshot", silent, silent],
        ]
