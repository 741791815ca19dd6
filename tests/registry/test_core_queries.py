"""What the core answers to those who ask and change nothing."""

import pytest

from devicewatch.events.messages import (
    CompactedReply,
    Info,
    InfoReply,
    Replay,
    SnapshotReply,
    UnknownRequest,
    Unregister,
    Unsupported,
)
from devicewatch.events.protocol import (
    MAX_INTEGER,
    MAX_PAGE,
    PROTOCOL_VERSION,
)
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.settings import CoreSettings
from tests.support.cores import (
    EPOCH,
    device,
    events_of,
    new_core,
    register,
    register_many,
    replay,
    snapshot,
    wish,
)

# --- UNSUPPORTED and INFO -----------------------------------------------------------------------


def test_an_unknown_request_is_unsupported(core: RegistryCore) -> None:
    assert core.handle(UnknownRequest("DANCE"), 0.0) == (Unsupported("DANCE"), [])


def test_info_says_who_the_registry_is_and_where_it_is_at() -> None:
    core = new_core(now=100.0, settings=CoreSettings(tick_interval=2, history=7, events_port=5556))
    acks = register_many(core, 3)
    core.handle(Unregister(acks[0].uuid), 100.0)

    assert core.handle(Info(), 160.5) == (
        InfoReply(
            version=PROTOCOL_VERSION,
            epoch=EPOCH,
            seq=4,
            devices=2,
            tick_interval=2.0,
            uptime=60.5,
            history=7,
            events_port=5556,
        ),
        [],
    )


# --- SNAPSHOT -----------------------------------------------------------------------------------


def test_the_snapshot_of_an_empty_registry_is_one_empty_page(core: RegistryCore) -> None:
    assert snapshot(core) == SnapshotReply(EPOCH, 0, [], None)


def test_a_snapshot_holds_the_devices_in_order_of_revision(core: RegistryCore) -> None:
    for name in ("zoom", "arm", "cam"):
        register(core, wish(name, f"tcp://{name}"))
    register(core, wish("zoom", "tcp://zoom"))

    assert snapshot(core) == SnapshotReply(
        EPOCH,
        5,
        [
            device("arm", "tcp://arm", 2),
            device("cam", "tcp://cam", 3),
            device("zoom", "tcp://zoom", 5),
        ],
        None,
    )


def test_a_snapshot_holds_only_devices_after_the_given_revision(core: RegistryCore) -> None:
    register_many(core, 4)

    assert [each.revision for each in snapshot(core, after=0).devices] == [1, 2, 3, 4]
    assert [each.revision for each in snapshot(core, after=2).devices] == [3, 4]
    assert snapshot(core, after=4) == SnapshotReply(EPOCH, 4, [], None)
    assert snapshot(core, after=MAX_INTEGER) == SnapshotReply(EPOCH, 4, [], None)


@pytest.mark.parametrize(
    ("limit", "pages"),
    [
        (1, [[1], [2], [3], [4]]),
        (2, [[1, 2], [3, 4]]),
        (3, [[1, 2, 3], [4]]),
        (4, [[1, 2, 3, 4]]),
        (5, [[1, 2, 3, 4]]),
    ],
)
def test_next_is_null_exactly_on_the_last_page(
    core: RegistryCore, limit: int, pages: list[list[int]]
) -> None:
    register_many(core, 4)

    after: int | None = None
    for number, page in enumerate(pages, start=1):
        reply = snapshot(core, after, limit)
        assert [each.revision for each in reply.devices] == page
        assert reply.next == (page[-1] if number < len(pages) else None)
        after = reply.next


def test_a_page_is_never_longer_than_the_protocol_allows(core: RegistryCore) -> None:
    register_many(core, MAX_PAGE + 1, name="")
    page = snapshot(core, limit=MAX_INTEGER)

    assert len(page.devices) == MAX_PAGE
    assert page.next == MAX_PAGE
    assert len(snapshot(core, page.next, MAX_INTEGER).devices) == 1


def test_a_device_that_comes_between_two_pages_is_on_the_last(core: RegistryCore) -> None:
    register_many(core, 4)
    first = snapshot(core, limit=2)
    register(core, wish("new", "tcp://new"))
    second = snapshot(core, first.next)

    assert [each.revision for each in second.devices] == [3, 4, 5]
    assert second.next is None
    assert (first.seq, second.seq) == (4, 5)


def test_a_device_that_leaves_between_two_pages_is_not_on_the_next(core: RegistryCore) -> None:
    acks = register_many(core, 5)
    first = snapshot(core, limit=2)
    core.handle(Unregister(acks[1].uuid), 0.0)  # where the next page begins
    core.handle(Unregister(acks[2].uuid), 0.0)

    assert [each.revision for each in snapshot(core, first.next, 2).devices] == [4, 5]


def test_when_all_that_was_to_come_has_left_the_last_page_is_empty(core: RegistryCore) -> None:
    acks = register_many(core, 3)
    first = snapshot(core, limit=2)
    core.handle(Unregister(acks[2].uuid), 0.0)

    assert snapshot(core, first.next, 2) == SnapshotReply(EPOCH, 4, [], None)


# --- REPLAY -------------------------------------------------------------------------------------


def test_a_replay_holds_the_events_as_they_were_published(core: RegistryCore) -> None:
    published = events_of(core, wish("cam", "tcp://a"), 1.0)
    published += events_of(core, wish("cam", "tcp://b", overwrite=True), 2.0)
    published += events_of(core, Unregister("uuid-2"), 3.0)
    published += events_of(core, wish("arm", "tcp://c", metadata={"dof": 6}), 4.0)
    published += core.expire(24.0)
    assert [event.seq for event in published] == [1, 2, 3, 4, 5, 6]

    for after in range(7):
        assert replay(core, after) == published[after:]


def test_a_replay_of_nothing_holds_nothing(core: RegistryCore) -> None:
    assert replay(core, 0) == []


def test_a_replay_is_no_longer_than_was_asked_for(core: RegistryCore) -> None:
    register_many(core, 5)

    assert [event.seq for event in replay(core, 1, limit=2)] == [2, 3]
    assert [event.seq for event in replay(core, 3, limit=2)] == [4, 5]


def test_a_replay_is_never_longer_than_the_protocol_allows(core: RegistryCore) -> None:
    register_many(core, MAX_PAGE + 1, name="")

    assert len(replay(core, 0, limit=MAX_INTEGER)) == MAX_PAGE
    assert [event.seq for event in replay(core, MAX_PAGE, limit=MAX_INTEGER)] == [MAX_PAGE + 1]


@pytest.mark.parametrize("after", [0, 3, 5])
def test_events_of_another_epoch_are_compacted(core: RegistryCore, after: int) -> None:
    register_many(core, 3)

    assert core.handle(Replay("another", after), 0.0) == (CompactedReply(EPOCH, 3, oldest=1), [])


def test_events_that_have_not_happened_are_compacted(core: RegistryCore) -> None:
    register_many(core, 3)

    for after in (4, 100, MAX_INTEGER):
        reply = core.handle(Replay(EPOCH, after), 0.0)
        assert reply == (CompactedReply(EPOCH, 3, oldest=1), [])


def test_events_older_than_the_history_are_compacted() -> None:
    core = new_core(settings=CoreSettings(history=3))
    register_many(core, 5)

    for after in (0, 1):
        reply = core.handle(Replay(EPOCH, after), 0.0)
        assert reply == (CompactedReply(EPOCH, 5, oldest=3), [])
    assert [event.seq for event in replay(core, 2)] == [3, 4, 5]


def test_a_registry_without_history_replays_nothing() -> None:
    core = new_core(settings=CoreSettings(history=0))
    register_many(core, 2)

    assert replay(core, 2) == []
    assert core.handle(Replay(EPOCH, 1), 0.0) == (CompactedReply(EPOCH, 2, oldest=3), [])


# --- devices ------------------------------------------------------------------------------------


def test_devices_are_a_copy(core: RegistryCore) -> None:
    register(core, wish("cam", "tcp://a"))
    before = core.devices
    before.clear()
    assert list(core.devices) == ["cam"]

    before = core.devices
    register(core, wish("arm", "tcp://b"))
    after = core.devices
    assert (list(before), list(after)) == (["cam"], ["cam", "arm"])
