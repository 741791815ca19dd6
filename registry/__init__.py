"""The source of truth, and a device's way to it."""

from .client import (
    AliveCheckState,
    Announcement,
    announce,
    register_device,
    send_alive_check,
    unregister_device,
)
from .requester import query_devices, query_info
from .server import DeviceRegistry

__all__ = [
    "AliveCheckState",
    "Announcement",
    "DeviceRegistry",
    "announce",
    "query_devices",
    "query_info",
    "register_device",
    "send_alive_check",
    "unregister_device",
]
