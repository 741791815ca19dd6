"""The protocol's constants: names on the wire, topics, limits and defaults.

`docs/protocol.md` is the same in prose, for whoever writes a client in another language.
"""

from enum import StrEnum
from typing import Final

PROTOCOL_VERSION: Final = 1

REGISTRY_VARIABLE: Final = "DEVICEWATCH_REGISTRY"
KEY_VARIABLE: Final = "DEVICEWATCH_KEY"
DEFAULT_REGISTRY: Final = "tcp://127.0.0.1:5555"
DEFAULT_PORT: Final = "5555"
DEFAULT_EVENTS_PORT: Final = "5556"

# Seconds.
DEFAULT_LEASE: Final = 20.0
MIN_LEASE: Final = 0.1
MAX_LEASE: Final = 365 * 86_400.0
DEFAULT_TICK_INTERVAL: Final = 1.0
MIN_TICK_INTERVAL: Final = 0.01
MAX_TICK_INTERVAL: Final = 3_600.0
STALE_AFTER_TICKS: Final = 3
"""A stream that has been silent for this many ticks makes a view stale (P6)."""

DEFAULT_HISTORY: Final = 10_000
"""Events kept for replay."""
MAX_PAGE: Final = 250
"""Devices in one SNAPSHOT reply, or events in one EVENTS reply, at the most: as many as always
fit into a frame of `MAX_FRAME_BYTES`, since each came in a request of `MAX_REQUEST_BYTES`."""

MAX_DEVICES: Final = 1_000_000
"""A registry that shows more to a watcher is not believed."""
MAX_REQUEST_BYTES: Final = 65_536
"""A larger request is answered with `TOO_LARGE`."""
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""A larger frame is cut off by ZeroMQ itself, with its connection and without an answer."""
MAX_NAME: Final = 256
"""Characters of a name or a device type."""
MAX_ADDR: Final = 1_024
MAX_ID: Final = 128
"""Characters of a uuid or an instance."""
MAX_METADATA: Final = 32
"""Entries of a device's metadata."""
MAX_METADATA_KEY: Final = 64
MAX_METADATA_VALUE: Final = 1_024

DEFAULT_MAX_DEVICES: Final = 100_000
"""Devices that a registry takes unless it is told otherwise."""
DEFAULT_DEVICES_PER_KEY: Final = 1_000
DEFAULT_REQUESTS_PER_KEY: Final = 500.0
"""Requests per second. Renewals, and devices that leave, are not counted."""
BURST: Final = 10.0
"""Seconds: what a peer may ask in that time, it may ask at once if it was quiet before."""
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""


class RequestName(StrEnum):
    """`event` of a request."""

    REGISTER = "REGISTER"
    UNREGISTER = "UNREGISTER"
    CHECK_ALIVE = "CHECK_ALIVE"
    INFO = "INFO"
    SNAPSHOT = "SNAPSHOT"
    REPLAY = "REPLAY"


class ReplyName(StrEnum):
    """`event` of a reply."""

    REGISTER_ACK = "REGISTER_ACK"
    ACK = "ACK"
    UNSUPPORTED = "UNSUPPORTED"
    INFO = "INFO"
    SNAPSHOT = "SNAPSHOT"
    EVENTS = "EVENTS"
    COMPACTED = "COMPACTED"
    ERROR = "ERROR"


class Role(StrEnum):
    """What a key allows whoever has it, in a registry that has keys."""

    VIEWER = "viewer"
    """To see: INFO, SNAPSHOT, REPLAY and the event stream."""
    DEVICE = "device"
    """Also to register devices under the names that the key allows, and to look after those."""
    ADMIN = "admin"
    """Everything, whatever key a device belongs to."""


class Topic(StrEnum):
    """First frame of a message of the event stream, and `event` in its body."""

    ADDED = "added"
    REMOVED = "removed"
    TICK = "tick"
    BYE = "bye"


class Reason(StrEnum):
    """Why a device left."""

    UNREGISTERED = "unregistered"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REVOKED = "revoked"
    """Its key no longer allows it to be there."""
    UNKNOWN = "unknown"
    """Never on the wire: a watcher found the device gone after events it could not see."""


class Origin(StrEnum):
    """How a watcher came to know of an event."""

    SNAPSHOT = "snapshot"
    """It had happened before the watcher joined."""
    LIVE = "live"
    """It came over the event stream."""
    RESYNC = "resync"
    """It happened while the watcher could not see: the difference to what it knew."""


class ErrorCode(StrEnum):
    """`code` of an `ERROR` reply."""

    MALFORMED = "MALFORMED"
    """Not one frame holding a JSON object with a string `event`."""
    INVALID = "INVALID"
    """A field of the payload is missing, of the wrong type, out of range, or does not print."""
    TOO_LARGE = "TOO_LARGE"
    OCCUPIED = "OCCUPIED"
    """Another instance is registered from the address, and was not to be displaced."""
    UNAVAILABLE = "UNAVAILABLE"
    """The registry cannot keep the change, as its disk is full, say. Nothing has changed."""
    FORBIDDEN = "FORBIDDEN"
    """The key that the request came with does not allow it. Nothing has changed."""
    TOO_MANY = "TOO_MANY"
    """There are as many devices as the registry takes, in all or from one peer."""
    TOO_FAST = "TOO_FAST"
    """This peer asks more often than it may. A renewal is never refused for that."""
    INTERNAL = "INTERNAL"
    """The registry's own fault. The request may be repeated."""
