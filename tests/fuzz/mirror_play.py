"""The mirror as a target: a registry that is honest behind a bad network, or one that is hostile.

Behind a bad network all promises hold, and the validators of `tests.promises` judge what is handed
out. Of hostility it only has to come away in one piece: it raises nothing, grows no further than
its limits, does not spin, always has a deadline, and shows the devices that its records add up to.
"""

import enum
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final
from unittest.mock import patch

from devicewatch.events.messages import (
    CompactedReply,
    ErrorReply,
    EventsReply,
    InfoReply,
    Register,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Unregister,
)
from devicewatch.events.protocol import MAX_INTEGER, Reason
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Device,
    Event,
    Live,
    Removed,
    Stale,
    State,
    StreamMessage,
    Tick,
)
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings
from devicewatch.subscribers.mirror import Listen, Mirror, Phase
from devicewatch.subscribers.snapshot import fold
from tests.promises.validators import Judge, Truth
from tests.support.cores import greeting
from tests.support.driver import Driver, device, info

from .reader import Reader

MOST_STEPS: Final = 300
MOST_DEVICES: Final = 8
MOST_KEPT: Final = 6
HISTORY: Final = 5
TYPES: Final = ("arm", "camera")
STEPS: Final = (0.0, 0.1, 1.0, 2.9, 60.0)
TICKS: Final = (0.01, 1.0, 3600.0)
SEQS: Final = (0, 1, 2, 3, 4, 5, 6, 10**6, MAX_INTEGER)
REASONS: Final = tuple(Reason)
MOST_IN_ALL: Final = 10 * MOST_DEVICES + MOST_KEPT
"""What a mirror may hold, wherever it holds it, where its limits are the two above."""


class Step(enum.IntEnum):
    """What may happen, each a method; the numbers are those in the bytes."""

    ANSWER = 0
    DELIVER = 1
    READ = 2
    WAIT = 3
    WAIT_FOR_DEADLINE = 4
    COME = 5
    GO = 6
    TICK = 7
    LOSE = 8
    REPEAT = 9
    OVERTAKE = 10
    RESTART = 11
    LISTEN_FAILS = 12
    HEAR = 13
    HEAR_RAW = 14
    REPLY = 15
    REPLY_RAW = 16


HONEST: Final = tuple(Step)[: Step.LISTEN_FAILS + 1]


class MirrorPlay:
    """A mirror, a registry and the network between them, as the bytes decide.

    Attributes:
        mirror: What is played with.
    """

    mirror: ClassVar[type[Mirror]] = Mirror

    def __init__(self, data: bytes) -> None:
        self._reader = reader = Reader(data)
        self._hostile = reader.flag()
        self._steps = tuple(Step) if self._hostile else HONEST
        self._type = reader.choose([None, "arm"])
        self._limit = reader.choose([1, 3, 1000])
        since = reader.choose([None, None, Cursor("e1", 1), Cursor("e1", 2, 1)])
        self._since = since if self._hostile else None
        self._existing = reader.flag() or not self._hostile
        with patch("tests.support.driver.Mirror", self.mirror):
            self._driver = Driver(
                since=self._since,
                device_type=self._type,
                existing=self._existing,
                max_waiting=self._limit,
                jitter=float(reader.flag()),
            )
        self._truth = Truth(HISTORY)
        self._judge = Judge(self._truth, self._type)
        self._epochs = 0
        self._question: Request | None = None
        self._stream: list[StreamMessage] = []
        self._listens = False
        self._told: dict[str, Device] = {}
        self._uuids: list[str] = []
        self._start_registry()

    def run(self) -> None:
        self._act()
        for _ in range(MOST_STEPS):
            if not self._reader.has_more:
                break
            step = self._reader.choose(self._steps)
            getattr(self, f"_{step.name.lower()}")()
            self._driver.mirror.advance(self._driver.now)
            self._act()
            self._check()
        self._read_some(math.inf)

    # --- what happens -------------------------------------------------------------------------

    def _start_registry(self) -> None:
        self._epochs += 1
        settings = CoreSettings(history=HISTORY, events_port=5556)
        self._core = RegistryCore(f"e{self._epochs}", self._driver.now, settings)
        self._stream.clear()
        self._listens = False

    def _answer(self) -> None:
        if self._question is not None:
            reply, _ = self._core.handle(self._question, self._driver.now)
            self._question = None
            self._driver.reply(reply)

    def _deliver(self) -> None:
        if self._stream:
            self._driver.stream(self._stream.pop(0))

    def _read(self) -> None:
        self._read_some(self._reader.number(8) + 1)

    def _wait(self) -> None:
        self._driver.now += self._reader.choose(STEPS)

    def _wait_for_deadline(self) -> None:
        self._driver.now = max(self._driver.now, self._driver.mirror.next_deadline())

    def _come(self) -> None:
        reader = self._reader
        kind, addr, name = reader.choose(TYPES), f"tcp://{reader.number(6)}", reader.choose("abc")
        self._happens(Register(kind, addr, name))

    def _go(self) -> None:
        held = list(self._core._registrations.by_uuid)
        if held:
            self._happens(Unregister(self._reader.choose(held)))

    def _tick(self) -> None:
        self._publish(greeting(self._core, self._driver.now))

    def _lose(self) -> None:
        if self._stream:
            del self._stream[self._reader.number(len(self._stream))]

    def _repeat(self) -> None:
        self._stream[:0] = self._stream[:1]

    def _overtake(self) -> None:
        self._stream.extend(self._stream[:1])
        del self._stream[:1]

    def _restart(self) -> None:
        self._start_registry()
        if self._reader.flag():  # ZeroMQ has connected again, by itself
            self._listen()

    def _listen_fails(self) -> None:
        if self._driver.mirror.phase is Phase.LISTENING:
            self._driver.mirror.listen_failed("no such address", self._driver.now)
            self._listens = False

    def _hear(self) -> None:
        self._driver.stream(self._some_message())

    def _hear_raw(self) -> None:
        frames = [self._reader.frame() for _ in range(self._reader.choose([2, 2, 0, 1, 3]))]
        self._driver.mirror.stream_received(frames, self._driver.now)

    def _reply(self) -> None:
        self._driver.reply(self._some_reply())

    def _reply_raw(self) -> None:
        self._driver.mirror.reply_received([self._reader.frame()], self._driver.now)

    def _happens(self, request: Request) -> None:
        """Something happens at the registry, and is on its way to whoever listens."""
        _, events = self._core.handle(request, self._driver.now)
        for event in events:
            self._truth.publish(event)
            self._publish(event)

    def _publish(self, message: StreamMessage) -> None:
        if self._listens:
            self._stream.append(message)

    def _listen(self) -> None:
        self._listens = True
        self._stream = [greeting(self._core, self._driver.now)]

    def _act(self) -> None:
        for action in self._driver.actions():
            if isinstance(action, Listen):
                self._listen()
            else:
                self._question = action

    def _read_some(self, number: float) -> None:
        mirror, read = self._driver.mirror, 0
        while read < number and (record := mirror.view.next_record()) is not None:
            read += 1
            if not self._hostile:
                self._judge.see(record)
                self._judge.sees(mirror.view.devices, mirror.view.cursor)
            if isinstance(record, Added | Removed):
                assert self._type in (None, record.device.device_type)
                if self._since is None and self._existing:
                    fold(self._told, record)
                    assert self._told == mirror.view.devices
                    assert record.cursor == mirror.view.cursor
            else:
                assert isinstance(record, Live | Stale)

    # --- what a hostile one sends ---------------------------------------------------------------

    def _some_epoch(self) -> str:
        return self._reader.choose(["e1", "e2", "f"])

    def _some_device(self, revision: int | None = None) -> Device:
        reader = self._reader
        number = reader.number(7) if revision is None else revision
        name = reader.choose(["", "a", "b"])
        return device(number, name, device_type=reader.choose(TYPES))

    def _some_event(self, seq: int | None = None, epoch: str | None = None) -> Event:
        epoch = self._some_epoch() if epoch is None else epoch
        if self._reader.flag():
            found = self._some_device(seq)
            return Added(epoch, found.revision, 1.0, found)
        gone, why = self._some_device(), self._reader.choose(REASONS)
        return Removed(epoch, self._reader.number(7) if seq is None else seq, 1.0, gone, why)

    def _some_message(self) -> StreamMessage:
        reader = self._reader
        match reader.number(4):
            case 0:
                return Tick(self._some_epoch(), reader.choose(SEQS), 1.0)
            case 1:
                return Bye(self._some_epoch(), reader.choose(SEQS), 1.0)
            case _:
                return self._some_event()

    def _some_reply(self) -> Reply:
        reader, question = self._reader, self._question
        epoch, seq = self._some_epoch(), reader.choose(SEQS)
        match reader.number(6):
            case 0:
                return info(reader.choose(TICKS), epoch)
            case 1:
                return InfoReply(1, epoch, seq, 0, 1.0, 1.0, 0)
            case 2:
                return ErrorReply(None, "INTERNAL", reader.text())
            case 3:
                return CompactedReply(epoch, seq, reader.number(8))
            case 4:
                first = question.after if isinstance(question, Replay) else reader.number(8)
                number = reader.number(6)
                events = [self._some_event(first + n + 1, epoch) for n in range(number)]
                return EventsReply(epoch, first + number + reader.number(2), events)
            case _:
                first = question.after or 0 if isinstance(question, Snapshot) else 0
                found = [self._some_device(first + n + 1) for n in range(reader.number(6))]
                more = found[-1].revision if found and reader.flag() else None
                return SnapshotReply(epoch, seq, found, reader.choose([more, more, seq]))

    # --- what always holds ----------------------------------------------------------------------

    def _check(self) -> None:
        driver, mirror = self._driver, self._driver.mirror
        deadline = mirror.next_deadline()
        assert math.isfinite(deadline)
        assert deadline > driver.now, "it spins"
        state = mirror.view.status.state
        assert (state is State.LIVE) is (mirror.phase is Phase.LIVE)
        assert (mirror.view.trouble == "") is (mirror.phase is Phase.LIVE)
        assert mirror.view.status.why == mirror.view.trouble
        assert mirror.view.resumed is None or self._since is not None
        if not self._hostile:
            assert mirror.discarded == 0
            self._judge.sees(mirror.view.devices, mirror.view.cursor)
        else:
            assert driver.size <= MOST_IN_ALL, f"it grows: {driver.size}"


@contextmanager
def small_limits() -> Iterator[None]:
    """So that an input of some hundred bytes can reach them."""
    with (
        patch("devicewatch.subscribers.view.MAX_DEVICES", MOST_DEVICES),
        patch("devicewatch.subscribers.snapshot.MAX_DEVICES", MOST_DEVICES),
        patch("devicewatch.subscribers.mirror.MAX_DEVICES", MOST_DEVICES),
        patch("devicewatch.subscribers.fetching.MAX_DEVICES", MOST_DEVICES),
        patch("devicewatch.subscribers.hearsay.MAX_KEPT", MOST_KEPT),
    ):
        yield


def play_a_mirror(data: bytes) -> None:
    with small_limits():
        MirrorPlay(data).run()
