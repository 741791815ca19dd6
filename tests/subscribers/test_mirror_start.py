"""The mirror finds the stream and takes its first snapshot."""

import pytest

from devicewatch.events.messages import (
    Info,
    InfoReply,
)
from devicewatch.events.protocol import Origin
from devicewatch.events.records import (
    Added,
    Cursor,
    StreamMessage,
)
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    WALL,
    Driver,
    added,
    device,
    info,
    listening,
    page,
    removed,
    replay,
    replayed,
    syncing,
    tick,
)

# --- finding the stream -----------------------------------------------------------------------


def test_it_starts_with_info() -> None:
    driver = Driver()
    assert driver.asked() == Info()
    assert driver.is_in(Phase.ASKING)
    assert URL in driver.mirror.view.trouble
    assert driver.mirror.view.cursor is None


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
    assert driver.is_in(Phase.LISTENING)


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
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == f"{url} does not say where its event stream is"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == Info()


@pytest.mark.parametrize("first_word", [tick(3), added(3)], ids=["tick", "event"])
def test_it_asks_for_the_devices_at_the_streams_first_word(first_word: StreamMessage) -> None:
    driver = listening()
    assert driver.mirror.actions() == []
    driver.stream(first_word)
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == FIRST_PAGE


def test_without_a_word_of_the_stream_it_asks_for_info_again_after_a_pause() -> None:
    driver = listening()
    assert driver.advance_to_deadline() == pytest.approx(3.0)
    assert driver.is_in(Phase.ASKING)
    assert driver.mirror.view.trouble == f"the event stream at {STREAM} is silent"
    assert driver.mirror.actions() == []
    assert driver.advance_to_deadline() == pytest.approx(0.1)
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
    assert driver.mirror.view.trouble
    driver.reply(page(5, [device(2)]))
    assert driver.is_in(Phase.LIVE)
    assert driver.mirror.view.trouble == ""
    assert driver.mirror.actions() == []


def test_a_registry_without_devices_is_a_view_too() -> None:
    driver = syncing(seq=5)
    driver.reply(page(5))
    assert driver.is_in(Phase.LIVE)
    assert driver.events() == []
    assert driver.mirror.view.cursor == Cursor("e", 5)


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
    assert driver.mirror.view.cursor == Cursor("e", 5)


def test_an_event_missing_after_the_snapshot_is_replayed() -> None:
    driver = syncing(seq=3)
    driver.stream(added(4), added(6), added(7))
    driver.reply(page(3))
    assert driver.events() == [added(4)]
    assert driver.is_in(Phase.FETCHING)
    assert driver.asked() == replay(4)
    driver.reply(replayed(6, added(5), added(6)))
    assert driver.events() == [added(5), added(6), added(7)]
    assert driver.is_in(Phase.LIVE)


def test_events_of_another_epoch_than_the_snapshot_are_left_out() -> None:
    driver = syncing(seq=3)
    driver.stream(added(4, epoch="older"), tick(0, "newer"), added(1, epoch="newer"))
    driver.reply(page(1, [device(1)], epoch="newer"))
    assert driver.events() == [Added("newer", 1, WALL + 1, device(1), Origin.SNAPSHOT)]
    assert driver.is_in(Phase.LIVE)


def test_while_it_waits_for_the_streams_first_word_it_says_so() -> None:
    driver = listening()
    assert driver.mirror.view.trouble == f"nothing heard yet from the event stream at {STREAM}"
