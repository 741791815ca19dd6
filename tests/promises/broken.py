"""For each promise something that breaks it: so that it is known that the play would notice."""

from collections.abc import Sequence

import attrs

from devicewatch.events import Cursor, Device, Event, Reason, Removed, Tick
from devicewatch.events.errors import JournalError
from devicewatch.events.messages import ErrorReply, Register, RegisterAck, Request
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.journal import Change, Journal, Past
from devicewatch.registry.service import Service
from devicewatch.subscribers.fetching import Fetching
from devicewatch.subscribers.hearsay import Hearsay
from devicewatch.subscribers.mirror import Mirror
from devicewatch.subscribers.snapshot import PagedSnapshot
from devicewatch.subscribers.view import View


class _ReversingView(View):
    def replay(self, events: Sequence[Event]) -> None:
        super().replay(events[::-1])


class ReplaysBackwards(Mirror):
    """Breaks P1: what it missed comes in the wrong order."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.view.__class__ = _ReversingView


class _GullibleView(View):
    def follow(self, message: Event | Tick) -> bool:
        if not isinstance(message, Tick) and message.seq == self.seq:
            self.put(message)
        return super().follow(message)


class TakesAnythingTwice(Mirror):
    """Breaks P2: what comes twice over the stream is handed out twice."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.view.__class__ = _GullibleView


class _IncuriousFetching(Fetching):
    def _plan(self, epoch: str) -> Request:
        return self._new_snapshot()


class NeverReplays(Mirror):
    """Breaks P3: after a gap it looks who is there, and misses who came and went."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._fetching.__class__ = _IncuriousFetching


class _ForgetfulSnapshot(PagedSnapshot):
    def complete(self, events: object) -> list[Device] | None:
        return [device for _, device in sorted(self._devices.items())]


class _ForgetfulFetching(Fetching):
    def _new_snapshot(self) -> Request:
        request = super()._new_snapshot()
        self._snapshot = _ForgetfulSnapshot()
        return request


class ForgetsWhatHappensBetweenPages(Mirror):
    """Breaks P4: what happens while it fetches the devices is forgotten."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._fetching.__class__ = _ForgetfulFetching


class _IgnorantView(View):
    def follow(self, message: Event | Tick) -> bool:
        return isinstance(message, Tick) or super().follow(message)


class TakesNoNoticeOfTicks(Mirror):
    """Breaks P5: it learns of a lost last event only with the next one."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.view.__class__ = _IgnorantView


class TakesSilenceForAbsence(Mirror):
    """Breaks P6: whoever is not heard of is gone."""

    def _lose(self, why: str, now: float) -> None:
        at = self.view.at or Cursor("", 0)
        for device in list(self.view.devices.values()):
            gone = Removed(at.epoch, at.seq, now, device, Reason.UNKNOWN)
            self.view._outbox.put(gone)
        super()._lose(why, now)


class _PatientHearsay(Hearsay):
    @property
    def silent_at(self) -> float:
        return float("inf")


class NeverHearsTheSilence(Mirror):
    """Breaks P6: it is live, though nothing has been heard for long."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._heard.__class__ = _PatientHearsay


class _CarelessView(View):
    def put(self, event: Event) -> None:
        if isinstance(event, Removed):
            event = attrs.evolve(event, device=attrs.evolve(event.device, addr=""))
        super().put(event)


class NamesOnlyTheName(Mirror):
    """Breaks P7: a `removed` does not carry the whole device."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.view.__class__ = _CarelessView


class TakesItsOwnAbsenceForTheirs(RegistryCore):
    """Breaks P8: while it stands still, leases run on."""

    def attend(self, now: float) -> None:
        self._leases.seen = now


class NeverLetsGo(RegistryCore):
    """Breaks P8: the silent stay."""

    def expire(self, now: float, *, drained: bool = True) -> list[Event]:
        self._ledger.begin()
        return []

    def next_deadline(self) -> float:
        return self._next_tick


class LetsTwoShareAnAddress(RegistryCore):
    """Breaks P9: nobody is displaced by whoever registers from the same address."""

    def _register(
        self, request: Register, now: float, peer: str | None
    ) -> tuple[RegisterAck | ErrorReply, list[Event]]:
        if request.addr in self._registrations.by_addr:
            del self._registrations.by_addr[request.addr]
        return super()._register(request, now, peer)


class GivesOutNewSecrets(RegistryCore):
    """Breaks P10: after a restart nobody's uuid is known any more."""

    def restore(self, past: Past, now: float) -> None:
        registrations = [
            attrs.evolve(registration, uuid=f"new-{registration.uuid}")
            for registration in past.registrations
        ]
        super().restore(attrs.evolve(past, registrations=registrations), now)


class GoesOnWithOldLeases(RegistryCore):
    """Breaks P10: for the time that it was away, devices may expire."""

    def restore(self, past: Past, now: float) -> None:
        registrations = [
            attrs.evolve(registration, lease=registration.lease / 2)
            for registration in past.registrations
        ]
        super().restore(attrs.evolve(past, registrations=registrations), now - 1)


class CountsAnew(RegistryCore):
    """Breaks P10: it has its devices back, but not its place in the stream."""

    def restore(self, past: Past, now: float) -> None:
        super().restore(attrs.evolve(past, seq=0, events=()), now)


class PublishesFirst(Service):
    """Breaks P10: watchers hear of what is not durable yet."""

    def _append(self, journal: Journal, change: Change) -> JournalError | None:
        self._publish_all(change.events)
        return super()._append(journal, change)


class AcknowledgesWhatIsNotKept(Service):
    """Breaks P10: a full disk is none of its business."""

    def _append(self, journal: Journal, change: Change) -> JournalError | None:
        super()._append(journal, change)
        return None
