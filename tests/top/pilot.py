"""The dashboard without a terminal, driven by Textual's pilot against a registry that runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from textual.pilot import Pilot

from devicewatch.events.errors import DevicewatchError
from devicewatch.subscribers import AsyncWatcher
from devicewatch.subscribers.top.app import TopApp
from tests.support.live import PATIENCE


class Display:
    """What somebody sees and does in front of it.

    Attributes:
        app: The dashboard.
        pilot: Presses keys and clicks.
    """

    def __init__(self, app: TopApp, pilot: Pilot[DevicewatchError | None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def line(self, words: str) -> str:
        """The only line with some words."""
        (found,) = [line for line in self.lines if words in line]
        return found

    @property
    def names(self) -> list[str]:
        """The names in the table, in order, of those on the screen."""
        table = self.app.table
        top, height = table.region.y, table.region.height
        rows = [line[2:].split() for line in self.lines[top : top + height]]
        return [row[0] for row in rows if row]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the screen:\n{self.text}"
            await self.pilot.pause(0.005)

    async def shows(self, words: str) -> None:
        """Wait until some words are on the screen."""
        await self.until(lambda: words in self.text)

    async def sees(self, *names: str) -> None:
        """Wait until these are the devices in the table."""
        await self.until(lambda: self.names == list(names))

    async def is_on(self, name: str) -> None:
        """Wait until the cursor is on a device, in sight."""
        table = self.app.table
        await self.until(lambda: table.chosen and table.chosen.name == name)
        await self.until(lambda: name in self.names)


def play(
    url: str,
    script: Callable[[Display], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    **options: Any,
) -> DevicewatchError | None:
    """Run the dashboard, and somebody in front of it; what it returned."""

    async def run() -> DevicewatchError | None:
        app = TopApp(AsyncWatcher(url, **options), url)
        async with asyncio.timeout(3 * PATIENCE), app.run_test(size=size) as pilot:
            await script(Display(app, pilot))
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            _done, stuck = await asyncio.wait(left, timeout=PATIENCE)
            assert not stuck, stuck
        return app.return_value

    return asyncio.run(run())
