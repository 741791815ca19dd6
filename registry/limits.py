"""How much one registry takes, and how much of that one peer may have. Pure.

A peer is a key or, in a registry without keys, the address that a request comes from.
"""

from typing import Final

import attrs
from attrs import validators

from ..events.protocol import (
    BURST,
    DEFAULT_DEVICES_PER_KEY,
    DEFAULT_MAX_DEVICES,
    DEFAULT_REQUESTS_PER_KEY,
    MAX_DEVICES,
)

MAX_RATE: Final = 1_000_000.0

_TIDY: Final = 1_000
"""Peers that may be remembered without a look at who can be forgotten."""


@attrs.frozen(kw_only=True)
class Limits:
    """How much a registry takes.

    Attributes:
        devices: Devices in all, 1 to a million. One more is refused with `TOO_MANY`.
        devices_per_peer: Of those, how many one peer may have registered; None for any number.
        requests_per_peer: Requests per second from one peer; more are refused with `TOO_FAST`. None
            for any number. Renewals, and devices that leave, are not counted and never refused; and
            whoever was quiet may ask for ten seconds' worth at once.
    """

    devices: int = attrs.field(
        default=DEFAULT_MAX_DEVICES,
        validator=[validators.instance_of(int), validators.ge(1), validators.le(MAX_DEVICES)],
    )
    devices_per_peer: int | None = attrs.field(
        default=None,
        validator=validators.optional([validators.instance_of(int), validators.ge(1)]),
    )
    requests_per_peer: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(float),
        validator=validators.optional([validators.ge(1.0), validators.le(MAX_RATE)]),
    )

    @property
    def by_peer(self) -> bool:
        """Whether it matters whose a request is."""
        return self.devices_per_peer is not None or self.requests_per_peer is not None


KEYED: Final = Limits(
    devices_per_peer=DEFAULT_DEVICES_PER_KEY, requests_per_peer=DEFAULT_REQUESTS_PER_KEY
)
"""What a registry with keys takes unless it is told otherwise. Without keys a peer is an address,
which many programs may share, so that there are no such limits unless they are asked for."""


class Rates:
    """Whether a peer asks too often. Times are in seconds on a monotonic clock.

    Each request uses up `1 / per_second` of a peer's time, which may run ahead of the clock by so
    many seconds as a burst may last (the "virtual scheduling" of ITU-T I.371, annex A). So a peer
    costs one number, and none once its time has been caught up with.

    Args:
        per_second: Requests per second; None for any number.
        burst: Seconds.
    """

    def __init__(self, per_second: float | None, burst: float = BURST) -> None:
        self._cost = 0.0 if per_second is None else 1.0 / per_second
        self._burst = burst
        self._busy_until: dict[str, float] = {}
        self._tidy_at = _TIDY

    def allows(self, peer: str, now: float) -> bool:
        """Whether a peer may make one more request now; if so, it is counted."""
        if not self._cost:
            return True
        busy_until = max(now, self._busy_until.get(peer, now)) + self._cost
        if busy_until > now + self._burst:
            return False
        self._busy_until[peer] = busy_until
        if len(self._busy_until) >= self._tidy_at:
            self._tidy(now)
        return True

    def _tidy(self, now: float) -> None:
        self._busy_until = {peer: until for peer, until in self._busy_until.items() if until > now}
        self._tidy_at = 2 * len(self._busy_until) + _TIDY
