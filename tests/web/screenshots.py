"""Pictures of the web page for the docs: `make screenshots`.

The page, the server and the registry are real; what happened in the lab during the last hour was
written into the registry's journal beforehand, or taking the pictures would take an hour.
"""

import importlib
import io
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from devicewatch.events.messages import Register
from devicewatch.events.protocol import Reason
from devicewatch.events.records import Added, Device, Event, Removed
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.journal import Change, MemoryJournal, Registration
from devicewatch.subscribers.web.server import WebServer
from tests.support.chromium import Visit, chromium, visit
from tests.support.live import free_port, let_pass

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
LARGEST: Final = 120_000
"""Bytes of a picture."""

EPOCH: Final = "lab"
STALE_FOR: Final = 14.0
"""Seconds of a stale view that are to be seen."""

DEVICES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "cam-door": ("camera", {"room": "1.12", "firmware": "4.2.0"}),
    "cam-lens": ("camera", {"room": "1.14", "firmware": "4.2.0"}),
    "cam-north": ("camera", {"room": "1.12", "firmware": "4.1.9"}),
    "cam-south": ("camera", {"room": "1.12", "firmware": "4.2.0"}),
    "arm-left": ("arm", {"room": "1.12", "payload": "5 kg"}),
    "arm-right": ("arm", {"room": "1.12", "payload": "5 kg"}),
    "incubator-1": ("incubator", {"room": "1.15", "setpoint": "37.0 °C"}),
    "incubator-2": ("incubator", {"room": "1.15", "setpoint": "37.0 °C"}),
    "pump-1": ("pump", {"room": "1.14", "firmware": "2.0"}),
    "pump-2": ("pump", {"room": "1.14", "firmware": "2.0"}),
    "pump-3": ("pump", {"room": "1.14", "firmware": "1.8"}),
    "pump-4": ("pump", {"room": "1.14", "firmware": "2.0"}),
    "pump-5": ("pump", {"room": "1.15", "firmware": "2.0"}),
    "scale-1": ("scale", {"room": "1.14"}),
    "scale-2": ("scale", {"room": "1.15"}),
    "stage-xy": ("stage", {"room": "1.14", "travel": "100 mm"}),
    "stage-z": ("stage", {"room": "1.14", "travel": "25 mm"}),
}


@attrs.frozen
class Stay:
    """A presence, in seconds before now; those that end for no reason go on."""

    name: str
    start: float
    end: float = 0.0
    reason: Reason | None = None


def stays() -> Iterator[Stay]:
    """What happened in the lab, with some chance to it, which is always the same."""
    chance = random.Random(7)
    restless = {"pump-3", "cam-north", "scale-2", "arm-right", "pump-5"}
    for name in DEVICES:
        if name not in restless:
            yield Stay(name, chance.uniform(4_000, 90_000))
    # A pump whose cable is loose: it falls silent again and again.
    at = 3_400.0
    while at > 40:
        end = at - chance.uniform(20, 75)
        yield Stay("pump-3", at, end, Reason.EXPIRED)
        at = end - chance.uniform(5, 30)
    yield Stay("pump-3", at)
    # A camera that is restarted by its program, as it should be; and then by another one.
    yield Stay("cam-north", 7_000, 2_100, Reason.UNREGISTERED)
    for start, end in ((2_090, 480), (471, 352), (341, 260)):
        yield Stay("cam-north", start, end, Reason.UNREGISTERED)
    yield Stay("cam-north", 252, 75, Reason.REPLACED)
    yield Stay("cam-north", 75)
    yield Stay("scale-2", 5_000, 130, Reason.EXPIRED)
    yield Stay("arm-right", 9_000, 395, Reason.EXPIRED)
    yield Stay("arm-right", 330)
    yield Stay("pump-5", 8_000, 215, Reason.REVOKED)


def past(now: float) -> MemoryJournal:
    """The journal of a registry that has seen all that."""
    moments = sorted(
        [(now - stay.start, stay, True) for stay in stays()]
        + [(now - stay.end, stay, False) for stay in stays() if stay.reason is not None],
        key=lambda moment: (moment[0], moment[2]),
    )
    journal = MemoryJournal()
    journal.load(EPOCH, len(moments))
    present: dict[str, Device] = {}
    numbers = list(DEVICES)
    for seq, (at, stay, joins) in enumerate(moments, 1):
        kind, metadata = DEVICES[stay.name]
        addr = f"tcp://10.0.4.{numbers.index(stay.name) + 11}:7000"
        event: Event
        if joins:
            device = Device(stay.name, kind, addr, seq, at, metadata)
            present[stay.name] = device
            event = Added(EPOCH, seq, at, device)
            request = Register(kind, addr, stay.name)
            registration = Registration(device, f"uuid-{seq}", 86_400.0, request)
            journal.append(Change([event], [registration]))
        else:
            assert stay.reason is not None
            event = Removed(EPOCH, seq, at, present.pop(stay.name), stay.reason)
            journal.append(Change([event]))
    journal.close()
    return journal


def take(browser: "Browser", url: str, name: str, **circumstances: Any) -> None:
    """Take a picture of the page as it is at first."""
    with visit(browser, url, **circumstances) as look:
        look.until_state("live")
        look.until_shown("stage-z")
        look.until("!document.querySelector('.new')")
        shoot(look, name)


def shoot(look: Visit, name: str) -> None:
    """Take a picture."""
    look.until("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    path = IMAGES / f"{name}.png"
    image: Any = importlib.import_module("PIL.Image")  # nothing else needs it
    full = image.open(io.BytesIO(look.page.screenshot()))
    # The page has few colours, and 256 of them a third of the bytes.
    full.convert("RGB").quantize(256, dither=0).save(path, optimize=True)
    size = path.stat().st_size
    sys.stdout.write(f"{path.name}: {size:,} bytes\n")
    if size > LARGEST:
        sys.exit(f"{path.name} is too large")


def main() -> None:
    """Take all of them."""
    IMAGES.mkdir(exist_ok=True)
    wide = {"width": 1400, "height": 880}
    registry = DeviceRegistry(
        addr="127.0.0.1", port=free_port(), events_port=free_port(), journal=past(time.time())
    )
    with chromium() as browser, registry, WebServer(registry.url, port=0) as server:
        take(browser, server.url, "web-light", viewport=wide)
        hour = f"{server.url}#range=3600"
        take(browser, hour, "web-dark", viewport=wide, color_scheme="dark")
        phone = {"width": 360, "height": 740}
        options: dict[str, Any] = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
        take(browser, server.url, "web-phone", viewport=phone, **options)
        with visit(browser, f"{server.url}#range=120", viewport=wide) as look:
            look.until_state("live")
            look.until_shown("stage-z")
            registry.stop()
            look.until_state("stale")
            let_pass(STALE_FOR)
            shoot(look, "web-stale")


if __name__ == "__main__":
    main()
