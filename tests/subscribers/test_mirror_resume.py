"""A watcher goes on where an earlier one stopped, wherever that was."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devicewatch.events.protocol import Origin
from devicewatch.events.records import Cursor, Event
from tests.subscribers.histories import (
    TYPES,
    Change,
    Join,
    Leave,
    World,
    changes,
    histories,
    plain,
    told,
)
from tests.support.cores import greeting
from tests.support.driver import Driver

# The coverage that must be whole is that of tests which are after something in particular.
pytestmark = pytest.mark.no_cover

device_types = st.sampled_from([None, *TYPES])
meanwhiles = st.lists(st.lists(changes, max_size=2), max_size=6)


@pytest.fixture(autouse=True, scope="module")
def _pages_of_two() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("devicewatch.registry.core.MAX_PAGE", 2)
        yield


def resumed_at_every_cut(
    world: World,
    story: Sequence[Event],
    device_type: str | None = None,
    meanwhile: Sequence[Sequence[Change]] = (),
) -> None:
    """Whoever stops after any event of a story and resumes tells the rest of it, exactly."""
    for cut, last in enumerate(story, start=1):
        text = str(last.cursor)
        driver = Driver(since=Cursor.parse(text), device_type=device_type)
        world.settle(driver, meanwhile)
        assert driver.mirror.view.resumed is True
        if device_type is None:  # else it may have moved on over what is of no interest
            assert driver.mirror.view.cursor == last.cursor
        assert driver.mirror.view.devices == told(story[:cut]), "right from the start"
        rest = driver.events()
        assert plain(rest) == plain(story[cut:])
        assert [event.cursor for event in rest] == [event.cursor for event in story[cut:]]
        assert driver.mirror.view.devices == world.devices(device_type)


# --- from any event, with all of history ------------------------------------------------------


@given(before=histories, news=histories, device_type=device_types)
@example([Join("", 1, "arm", False), Join("", 2, "camera", False)], [Leave(0)], "arm")
@example([Join("", n, t, False) for n, t in enumerate(["arm", "arm", "camera"])], [], "arm")
def test_what_both_tell_is_what_one_would_have_told(
    before: list[Change], news: list[Change], device_type: str | None
) -> None:
    world = World()
    world.change(before)
    driver = Driver(device_type=device_type)
    world.settle(driver)
    driver.stream(*world.change(news))
    story = driver.events()
    assert told(story) == world.devices(device_type)
    resumed_at_every_cut(world, story, device_type)


@given(before=histories, meanwhile=meanwhiles, news=histories, cut=st.integers(1, 20))
def test_the_registry_may_change_before_and_while_the_second_one_resumes(
    before: list[Change], meanwhile: list[list[Change]], news: list[Change], cut: int
) -> None:
    world = World()
    world.change(before)
    whole, first = Driver(), Driver()
    world.settle(whole)
    world.settle(first)
    happened = world.change(news[:4])
    whole.stream(*happened)
    first.stream(*happened)
    head: list[Event] = []
    while len(head) < cut and (event := first.next_event()):
        head.append(event)
    if not head:
        return
    whole.stream(*world.change(news[4:]))
    second = Driver(since=first.mirror.view.cursor)
    world.settle(second, meanwhile, others=[whole])
    rest = second.events()
    assert [*head, *rest] == whole.events()
    assert second.mirror.view.resumed is True
    assert second.mirror.view.cursor == whole.mirror.view.cursor
    assert second.mirror.view.devices == world.devices()


@given(before=histories, news=histories, device_type=device_types)
def test_a_watcher_that_is_stopped_after_every_event_tells_the_same_story(
    before: list[Change], news: list[Change], device_type: str | None
) -> None:
    world = World()
    world.change(before)
    whole = Driver(device_type=device_type)
    world.settle(whole)
    whole.stream(*world.change(news))
    story = whole.events()
    if not story:
        return
    retold, since = story[:1], story[0].cursor
    for _ in story[1:]:
        driver = Driver(since=since, device_type=device_type)
        world.settle(driver)
        event = driver.next_event()
        assert event is not None
        retold.append(event)
        since = event.cursor
    assert plain(retold) == plain(story)
    last = Driver(since=since, device_type=device_type)
    world.settle(last)
    assert last.events() == []
    assert last.mirror.view.devices == world.devices(device_type)


# --- in the middle of a difference ------------------------------------------------------------


@given(
    before=histories,
    unseen=histories,
    news=histories,
    restart=st.booleans(),
    device_type=device_types,
)
@example(
    [Join("", host, "arm", False) for host in (1, 2, 3)],
    [Join("", host, "arm", False) for host in (3, 4, 5)],
    [Leave(0)],
    True,
    None,
)
def test_in_the_middle_of_a_difference_the_rest_is_told_or_all_of_it_anew(
    before: list[Change],
    unseen: list[Change],
    news: list[Change],
    restart: bool,
    device_type: str | None,
) -> None:
    world = World(history=4)
    world.change(before)
    driver = Driver(device_type=device_type)
    world.settle(driver)
    if restart:
        world.restart()
    world.change(unseen)
    driver.stream(greeting(world.core, driver.now))
    world.settle(driver)
    driver.stream(*world.change(news[:4]))
    story = driver.events()
    assert told(story) == world.devices(device_type)
    gone = [index for index, event in enumerate(story) if event.cursor.epoch != world.core.epoch]
    for cut, last in enumerate(story, start=1):
        second = Driver(since=last.cursor, device_type=device_type)
        world.settle(second)
        if second.mirror.view.resumed:
            assert cut - 1 not in gone
            assert second.mirror.view.devices == told(story[:cut])
            if device_type is None:
                assert second.mirror.view.cursor == last.cursor
            assert plain(rest := second.events()) == plain(story[cut:])
            assert {event.origin for event in rest} <= {Origin.SNAPSHOT, Origin.LIVE}
        else:
            assert last.cursor.epoch != world.core.epoch or last.cursor.seq < world.core.seq - 4
            anew = second.events()
            assert {event.origin for event in anew} <= {Origin.RESYNC}
            assert told(anew) == world.devices(device_type)
        assert second.mirror.view.devices == world.devices(device_type)
        assert second.mirror.view.cursor == driver.mirror.view.cursor


# --- where history does not reach -------------------------------------------------------------


@given(
    before=histories,
    unseen=histories,
    history=st.integers(0, 5),
    meanwhile=meanwhiles,
    device_type=device_types,
    cut=st.integers(1, 20),
)
def test_with_part_of_history_gone_it_goes_on_or_begins_anew_and_is_right(
    before: list[Change],
    unseen: list[Change],
    history: int,
    meanwhile: list[list[Change]],
    device_type: str | None,
    cut: int,
) -> None:
    world = World(history)
    world.change(before)
    first = Driver(device_type=device_type)
    world.settle(first)
    head: list[Event] = []
    while len(head) < cut and (event := first.next_event()):
        head.append(event)
    since = first.mirror.view.cursor
    if since is None:
        return
    world.change(unseen)
    missed = world.core.seq - since.seq
    second = Driver(since=since, device_type=device_type)
    world.settle(second, meanwhile)
    if missed > history:
        assert second.mirror.view.resumed is False
    known = dict(second.mirror.view.devices)
    rest = second.events()
    if second.mirror.view.resumed:
        assert known == told(head)
        assert told([*head, *rest]) == world.devices(device_type)
        assert not any(event.origin is Origin.RESYNC for event in rest)
    else:
        assert known == {}
        assert told(rest) == world.devices(device_type)
        assert all(event.origin is not Origin.SNAPSHOT for event in rest)
    assert second.mirror.view.devices == world.devices(device_type)
