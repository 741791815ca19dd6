"""A mirror driven by hand, and messages for it in short."""

from collections.abc import Sequence

from devicewatch.events.codec import decode_request, encode_event, encode_reply
from devicewatch.events.messages import (
    Info,
    InfoReply,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
)
from devicewatch.events.protocol import MAX_PAGE, Reason
from devicewatch.events.records import (
    Added,
    Device,
    Event,
    Removed,
    StreamMessage,
    Tick,
)
from devicewatch.subscribers.mirror import Ask, Listen, Mirror

URL = "tcp://registry:5555"
STREAM = "tcp://registry:5556"
WALL = 1_700_000_000.0

FIRST_PAGE = Snapshot(limit=MAX_PAGE)


class Driver:
    """A mirror in our hands: what arrives, and when, is up to the test."""

    def __init__(self, url: str = URL, events_url: str | None = None, jitter: float = 1.0) -> None:
        self.now = 100.0
        self.mirror = Mirror(url, events_url=events_url, jitter=lambda: jitter)
        self.mirror.start(self.now)

    def asked(self) -> Request:
        """The request that the mirror makes now, and nothing else."""
        [action] = self.mirror.actions()
        assert isinstance(action, Ask)
        return decode_request([action.request])

    def listened(self) -> str:
        """The address that the mirror listens to now, and nothing else."""
        [action] = self.mirror.actions()
        assert isinstance(action, Listen)
        return action.url

    def stream(self, *messages: StreamMessage) -> None:
        for message in messages:
            self.mirror.stream_received(encode_event(message), self.now)

    def reply(self, reply: Reply) -> None:
        self.mirror.reply_received([encode_reply(reply)], self.now)

    def advance_to_deadline(self) -> float:
        """Wait until the mirror has something to do; say for how long."""
        before, self.now = self.now, self.mirror.next_deadline()
        self.mirror.advance(self.now)
        return self.now - before

    def events(self) -> list[Event]:
        return list(iter(self.mirror.next_event, None))


def info(tick_interval: float = 1.0, epoch: str = "e") -> InfoReply:
    return InfoReply(1, epoch, 0, 0, tick_interval, 1.0, 100, events_port=5556)


def device(revision: int, name: str = "", addr: str = "") -> Device:
    """A device, by default one with a name and an address of its own."""
    name = name or f"d{revision}"
    return Device(name, "arm", addr or f"tcp://{name}:1", revision, WALL + revision)


def added(seq: int, name: str = "", addr: str = "", epoch: str = "e") -> Added:
    return Added(epoch, seq, WALL + seq, device(seq, name, addr))


def removed(seq: int, gone: Device, reason: Reason = Reason.EXPIRED) -> Removed:
    return Removed("e", seq, WALL + seq, gone, reason)


def tick(seq: int, epoch: str = "e") -> Tick:
    return Tick(epoch, seq, WALL + seq)


def page(
    seq: int, devices: Sequence[Device] = (), after: int | None = None, epoch: str = "e"
) -> SnapshotReply:
    return SnapshotReply(epoch, seq, devices, after)


def listening() -> Driver:
    driver = Driver()
    driver.mirror.actions()
    driver.reply(info())
    driver.mirror.actions()
    return driver


def syncing(seq: int = 0) -> Driver:
    driver = listening()
    driver.stream(tick(seq))
    driver.mirror.actions()
    return driver


def live(seq: int = 0, *devices: Device) -> Driver:
    """A view that is live, with these devices handed out already."""
    driver = syncing(seq)
    driver.reply(page(seq, devices))
    driver.events()
    return driver


def stale(seq: int = 0, *devices: Device) -> Driver:
    """A view that was live until the stream fell silent; INFO has been asked for."""
    driver = live(seq, *devices)
    driver.advance_to_deadline()
    assert driver.asked() == Info()
    return driver
