"""What a registry's core may be told about its task."""

from typing import Final

import attrs
from attrs import validators

from ..events.protocol import (
    DEFAULT_HISTORY,
    DEFAULT_TICK_INTERVAL,
    MAX_TICK_INTERVAL,
    MIN_TICK_INTERVAL,
)
from .limits import Limits

_MAX_HISTORY: Final = 10_000_000


@attrs.frozen(kw_only=True)
class CoreSettings:
    """What a core may be told about its task.

    Attributes:
        tick_interval: Seconds between ticks, 0.01 to 3600.
        history: Events kept for replay, 0 to 10 million.
        events_port: TCP port of the event stream, for INFO.
        limits: How much it takes, in all and from one peer.
    """

    tick_interval: float = attrs.field(
        default=DEFAULT_TICK_INTERVAL,
        converter=float,
        validator=[validators.ge(MIN_TICK_INTERVAL), validators.le(MAX_TICK_INTERVAL)],
    )
    history: int = attrs.field(
        default=DEFAULT_HISTORY,
        validator=[validators.instance_of(int), validators.ge(0), validators.le(_MAX_HISTORY)],
    )
    events_port: int = attrs.field(
        default=0,
        validator=[validators.instance_of(int), validators.ge(0), validators.le(65_535)],
    )
    limits: Limits = attrs.field(factory=Limits, validator=validators.instance_of(Limits))
