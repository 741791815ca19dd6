"""The source of truth, and a device's way to it."""

from ..events.durability import Durability
from .aio import AsyncAnnouncement, aannounce
from .announce import Announcement, announce
from .client import (
    AliveCheckState,
    register_device,
    send_alive_check,
    unregister_device,
)
from .journal import Journal, MemoryJournal, NoJournal
from .limits import KEYED, Limits
from .presence import PresenceState, PresenceStatus
from .requester import query_devices, query_info
from .server import DeviceRegistry
from .sqlite import SqliteJournal

__all__ = [
    "KEYED",
    "AliveCheckState",
    "Announcement",
    "AsyncAnnouncement",
    "DeviceRegistry",
    "Durability",
    "Journal",
    "Limits",
    "MemoryJournal",
    "NoJournal",
    "PresenceState",
    "PresenceStatus",
    "SqliteJournal",
    "aannounce",
    "announce",
    "query_devices",
    "query_info",
    "register_device",
    "send_alive_check",
    "unregister_device",
]
