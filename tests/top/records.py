"""What a watcher yields, made by hand."""

from typing import Final

from devicewatch.events import Added, Cursor, Device, Live, Origin, Reason, Removed, Stale
from devicewatch.events.records import MetadataValue
from devicewatch.subscribers.top.board import Board

NOW: Final = 1_800_000_000.0 + 30
"""In the middle of a minute, which is a cell of the narrowest strip."""


def device(
    name: str = "cam",
    at: float = NOW - 60,
    kind: str = "camera",
    addr: str = "",
    metadata: dict[str, MetadataValue] | None = None,
) -> Device:
    return Device(name, kind, addr or f"tcp://{name}:1", 1, at, metadata or {})


def came(who: Device, origin: Origin = Origin.LIVE) -> Added:
    return Added("e", 1, who.registered_at, who, origin)


def left(
    who: Device,
    at: float = NOW,
    reason: Reason = Reason.EXPIRED,
    origin: Origin = Origin.LIVE,
) -> Removed:
    return Removed("e", 2, at, who, reason, origin)


def live(at: float = NOW, *, resynced: bool = False) -> Live:
    return Live(at, Cursor("e", 1), resynced)


def stale(at: float = NOW, why: str = "a cut cable") -> Stale:
    return Stale(at, why)


def live_board(*devices: Device, at: float = NOW) -> Board:
    """A board that has been live since a time, with devices that were there."""
    board = Board()
    for who in devices:
        board.add(came(who, Origin.SNAPSHOT), at)
    board.add(live(at), at)
    return board
