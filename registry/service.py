"""What becomes of a request, and of time that passes: durable, then published, then replied.

This order is what P10 rests on. Whoever has a reply may rely on the change, since it has been
kept; and nobody hears of an event that a restart could undo. Where the journal cannot keep a
change, it is taken back: state, journal and stream agree, and the reply is an `ERROR` that says so.
A change that was kept, but not published before the registry was killed, is in the history that the
next run begins with, where watchers find it.

It has no socket and reads no clock: `loop` does that, and so do tests that let it die at each step.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ..events.codec import decode_request, encode_reply, request_name
from ..events.errors import JournalError, MessageError
from ..events.logs import get_logger
from ..events.messages import ErrorReply, Reply, Request
from ..events.protocol import ErrorCode
from ..events.records import Event, StreamMessage
from .core import RegistryCore
from .counts import Counts
from .journal import Journal, NoJournal
from .security import peer_name
from .tally import Tally

_NOTABLE: Final = (ErrorCode.FORBIDDEN, ErrorCode.TOO_FAST, ErrorCode.TOO_MANY)
"""Refusals that whoever looks after the registry wants to know of."""

_FAILED: Final = ErrorReply(None, ErrorCode.INTERNAL, "the registry failed; see its log")

log = get_logger(__name__)


class Service:
    """Serves requests, and lets leases end.

    Args:
        core: Decides.
        journal: Keeps what the core has changed.
        publish: Sends a message to all subscribers.

    Attributes:
        latest: The latest request, if it was understood, and its answer; once it counts.
    """

    latest: tuple[Request | None, Reply]

    def __init__(
        self, core: RegistryCore, journal: Journal, publish: Callable[[StreamMessage], None]
    ) -> None:
        self._core = core
        # Where nothing is kept, what there would be to keep is not even put together.
        self._journal = None if isinstance(journal, NoJournal) else journal
        self._publish = publish
        self._tally = Tally()
        self._counts: Counts | None = None
        self._refused = 0  # changes that could not be kept, since the last one that was

    def count(self, counts: Counts, journal: Journal) -> None:
        """Count from now on what is published.

        Args:
            counts: There.
            journal: Takes the journal's place.
        """
        self._counts = counts
        if self._journal is not None:
            self._journal = journal

    def answer(self, frames: Sequence[bytes], now: float, peer: str | None = None) -> bytes:
        """Serve one request, whatever it is, and give the one frame of its reply.

        Args:
            frames: The request.
            now: The time.
            peer: Whose it is; see `RegistryCore.handle`.

        Raises:
            Exception: The journal does not know what it has kept; the registry has to stop.
        """
        try:
            request = decode_request(frames)
        except MessageError as error:
            return self._refuse_malformed(error, now, peer)
        try:
            reply, events = self._core.handle(request, now, peer)
        except Exception:
            # Our own fault, but one request's: the next one must be served (P11).
            log.exception("a request failed inside the registry")
            self._core.revert()
            reply, events = _FAILED, []
        if self._journal is not None and (why_not := self._keep(self._journal)) is not None:
            why = f"nothing has changed, as the registry cannot keep it now: {why_not}"
            reply = ErrorReply(request_name(request), ErrorCode.UNAVAILABLE, why)
        elif events:
            self._publish_all(events)
        elif type(reply) is ErrorReply and reply.code in _NOTABLE:
            self._log("refused", reply, now, peer)
        if self._counts is not None:
            self.latest = request, reply
        return encode_reply(reply)

    def _refuse_malformed(self, error: MessageError, now: float, peer: str | None) -> bytes:
        reply = ErrorReply(error.req_event, error.code, str(error))
        self._log("bad request", reply, now, peer)
        if self._counts is not None:
            self.latest = None, reply
        return encode_reply(reply)

    def expire(self, now: float, *, drained: bool) -> None:
        """Remove devices whose lease has ended for sure; see `RegistryCore.expire`.

        Raises:
            Exception: As in `answer`.
        """
        events = self._core.expire(now, drained=drained)
        if self._journal is None or self._keep(self._journal) is None:
            self._publish_all(events)

    def _log(self, what: str, reply: ErrorReply, now: float, peer: str | None) -> None:
        who = "unknown" if peer is None else peer_name(peer)
        times = self._tally.note(f"{reply.code} {who}", now)
        if times:
            log.warning(
                what,
                code=reply.code,
                req_event=reply.req_event,
                peer=who,
                why=reply.message,
                times=times,
            )

    def _keep(self, journal: Journal) -> JournalError | None:
        """Have the core's change kept, or take it back and say why."""
        change = self._core.change
        if change is None:
            return None
        try:
            journal.append(change)
        except JournalError as error:
            self._core.revert()
            if not self._refused:
                log.error("changes cannot be kept, and are refused until they can", why=str(error))
            self._refused += 1
            return error
        if self._refused:
            log.warning("changes are kept again", refused=self._refused)
            self._refused = 0
        return None

    def _publish_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._publish(event)
            if self._counts is not None:
                self._counts.published(event)
