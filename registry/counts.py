"""What a registry counts of its own work, in plain numbers. Pure: no clock, no lock, no library.

One thread counts, the registry's; any other may read at any time, as `metrics` does when it is
asked. A number that is read is a moment old at the worst. Nothing here grows: kinds, outcomes and
limits are fixed.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import attrs

from ..events.messages import (
    Ack,
    CheckAlive,
    CompactedReply,
    ErrorReply,
    Info,
    Register,
    Replay,
    Reply,
    Request,
    Snapshot,
    UnknownRequest,
    Unregister,
    Unsupported,
)
from ..events.protocol import ErrorCode, Reason, RequestName
from ..events.records import Event, Removed

BOUNDS: Final = (
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1, 2.5
)  # fmt: skip
"""Seconds: upper bounds of the classes that times are sorted into; what is longer has its own."""


class Kind(StrEnum):
    """Kinds of requests: those by name, and two for the rest, whatever strangers call it."""

    REGISTER = RequestName.REGISTER.value
    UNREGISTER = RequestName.UNREGISTER.value
    CHECK_ALIVE = RequestName.CHECK_ALIVE.value
    INFO = RequestName.INFO.value
    SNAPSHOT = RequestName.SNAPSHOT.value
    REPLAY = RequestName.REPLAY.value
    UNSUPPORTED = "unsupported"
    """Well-formed, by a name that this version does not know."""
    MALFORMED = "malformed"
    """Bytes that do not even name a request."""


class Outcome(StrEnum):
    """What became of a request: done, in one of four ways refused, or refused with an `ERROR`."""

    OK = "ok"
    UNKNOWN = "unknown"
    """`success` was false: that uuid is not known (any more)."""
    COMPACTED = "compacted"
    """That history is gone."""
    UNSUPPORTED = "unsupported"
    MALFORMED = ErrorCode.MALFORMED.value
    INVALID = ErrorCode.INVALID.value
    TOO_LARGE = ErrorCode.TOO_LARGE.value
    OCCUPIED = ErrorCode.OCCUPIED.value
    UNAVAILABLE = ErrorCode.UNAVAILABLE.value
    FORBIDDEN = ErrorCode.FORBIDDEN.value
    TOO_MANY = ErrorCode.TOO_MANY.value
    TOO_FAST = ErrorCode.TOO_FAST.value
    INTERNAL = ErrorCode.INTERNAL.value


_OUTCOMES: Final = {outcome: number for number, outcome in enumerate(Outcome)}
_CODES: Final[dict[str, int]] = {code: _OUTCOMES[Outcome(code.value)] for code in ErrorCode}
_NAMES: Final = frozenset(name.value for name in RequestName)

_KINDS: Final[dict[type[Request | None], Kind]] = {
    Register: Kind.REGISTER,
    Unregister: Kind.UNREGISTER,
    CheckAlive: Kind.CHECK_ALIVE,
    Info: Kind.INFO,
    Snapshot: Kind.SNAPSHOT,
    Replay: Kind.REPLAY,
    UnknownRequest: Kind.UNSUPPORTED,
    type(None): Kind.MALFORMED,
}


@attrs.define(eq=False)
class Times:
    """How long something took, each time, by class of length.

    Attributes:
        classes: How often it took at most the bound of that number in `BOUNDS`, but longer than the
            one before; the last is for what took longer than all.
        seconds: How long in all.
    """

    classes: list[int] = attrs.field(factory=lambda: [0] * (len(BOUNDS) + 1), init=False)
    seconds: float = attrs.field(default=0.0, init=False)

    def note(self, seconds: float) -> None:
        """Note that it took so long."""
        self.classes[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def cumulative(self) -> list[int]:
        """How often it took at most each bound; the last is how often in all."""
        total, result = 0, []
        for number in self.classes.copy():
            total += number
            result.append(total)
        return result


@attrs.define(eq=False)
class _Requests(Times):
    """Those of one kind."""

    outcomes: list[int] = attrs.field(factory=lambda: [0] * len(_OUTCOMES), init=False)


class Counts:
    """What has happened since counting began.

    Attributes:
        wanted: Whether to count.
        renewals: Renewals that succeeded, and were not timed. They are nine requests out of ten and
            more, so that to measure each would be nearly all that metrics cost.
        added: Devices that came.
        removed: Devices that left, by reason.
        appends: How long it took to have changes kept, those that could not be included.
        not_kept: How many could not.
    """

    def __init__(self) -> None:
        self._requests = {kind: _Requests() for kind in Kind}
        self.renewals = 0
        self.wanted = False
        self.added = 0
        self.removed: dict[Reason, int] = {
            reason: 0 for reason in Reason if reason is not Reason.UNKNOWN
        }
        self.appends = Times()
        self.not_kept = 0

    # --- for the registry's thread --------------------------------------------------------------

    def answered(self, request: Request | None, reply: Reply, seconds: float) -> None:
        """A request has an answer, and that took so long. None is one that was not understood."""
        kind = _KINDS[type(request)]
        if request is None and isinstance(reply, ErrorReply) and reply.req_event in _NAMES:
            kind = Kind(reply.req_event)
        requests = self._requests[kind]
        requests.outcomes[_outcome(reply)] += 1
        requests.note(seconds)

    def published(self, event: Event) -> None:
        """An event was published."""
        if isinstance(event, Removed):
            self.removed[event.reason] += 1
        else:
            self.added += 1

    # --- for anybody ----------------------------------------------------------------------------

    def requests(self) -> Iterator[tuple[Kind, Outcome, int]]:
        """How many requests of each kind had each outcome, where there were any."""
        for kind, requests in self._requests.items():
            numbers = requests.outcomes.copy()
            if kind is Kind.CHECK_ALIVE:
                numbers[_OUTCOMES[Outcome.OK]] += self.renewals
            for outcome, number in zip(Outcome, numbers, strict=True):
                if number:
                    yield kind, outcome, number

    def request_times(self) -> Iterator[tuple[Kind, Times]]:
        """How long it took to answer requests of each kind."""
        yield from self._requests.items()


def _outcome(reply: Reply) -> int:
    match reply:
        case ErrorReply():
            return _CODES[reply.code]
        case Ack(success=False):
            return _OUTCOMES[Outcome.UNKNOWN]
        case CompactedReply():
            return _OUTCOMES[Outcome.COMPACTED]
        case Unsupported():
            return _OUTCOMES[Outcome.UNSUPPORTED]
        case _:
            return _OUTCOMES[Outcome.OK]


@attrs.frozen(kw_only=True)
class Figures:
    """How a registry is doing, at a moment.

    Attributes:
        started: When it was started, in seconds since 1970; None before.
        epoch: The life of its numbering; None before it was started.
        seq: Number of its latest event.
        devices: How many devices there are of each type that is counted by itself.
        other_devices: How many there are of all other types.
        devices_limit: How many it takes in all.
        history: How many past events it has for replay.
        history_limit: How many it keeps.
        stalls: How often it was held up.
        stalled: For how many seconds, in all.
        refused: How often somebody was turned away on account of a key.
        watchers: How many connections there are that have subscribed to its event stream.
        journal_bytes: Size of its journal; None if that is in no file.
        counts: What has happened since counting began. It goes on.
    """

    started: float | None = None
    epoch: str | None = None
    seq: int = 0
    devices: Mapping[str, int] = attrs.field(factory=dict)
    other_devices: int = 0
    devices_limit: int
    history: int = 0
    history_limit: int
    stalls: int = 0
    stalled: float = 0.0
    refused: int = 0
    watchers: int = 0
    journal_bytes: int | None = None
    counts: Counts
