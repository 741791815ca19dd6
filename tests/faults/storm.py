"""A storm: watchers of every kind follow a registry through a network that breaks all the time."""

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

import attrs
import zmq

from devicewatch.events import Added, Cursor, Device, Event, Live, Removed, Stale
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import CallbackAdapter
from tests.promises.validators import BrokenPromise, promise
from tests.support.live import PATIENCE, wait_until
from tests.support.proxy import proxied
from tests.support.watchers import KINDS

from .load import Background, Load
from .scribe import Scribe
from .truth import Historian, fetch_devices
from .weather import Link, Weather

TICK: Final = 0.1

RECOVERY: Final = 30.0
"""Seconds by which every view is right again after all faults: the longest pause, a few requests
that come to nothing, and patience with a busy machine."""

SORTS: Final[Sequence[tuple[bool, dict[str, Any]]]] = (
    (False, {}),
    (True, {}),
    (True, {"device_type": "camera"}),
)
"""Of watchers: whether they live several lives, and what they are asked for."""

LOAD_PAUSES: Final = (0.0, 0.0, 0.0, 0.001, 0.01)
WEATHER_PAUSES: Final = (0.0, 0.01, 0.05, 0.1)
"""Seconds between two steps."""

BURST: Final = 300
"""Events, and more, that come at once: they take more than a page to replay."""


@attrs.frozen
class Summary:
    """What a storm consisted of."""

    published: int
    told: int
    faults: int
    stale: int
    resyncs: int
    lives: int

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in attrs.asdict(self).items())


class Guest:
    """Callbacks that write down whom they hear of, each in the order in which it was called."""

    def __init__(self, url: str, events_url: str | None = None) -> None:
        self._came: list[tuple[str, str, str]] = []
        self._left: list[tuple[str, str, str]] = []
        self._adapter = CallbackAdapter(url, events_url=events_url)
        self._adapter.add_new_device_callback(lambda *device: self._came.append(device))
        self._adapter.add_device_removed_callback(lambda *device: self._left.append(device))

    def __enter__(self) -> Self:
        self._adapter.start(timeout=PATIENCE)
        return self

    def __exit__(self, *_error: object) -> None:
        self._adapter.stop()

    def knows(self, devices: Mapping[str, Device]) -> bool:
        """Whether it was told of exactly these devices, and of all that left."""
        present = Counter(_call(device) for device in devices.values())
        came, left = Counter(self._came), Counter(self._left)
        return came == left + present

    def judge(self, events: Sequence[Event]) -> None:
        """See whether it was told of these events, of each once and in order."""
        came = [_call(event.device) for event in events if isinstance(event, Added)]
        left = [_call(event.device) for event in events if isinstance(event, Removed)]
        promise("P3", self._came == came, "the callback for new devices was told otherwise")
        promise("P3", self._left == left, "the callback for those who leave was told otherwise")


def _call(device: Device) -> tuple[str, str, str]:
    return device.device_type, device.addr, device.name


def storm(seed: int, *, steps: int, history: int, crowd: int = 1) -> Summary:
    """Play it, and judge what every watcher was told. Raises `BrokenPromise`.

    Args:
        seed: Decides what happens. Whom it strikes in the middle of what, the machine decides.
        steps: How often the weather changes: about 25 times a second.
        history: How many events the registry keeps.
        crowd: How many watchers there are of each kind and sort.
    """
    dice = random.Random(seed)
    historian = Historian(history)
    with ExitStack() as stack:
        registry = DeviceRegistry(
            addr="127.0.0.1", port="0", events_port="0", tick_interval=TICK, history=history
        )
        stack.enter_context(registry)
        context = stack.enter_context(zmq.Context())
        load = Load(context, registry.url, historian, random.Random(dice.random()))
        stack.enter_context(load)
        links: list[Link] = []

        def new_link() -> Link:
            links.append(stack.enter_context(proxied(registry)))
            return links[-1]

        requests, events = new_link()
        guest = stack.enter_context(Guest(requests.url, events.url))
        load.burst(30)  # so that a first life may end in the middle of what is there
        scribes: list[Scribe] = []
        for kind in KINDS * crowd:
            for restless, options in SORTS:
                requests, events = new_link()
                lives = random.Random(dice.random()) if restless else None
                scribe = Scribe(kind, requests.url, lives, events_url=events.url, **options)
                scribes.append(stack.enter_context(scribe))
        weather = Weather(links, random.Random(dice.random()))
        try:
            _rage(load, weather, dice, steps)
            _strike(load, weather, scribes)
            _all_right(scribes, load.settle())
            load.burst(20)  # and they go on, live
            at = load.settle()
            _all_right(scribes, at)
            devices = fetch_devices(load.client)
            wait_until(lambda: guest.knows(devices))
            told = sum(scribe.judge(historian.truth) for scribe in scribes)
            for scribe in scribes:
                _compare(scribe, devices)
            if len(historian.events) <= history:
                guest.judge(historian.events)
        except BaseException as error:
            error.add_note(f"in storm {seed}; the weather was: {list(weather.log)}")
            for scribe in scribes:
                error.add_note(f"{scribe!r}: {scribe.watcher and scribe.watcher.status}")
                try:
                    scribe.judge(historian.truth)
                except (BrokenPromise, KeyError) as broken:
                    error.add_note(f"and it was told {broken!r}")
            raise
    records = [record for scribe in scribes for record in scribe.records]
    return Summary(
        published=len(historian.events),
        told=told,
        faults=weather.faults,
        stale=sum(isinstance(record, Stale) for record in records),
        resyncs=sum(isinstance(record, Live) and record.resynced for record in records),
        lives=sum(len(scribe.lives) for scribe in scribes),
    )


def _rage(load: Load, weather: Weather, dice: random.Random, steps: int) -> None:
    """Faults and devices, one after the other, and each in its own time."""
    moods = random.Random(dice.random())

    def step() -> None:
        load.burst(BURST if moods.random() < 0.005 else 1)

    with Background(step, lambda: moods.choice(LOAD_PAUSES)):
        pause = threading.Event()
        for _ in range(steps):
            weather.step()
            pause.wait(dice.choice(WEATHER_PAUSES))


def _strike(load: Load, weather: Weather, scribes: Sequence[Scribe]) -> None:
    """All links are lost at once, so that everyone misses something, whatever went before."""
    weather.clear()
    for scribe in scribes:
        scribe.settle()
    _all_right(scribes, load.settle())
    weather.strike()
    wait_until(lambda: all(scribe.is_stale for scribe in scribes))
    load.burst(100)
    weather.clear()


def _all_right(scribes: Sequence[Scribe], at: Cursor) -> None:
    """Wait until all of them are live, and have read everything."""
    for scribe in scribes:
        wait_until(lambda scribe=scribe: scribe.is_at(at), RECOVERY)  # type: ignore[misc]


def _compare(scribe: Scribe, devices: Mapping[str, Device]) -> None:
    expected = {n: d for n, d in devices.items() if scribe.device_type in (None, d.device_type)}
    assert scribe.watcher is not None
    promise("P4", scribe.watcher.devices == expected, f"{scribe!r} has other devices")
