"""How long the mirror waits before it asks for what was missed."""

import pytest

from devicewatch.events.messages import Info, Request
from devicewatch.events.records import State, Tick
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    FIRST_PAGE,
    Driver,
    added,
    info,
    live,
    page,
    replay,
    replayed,
    tick,
)

# --- pacing -----------------------------------------------------------------------------------


def waits_until_it_asks(driver: Driver, request: Request, said: Tick) -> float:
    """How long it waits before it makes this request, while the stream goes on saying this."""
    before = driver.now
    driver.stream(said)
    while not (actions := driver.actions()):
        driver.now = min(driver.mirror.next_deadline(), driver.now + 1.0)
        driver.stream(said)
        driver.mirror.advance(driver.now)
    assert actions == [request]
    return driver.now - before


GROWING = [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_registry_whose_ticks_are_ahead_of_its_history_is_looked_for_anew() -> None:
    driver = live(5)
    for pause in (0.0, 0.0, 0.2):
        assert waits_until_it_asks(driver, replay(5), tick(6)) == pytest.approx(pause)
        driver.reply(replayed(5))
        assert driver.mirror.view.status.why == "events were missed; fetching them"
    assert waits_until_it_asks(driver, Info(), tick(6)) == pytest.approx(0.4)
    assert driver.mirror.view.status.state is State.STALE


def test_a_view_that_lasted_is_mended_at_once_however_often_it_was_lost_before() -> None:
    driver = live(5)
    for _ in range(20):
        driver.stream(tick(5))
        driver.wait(2.9)
        driver.stream(tick(5))
        driver.wait(0.1)
        driver.stream(tick(5))
        driver.stream(tick(4, "new"))
        assert driver.asked() == FIRST_PAGE
        driver.reply(page(4, epoch="new"))
        assert driver.is_in(Phase.LIVE)
        driver.wait(2.9)
        driver.stream(tick(4, "new"))
        driver.wait(0.1)
        driver.stream(tick(4, "new"))
        driver.stream(tick(5))
        assert driver.asked() == FIRST_PAGE
        driver.reply(page(5))


def test_a_view_that_does_not_last_is_mended_ever_more_slowly() -> None:
    driver = live(5)
    waited = []
    for turn in range(len(GROWING)):
        driver.now += 0.5
        said = tick(0, f"e{turn}")
        waited.append(waits_until_it_asks(driver, FIRST_PAGE, said))
        driver.reply(page(0, epoch=said.epoch))
        assert driver.is_in(Phase.LIVE)
    assert waited == pytest.approx(GROWING)


def test_a_lossy_stream_is_mended_at_once_every_time() -> None:
    driver = live(0)
    for seq in range(2, 100, 2):
        driver.stream(added(seq))
        assert driver.asked() == replay(seq - 2)
        driver.reply(replayed(seq, added(seq - 1), added(seq)))
    assert [event.seq for event in driver.events()] == list(range(1, 99))
    assert driver.size == 98, "the devices, and nothing of what was kept for the replays"


def test_a_stream_that_stops_and_goes_on_all_the_time_is_looked_for_ever_more_rarely() -> None:
    driver = live(5)
    waited = []
    for _ in range(5):
        driver.wait(3.0)
        assert driver.is_in(Phase.ASKING)
        waited.append(0.0 if (actions := driver.actions()) else driver.advance_to_deadline())
        assert (actions or driver.actions()) == [Info()]
        driver.reply(info())
        driver.actions()
        driver.stream(tick(5))
        assert driver.is_in(Phase.LIVE)
    assert waited == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8])
