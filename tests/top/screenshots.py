"""The picture of `devicewatch top` in the docs: `python -m tests.top.screenshots [FOLDER]`.

A lab as a watcher would tell of it over the last minutes, at 100 by 28, so that the picture is the
same whenever it is made.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Final
from unittest.mock import patch

from devicewatch.events import Added, Device, Origin, Reason, Record, Removed
from devicewatch.events.records import State, Status
from devicewatch.subscribers import AsyncWatcher
from devicewatch.subscribers.top.app import TopApp
from tests.top.records import came, left, live

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
URL: Final = "tcp://controller:5555"
SIZE: Final = (100, 28)
NOW: Final = time.mktime((2026, 3, 2, 14, 30, 40, 0, 0, -1))


def history() -> list[tuple[float, Record]]:
    """What has happened, and when."""
    chance = random.Random(7)
    told: list[tuple[float, Record]] = []
    for number in range(20):
        kind = ("camera", "arm", "pump", "scale", "incubator")[number % 5]
        about = {"room": "AB"[number % 2], "firmware": f"1.{number}"}
        name, addr = f"{kind}-{number // 5}", f"tcp://10.0.0.{10 + number}:7000"
        at = NOW - chance.uniform(1_000, 9_000)
        told.append((at, came(Device(name, kind, addr, number, at, about), Origin.SNAPSHOT)))
        for back in away(number, chance):
            gone = Device(name, kind, addr, number, at, about)
            reason = Reason.EXPIRED if number % 3 else Reason.UNREGISTERED
            told.append((back[0], left(gone, back[0], reason)))
            if back[1] < NOW:
                at = back[1]
                told.append((at, came(Device(name, kind, addr, number, at, about))))
    first = [item for item in told if item[0] < NOW - 900]
    later = sorted((item for item in told if item[0] >= NOW - 900), key=lambda item: item[0])
    return [*first, (NOW - 840, live(NOW - 840)), *later]


def away(number: int, chance: random.Random) -> list[tuple[float, float]]:
    """When a device was not there, from and to."""
    match number:
        case 6:  # a loose cable
            times = [NOW - 540 + 45 * step for step in range(12)]
            return [(at, at + chance.uniform(8, 30)) for at in times]
        case 3 | 12:
            return [(NOW - 100 * number, NOW + 1)]
        case 9:
            return [(NOW - 400, NOW - 150)]
        case 15:
            return [(NOW - 60, NOW - 4)]
        case _:
            return []


async def picture() -> str:
    """The dashboard, as SVG."""
    watcher = AsyncWatcher("tcp://127.0.0.1:9")  # nobody; the app is told by hand
    status = Status(State.LIVE, NOW - 840, "")
    with patch.object(AsyncWatcher, "status", status), patch("time.time", lambda: NOW):
        app = TopApp(watcher, URL)
        for at, record in history():
            assert isinstance(record, Added | Removed) or at
            app.board.add(record, at)
            app.chronicle.add(record)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.press("down", "down")
            app.bring_up_to_date()
            await pilot.pause()
            return app.export_screenshot(title="devicewatch top")


def main() -> None:
    """Write it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.svg").write_text(asyncio.run(picture()), encoding="utf-8")


if __name__ == "__main__":
    main()
