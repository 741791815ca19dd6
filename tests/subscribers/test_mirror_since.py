"""A mirror that is to go on at a cursor, driven by hand."""

import pytest

from devicewatch.events.errors import MessageError
from devicewatch.events.messages import Request
from devicewatch.events.protocol import Origin
from devicewatch.events.records import (
    Added,
    Cursor,
    Live,
    State,
)
from devicewatch.subscribers import view as view_module
from tests.support.driver import (
    FIRST_PAGE,
    STREAM,
    URL,
    WALL,
    Driver,
    added,
    compacted,
    device,
    info,
    page,
    removed,
    replay,
    replayed,
    tick,
)

SILENT = f"the event stream at {STREAM} is silent"
MISSED = "events were missed; fetching them"
NO_ANSWER = f"no answer from {URL}"


# --- a resume ---------------------------------------------------------------------------------


def since(seq: int, epoch: str = "e") -> Driver:
    return Driver(since=Cursor(epoch, seq))


def syncing_since(driver: Driver, request: Request) -> None:
    driver.actions()
    driver.reply(info())
    driver.actions()
    driver.stream(tick(6))
    assert driver.asked() == request


def test_a_resume_is_no_difference() -> None:
    driver = since(5)
    assert driver.mirror.view.resumed is None
    syncing_since(driver, replay(5))
    driver.reply(replayed(6, added(6)))
    driver.actions()
    assert driver.mirror.view.resumed is None
    driver.reply(page(6, [device(2), device(6)]))
    assert driver.mirror.view.resumed is True
    assert driver.records() == [added(6), Live(driver.now, Cursor("e", 6), resynced=False)]


def test_after_a_resume_a_hole_is_replayed_from_where_the_view_is() -> None:
    driver = since(5)
    syncing_since(driver, replay(5))
    driver.reply(replayed(6, added(6)))
    driver.actions()
    driver.reply(page(6, [device(6)]))
    assert driver.size <= 4, "a page of one device, an event, words; what was replayed is let go"
    driver.stream(tick(8))
    assert driver.asked() == replay(6)
    driver.reply(replayed(8, added(7), added(8)))
    assert driver.events() == [added(6), added(7), added(8)]
    assert driver.mirror.view.status.state is State.LIVE


def test_a_resume_where_history_does_not_reach_begins_anew() -> None:
    driver = since(2)
    syncing_since(driver, replay(2))
    driver.reply(compacted(6, 5))
    assert driver.mirror.view.resumed is False
    driver.actions()
    driver.reply(page(6, [device(2), device(6)]))
    assert driver.mirror.view.resumed is False
    assert driver.records() == [
        Added("e", 2, WALL + 2, device(2), Origin.RESYNC),
        Added("e", 6, WALL + 6, device(6), Origin.RESYNC),
        Live(driver.now, Cursor("e", 6), resynced=True),
    ]


def test_a_resume_in_another_epoch_begins_anew_and_asks_for_no_replay() -> None:
    driver = since(5, "older")
    syncing_since(driver, FIRST_PAGE)
    assert driver.mirror.view.resumed is False
    driver.reply(page(6, [device(2)]))
    assert driver.records() == [
        Added("e", 2, WALL + 2, device(2), Origin.RESYNC),
        Live(driver.now, Cursor("e", 6), resynced=True),
    ]


def test_a_resume_ahead_of_the_registry_begins_anew() -> None:
    driver = since(50)
    syncing_since(driver, replay(50))
    driver.reply(compacted(6, 1))
    driver.actions()
    driver.reply(page(6, [device(2)]))
    assert driver.mirror.view.resumed is False
    assert driver.events() == [Added("e", 2, WALL + 2, device(2), Origin.RESYNC)]


def test_a_resume_from_more_than_can_be_kept_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "MAX_DEVICES", 3)
    driver = since(2)
    syncing_since(driver, replay(2))
    driver.reply(replayed(6, added(3), added(4), added(5)))
    assert driver.mirror.view.resumed is None
    driver.reply(replayed(6, added(6)))
    assert driver.mirror.view.resumed is False
    assert driver.mirror.view.trouble == f"{URL} replays more than 1000000 devices"
    driver.advance_to_deadline()
    driver.actions()
    driver.reply(page(6))
    assert driver.mirror.view.status.state is State.LIVE


def test_an_event_lost_between_replay_and_snapshot_is_replayed() -> None:
    driver = since(5)
    syncing_since(driver, replay(5))
    driver.reply(replayed(6, added(6)))
    driver.actions()
    driver.stream(tick(7))
    driver.reply(page(7, [device(6)]))
    assert driver.mirror.view.trouble == "events were missed while fetching the devices"
    assert driver.advance_to_deadline() == pytest.approx(0.1)
    assert driver.asked() == replay(6)
    driver.reply(replayed(7, removed(7, device(2))))
    driver.actions()
    driver.reply(page(7, [device(6)]))
    assert driver.mirror.view.devices == {"d2": device(2)}
    assert driver.events() == [added(6), removed(7, device(2))]
    assert driver.mirror.view.resumed is True


def test_another_epoch_between_replay_and_snapshot_begins_anew() -> None:
    driver = since(5)
    syncing_since(driver, replay(5))
    driver.reply(replayed(6, added(6)))
    assert driver.asked() == FIRST_PAGE
    driver.stream(tick(3, "new"))
    driver.reply(page(3, [device(2), device(3)], epoch="new"))
    driver.wait(0.5)
    if driver.actions():
        driver.reply(page(3, [device(2), device(3)], epoch="new"))
    assert driver.mirror.view.resumed is False
    assert driver.events() == [
        Added("new", 2, WALL + 2, device(2), Origin.RESYNC),
        Added("new", 3, WALL + 3, device(3), Origin.RESYNC),
    ]


def test_a_page_from_before_what_was_replayed_is_not_taken() -> None:
    driver = Driver(since=Cursor("e", 10))
    driver.actions()
    driver.reply(info())
    driver.actions()
    driver.stream(tick(10))
    assert driver.asked() == replay(10)
    driver.reply(replayed(10))
    assert driver.asked() == FIRST_PAGE
    driver.reply(page(7, [device(3)]))
    assert driver.mirror.view.status.state is State.CONNECTING
    assert driver.mirror.view.cursor is None


def test_without_existing_ones_the_rest_of_a_difference_is_still_news() -> None:
    driver = Driver(since=Cursor("e", 6, revision=2), existing=False)
    syncing_since(driver, replay(6))
    driver.reply(replayed(6))
    driver.actions()
    driver.reply(page(6, [device(2), device(4)]))
    assert driver.mirror.view.devices == {"d2": device(2)}
    assert [event.device for event in driver.events()] == [device(4)]


@pytest.mark.parametrize(
    "cursor",
    [Cursor("e", 2**53), Cursor("e", -1), Cursor("e" * 129, 1)],
    ids=["large", "-1", "long"],
)
def test_a_cursor_that_cannot_be_asked_for_is_refused(cursor: Cursor) -> None:
    with pytest.raises(MessageError):
        Driver(since=cursor)


def test_a_cursor_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(MessageError, match="REPLAY cannot be written as JSON"):
        Driver(since=Cursor("\ud800", 1))


def test_a_cursor_as_text_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"Cursor\.parse\('5/e'\)"):
        Driver(since="5/e")  # type: ignore[arg-type]
