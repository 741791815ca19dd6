"""What may happen to a registry, drawn by Hypothesis, and what mirrors tell of it."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import attrs
from hypothesis import strategies as st

from devicewatch.events.messages import Register, RegisterAck, Unregister
from devicewatch.events.protocol import Origin
from devicewatch.events.records import Added, Cursor, Device, Event, Removed, StreamMessage
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings
from devicewatch.subscribers.mirror import Listen, Phase
from devicewatch.subscribers.snapshot import fold
from tests.support.cores import greeting
from tests.support.driver import Driver


@attrs.frozen
class Join:
    """A device registers, and may displace others."""

    name: str
    host: int
    device_type: str
    overwrite: bool


@attrs.frozen
class Leave:
    """One of the devices there, if any, leaves."""

    which: int


Change: TypeAlias = Join | Leave

TYPES: Final = ["arm", "camera"]

changes: Final[st.SearchStrategy[Change]] = st.one_of(
    st.builds(
        Join,
        st.sampled_from(["", "a", "b", "c"]),
        st.integers(1, 6),
        st.sampled_from(TYPES),
        st.booleans(),
    ),
    st.builds(Leave, st.integers(0, 5)),
)
histories: Final = st.lists(changes, max_size=8)


class World:
    """A registry, and the changes that it goes through.

    Args:
        history: How many events it keeps for replay.
    """

    def __init__(self, history: int = 1000) -> None:
        self._settings = CoreSettings(history=history, events_port=5556)
        self._lives = 0
        self._uuids: list[str] = []
        self._deferred: list[StreamMessage] = []
        self.core = self.restart()

    def restart(self) -> RegistryCore:
        """A new registry starts, knowing nothing of the one before."""
        self._lives += 1
        self._uuids = []
        self.core = RegistryCore(f"life-{self._lives}", 0.0, self._settings)
        return self.core

    def change(self, history: Iterable[Change]) -> list[Event]:
        """Let this happen; give what is published."""
        return [event for change in history for event in self._apply(change)]

    def _apply(self, change: Change) -> list[Event]:
        if isinstance(change, Join):
            addr = f"tcp://host:{change.host}"
            request = Register(change.device_type, addr, change.name, change.overwrite)
            reply, events = self.core.handle(request, 0.0)
            assert isinstance(reply, RegisterAck)
            self._uuids.append(reply.uuid)
            return events
        if not self._uuids:
            return []
        uuid = self._uuids.pop(change.which % len(self._uuids))
        return self.core.handle(Unregister(uuid), 0.0)[1]

    def devices(self, device_type: str | None = None) -> dict[str, Device]:
        """The devices that are there."""
        return {
            name: device
            for name, device in self.core.devices.items()
            if device_type in (None, device.device_type)
        }

    def settle(
        self,
        driver: Driver,
        meanwhile: Iterable[Sequence[Change]] = (),
        others: Sequence[Driver] = (),
    ) -> None:
        """Let the registry answer a mirror until its view is live and right.

        Args:
            driver: The mirror.
            meanwhile: What happens after each of its requests has arrived, and before the reply.
            others: Mirrors that follow the stream as well, and are live.
        """
        upcoming = iter(meanwhile)
        for _ in range(100):
            actions = driver.actions()
            for action in actions:
                if isinstance(action, Listen):
                    driver.stream(greeting(self.core, driver.now))
                    continue
                reply, _events = self.core.handle(action, 0.0)
                happened = self.change(next(upcoming, ()))
                for follower in (driver, *others):
                    follower.stream(*happened)
                driver.reply(reply)
            if driver.mirror.phase is Phase.LIVE:
                cursor = Cursor(self.core.epoch, self.core.seq)
                assert driver.mirror.view.at == cursor
                return
            if not actions:
                driver.advance_to_deadline()
                driver.stream(greeting(self.core, driver.now))
        raise AssertionError(f"it does not become live: {driver.mirror.view.trouble}")


def told(events: Iterable[Event]) -> dict[str, Device]:
    """The devices that whoever folds these events knows, each step of which makes sense (P9)."""
    devices: dict[str, Device] = {}
    for event in events:
        if isinstance(event, Added):
            assert event.device.name not in devices, f"{event} takes a name that is in use"
            assert event.device.addr not in {device.addr for device in devices.values()}
        else:
            assert devices.get(event.device.name) == event.device, f"{event} is no news"
        fold(devices, event)
    return devices


def plain(events: Iterable[Event]) -> list[Event]:
    """What happened, whichever way the watcher came to know it."""
    return [
        attrs.evolve(event, origin=Origin.LIVE)
        if isinstance(event, Added)
        else Removed(event.epoch, event.seq, event.time, event.device, event.reason)
        for event in events
    ]
