"""What crosses the wire, and nothing that moves it: records, messages, errors, limits."""

from .errors import (
    AddressError,
    BindError,
    DevicewatchError,
    MessageError,
    RegistryUnreachable,
    RequestRefused,
)
from .protocol import Origin, Reason, Topic
from .records import Added, Bye, Cursor, Device, Event, Removed, StreamMessage, Tick

__all__ = [
    "Added",
    "AddressError",
    "BindError",
    "Bye",
    "Cursor",
    "Device",
    "DevicewatchError",
    "Event",
    "MessageError",
    "Origin",
    "Reason",
    "RegistryUnreachable",
    "Removed",
    "RequestRefused",
    "StreamMessage",
    "Tick",
    "Topic",
]
