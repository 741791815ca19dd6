"""The mirror and a registry that does not let it in, at first or any more."""

from devicewatch.events.errors import AuthenticationError
from devicewatch.events.messages import Info
from devicewatch.events.protocol import Origin
from devicewatch.events.records import Live, Stale, State
from devicewatch.subscribers.inquiry import LONGEST_PAUSE
from devicewatch.subscribers.mirror import Phase
from tests.support.driver import (
    Driver,
    added,
    device,
    info,
    listening,
    live,
    page,
    replaying,
    stale,
    syncing,
    tick,
)

ERROR = AuthenticationError("the registry does not know the key")


def not_let_in(driver: Driver) -> None:
    driver.mirror.not_let_in(ERROR, driver.now)


def test_whoever_has_no_view_yet_is_told_once() -> None:
    driver = Driver()
    assert driver.mirror.take_refusal() is None
    driver.asked()
    not_let_in(driver)
    assert driver.mirror.take_refusal() is ERROR
    assert driver.mirror.take_refusal() is None
    assert driver.mirror.view.trouble == str(ERROR)
    assert driver.mirror.view.status.state is State.CONNECTING


def test_it_tries_on_with_pauses() -> None:
    driver = Driver()
    pauses = []
    for _ in range(12):
        assert driver.asked() == Info()
        not_let_in(driver)
        assert driver.actions() == [], "it does not ask at once"
        pauses.append(round(driver.advance_to_deadline(), 6))
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_what_is_said_of_every_attempt_can_be_told() -> None:
    driver = Driver()
    for _ in range(2):
        driver.asked()
        not_let_in(driver)
        assert driver.mirror.take_refusal() is ERROR
        driver.advance_to_deadline()


def test_it_is_live_once_it_is_let_in() -> None:
    driver = Driver()
    driver.asked()
    not_let_in(driver)
    driver.advance_to_deadline()
    live(1, device(1), driver=driver)
    assert driver.mirror.view.status.state is State.LIVE
    assert driver.mirror.view.trouble == ""


def test_a_refusal_that_nobody_has_heard_of_is_forgotten_when_it_is_over() -> None:
    """Or whoever waits for the next event of a view that is live would be told."""
    driver = Driver()
    driver.asked()
    not_let_in(driver)
    driver.advance_to_deadline()
    live(1, device(1), driver=driver)
    assert driver.mirror.take_refusal() is None


def test_on_its_way_it_begins_again() -> None:
    for driver in (listening(), syncing(), syncing(5)):
        not_let_in(driver)
        assert driver.is_in(Phase.ASKING)
        assert driver.mirror.take_refusal() is ERROR
        driver.advance_to_deadline()
        assert driver.asked() == Info()


def test_a_view_that_there_was_goes_stale_and_keeps_its_devices() -> None:
    driver = live(1, device(1))
    not_let_in(driver)
    assert [type(word) for word in driver.words()] == [Stale]
    assert driver.mirror.view.status.state is State.STALE
    assert driver.mirror.view.status.why == str(ERROR)
    assert list(driver.mirror.view.devices) == ["d1"]
    assert driver.mirror.take_refusal() is None, "it is no error: it may be let in again"


def test_what_is_stale_stays_stale() -> None:
    for driver in (stale(1, device(1)), replaying(1, device(1))):
        driver.words()
        not_let_in(driver)
        assert driver.is_in(Phase.ASKING)
        assert driver.events() == []
        assert driver.mirror.view.status.state is State.STALE
        assert driver.mirror.take_refusal() is None


def test_it_goes_on_where_it_was_when_it_is_let_in_again() -> None:
    driver = live(1, device(1))
    not_let_in(driver)
    not_let_in(driver)
    driver.records()
    driver.actions()
    driver.advance_to_deadline()
    driver.actions()
    driver.reply(info())
    driver.actions()
    driver.stream(tick(1), added(2))
    assert [(event.seq, event.origin) for event in driver.events()] == [(2, Origin.LIVE)]
    assert driver.mirror.view.status.state is State.LIVE


def test_each_loss_is_told_once() -> None:
    driver = live(1, device(1))
    for _ in range(3):
        not_let_in(driver)
        driver.wait(1.0)
        driver.actions()
    assert [type(word) for word in driver.words()] == [Stale]
    assert not any(isinstance(word, Live) for word in driver.words())


def test_a_snapshot_that_was_on_its_way_is_of_no_use() -> None:
    driver = syncing(1)
    not_let_in(driver)
    driver.reply(page(1, [device(1)]))
    assert driver.is_in(Phase.ASKING)
    assert driver.events() == []
