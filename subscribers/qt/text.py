"""What Qt shows of devices: values that it can hold, text that does no harm."""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from PySide6.QtCore import QDateTime

from ...events.protocol import MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE
from ...events.records import MetadataValue
from ...events.text import printable

_LARGEST: Final = 2**63 - 1
_FAR_AWAY: Final = 1e14
"""Seconds: three million years. `QDateTime` counts milliseconds in 64 bits."""


def moment(seconds: float) -> QDateTime:
    """A time, in seconds since 1970, in local time; one that is no time is not valid."""
    if not abs(seconds) < _FAR_AWAY:  # nor is NaN
        return QDateTime()
    return QDateTime.fromMSecsSinceEpoch(round(seconds * 1000))


def variant_map(metadata: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
    """Metadata as a `QVariantMap`: with text that prints, and no number too large for it."""
    entries = islice(metadata.items(), MAX_METADATA)
    return {printable(key, MAX_METADATA_KEY): _value(value) for key, value in entries}


def _value(value: MetadataValue) -> MetadataValue:
    if isinstance(value, str) or (isinstance(value, int) and abs(value) > _LARGEST):
        return printable(value, MAX_METADATA_VALUE)
    return value
