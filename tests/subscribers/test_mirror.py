"""The mirror, by hand where the order of things matters and in a simulation where it does not."""

from collections.abc import Callable, Sequence

import pytest

from devicewatch.events.codec import decode_request, encode_event, encode_reply
from devicewatch.events.messages import (
    Ack,
    ErrorReply,
    EventsReply,
    Info,
    InfoReply,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Unsupported,
)
from devicewatch.events.protocol import MAX_PAGE, Origin, Reason
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Device,
    Event,
    Removed,
    StreamMessage,
    Tick,
)
from devicewatch.subscribers import mirror as mirror_module
from devicewatch.subscribers.mirror import Ask, Listen, Mirror, Phase
from tests.support.simulation import Follower, Simulation

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


# --- finding the stream -----------------------------------------------------------------------


def test_it_starts_with_info() -> None:
    driver = Driver()
    assert driver.asked() == Info()
    assert driver.mirror.phase is Phase.ASKING
    assert URL in driver.mirror.trouble
    assert driver.mirror.cursor is None


def test_an_action_is_given_once() -> None:
    driver = Driver()
    assert len(driver.mirror.actions()) == 1
    assert driver.mirror.actions() == []


@pytest.mark.parametrize(
    ("url", "port", "events_url", "expected"),
    [
        pytest.param("tcp://lab:5555", 7, None, "tcp://lab:7", id="a port on the same host"),
        pytest.param("tcp://[::1]:5555", 7, None, "tcp://[::1]:7", id="a port on an IPv6 host"),
        pytest.param("tcp://lab:5555", None, "tcp://hub:9", "tcp://hub:9", id="an address"),
        pytest.param("tcp://lab:5555", 7, "tcp://hub:9", "tcp://hub:9", id="both"),
        pytest.param("ipc:///run/r", 7, "ipc:///run/e", "ipc:///run/e", id="an address over ipc"),
    ],
)
def test_the_stream_is_where_info_says(
    url: str, port: int | None, events_url: str | None, expected: str
) -> None:
    driver = Driver(url)
    driver.asked()
    driver.reply(info_of_stream(port, events_url))
    assert driver.listened() == expected
    assert driver.mirror.phase is Phase.LISTENING


def info_of_stream(port: int | None, url: str | None) -> InfoReply:
    if url is None:
        assert port is not None
        return InfoReply(1, "e", 0, 0, 1.0, 1.0, 100, events_port=port)
    if port is None:
        return InfoReply(1, "e", 0, 0, 1.0, 1.0, 100, events_url=url)
    return InfoReply(1, "e", 0, 0, 1.0, 1.0, 100, events_port=port, events_url=url)


@pytest.mark.parametrize(
    "answer",
    [
        InfoReply(1, "e", 0, 0, 1.0, 1.0, 100, events_port=7),
        InfoReply(1, "e", 0, 0, 1.0, 1.0, 100, events_url="tcp://hub:9"),
        InfoReply(1, "e", 0, 0, 1.0, 1.0, 100),
    ],
    ids=["port", "address", "neither"],
)
def test_the_watchers_own_address_of_the_stream_comes_first(answer: InfoReply) -> None:
    driver = Driver(events_url="tcp://tunnel:1")
    driver.asked()
    driver.reply(answer)
    assert driver.listened() == "tcp://tunnel:1"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        pytest.param(URL, InfoReply(1, "e", 0, 0, 1.0, 1.0, 100), id="neither port nor address"),
        pytest.param("ipc:///run/r", info(), id="a port, but no host"),
    ],
)
def test_a_registry_that_names_no_stream_is_asked_again(url: str, answer: InfoReply) -> None:
    driver = Driver(url)
    driver.asked()
    driver.reply(answer)
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == f"{url} does not say where its event stream is"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


@pytest.mark.parametrize("first_word", [tick(3), added(3)], ids=["tick", "event"])
def test_it_asks_for_the_devices_at_the_streams_first_word(first_word: StreamMessage) -> None:
    driver = listening()
    assert driver.mirror.actions() == []
    driver.stream(first_word)
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.asked() == FIRST_PAGE


def test_without_a_word_of_the_stream_it_asks_for_info_again() -> None:
    driver = listening()
    assert driver.advance_to_deadline() == pytest.approx(3.0)
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == f"the event stream at {STREAM} is silent"
    assert driver.asked() == Info()
    driver.reply(info())
    assert driver.listened() == STREAM


# --- the first snapshot -----------------------------------------------------------------------


def test_devices_that_are_there_come_first_as_a_snapshot() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(2), device(4)]))
    assert driver.events() == [
        Added("e", 2, WALL + 2, device(2), Origin.SNAPSHOT),
        Added("e", 4, WALL + 4, device(4), Origin.SNAPSHOT),
    ]


def test_after_its_snapshot_it_is_live_without_trouble() -> None:
    driver = syncing(seq=5)
    assert driver.mirror.trouble
    driver.reply(page(5, [device(2)]))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.trouble == ""
    assert driver.mirror.actions() == []


def test_a_registry_without_devices_is_a_view_too() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.events() == []
    assert driver.mirror.cursor == Cursor("e", 5)


def test_an_event_that_the_snapshot_holds_is_not_given_twice() -> None:
    driver = listening()
    driver.stream(added(3))
    driver.reply(page(3, [device(3)]))
    assert driver.events() == [Added("e", 3, WALL + 3, device(3), Origin.SNAPSHOT)]


def test_events_after_the_snapshot_follow_it_live() -> None:
    driver = syncing(seq=3)
    driver.stream(added(4), removed(5, device(3)))
    driver.reply(page(3, [device(3)]))
    assert driver.events() == [
        Added("e", 3, WALL + 3, device(3), Origin.SNAPSHOT),
        added(4),
        removed(5, device(3)),
    ]
    assert driver.mirror.cursor == Cursor("e", 5)


def test_an_event_missing_after_the_snapshot_leads_to_another() -> None:
    driver = syncing(seq=3)
    driver.stream(added(4), added(6), added(7))
    driver.reply(page(3))
    assert driver.events() == [added(4)]
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(6, [device(4), device(5), device(6)]))
    assert driver.events() == [
        Added("e", 5, WALL + 5, device(5), Origin.RESYNC),
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        added(7),
    ]


def test_events_of_another_epoch_than_the_snapshot_are_left_out() -> None:
    driver = syncing(seq=3)
    driver.stream(added(4, epoch="older"), tick(0, "newer"), added(1, epoch="newer"))
    driver.reply(page(1, [device(1)], epoch="newer"))
    assert driver.events() == [Added("newer", 1, WALL + 1, device(1), Origin.SNAPSHOT)]
    assert driver.mirror.phase is Phase.LIVE


# --- live -------------------------------------------------------------------------------------


def test_events_are_given_as_they_come() -> None:
    driver = live(0)
    driver.stream(added(1), tick(1), added(2))
    assert driver.events() == [added(1), added(2)]
    driver.stream(removed(3, device(1), Reason.UNREGISTERED), tick(3))
    assert driver.events() == [removed(3, device(1), Reason.UNREGISTERED)]
    assert driver.mirror.devices == {"d2": device(2)}
    assert driver.mirror.actions() == []


def test_an_event_is_given_once_however_often_it_comes() -> None:
    driver = live(0)
    driver.stream(added(1), added(1), added(2), added(1), added(2))
    assert driver.events() == [added(1), added(2)]
    assert driver.mirror.cursor == Cursor("e", 2)
    assert driver.mirror.phase is Phase.LIVE


def test_what_is_older_than_the_snapshot_is_not_given() -> None:
    driver = live(5, device(2))
    driver.stream(added(2), removed(5, device(4)), tick(4))
    assert driver.events() == []
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.cursor == Cursor("e", 5)


def test_a_late_removed_leaves_a_newer_registration_alone() -> None:
    driver = live(1, device(1, "arm"))
    driver.stream(added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED))
    assert driver.events() == [added(2, "arm"), removed(3, device(1, "arm"), Reason.REPLACED)]
    assert driver.mirror.devices == {"arm": device(2, "arm")}


# --- a hole -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(added(7), id="an event was skipped"),
        pytest.param(tick(6), id="a tick is ahead"),
        pytest.param(tick(2, "new"), id="a tick of another epoch"),
        pytest.param(added(6, epoch="new"), id="an event of another epoch"),
    ],
)
def test_a_hole_leads_to_a_snapshot(message: StreamMessage) -> None:
    driver = live(5, device(2))
    driver.stream(message)
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.mirror.trouble == "events were missed; fetching the devices"
    assert driver.asked() == FIRST_PAGE
    assert driver.events() == []
    assert driver.mirror.devices == {"d2": device(2)}


def test_after_a_hole_the_difference_is_given() -> None:
    gone, renamed = device(1), device(2, "arm", "tcp://arm:1")
    moved, stayed = device(3, "pump", "tcp://pump:1"), device(4)
    driver = live(5, gone, renamed, moved, stayed)
    new_name, new_addr = device(8, "hand", "tcp://arm:1"), device(10, "pump", "tcp://elsewhere:1")
    driver.stream(tick(11))
    driver.reply(page(11, [stayed, new_name, new_addr]))
    heard = WALL + 11
    assert driver.events() == [
        Removed("e", 5, heard, gone, Reason.UNKNOWN, Origin.RESYNC),
        Removed("e", 5, heard, renamed, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 5, heard, moved, Reason.REPLACED, Origin.RESYNC),
        Added("e", 8, WALL + 8, new_name, Origin.RESYNC),
        Added("e", 10, WALL + 10, new_addr, Origin.RESYNC),
    ]
    assert driver.mirror.devices == {"d4": stayed, "hand": new_name, "pump": new_addr}
    assert driver.mirror.cursor == Cursor("e", 11)
    assert driver.mirror.phase is Phase.LIVE


def test_events_behind_a_hole_are_not_lost() -> None:
    driver = live(5)
    driver.stream(added(7), added(8))
    driver.reply(page(6, [device(6)]))
    assert driver.events() == [
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        added(7),
        added(8),
    ]


def test_events_behind_a_hole_may_be_in_the_snapshot() -> None:
    driver = live(5)
    driver.stream(added(7), added(8))
    driver.reply(page(7, [device(6), device(7)]))
    assert driver.events() == [
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        Added("e", 7, WALL + 7, device(7), Origin.RESYNC),
        added(8),
    ]


def test_events_kept_are_put_in_order() -> None:
    driver = syncing(seq=3)
    driver.stream(added(5), added(4), added(5))
    driver.reply(page(3))
    assert driver.events() == [added(4), added(5)]


def test_a_hole_that_changed_nothing_gives_no_events() -> None:
    driver = live(5, device(2))
    driver.stream(tick(7))
    driver.reply(page(7, [device(2)]))
    assert driver.events() == []
    assert driver.mirror.cursor == Cursor("e", 7)
    assert driver.mirror.phase is Phase.LIVE


def test_another_epoch_ends_all_registrations_of_the_old_one() -> None:
    arm, pump = device(2, "arm"), device(4, "pump")
    driver = live(5, arm, pump)
    driver.stream(tick(2, "new"))
    driver.reply(page(2, [device(2, "arm")], epoch="new"))
    assert driver.events() == [
        Removed("e", 5, WALL + 2, arm, Reason.REPLACED, Origin.RESYNC),
        Removed("e", 5, WALL + 2, pump, Reason.UNKNOWN, Origin.RESYNC),
        Added("new", 2, WALL + 2, device(2, "arm"), Origin.RESYNC),
    ]
    assert driver.mirror.cursor == Cursor("new", 2)
    assert driver.mirror.devices == {"arm": device(2, "arm")}


def test_after_another_epoch_its_events_are_followed() -> None:
    driver = live(5)
    driver.stream(tick(0, "new"))
    driver.reply(page(0, epoch="new"))
    driver.stream(added(1, epoch="new"))
    assert driver.events() == [added(1, epoch="new")]


# --- silence ----------------------------------------------------------------------------------


def test_three_silent_ticks_make_the_view_stale() -> None:
    driver = live(1, device(1))
    driver.now = driver.mirror.next_deadline() - 0.01
    driver.mirror.advance(driver.now)
    assert driver.mirror.trouble == ""
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.01)
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == f"the event stream at {STREAM} is silent"
    assert driver.asked() == Info()


def test_the_length_of_a_tick_is_the_registrys() -> None:
    driver = Driver()
    driver.reply(info(tick_interval=0.2))
    assert driver.mirror.next_deadline() - driver.now == pytest.approx(0.6)


def test_every_message_ends_the_silence() -> None:
    driver = live(1, device(1))
    driver.now += 2.0
    driver.stream(tick(1))
    assert driver.mirror.next_deadline() == driver.now + 3.0


def test_a_stale_view_keeps_its_devices() -> None:
    driver = stale(1, device(1))
    assert driver.events() == []
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.mirror.cursor == Cursor("e", 1)


@pytest.mark.parametrize(
    ("message", "events"),
    [
        pytest.param(tick(1), [], id="a tick"),
        pytest.param(added(2), [added(2)], id="the next event"),
    ],
)
def test_a_stream_that_goes_on_where_it_was_makes_it_live_again(
    message: StreamMessage, events: list[Event]
) -> None:
    driver = stale(1, device(1))
    driver.stream(message)
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.trouble == ""
    assert driver.events() == events
    assert driver.mirror.actions() == []


def test_the_reply_that_is_no_longer_needed_is_ignored() -> None:
    driver = stale(1)
    driver.stream(tick(1))
    driver.reply(info())
    assert driver.mirror.actions() == []
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.trouble == ""


def test_once_it_is_live_again_it_waits_for_no_reply() -> None:
    driver = stale(1)
    driver.stream(tick(1))
    assert driver.advance_to_deadline() == pytest.approx(3.0)
    driver.advance_to_deadline()
    driver.stream(tick(1))
    assert driver.advance_to_deadline() == pytest.approx(3.0)


def test_a_new_socket_that_goes_on_where_it_was_needs_no_snapshot() -> None:
    driver = stale(1, device(1))
    driver.reply(info())
    assert driver.listened() == STREAM
    driver.stream(tick(1))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.actions() == []


def test_events_lost_in_the_silence_lead_to_a_snapshot() -> None:
    driver = stale(1, device(1))
    driver.reply(info())
    driver.mirror.actions()
    driver.stream(tick(2))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(2))
    assert driver.events() == [Removed("e", 1, WALL + 2, device(1), Reason.UNKNOWN, Origin.RESYNC)]


def test_while_it_waits_for_info_a_stream_with_a_hole_changes_nothing() -> None:
    driver = stale(1)
    driver.stream(tick(5))
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []


def test_a_word_of_the_stream_ends_the_pause_before_it_asks_again() -> None:
    driver = stale(1)
    driver.advance_to_deadline()
    assert driver.mirror.actions() == []
    driver.stream(tick(5))
    assert driver.asked() == Info()


def test_silence_ends_a_snapshot_under_way() -> None:
    driver = live(1)
    driver.now += 2.0
    driver.stream(added(3))
    assert driver.asked() == FIRST_PAGE
    driver.advance_to_deadline()
    assert driver.mirror.trouble == f"no answer from {URL}"
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
    driver.advance_to_deadline()
    assert driver.mirror.phase is Phase.ASKING
    assert driver.asked() == Info()


def test_a_snapshot_that_silence_ended_leaves_nothing_behind() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    while driver.mirror.phase is Phase.SYNCING:
        driver.advance_to_deadline()
    driver.mirror.actions()
    driver.reply(info())
    driver.stream(tick(9))
    driver.reply(page(9, [device(9)]))
    assert driver.mirror.phase is Phase.LIVE
    assert driver.events() == [Added("e", 9, WALL + 9, device(9), Origin.SNAPSHOT)]


def test_bye_makes_it_look_for_the_registry_at_once() -> None:
    driver = live(1, device(1))
    driver.stream(Bye("e", 1, WALL + 1))
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.trouble == "the registry has stopped"
    assert driver.asked() == Info()
    assert driver.events() == []
    assert driver.mirror.devices == {"d1": device(1)}


# --- requests that fail -----------------------------------------------------------------------


def pauses(driver: Driver, number: int) -> list[float]:
    """How long it waits after each of a number of requests that are never answered."""
    result = []
    for _ in range(number):
        driver.asked()
        assert driver.advance_to_deadline() == pytest.approx(2.0)
        assert driver.mirror.actions() == []
        result.append(driver.advance_to_deadline())
    return result


def test_a_lost_reply_is_asked_for_again_after_a_pause() -> None:
    driver = Driver()
    assert driver.asked() == Info()
    driver.advance_to_deadline()
    assert driver.mirror.trouble == f"no answer from {URL}"
    assert driver.mirror.actions() == []
    driver.advance_to_deadline()
    assert driver.asked() == Info()


def test_pauses_grow_up_to_five_seconds() -> None:
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pauses(Driver(), 8) == pytest.approx(expected)


def test_pauses_do_not_grow_without_bound_in_years() -> None:
    assert pauses(Driver(), 2000)[-1] == pytest.approx(5.0)


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.05), (0.5, 0.075), (1.0, 0.1)])
def test_jitter_shortens_a_pause_by_up_to_half(jitter: float, pause: float) -> None:
    assert pauses(Driver(jitter=jitter), 1) == pytest.approx([pause])


def test_by_itself_it_jitters() -> None:
    def pause() -> float:
        mirror = Mirror(URL)
        mirror.start(0.0)
        mirror.advance(mirror.next_deadline())
        return mirror.next_deadline() - 2.0

    drawn = [pause() for _ in range(20)]
    assert all(0.05 <= seconds <= 0.1 for seconds in drawn)
    assert len(set(drawn)) > 1


def test_once_it_was_live_pauses_start_from_the_shortest() -> None:
    driver = Driver()
    pauses(driver, 5)
    driver.asked()
    driver.reply(info())
    driver.stream(tick(0))
    driver.reply(page(0))
    driver.mirror.actions()
    driver.advance_to_deadline()
    assert pauses(driver, 1) == pytest.approx([0.1])


def test_a_reply_after_it_has_given_up_is_ignored() -> None:
    driver = Driver()
    driver.asked()
    driver.advance_to_deadline()
    driver.reply(info())
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []
    driver.mirror.reply_received([b"nonsense"], driver.now)
    assert driver.mirror.discarded == 0


def test_a_second_reply_is_ignored() -> None:
    driver = Driver()
    driver.asked()
    driver.reply(info())
    driver.reply(info())
    assert driver.listened() == STREAM


BAD_REPLIES = [
    pytest.param(Unsupported("INFO"), "is it an older registry", id="UNSUPPORTED"),
    pytest.param(ErrorReply("INFO", "INTERNAL", "it burns"), "it burns (INTERNAL)", id="ERROR"),
    pytest.param(Ack("CHECK_ALIVE", True), "is it an older registry", id="ACK"),
    pytest.param(EventsReply("e", 1, [added(1)]), "is it an older registry", id="EVENTS"),
]


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [*BAD_REPLIES, pytest.param(page(0), "is it an older registry", id="SNAPSHOT")],
)
def test_no_info_in_reply_to_info_is_trouble(reply: Reply, trouble: str) -> None:
    driver = Driver()
    driver.asked()
    driver.reply(reply)
    assert trouble in driver.mirror.trouble
    assert URL in driver.mirror.trouble
    assert driver.mirror.phase is Phase.ASKING
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [*BAD_REPLIES, pytest.param(info(), "is it an older registry", id="INFO")],
)
def test_no_snapshot_in_reply_to_snapshot_is_trouble(reply: Reply, trouble: str) -> None:
    driver = syncing()
    driver.reply(reply)
    assert trouble in driver.mirror.trouble
    assert driver.mirror.phase is Phase.SYNCING
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no frame"),
        pytest.param([b""], id="an empty frame"),
        pytest.param([b"\xff\xfe\x00"], id="no text"),
        pytest.param([b'{"event":"INFO"}'], id="no payload"),
        pytest.param([b'{"event":"HELLO","payload":{}}'], id="an unknown name"),
        pytest.param([encode_reply(info()), b""], id="a frame too many"),
    ],
)
def test_a_reply_that_makes_no_sense_is_counted_and_asked_for_again(frames: list[bytes]) -> None:
    driver = Driver()
    driver.asked()
    driver.mirror.reply_received(frames, driver.now)
    assert driver.mirror.discarded == 1
    assert f"the reply of {URL} makes no sense" in driver.mirror.trouble
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


GARBAGE = [
    [],
    [b"tick"],
    [b"tick", b""],
    [b"tick", b"\xff"],
    [b"tick", b"{}"],
    [b"added", encode_event(tick(9))[1]],
    [*encode_event(tick(9)), b""],
    [b"added", b'{"event":"added","epoch":"e","seq":9,"time":0}'],
]


@pytest.mark.parametrize("frames", GARBAGE)
def test_a_message_that_makes_no_sense_is_counted_and_changes_nothing(frames: list[bytes]) -> None:
    driver = live(1, device(1))
    deadline = driver.mirror.next_deadline()
    driver.now += 1.0
    driver.mirror.stream_received(frames, driver.now)
    assert driver.mirror.discarded == 1
    assert driver.mirror.phase is Phase.LIVE
    assert driver.mirror.actions() == []
    assert driver.events() == []
    assert driver.mirror.next_deadline() == deadline, "nonsense is no sign of life"


def test_garbage_is_not_the_streams_first_word() -> None:
    driver = listening()
    for frames in GARBAGE:
        driver.mirror.stream_received(frames, driver.now)
    assert driver.mirror.phase is Phase.LISTENING
    assert driver.mirror.actions() == []
    assert driver.mirror.discarded == len(GARBAGE)


# --- what was handed out ----------------------------------------------------------------------


def test_devices_and_cursor_are_those_of_the_events_handed_out() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)))
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.mirror.cursor == Cursor("e", 1)
    assert driver.mirror.next_event() == added(2)
    assert driver.mirror.devices == {"d1": device(1), "d2": device(2)}
    assert driver.mirror.cursor == Cursor("e", 2)
    assert driver.mirror.next_event() == removed(3, device(1))
    assert driver.mirror.devices == {"d2": device(2)}
    assert driver.mirror.cursor == Cursor("e", 3)
    assert driver.mirror.next_event() is None


def test_with_its_last_event_the_cursor_is_the_snapshots() -> None:
    driver = syncing(seq=9)
    driver.reply(page(9, [device(2), device(4)]))
    assert driver.mirror.cursor is None
    driver.mirror.next_event()
    assert driver.mirror.cursor == Cursor("e", 2)
    driver.mirror.next_event()
    assert driver.mirror.cursor == Cursor("e", 9)


def test_while_a_difference_is_read_removals_leave_the_cursor_where_it_was() -> None:
    driver = live(5, device(1))
    driver.stream(tick(1, "new"))
    driver.reply(page(9, [device(3), device(4)], epoch="new"))
    cursors = []
    while driver.mirror.next_event():
        cursors.append(driver.mirror.cursor)
    assert cursors == [Cursor("e", 5), Cursor("new", 3), Cursor("new", 9)]


def test_a_difference_starts_from_the_events_not_read_yet() -> None:
    driver = live(1, device(1))
    driver.stream(added(2), removed(3, device(1)), tick(6))
    driver.reply(page(6, [device(5)]))
    assert driver.mirror.devices == {"d1": device(1)}
    assert driver.events() == [
        added(2),
        removed(3, device(1)),
        Removed("e", 3, WALL + 6, device(2), Reason.UNKNOWN, Origin.RESYNC),
        Added("e", 5, WALL + 5, device(5), Origin.RESYNC),
    ]
    assert driver.mirror.devices == {"d5": device(5)}
    assert driver.mirror.cursor == Cursor("e", 6)


def test_the_devices_are_one_live_read_only_view() -> None:
    driver = live(0)
    view = driver.mirror.devices
    driver.stream(added(1))
    driver.events()
    assert view == {"d1": device(1)}
    with pytest.raises(TypeError):
        view["d2"] = device(2)  # type: ignore[index]


# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.core.MAX_PAGE", 2)


def after(revision: int) -> Snapshot:
    return Snapshot(after=revision, limit=MAX_PAGE)


def simulation_of(*names: str) -> tuple[Simulation, list[str]]:
    """A registry with devices, and their uuids."""
    simulation = Simulation()
    return simulation, [simulation.register(name) for name in names]


def between_pages(simulation: Simulation) -> Follower:
    """A new watcher that has had the first page of two devices, and has asked for the next."""
    follower = simulation.follow()
    simulation.run_until(lambda: follower.asked[-1] == after(2))
    return follower


def is_live(follower: Follower) -> bool:
    return follower.mirror.phase is Phase.LIVE


def test_more_devices_than_fit_on_a_page_are_fetched_page_by_page() -> None:
    simulation, _ = simulation_of(*[f"arm-{number}" for number in range(625)])
    follower = simulation.follow()
    simulation.run(1.0)
    assert follower.asked == [Info(), FIRST_PAGE, after(MAX_PAGE), after(2 * MAX_PAGE)]
    assert [event.seq for event in follower.take()] == list(range(1, 626))
    assert follower.mirror.devices == simulation.core.devices


@pytest.mark.usefixtures("pages_of_two")
def test_a_device_that_registers_between_two_pages_is_there() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("d")
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["a", "b", "c", "d"]
    assert follower.mirror.devices == simulation.core.devices
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.usefixtures("pages_of_two")
def test_devices_that_leave_between_two_pages_are_not_there() -> None:
    simulation, uuids = simulation_of("a", "b", "c", "d")
    follower = between_pages(simulation)
    simulation.unregister(uuids[0])
    simulation.unregister(uuids[3])
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert follower.mirror.cursor == Cursor("epoch-1", 6)
    assert follower.asked == [Info(), FIRST_PAGE, after(2)]


@pytest.mark.usefixtures("pages_of_two")
def test_a_device_replaced_between_two_pages_is_the_new_one() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.register("a", "tcp://elsewhere:1", overwrite=True)
    simulation.register("z", "tcp://b:1")
    simulation.run(1.0)
    assert follower.take()
    assert follower.mirror.devices == simulation.core.devices
    revisions = {name: found.revision for name, found in follower.mirror.devices.items()}
    assert revisions == {"c": 3, "a": 5, "z": 7}


@pytest.mark.usefixtures("pages_of_two")
def test_an_event_lost_between_two_pages_makes_it_start_anew() -> None:
    simulation, uuids = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    follower.link.drops = 1
    simulation.unregister(uuids[0])
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.trouble == "events were missed while fetching the devices"
    assert follower.take() == []
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["b", "c"]
    assert is_live(follower)


@pytest.mark.usefixtures("pages_of_two")
def test_an_epoch_that_ends_between_two_pages_makes_it_start_anew() -> None:
    simulation, _ = simulation_of("a", "b", "c")
    follower = between_pages(simulation)
    simulation.stop(orderly=False)
    simulation.start()
    simulation.register("x")
    simulation.run_until(lambda: follower.asked[-1] == FIRST_PAGE)
    assert follower.mirror.trouble == "the pages of a snapshot did not fit together"
    simulation.run(1.0)
    assert [event.device.name for event in follower.take()] == ["x"]
    assert follower.mirror.cursor == Cursor("epoch-2", 1)


def test_pages_that_do_not_advance_make_it_start_anew_after_a_pause() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1), device(2)], after=2))
    assert driver.asked() == after(2)
    driver.reply(page(5, [device(1), device(2)], after=2))
    assert driver.mirror.trouble == "the pages of a snapshot did not fit together"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(5, [device(5)]))
    assert driver.mirror.phase is Phase.LIVE
    assert [event.seq for event in driver.events()] == [5]


def test_ticks_between_two_pages_do_not_count() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.stream(tick(5), added(6), tick(6))
    driver.reply(page(6, [device(6)]))
    assert [event.seq for event in driver.events()] == [1, 6]
    assert driver.mirror.phase is Phase.LIVE


def test_a_lost_page_is_asked_for_again_and_the_pages_before_it_count() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    assert driver.asked() == after(1)
    driver.advance_to_deadline()
    driver.advance_to_deadline()
    assert driver.asked() == after(1)
    driver.reply(page(5, [device(5)]))
    assert [event.seq for event in driver.events()] == [1, 5]


def test_pauses_grow_while_snapshots_fail() -> None:
    driver = syncing(seq=5)
    waited = []
    for _ in range(3):
        driver.reply(page(5, [device(1)], after=1))
        driver.asked()
        driver.reply(page(5, [device(5)], epoch="other"))
        waited.append(driver.advance_to_deadline())
        assert driver.asked() == FIRST_PAGE
    assert waited == pytest.approx([0.1, 0.2, 0.4])


def test_a_page_that_overtakes_an_event_costs_another_attempt_and_no_event() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.asked()
    driver.reply(page(6, [device(6)]))
    driver.stream(added(6))
    driver.advance_to_deadline()
    driver.reply(page(6, [device(1), device(6)]))
    assert [event.seq for event in driver.events()] == [1, 6]
    assert driver.mirror.phase is Phase.LIVE


def test_more_events_than_can_be_kept_make_it_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "MAX_KEPT", 2)
    driver = syncing(seq=5)
    driver.reply(page(5, [device(1)], after=1))
    driver.stream(added(6), added(7), added(8))
    driver.asked()
    driver.reply(page(8, [device(6), device(7), device(8)]))
    driver.advance_to_deadline()
    assert driver.asked() == FIRST_PAGE
    assert driver.mirror.phase is Phase.SYNCING


# --- a registry and its faults ----------------------------------------------------------------


def following(simulation: Simulation) -> Follower:
    """A watcher with a live view, all of it read."""
    follower = simulation.follow()
    simulation.run_until(lambda: is_live(follower))
    follower.take()
    return follower


def test_a_lost_last_event_is_noticed_within_one_tick() -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    follower.link.drops = 1
    simulation.register("b")
    simulation.run(1.1)
    [event] = follower.take()
    assert (event.topic, event.device.name, event.origin) == ("added", "b", Origin.RESYNC)
    assert follower.mirror.devices == simulation.core.devices


def test_a_cut_link_makes_the_view_stale_and_removes_nobody() -> None:
    simulation, [uuid] = simulation_of("a")
    follower = following(simulation)
    known = dict(follower.mirror.devices)
    follower.link.cut = True
    simulation.unregister(uuid)
    simulation.run(3.0)
    assert not is_live(follower)
    simulation.run(3600.0)
    assert follower.take() == []
    assert follower.mirror.devices == known


def test_a_healed_link_makes_the_view_right_again() -> None:
    simulation, [uuid] = simulation_of("a")
    follower = following(simulation)
    follower.link.cut = True
    simulation.unregister(uuid)
    simulation.register("b")
    simulation.run(60.0)
    follower.link.heal()
    simulation.run(4.0)
    assert [(event.topic, event.device.name) for event in follower.take()] == [
        ("removed", "a"),
        ("added", "b"),
    ]
    assert is_live(follower)


def test_a_short_silence_costs_nothing() -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    before = len(follower.asked)
    follower.link.cut = True
    simulation.run(2.5)
    follower.link.heal()
    simulation.register("b")
    simulation.run(1.0)
    [event] = follower.take()
    assert event.origin is Origin.LIVE
    assert len(follower.asked) == before


@pytest.mark.parametrize("orderly", [True, False], ids=["with a bye", "without a bye"])
@pytest.mark.parametrize("port", [5556, 7000], ids=["at the same port", "at another port"])
def test_a_registry_that_starts_again_is_found(port: int, orderly: bool) -> None:
    simulation, _ = simulation_of("a")
    follower = following(simulation)
    simulation.stop(orderly=orderly)
    simulation.run(10.0)
    assert follower.take() == []
    simulation.start(events_port=port)
    simulation.register("b")
    simulation.run(10.0)
    assert [(event.epoch, event.topic, event.device.name) for event in follower.take()] == [
        ("epoch-1", "removed", "a"),
        ("epoch-2", "added", "b"),
    ]
    assert is_live(follower)


def test_a_registry_that_starts_late_is_found() -> None:
    simulation = Simulation()
    simulation.stop()
    follower = simulation.follow()
    simulation.run(3600.0)
    assert not is_live(follower)
    simulation.start()
    simulation.run(10.0)
    assert is_live(follower)


def test_lost_replies_delay_the_view_and_nothing_else() -> None:
    simulation, _ = simulation_of("a", "b")
    follower = simulation.follow()
    follower.link.lost_replies = 3
    simulation.run(30.0)
    assert follower.take()
    assert follower.mirror.devices == simulation.core.devices
    assert follower.asked[:4] == [Info()] * 4


@pytest.mark.parametrize("begin", [Driver, listening, syncing, live, stale])
def test_left_alone_it_never_spins(begin: Callable[[], Driver]) -> None:
    driver = begin()
    driver.mirror.actions()
    for _ in range(100):
        driver.advance_to_deadline()
        assert driver.mirror.actions() or driver.mirror.next_deadline() > driver.now
    assert driver.now > 200.0


def test_an_early_advance_does_nothing() -> None:
    driver = live(1)
    deadline = driver.mirror.next_deadline()
    driver.mirror.advance(driver.now)
    assert driver.mirror.actions() == []
    assert driver.mirror.next_deadline() == deadline
