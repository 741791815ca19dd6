"""A mirror driven by hand, and messages for it in short."""

from collections.abc import Sequence

from devicewatch.events.codec import decode_request, encode_event, encode_reply
from devicewatch.events.messages import (
    CompactedReply,
    EventsReply,
    Info,
    InfoReply,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
)
from devicewatch.events.protocol import MAX_PAGE, Reason
from devicewatch.events.records import (
    Added,
    Cursor,
    Device,
    Event,
    Live,
    Record,
    Removed,
    Stale,
    StreamMessage,
    Tick,
)
from devicewatch.registry.core import RegistryCore
from devicewatch.subscribers.mirror import Ask, Listen, Mirror, Phase
from devicewatch.subscribers.outbox import MAX_WAITING

from .cores import greeting

URL = "tcp://registry:5555"
STREAM = "tcp://registry:5556"
WALL = 1_700_000_000.0

FIRST_PAGE = Snapshot(limit=MAX_PAGE)


class Driver:
    """A mirror in our hands: what arrives, and when, is up to the test.

    Attributes:
        now: The time on the mirror's clock.
        asks: How many requests it has made so far, as far as its actions were taken.
    """

    def __init__(
        self,
        url: str = URL,
        events_url: str | None = None,
        jitter: float = 1.0,
        *,
        since: Cursor | None = None,
        device_type: str | None = None,
        existing: bool = True,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.now = 100.0
        self.asks = 0
        self.mirror = Mirror(
            url,
            events_url=events_url,
            since=since,
            device_type=device_type,
            existing=existing,
            max_waiting=max_waiting,
            jitter=lambda: jitter,
        )
        self.mirror.start(self.now)

    def is_in(self, phase: Phase) -> bool:
        """Whether it is busy with this: unlike an attribute, mypy lets it change."""
        return self.mirror.phase is phase

    # --- what it does -------------------------------------------------------------------------

    def actions(self) -> list[Request | Listen]:
        """What the mirror does now: requests are decoded, and counted."""
        done: list[Request | Listen] = []
        for action in self.mirror.actions():
            if isinstance(action, Ask):
                self.asks += 1
                done.append(decode_request([action.request]))
            else:
                done.append(action)
        return done

    def asked(self) -> Request:
        """The request that the mirror makes now, and nothing else."""
        [action] = self.actions()
        assert not isinstance(action, Listen)
        return action

    def listened(self) -> str:
        """The address that the mirror listens to now, and nothing else."""
        [action] = self.actions()
        assert isinstance(action, Listen)
        return action.url

    # --- what happens to it -------------------------------------------------------------------

    def stream(self, *messages: StreamMessage) -> None:
        mirror = self.mirror
        for message in messages:
            was_live, asked = mirror.phase is Phase.LIVE, len(mirror._actions)
            if mirror.stream_received(encode_event(message), self.now):  # then that was all
                assert was_live
                assert mirror.phase is Phase.LIVE
                assert len(mirror._actions) == asked
                assert mirror.next_deadline() > self.now

    def reply(self, reply: Reply) -> None:
        self.mirror.reply_received([encode_reply(reply)], self.now)

    def advance_to_deadline(self) -> float:
        """Wait until the mirror has something to do; say for how long."""
        before, self.now = self.now, self.mirror.next_deadline()
        self.mirror.advance(self.now)
        return self.now - before

    def wait(self, seconds: float) -> None:
        """Let time pass, and nothing arrive."""
        end = self.now + seconds
        while self.mirror.next_deadline() <= end:
            self.now = max(self.now, self.mirror.next_deadline())
            self.mirror.advance(self.now)
        self.now = end

    def serve(self, core: RegistryCore) -> list[Request]:
        """Let a registry answer whatever the mirror asks, until it asks no more; say what."""
        requests: list[Request] = []
        while actions := self.actions():
            for action in actions:
                if isinstance(action, Listen):
                    self.stream(greeting(core, self.now))
                else:
                    requests.append(action)
                    reply, _ = core.handle(action, self.now)
                    self.reply(reply)
        return requests

    # --- what it gives ------------------------------------------------------------------------

    def records(self) -> list[Record]:
        return list(iter(self.mirror.view.next_record, None))

    def events(self) -> list[Event]:
        return [record for record in self.records() if isinstance(record, Added | Removed)]

    def words(self) -> list[Live | Stale]:
        """What it says of the view, without the events in between."""
        return [record for record in self.records() if isinstance(record, Live | Stale)]

    def next_event(self) -> Event | None:
        """The next event, past any word on the view."""
        while (record := self.mirror.view.next_record()) is not None:
            if isinstance(record, Added | Removed):
                return record
        return None

    @property
    def size(self) -> int:
        """How many devices and events the mirror holds in memory, wherever it holds them."""
        mirror = self.mirror
        view = mirror.view
        return (
            len(mirror.view.devices)
            + view.waiting
            + len(view._replayed)
            + len(mirror._heard._kept)
            + len(mirror._fetching._snapshot._devices)
        )


# --- messages in short ------------------------------------------------------------------------


def info(tick_interval: float = 1.0, epoch: str = "e") -> InfoReply:
    return InfoReply(1, epoch, 0, 0, tick_interval, 1.0, 100, events_port=5556)


def device(revision: int, name: str = "", addr: str = "", device_type: str = "arm") -> Device:
    """A device, by default one with a name and an address of its own."""
    name = name or f"d{revision}"
    return Device(name, device_type, addr or f"tcp://{name}:1", revision, WALL + revision)


def added(seq: int, name: str = "", addr: str = "", epoch: str = "e") -> Added:
    return Added(epoch, seq, WALL + seq, device(seq, name, addr))


def removed(seq: int, gone: Device, reason: Reason = Reason.EXPIRED, epoch: str = "e") -> Removed:
    return Removed(epoch, seq, WALL + seq, gone, reason)


def tick(seq: int, epoch: str = "e") -> Tick:
    return Tick(epoch, seq, WALL + seq)


def page(
    seq: int, devices: Sequence[Device] = (), after: int | None = None, epoch: str = "e"
) -> SnapshotReply:
    return SnapshotReply(epoch, seq, devices, after)


def replayed(seq: int, *events: Event, epoch: str = "e") -> EventsReply:
    """The answer to a `Replay` by a registry that is at `seq`."""
    return EventsReply(epoch, seq, events)


def compacted(seq: int, oldest: int, epoch: str = "e") -> CompactedReply:
    return CompactedReply(epoch, seq, oldest)


def after(revision: int) -> Snapshot:
    """The request for the page that follows this revision."""
    return Snapshot(after=revision, limit=MAX_PAGE)


def replay(seq: int, epoch: str = "e") -> Replay:
    """The request for the events that followed `seq`."""
    return Replay(epoch, seq, MAX_PAGE)


# --- mirrors on their way ---------------------------------------------------------------------


def listening(driver: Driver | None = None) -> Driver:
    driver = driver or Driver()
    driver.actions()
    driver.reply(info())
    driver.actions()
    return driver


def syncing(seq: int = 0, driver: Driver | None = None) -> Driver:
    driver = listening(driver)
    driver.stream(tick(seq))
    assert driver.asked() == FIRST_PAGE
    return driver


def live(seq: int = 0, *devices: Device, driver: Driver | None = None) -> Driver:
    """A view that is live, with these devices handed out already."""
    driver = syncing(seq, driver)
    driver.reply(page(seq, devices))
    driver.events()
    return driver


def stale(seq: int = 0, *devices: Device) -> Driver:
    """A view that was live until the stream fell silent; INFO has been asked for."""
    driver = live(seq, *devices)
    driver.advance_to_deadline()
    assert driver.asked() == Info()
    return driver


def replaying(seq: int = 0, *devices: Device, behind: int = 1) -> Driver:
    """A view that has missed this many events; they have been asked for."""
    driver = live(seq, *devices)
    driver.stream(tick(seq + behind))
    assert driver.asked() == replay(seq)
    return driver


def resuming(since: Cursor, seq: int, driver: Driver | None = None) -> Driver:
    """A mirror that goes on at a cursor; what has happened since has been asked for."""
    driver = listening(driver or Driver(since=since))
    driver.stream(tick(seq, since.epoch))
    assert driver.asked() == replay(since.seq, since.epoch)
    return driver
