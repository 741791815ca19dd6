"""The dashboard at work, with a registry that runs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from textual.widgets import Input

from devicewatch.events import AuthenticationError
from devicewatch.events.protocol import Role
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers.top.app import TopApp
from devicewatch.subscribers.top.log import EventLog
from tests.support.hostile import TRICKS, lying_registry
from tests.support.keys import guarded
from tests.support.live import RawClient, free_port, raw_client
from tests.support.proxy import FaultProxy
from tests.top.pilot import Display, play

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


def lab(client: RawClient) -> None:
    """Some devices."""
    for number, (name, kind) in enumerate(
        [("cam-10", "camera"), ("cam-2", "camera"), ("arm", "robot"), ("pump", "pump")]
    ):
        client.register(
            f"tcp://10.0.0.{number}:7000",
            name,
            device_type=kind,
            metadata={"room": "AB"[number % 2]},
        )


def cursor(display: Display) -> str:
    row = display.app.table.chosen
    return row.name if row else ""


# --- who is there ---------------------------------------------------------------------------------


def test_devices_come_and_go(registry: DeviceRegistry, client: RawClient) -> None:
    lab(client)

    async def script(display: Display) -> None:
        await display.shows("● LIVE")
        await display.shows("4 devices: 2 camera, 1 pump, 1 robot")
        await display.sees("arm", "cam-2", "cam-10", "pump")
        assert registry.url in display.lines[0]
        assert "room=A" in display.line("cam-10")
        await display.shows("● live; 4 devices there already")

        uuid = client.register("tcp://10.0.0.9:7000", "scale", device_type="scale")["uuid"]
        await display.until(lambda: "scale" in display.names)
        rows = [line for line in display.lines if "+ scale  " in line]
        assert all("tcp://10.0.0.9:7000" in line for line in rows)
        client.ask("UNREGISTER", {"uuid": uuid})
        await display.shows("- scale ")
        await display.until(lambda: "1 left" in display.lines[1])
        rows = [line for line in display.lines if "scale" in line and "unregistered" in line]
        assert len(rows) == 2, "one in the table, one in the log"

        await display.press("l")
        await display.until(lambda: "scale" not in display.names)
        await display.press("l")
        await display.until(lambda: "scale" in display.names)

    assert play(registry.url, script) is None


def test_only_one_type(registry: DeviceRegistry, client: RawClient) -> None:
    lab(client)

    async def script(display: Display) -> None:
        await display.shows("2 devices: 2 camera")
        await display.sees("cam-2", "cam-10")

    play(registry.url, script, device_type="camera")


def test_why_somebody_left(registry: DeviceRegistry, client: RawClient) -> None:
    async def script(display: Display) -> None:
        await display.shows("0 devices")
        client.register("tcp://a:1", "cam", alive_timeout=0.1)
        await display.shows("expired")
        client.register("tcp://a:2", "arm")
        client.register("tcp://a:2", "leg")
        await display.shows("replaced")

    play(registry.url, script)


# --- what the view is worth -----------------------------------------------------------------------


def test_a_stale_view_says_so_and_keeps_its_devices(
    registry: DeviceRegistry, client: RawClient
) -> None:
    lab(client)
    with FaultProxy(registry.port) as requests, FaultProxy(registry.events_port) as events:

        async def script(display: Display) -> None:
            await display.shows("● LIVE")
            assert not display.app.table.has_class("-stale")
            requests.cut()
            events.cut()
            await display.shows("○ STALE")
            await display.sees("arm", "cam-2", "cam-10", "pump")
            assert display.app.table.has_class("-stale")
            await display.shows("○ stale: ")
            await display.until(lambda: len(display.lines[2].strip()) > 10)  # why
            await display.press("enter")
            await display.shows("METADATA")
            await display.until(lambda: "○ STALE" in display.lines[0])  # whatever lies over it
            await display.press("escape")
            client.register("tcp://10.0.0.9:7000", "new", device_type="scale")
            requests.heal()
            events.heal()
            await display.until(lambda: "● LIVE" in display.lines[0])
            await display.until(lambda: "new" in display.names)
            await display.shows("live again; nothing was missed")
            assert not display.app.table.has_class("-stale")

        play(requests.url, script, events_url=events.url)


def test_nobody_there_yet(context: Context) -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"

    async def script(display: Display) -> None:
        await display.shows("◌ CONNECTING for 0 s ")
        assert f"no registry has answered yet at {url}" in display.text
        await display.press("enter", "s", "end", "pageup")  # nothing to show, and no harm
        with DeviceRegistry(addr="127.0.0.1", port=port, events_port="0"):
            await display.shows("● LIVE")

    play(url, script)


def test_whoever_is_not_let_in_is_told_so(tmp_path: Path) -> None:
    with guarded(tmp_path / "list") as closed:

        async def script(display: Display) -> None:
            await display.until(lambda: display.app.return_value is not None)

        refusal = play(closed.registry.url, script)
    assert isinstance(refusal, AuthenticationError)


def test_with_a_key(tmp_path: Path) -> None:
    with guarded(tmp_path / "list") as closed:
        key = closed.let_in("viewer", Role.VIEWER)

        async def script(display: Display) -> None:
            await display.shows("● LIVE")

        assert play(closed.registry.url, script, key=key) is None


# --- keys -----------------------------------------------------------------------------------------


def test_filter(registry: DeviceRegistry, client: RawClient) -> None:
    lab(client)

    async def script(display: Display) -> None:
        await display.until(lambda: len(display.names) == 4)
        await display.press("slash", *"CAM", "space", *"room=a")
        await display.sees("cam-10")
        await display.shows("1 of 4")
        await display.until(lambda: "Keep the filter" in display.lines[-1])
        await display.press("enter", "down")
        await display.until(lambda: display.app.focused is display.app.table)
        await display.shows("filter: CAM room=a")
        client.register("tcp://b:1", "cam-3", metadata={"room": "A"})
        await display.sees("cam-3", "cam-10")
        await display.until(lambda: "esc Clear" in display.lines[-1])
        await display.press("escape")
        await display.until(lambda: len(display.names) == 5)
        await display.until(lambda: "filter:" not in display.text)
        await display.press("slash")
        await display.shows("filter:")
        await display.press("enter")
        await display.until(lambda: "filter:" not in display.text)
        await display.press("slash", "q", "s", "question_mark")  # typed, not obeyed
        await display.until(lambda: "0 of 5" in display.text)

    play(registry.url, script)


def test_sort(registry: DeviceRegistry, client: RawClient) -> None:
    lab(client)

    async def script(display: Display) -> None:
        await display.until(lambda: len(display.names) == 4)
        await display.shows("NAME▲")
        await display.press("r")
        await display.sees("pump", "cam-10", "cam-2", "arm")
        await display.shows("NAME▼")
        await display.press("s")
        await display.sees("cam-2", "cam-10", "pump", "arm")
        await display.shows("TYPE▲")
        heading = display.lines.index(display.line("METADATA"))
        await display.pilot.click(offset=(display.line("METADATA").index("ADDR"), heading))
        await display.shows("ADDRESS▲")
        await display.sees("cam-10", "cam-2", "arm", "pump")
        await display.pilot.click(offset=(display.line("METADATA").index("ADDR"), heading))
        await display.shows("ADDRESS▼")
        await display.pilot.click(offset=(display.line("METADATA").index("META"), heading))
        await display.shows("ADDRESS▼")

    play(registry.url, script)


def test_the_cursor_stays_on_its_device(registry: DeviceRegistry, client: RawClient) -> None:
    lab(client)
    extra = [f"aaa-{number}" for number in range(30)]

    async def script(display: Display) -> None:
        await display.until(lambda: len(display.names) == 4)
        await display.is_on("arm")
        client.register("tcp://c:1", "aaa")
        await display.until(lambda: "aaa" in display.names)
        await display.is_on("aaa")
        await display.press("down", "down")
        await display.is_on("cam-2")
        display.app.app_resume_signal.publish(display.app)  # as after Ctrl-Z and `fg`
        for number, name in enumerate(extra):
            client.register(f"tcp://d:{number}", name)
        await display.shows("35 devices")
        await display.is_on("cam-2")
        for key in ("r", "s", "r", "s"):
            await display.press(key)
            await display.is_on("cam-2")
        await display.press("slash", *"pump")
        await display.is_on("pump")
        await display.press("escape")
        await display.until(lambda: len(display.names) > 1)
        await display.is_on("pump")
        await display.press("end")
        last = extra[-1]  # by address
        await display.is_on(last)
        await display.press("down")
        await display.is_on(last)
        await display.press("pageup", "k", "j", "pagedown")
        await display.is_on(last)
        await display.press("home")
        await display.until(lambda: display.names[0] == cursor(display) != last)

    play(registry.url, script)


def test_details(registry: DeviceRegistry, client: RawClient) -> None:
    metadata = {f"key-{number}": f"value {number}" for number in range(30)}
    uuid = client.register("tcp://a:1", "cam", metadata=metadata)["uuid"]

    async def script(display: Display) -> None:
        await display.sees("cam")
        await display.press("enter")
        await display.shows("cam   present for")
        assert uuid not in display.text
        assert "value 0" in display.text
        assert "value 29" not in display.text
        await display.press("end")
        await display.shows("value 29")
        await display.press("pageup", "j", "k")
        await display.until(lambda: "value 29" not in display.text)
        client.ask("UNREGISTER", {"uuid": uuid})
        await display.press("home")
        await display.shows("cam   unregistered")
        await display.pilot.resize_terminal(100, 30)
        await display.shows("cam   unregistered")
        await display.press("q")
        await display.until(lambda: "NAME▲" in display.text)
        client.register("tcp://a:1", "cam")
        await display.shows("+ cam")
        # A click chooses, another one shows.
        await display.pilot.click("#table", offset=(5, 0))
        await display.pilot.click("#table", offset=(5, 0))
        await display.shows("cam   present for")
        await display.press("escape")
        await display.pilot.click("#table", offset=(5, 8))  # nobody there
        await display.shows("NAME▲")

    play(registry.url, script)


def test_the_log_stays_where_somebody_reads_it(registry: DeviceRegistry, client: RawClient) -> None:
    async def script(display: Display) -> None:
        await display.shows("● live; 0 devices")
        for number in range(20):
            client.register(f"tcp://a:{number}", f"a-{number}")
        await display.shows("+ a-19 ")
        log = display.app.query_one(EventLog)
        await display.press("tab")
        await display.until(lambda: log.has_focus)
        await display.press("home")
        await display.shows("● live; 0 devices")
        client.register("tcp://b:1", "b")
        await display.shows("21 devices")
        await display.shows("● live; 0 devices")
        await display.press("end")
        await display.until(lambda: log.scroll_offset.y == log.max_scroll_y)
        client.register("tcp://c:1", "c")
        await display.shows("+ c  ")

    play(registry.url, script)


def test_help(registry: DeviceRegistry) -> None:
    async def script(display: Display) -> None:
        await display.press("question_mark")
        await display.shows("filter by name")
        await display.shows("perhaps still")
        await display.press("escape")
        await display.until(lambda: "filter by name" not in display.text)

    play(registry.url, script)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quit(registry: DeviceRegistry, key: str) -> None:
    async def script(display: Display) -> None:
        if key == "ctrl+c":
            await display.press("slash")  # whatever has the focus
        await display.press(key)
        await display.until(lambda: not display.app.is_running)

    assert play(registry.url, script) is None


# --- room -----------------------------------------------------------------------------------------


def test_nothing_that_matters_is_cut_at_80_by_24(
    registry: DeviceRegistry, client: RawClient
) -> None:
    for number in range(30):
        client.register(
            f"tcp://192.168.0.{100 + number}:7000",
            f"camera-{number}",
            device_type="camera",
            metadata={"room": "A"},
        )

    async def script(display: Display) -> None:
        await display.shows("30 devices: 30 camera")
        assert all(len(line) <= 80 for line in display.lines)
        for words in ("camera-2 ", "tcp://192.168.0.102:7000", "LAST 12 MIN", "room=A"):
            assert words in display.text
        assert len(display.names) >= 12
        for key in ("Details", "Filter", "Sort", "Reverse", "Left", "Help", "q Quit"):
            await display.until(lambda key=key: key in display.lines[-1])  # type: ignore[misc]
        await display.shows("● live; 30 devices")
        for width, height in ((200, 60), (40, 10), (20, 5), (80, 24)):
            await display.pilot.resize_terminal(width, height)
            await display.until(lambda height=height: len(display.lines) == height)  # type: ignore[misc]
            await display.until(lambda: "LIVE" in display.lines[0])
            if height >= 10:
                await display.until(lambda: display.names[:1] == ["camera-0"])

    play(registry.url, script)


def test_a_thousand_devices_in_a_burst(registry: DeviceRegistry, client: RawClient) -> None:
    async def script(display: Display) -> None:
        await display.shows("0 devices")
        drawn = 0
        table = display.app.table
        show = table.show

        def counted(*arguments: object) -> None:
            nonlocal drawn
            drawn += 1
            show(*arguments)  # type: ignore[arg-type]

        table.show = counted  # type: ignore[assignment, method-assign]
        for number in range(1_000):
            client.register(f"tcp://10.0.0.1:{number}", f"camera-{number}")
        await display.shows("1000 devices: 1000 camera")
        assert drawn < 200, "not once for each"
        assert display.names[:3] == ["camera-0", "camera-1", "camera-2"]
        await display.press("end")
        await display.until(lambda: display.names[-1] == "camera-999")
        await display.press("slash", *"camera-77")
        await display.shows("11 of 1000")

    play(registry.url, script)


# --- strangers ------------------------------------------------------------------------------------


def test_names_are_not_markup(registry: DeviceRegistry, client: RawClient) -> None:
    client.register("tcp://a:1", "[red]x[/]", device_type="[/", metadata={"[b]": "[/b] $a @click"})

    async def script(display: Display) -> None:
        await display.until(lambda: display.names == ["[red]x[/]"])
        assert "1 device: 1 [/" in display.text
        await display.press("enter")
        await display.shows("[/b] $a @click")
        await display.press("escape")
        client.register("tcp://a:2", "[blink]y")
        await display.shows("+ [blink]y       camera tcp://a:2")
        await display.press("slash", *"[red]")
        await display.until(lambda: display.names == ["[red]x[/]"])

    play(registry.url, script)


def test_a_registry_that_lies_does_no_harm(context: Context) -> None:
    with lying_registry(context) as url:

        async def script(display: Display) -> None:
            await display.shows("1 device: 1 type \\u001b[2Jgone")
            assert "\\u001b" in display.text
            assert not TRICKS & set(display.text)
            await display.press("enter")
            await display.shows("METADATA")
            assert not TRICKS & set(display.text)
            for key in ("escape", "s", "s", "s", "s", "r", "slash"):
                await display.press(key)
            await display.press(*"gone")
            assert not TRICKS & set(display.text)

        play(url, script)


def test_what_is_still_to_be_heard_of_when_it_is_over_harms_nobody(
    registry: DeviceRegistry,
) -> None:
    apps: list[TopApp] = []

    async def script(display: Display) -> None:
        await display.shows("0 devices")
        apps.append(display.app)

    async def too_late() -> None:
        (app,) = apps
        app.on_input_changed(Input.Changed(app._words, "typed fast"))
        app.on_input_submitted()
        await app.action_help()

    play(registry.url, script)
    asyncio.run(too_late())
