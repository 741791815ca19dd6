"""Help for tests of the registry core: requests in short, and what comes of them."""

from collections.abc import Callable
from itertools import count
from typing import Any

from devicewatch.events.messages import (
    EventsReply,
    Register,
    RegisterAck,
    Replay,
    Request,
    Snapshot,
    SnapshotReply,
)
from devicewatch.events.protocol import (
    Reason,
)
from devicewatch.events.records import Added, Device, Event, Removed, Tick
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings

EPOCH = "epoch-1"


def numbered_uuids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


def new_core(now: float = 0.0, settings: CoreSettings | None = None) -> RegistryCore:
    return RegistryCore(EPOCH, now, settings, numbered_uuids())


def wish(name: str = "cam", addr: str = "tcp://a", **more: Any) -> Register:
    return Register(**{"device_type": "camera", "addr": addr, "name": name} | more)


def register(core: RegistryCore, request: Register, now: float = 0.0) -> RegisterAck:
    reply, _ = core.handle(request, now)
    assert isinstance(reply, RegisterAck)
    return reply


def register_many(core: RegistryCore, number: int, **more: Any) -> list[RegisterAck]:
    return [register(core, wish(addr=f"tcp://{n}", **more)) for n in range(number)]


def events_of(core: RegistryCore, request: Request, now: float = 0.0) -> list[Event]:
    return core.handle(request, now)[1]


def snapshot(core: RegistryCore, after: int | None = None, limit: int = 500) -> SnapshotReply:
    reply, events = core.handle(Snapshot(after, limit), 0.0)
    assert isinstance(reply, SnapshotReply)
    assert events == []
    return reply


def replay(core: RegistryCore, after: int, limit: int = 500) -> list[Event]:
    reply, events = core.handle(Replay(EPOCH, after, limit), 0.0)
    assert isinstance(reply, EventsReply)
    assert (reply.epoch, reply.seq) == (EPOCH, core.seq)
    assert events == []
    return list(reply.events)


def device(name: str, addr: str, revision: int, registered_at: float = 0.0) -> Device:
    return Device(name, "camera", addr, revision, registered_at, {})


def added(device: Device) -> Added:
    return Added(EPOCH, device.revision, device.registered_at, device)


def removed(device: Device, seq: int, reason: Reason, time: float = 0.0) -> Removed:
    return Removed(EPOCH, seq, time, device, reason)


def summary(events: list[Event]) -> list[tuple[str, str, str | None]]:
    """Topic, name and reason of each event."""
    return [
        (event.topic, event.device.name, event.reason if isinstance(event, Removed) else None)
        for event in events
    ]


def greeting(core: RegistryCore, now: float = 0.0) -> Tick:
    """The tick that greets whoever subscribes now."""
    return Tick(core.epoch, core.seq, now)


def lease_deadlines(core: RegistryCore) -> dict[str, float]:
    """When each lease ends, by uuid."""
    holders = list(core._registrations.by_uuid.values())
    assert len(core._leases) == len(holders)
    assert all(holder.entry is not None for holder in holders)
    return {holder.uuid: holder.deadline for holder in holders}


def whole_state(core: RegistryCore) -> dict[str, object]:
    """All that a request could change, to be compared; but for what only counts."""
    held, change = core._registrations, core.change
    return {
        "seq": core.seq,
        "change": None if change is None else (change.events, list(map(str, change.registrations))),
        "registrations": {
            uuid: (holder.device, holder.lease, holder.request, holder.peer)
            for uuid, holder in held.by_uuid.items()
        },
        "names": {name: registration.uuid for name, registration in held.by_name.items()},
        "addresses": {addr: registration.uuid for addr, registration in held.by_addr.items()},
        "peers": {peer: set(registrations) for peer, registrations in held.by_peer.items()},
        "pages": [holder.uuid for holder in held._in_order.values],
        "types": ({type_: n for type_, n in held.types.own.items() if n}, held.types.others),
        "numbers": dict(held._numbered._bitmaps.items()),
        "leases": lease_deadlines(core),
        "history": list(core._ledger.history._ring),
    }
