"""What crosses the wire, and nothing that moves it: records, messages, errors, limits."""

from .errors import (
    AddressError,
    AuthenticationError,
    BindError,
    DevicewatchError,
    JournalError,
    KeyFileError,
    MessageError,
    RegistryUnreachable,
    RequestRefused,
)
from .keys import Key
from .protocol import Origin, Reason, Role, Topic
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
    "AuthenticationError",
    "BindError",
    "Bye",
    "Cursor",
    "Device",
    "DevicewatchError",
    "Event",
    "JournalError",
    "Key",
    "KeyFileError",
    "Live",
    "MessageError",
    "Origin",
    "Reason",
    "Record",
    "RegistryUnreachable",
    "Removed",
    "RequestRefused",
    "Role",
    "Stale",
    "State",
    "Status",
    "StreamMessage",
    "Tick",
    "Topic",
    "csv_text",
    "printable",
]
