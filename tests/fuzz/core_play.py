"""The registry as a target: requests of any kind, time, a disk that is full, and restarts.

Here is no model of what a request means, as there is in `tests/registry/test_core_machine`; only
what must hold whatever they mean, looked at after every step and from outside: through requests,
replies and what is published.
"""

import enum
import hashlib
from collections.abc import Iterator
from itertools import count
from typing import ClassVar, Final

import msgspec

from devicewatch.events.codec import (
    decode_reply,
    decode_request,
    encode_event,
    encode_request,
    request_name,
)
from devicewatch.events.errors import JournalError, MessageError
from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    CompactedReply,
    ErrorReply,
    EventsReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    UnknownRequest,
    Unregister,
    Unsupported,
)
from devicewatch.events.protocol import MAX_FRAME_BYTES, ErrorCode, Reason
from devicewatch.events.records import Added, Device, Event, StreamMessage, Tick
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.journal import Change, MemoryJournal, Registration
from devicewatch.registry.service import Service
from devicewatch.registry.settings import CoreSettings

from .reader import Reader

MOST_STEPS: Final = 150

TYPES: Final = ("cam", "arm")
NAMES: Final = ("", "cam", "cam-0", "cam-1", "cam-01", "arm")
ADDRS: Final = tuple(f"tcp://{n}" for n in range(5))
LEASES: Final = (0.5, 2.0, 20.0, 60.0)
STEPS: Final = (0.0, 0.25, 0.5, 1.0, 1.75, 10.0, 59.5, 100_000.0)
HISTORIES: Final = (0, 1, 3, 10_000)
LIMITS: Final = (1, 2, 250, 2**53 - 1)

ROUNDING: Final = 1e-6
"""Seconds: a lease that was taken back is reckoned anew from what was left of it."""

ANSWERS: Final[dict[type, tuple[type, ...]]] = {
    Register: (RegisterAck,),
    Unregister: (Ack,),
    CheckAlive: (Ack,),
    Info: (InfoReply,),
    Snapshot: (SnapshotReply,),
    Replay: (EventsReply, CompactedReply),
    UnknownRequest: (Unsupported,),
}
"""What a request may be answered with, besides an `ERROR`."""

REFUSALS: Final = (ErrorCode.OCCUPIED, ErrorCode.UNAVAILABLE)


class Step(enum.IntEnum):
    """What may happen, each a method; the numbers are those in the bytes."""

    REGISTER = 0
    REGISTER_AGAIN = 1
    LEAVE = 2
    RENEW = 3
    PAGE = 4
    REPLAY = 5
    RAW = 6
    WAIT = 7
    WAIT_FOR_DEADLINE = 8
    FILL_DISK = 9
    RESTART = 10
    SUBSCRIBE = 11


class _FillingJournal(MemoryJournal):
    """Its disk is full at times."""

    full = False

    @property
    def kept(self) -> list[Registration]:
        return list(self._registrations.values())

    def append(self, change: Change) -> None:
        if self.full:
            raise JournalError("the disk is full")
        super().append(change)


class CorePlay:
    """A registry's lives, as the bytes decide.

    Attributes:
        core, service: What is played with.
    """

    core: ClassVar[type[RegistryCore]] = RegistryCore
    service: ClassVar[type[Service]] = Service

    def __init__(self, data: bytes) -> None:
        self._reader = Reader(data)
        # No input holds what is made of a hash of all of it, so what it contains is no leak.
        self._secret = hashlib.sha256(data).hexdigest()[:16]
        numbers = count(1)
        self._new_uuid = lambda: f"{self._secret}-{next(numbers)}"
        self._history = self._reader.choose(HISTORIES)
        self._journal = _FillingJournal()
        self._now = 1000.0
        self._requests: list[Register] = []
        self._uuids: dict[str, int] = {}  # the revision that each stands for
        self._deadlines: dict[int, float] = {}  # the earliest at which a lease may end
        self._published: list[Event] = []
        self._devices: dict[str, Device] = {}
        self._paged = 0  # how much had been published when all pages were looked at
        self._was_full = False
        self._start()

    def run(self) -> None:
        for _ in range(MOST_STEPS):
            if not self._reader.has_more:
                break
            step = self._reader.choose(tuple(Step))
            getattr(self, f"_{step.name.lower()}")()
            self._check()
        self._journal.full = False
        self._let_pass(100_000_000.0)
        assert not self._core.devices, "every lease ends at last"

    def _start(self) -> None:
        past = self._journal.load("epoch", self._history)
        self._core = self.core(
            past.epoch, self._now, CoreSettings(history=self._history), self._new_uuid
        )
        self._core.restore(past, self._now)
        self._service = self.service(self._core, self._journal, self._publish)

    # --- what happens -------------------------------------------------------------------------

    def _register(self) -> None:
        self._requests.append(self._some_registration())
        self._ask(self._requests[-1])

    def _register_again(self) -> None:
        if self._requests:
            self._ask(self._reader.choose(self._requests))

    def _leave(self) -> None:
        self._ask(Unregister(self._some_uuid()))

    def _renew(self) -> None:
        self._ask(CheckAlive(self._some_uuid(), self._reader.choose(LEASES)))

    def _page(self) -> None:
        self._ask(Snapshot(self._reader.choose([None, 0, 1, 5]), self._reader.choose(LIMITS)))

    def _replay(self) -> None:
        epoch = self._reader.choose(["epoch", "epoch", "another"])
        self._ask(Replay(epoch, self._reader.number(200), self._reader.choose(LIMITS)))

    def _raw(self) -> None:
        number = self._reader.choose([1, 1, 1, 0, 2])
        self._send([self._reader.frame() for _ in range(number)])

    def _wait(self) -> None:
        self._let_pass(self._reader.choose(STEPS))

    def _wait_for_deadline(self) -> None:
        self._let_pass(max(0.0, self._core.next_deadline() - self._now))

    def _fill_disk(self) -> None:
        self._journal.full = not self._journal.full
        self._was_full = True

    def _restart(self) -> None:
        self._journal.close()
        self._start()
        for kept in self._journal.kept:
            self._deadlines[kept.device.revision] = self._now + kept.lease

    def _subscribe(self) -> None:
        self._core.subscribed(self._now)

    def _some_registration(self) -> Register:
        reader = self._reader
        kind = reader.number(8)
        return Register(
            device_type=reader.choose(TYPES) if kind else reader.text() or "?",
            addr=reader.choose(ADDRS) if kind else reader.text() or "?",
            name=reader.choose(NAMES) if kind else reader.text(),
            overwrite=reader.flag(),
            alive_timeout=reader.choose([None, *LEASES]),
            instance=reader.choose([None, f"{self._secret}-i", f"{self._secret}-j"]),
            metadata=reader.choose([None, {"fps": 30}]),
            displace=not reader.flag(),
        )

    def _some_uuid(self) -> str:
        known = list(self._uuids)[-8:]
        return self._reader.choose([*known, "", "made-up"])

    def _let_pass(self, seconds: float) -> None:
        end = self._now + seconds
        for _ in range(1000):
            self._now = max(self._now, min(end, self._core.next_deadline()))
            self._service.expire(self._now, drained=True)
            tick = self._core.tick(self._now)
            if tick is not None:
                self._see_tick(tick)
            if self._now >= end and self._core.next_deadline() > end:
                break
            if seconds > 1000.0:  # not all of the ticks
                self._now = end
        assert self._core.next_deadline() > self._now, "it spins"
        if not self._was_full:
            late = [d for d in self._devices.values() if self._deadlines[d.revision] <= self._now]
            assert not late, f"P8: they fell silent, and are there: {late}"

    # --- what comes of it ---------------------------------------------------------------------

    def _ask(self, request: Request) -> Reply:
        try:
            frame = encode_request(request)
        except MessageError:  # its text does not print; the registry has to say so as well
            payload = msgspec.structs.asdict(request)
            frame = msgspec.json.encode({"event": request_name(request), "payload": payload})
        return self._send([frame])

    def _send(self, frames: list[bytes]) -> Reply:
        """One reply to each, which the one who asked can read and which fits what was asked."""
        try:
            request: Request | None = decode_request(frames)
        except MessageError:
            request = None
        before = len(self._published)
        frame = self._service.answer(frames, self._now)
        assert len(frame) <= MAX_FRAME_BYTES
        reply = decode_reply([frame])
        if isinstance(reply, ErrorReply):
            assert ErrorCode(reply.code) is not ErrorCode.INTERNAL, reply.message
            assert request is None or reply.code in REFUSALS, reply.message
            assert len(self._published) == before, "what was refused has happened"
        else:
            assert request is not None, f"bytes that are no request were answered {reply}"
            assert isinstance(reply, ANSWERS[type(request)])
        self._note(request, reply)
        return reply

    def _note(self, request: Request | None, reply: Reply) -> None:
        match request, reply:
            case Register(), RegisterAck():
                device = self._devices[reply.name]
                assert reply.uuid.startswith(self._secret)
                assert device.addr == request.addr
                known = self._uuids.setdefault(reply.uuid, device.revision)
                assert known == device.revision, "P10: one uuid, one registration"
                assert reply.alive_timeout is not None
                self._deadlines[device.revision] = self._now + reply.alive_timeout
            case CheckAlive(), Ack():
                here = self._uuids.get(request.uuid) in self._revisions
                assert reply.success is here, "P10: a uuid renews its own registration, and always"
                if reply.success:
                    deadline = self._now + request.alive_timeout
                    self._deadlines[self._uuids[request.uuid]] = deadline
            case Unregister(), Ack(success=True):
                assert self._uuids[request.uuid] not in self._revisions
            case Snapshot(), SnapshotReply() | ErrorReply():
                assert self._secret not in repr(reply)
            case Replay(), EventsReply():
                known_events = self._published[request.after :][: len(reply.events)]
                assert list(reply.events) == known_events, "P3: history is what was published"
                assert reply.events or request.after == reply.seq
            case Replay(), CompactedReply():
                oldest = max(0, len(self._published) - self._history) + 1
                assert reply.oldest == oldest
                reached = oldest - 1 <= request.after <= len(self._published)
                assert request.epoch != self._core.epoch or not reached
            case _:
                return

    def _publish(self, message: StreamMessage) -> None:
        """Follow the stream like a subscriber."""
        assert isinstance(message, Event)
        self._published.append(message)
        assert message.seq == len(self._published), "P1: no holes"
        assert self._secret.encode() not in b"".join(encode_event(message)), "a secret is out"
        device = message.device
        if isinstance(message, Added):
            assert message.seq == device.revision
            assert device.name not in self._devices, "P9: one name, one device"
            addrs = [other.addr for other in self._devices.values()]
            assert device.addr not in addrs, "P9: one address, one device"
            self._devices[device.name] = device
        else:
            assert self._devices.pop(device.name, None) == device, "P7"
            if message.reason is Reason.EXPIRED:
                early = self._deadlines[device.revision] - self._now
                assert early <= ROUNDING, "P8: it expired early"

    def _see_tick(self, tick: Tick) -> None:
        assert (tick.epoch, tick.seq) == (self._core.epoch, len(self._published))
        encode_event(tick)

    # --- what always holds --------------------------------------------------------------------

    @property
    def _revisions(self) -> set[int]:
        return {device.revision for device in self._devices.values()}

    def _check(self) -> None:
        """What is published, what SNAPSHOT gives, what INFO says and what is kept agree."""
        assert self._core.devices == self._devices
        if len(self._published) != self._paged:
            self._paged = len(self._published)
            assert {device.name: device for device in self._pages()} == self._devices, "P4"
        info = self._ask(Info())
        assert isinstance(info, InfoReply)
        assert (info.seq, info.devices) == (len(self._published), len(self._devices))
        kept = {kept.device.name: kept.device for kept in self._journal.kept}
        assert kept == self._devices, "P10: what is kept is what is there"

    def _pages(self) -> Iterator[Device]:
        after: int | None = None
        while True:
            frame = self._service.answer([encode_request(Snapshot(after, 2))], self._now)
            assert self._secret.encode() not in frame, "a secret is out"
            page = decode_reply([frame])
            assert isinstance(page, SnapshotReply)
            yield from page.devices
            if page.next is None:
                return
            assert page.next > (after or 0), "paging goes on"
            after = page.next


def play_the_core(data: bytes) -> None:
    CorePlay(data).run()
