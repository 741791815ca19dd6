"""Publishers and registries that are broken, or mean it ill, and a mirror at their mercy."""

from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Final, TypeAlias

from devicewatch.events.codec import encode_event
from devicewatch.events.messages import (
    CompactedReply,
    EventsReply,
    Info,
    Replay,
    Reply,
    Request,
    SnapshotReply,
)
from devicewatch.events.records import Added, Bye, Tick
from devicewatch.subscribers.mirror import Listen
from tests.support.driver import Driver, info

ROUND_TRIP: Final = 0.01

Frames: TypeAlias = list[bytes]
Answer: TypeAlias = Callable[[Request], Reply | None]


class Attack:
    """A mirror at the mercy of a stream and a registry, and a reader who reads all there is.

    Args:
        stream: What is published, a message after the other, once `every` seconds.
        answer: What each request is answered with, after a moment.
        driver: The mirror.
    """

    def __init__(
        self,
        stream: Callable[[], Iterator[Frames]],
        answer: Answer,
        *,
        driver: Driver | None = None,
        every: float = 1.0,
        reads: bool = True,
    ) -> None:
        self.driver = driver or Driver(jitter=0.0)
        self.largest = 0
        self.stream = stream()
        self.answer = answer
        self._every = every
        self._reads = reads
        self._reply: tuple[float, Reply] | None = None
        self._next_message = self.driver.now + every

    def run(self, minutes: int) -> list[int]:
        """Let it go on; say how many requests the mirror has made in each minute."""
        asked = []
        for _ in range(minutes):
            before, end = self.driver.asks, self.driver.now + 60.0
            while self.step(end):
                pass
            asked.append(self.driver.asks - before)
        return asked

    def step(self, end: float) -> bool:
        """Let the next thing happen, but not after `end`; say whether time is left."""
        driver = self.driver
        driver.mirror.advance(driver.now)
        acted = self._act()
        deadline = driver.mirror.next_deadline()
        assert deadline > driver.now or acted, "it spins"
        reply_at = self._reply[0] if self._reply else end
        driver.now = max(driver.now, min(deadline, self._next_message, reply_at, end))
        if self._reply and self._reply[0] <= driver.now:
            reply, self._reply = self._reply[1], None
            driver.reply(reply)
            self._act()
        if self._next_message <= driver.now:
            self._next_message += self._every
            driver.mirror.stream_received(next(self.stream), driver.now)
            self._act()
        self.largest = max(self.largest, driver.size)
        if self._reads:
            driver.records()
        return driver.now < end

    def _act(self) -> bool:
        actions = self.driver.actions()
        for action in actions:
            if not isinstance(action, Listen):
                reply = self.answer(action)
                self._reply = None if reply is None else (self.driver.now + ROUND_TRIP, reply)
        return bool(actions)


def says(*messages: Tick | Bye | Added) -> Callable[[], Iterator[Frames]]:
    return lambda: cycle([encode_event(message) for message in messages])


def honest(seq: int = 5, epoch: str = "e") -> Answer:
    """A registry without devices where nothing happens."""

    def answer(request: Request) -> Reply:
        match request:
            case Info():
                return info(epoch=epoch)
            case Replay() if request.epoch == epoch and request.after == seq:
                return EventsReply(epoch, seq, [])
            case Replay():
                return CompactedReply(epoch, seq, seq + 1)
        return SnapshotReply(epoch, seq, [], None)

    return answer


def instead(kind: type[Request], wrong: Answer, seq: int = 5) -> Answer:
    """A registry that answers requests of one kind in a way of its own."""
    right = honest(seq)
    return lambda request: wrong(request) if isinstance(request, kind) else right(request)


def forever(make: Callable[[int], Tick | Bye | Added]) -> Callable[[], Iterator[Frames]]:
    return lambda: (encode_event(make(number)) for number in count(1))


def new_epoch_each_time() -> Answer:
    epochs = count(1)

    def answer(request: Request) -> Reply:
        reply = honest(0, f"f{next(epochs)}")(request)
        assert reply is not None
        return reply

    return answer
