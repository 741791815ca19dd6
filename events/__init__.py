"""What crosses the wire, and nothing that moves it: records, messages, errors, limits."""

from .errors import (
    AddressError,
    BindError,
    DevicewatchError,
    JournalError,
    MessageError,
    RegistryUnreachable,
    RequestRefused,
)
from .protocol import Origin, Reason, Topic
from .records import (
    Added,
    Bye,
    Cursor,
    Device,
    Event,
    Live,
    Record,
    Removed,
    Stale,
    State,
    Status,
    StreamMessage,
    Tick,
)
from .text import csv_text, printable

__all__ = [
    "Added",
    "AddressError",
    "BindError",
    "Bye",
    "Cursor",
    "Device",
    "DevicewatchError",
    "Event",
    "JournalError",
    "Live",
    "MessageError",
    "Origin",
    "Reason",
    "Record",
    "RegistryUnreachable",
    "Removed",
    "RequestRefused",
    "Stale",
    "State",
    "Status",
    "StreamMessage",
    "Tick",
    "Topic",
    "csv_text",
    "printable",
]
