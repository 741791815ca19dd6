"""What becomes of requests, and of time that passes: durable, then published, then replied.

This order is what P10 rests on. Whoever has a reply may rely on the change, since it has been
kept; and nobody hears of an event that a restart could undo. Where the journal cannot keep a
change, it is taken back: state, journal and stream agree, and the reply is an `ERROR` that says so.
A change that was kept, but not published before the registry was killed, is in the history that the
next run begins with, where watchers find it.

To keep a change takes as long as several requests, or, where it waits for the disk, as hundreds. So
those that come together are kept together: `collect` serves them, and nothing of it gets out until
`commit` has had all that they changed kept as one. Each is served on top of what those before it
have changed, and if that cannot be kept, the answers of all that follow are void, too. Then
everything since the first change is taken back, and each of them is served `again`, by itself: so
each gets its own right answer, and what one of them has that cannot be kept costs the others
nothing. As long as there is `trouble`, whoever drives this does not collect any in the first place.

It has no socket and reads no clock: `loop` does that, and so do tests that let it die at each step.
"""

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from ..events.codec import decode_request, encode_reply, request_name
from ..events.errors import JournalError, MessageError
from ..events.logs import get_logger
from ..events.messages import ErrorReply, Reply, Request
from ..events.protocol import ErrorCode
from ..events.records import Event, StreamMessage
from .core import RegistryCore
from .counts import Counts
from .journal import Change, Journal, NoJournal
from .security import peer_name
from .tally import Tally

_NOTABLE: Final = (ErrorCode.FORBIDDEN, ErrorCode.TOO_FAST, ErrorCode.TOO_MANY)
"""Refusals that whoever looks after the registry wants to know of."""

# Compiled, what is final here is found without a look into a dict.
_ErrorReply: Final = ErrorReply

_FAILED: Final = ErrorReply(None, ErrorCode.INTERNAL, "the registry failed; see its log")

log = get_logger(__name__)


@attrs.define(eq=False)
class Collected:
    """A request whose answer is true only if what it rests on can be kept.

    Attributes:
        request: It, if it was understood.
        reply: Its answer.
        now: When it came.
        peer: Whose it is.
        final: Whether its answer is true in any case.
    """

    request: Request | None
    reply: Reply
    now: float
    peer: str | None
    final: bool


class Service:
    """Serves requests, and lets leases end.

    Args:
        core: Decides.
        journal: Keeps what the core has changed.
        publish: Sends a message to all subscribers.

    Attributes:
        latest: The latest request, if it was understood, and its answer; once it counts.
        trouble: How many changes could not be kept, since the last one that was.
    """

    latest: tuple[Request | None, Reply]

    def __init__(
        self, core: RegistryCore, journal: Journal, publish: Callable[[StreamMessage], None]
    ) -> None:
        self._core = core
        # Where nothing is kept, what there would be to keep is not even put together.
        self._journal = None if isinstance(journal, NoJournal) else journal
        if self._journal is not None:
            core.hold()
        self._publish = publish
        self._tally = Tally()
        self._counts: Counts | None = None
        self._collected: list[Collected] = []  # since the first change that is not kept yet
        self.trouble = 0

    def count(self, counts: Counts, journal: Journal) -> None:
        """Count from now on what is published.

        Args:
            counts: There.
            journal: Takes the journal's place.
        """
        self._counts = counts
        if self._journal is not None:
            self._journal = journal

    # --- several together -----------------------------------------------------------------------

    def collect(self, frames: Sequence[bytes], now: float, peer: str | None = None) -> bytes:
        """Serve one request of several, whatever it is, and give the one frame of its reply.

        It may leave once `commit` has come back, and has not given it back.

        Args:
            frames: The request.
            now: The time.
            peer: Whose it is; see `RegistryCore.handle`.
        """
        try:
            request = decode_request(frames)
        except MessageError as error:
            return self._refuse_malformed(error, now, peer)
        try:
            reply, events = self._core.handle(request, now, peer)
        except Exception:  # noqa: BLE001 (it is logged)
            reply, events = self._fail(), []
        if self._journal is not None and (self._collected or self._core.unsettled):
            final = type(reply) is _ErrorReply and reply.code == ErrorCode.TOO_FAST
            self._collected.append(Collected(request, reply, now, peer, final))
        elif events:
            self._publish_all(events)
        elif type(reply) is _ErrorReply and reply.code in _NOTABLE:
            self._log("refused", reply, now, peer)
        if self._counts is not None:
            self.latest = request, reply
        return encode_reply(reply)

    def commit(self) -> Sequence[Collected]:
        """Have all that the requests collected so far have changed kept as one, and publish it.

        Returns:
            Nothing, as a rule. Otherwise it cannot be kept, and has been taken back: these, which
            came last, have to be served with `answer_again`, in this order, before any other.

        Raises:
            Exception: The journal does not know what it has kept; the registry has to stop.
        """
        if not self._collected:
            return ()
        collected, self._collected = self._collected, []
        if self._try_to_keep() is not None:
            self._core.refused -= sum(_is_forbidden(one.reply) for one in collected)
            return collected
        for one in collected:
            self._note_refusal(one)
        return ()

    # --- one by itself --------------------------------------------------------------------------

    def answer(self, frames: Sequence[bytes], now: float, peer: str | None = None) -> bytes:
        """Serve one request by itself: its reply may leave at once. Not while any are collected.

        Args:
            frames: The request.
            now: The time.
            peer: Whose it is.

        Raises:
            Exception: As in `commit`.
        """
        answer = self.collect(frames, now, peer)
        return self._conclude(self._collected.pop()) if self._collected else answer

    def answer_again(self, collected: Collected, now: float) -> bytes:
        """The same for a request that `commit` has given back.

        Raises:
            Exception: As in `commit`.
        """
        if not collected.final:
            assert collected.request is not None  # noqa: S101 (what was not understood is final)
            try:
                reply, _ = self._core.handle_again(collected.request, now, collected.peer)
            except Exception:  # noqa: BLE001 (it is logged)
                reply = self._fail()
            collected = attrs.evolve(collected, reply=reply, now=now)
        return self._conclude(collected)

    def _conclude(self, collected: Collected) -> bytes:
        """Have what one request has changed kept, if anything, and give its reply."""
        request, reply = collected.request, collected.reply
        why_not = self._keep()
        if why_not is not None and request is not None:
            why = f"nothing has changed, as the registry cannot keep it now: {why_not}"
            reply = ErrorReply(request_name(request), ErrorCode.UNAVAILABLE, why)
        else:
            self._note_refusal(collected)
        if self._counts is not None:
            self.latest = request, reply
        return encode_reply(reply)

    def expire(self, now: float, *, drained: bool) -> None:
        """Remove devices whose lease has ended for sure; see `RegistryCore.expire`.

        Not while any requests are collected.

        Raises:
            Exception: As in `commit`.
        """
        events = self._core.expire(now, drained=drained)
        if self._journal is None:
            self._publish_all(events)
        else:
            self._keep()

    # --- durable, then published ----------------------------------------------------------------

    def _keep(self) -> JournalError | None:
        """Have one change kept and publish it, or take it back and say why."""
        error = self._try_to_keep()
        if error is not None:
            if not self.trouble:
                log.error("changes cannot be kept, and are refused until they can", why=str(error))
            self.trouble += 1
            if self._counts is not None:
                self._counts.not_kept += 1
        return error

    def _try_to_keep(self) -> JournalError | None:
        change = self._core.change
        if change is None or self._journal is None:
            return None
        error = self._append(self._journal, change)
        if error is not None:
            self._core.revert_all()
            return error
        self._core.settle()
        if self.trouble:
            log.warning("changes are kept again", refused=self.trouble)
            self.trouble = 0
        self._publish_all(change.events)
        return None

    def _append(self, journal: Journal, change: Change) -> JournalError | None:
        try:
            journal.append(change)
        except JournalError as error:
            return error
        return None

    def _publish_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._publish(event)
            if self._counts is not None:
                self._counts.published(event)

    # --- refusals -------------------------------------------------------------------------------

    def _refuse_malformed(self, error: MessageError, now: float, peer: str | None) -> bytes:
        reply = ErrorReply(error.req_event, error.code, str(error))
        self._log("bad request", reply, now, peer)
        if self._collected:  # its reply has its place among those of the others
            self._collected.append(Collected(None, reply, now, peer, final=True))
        if self._counts is not None:
            self.latest = None, reply
        return encode_reply(reply)

    def _fail(self) -> ErrorReply:
        """Our own fault, but one request's: the next one must be served (P11)."""
        log.exception("a request failed inside the registry")
        self._core.revert()
        return _FAILED

    def _note_refusal(self, collected: Collected) -> None:
        reply = collected.reply
        if type(reply) is _ErrorReply and reply.code in _NOTABLE:
            self._log("refused", reply, collected.now, collected.peer)

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


def _is_forbidden(reply: Reply) -> bool:
    return type(reply) is _ErrorReply and reply.code == ErrorCode.FORBIDDEN
