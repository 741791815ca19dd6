"""A journal in memory, and registries that go on with it."""

import pytest
import zmq

from devicewatch.events import Added, JournalError, Removed
from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import Register, RegisterAck
from devicewatch.events.records import StreamMessage
from devicewatch.registry import (
    AliveCheckState,
    DeviceRegistry,
    Journal,
    MemoryJournal,
    NoJournal,
    register_device,
    send_alive_check,
)
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.counts import Counts
from devicewatch.registry.journal import Change, Past
from devicewatch.registry.service import Service
from devicewatch.subscribers import Watcher
from tests.conftest import TICK

Context = zmq.Context[zmq.Socket[bytes]]


def start(journal: Journal, *ports: str, history: int = 100) -> DeviceRegistry:
    """With a context of its own, so that once it has stopped its ports are free."""
    port, events_port = ports or ("0", "0")
    registry = DeviceRegistry(
        addr="127.0.0.1",
        port=port,
        events_port=events_port,
        history=history,
        tick_interval=TICK,
        journal=journal,
    )
    try:
        registry.start()
    except BaseException:
        registry.stop()
        raise
    return registry


def test_a_new_journal_begins_with_the_epoch_that_it_is_given() -> None:
    journal = MemoryJournal()
    assert journal.load("e", 5) == Past("e")
    journal.close()
    assert journal.load("another", 5) == Past("e")


def test_where_nothing_is_kept_every_registry_begins_anew() -> None:
    journal = NoJournal()
    journal.append(Change())
    journal.close()
    for epoch in ("e", "another"):
        core = RegistryCore(journal.load(epoch, 5).epoch, 0.0)
        published: list[StreamMessage] = []
        service = Service(core, journal, published.append)
        service.count(Counts(), MemoryJournal())
        request = encode_request(Register("camera", "tcp://a:1", ""))
        reply = decode_reply([service.answer([request], 0.0)])
        assert isinstance(reply, RegisterAck)
        service.expire(21.0, drained=True)
        assert [(message.epoch, message.topic) for message in published] == [
            (epoch, "added"),
            (epoch, "removed"),
        ]
    assert journal.load("third", 5) == Past("third")


def test_one_registry_at_a_time_has_it() -> None:
    journal = MemoryJournal()
    first = start(journal)
    with pytest.raises(JournalError, match="belongs to another registry"):
        start(journal)
    first.stop()
    start(journal).stop()


def test_a_registry_goes_on_where_the_one_before_has_stopped(context: Context) -> None:
    first = start(MemoryJournal())
    ports = first.port, first.events_port
    _, uuid = register_device(context, "camera", "tcp://a:1", "cam", first.url)
    with Watcher(first.url, context=context) as watcher:
        assert watcher.get(5) is not None
        first.stop()
        second = start(first.journal, *ports)
        assert second.devices == {"cam": ("camera", "tcp://a:1")}
        assert send_alive_check(context, uuid, second.url) is AliveCheckState.ok
        register_device(context, "arm", "tcp://b:1", "arm", second.url)
        event = watcher.get(10)
        assert isinstance(event, Added)
        assert (event.device.name, event.seq, event.origin) == ("arm", 2, "live")
        second.stop()


def test_a_journal_that_cannot_be_closed_holds_up_nobody() -> None:
    class Stubborn(MemoryJournal):
        def close(self) -> None:
            super().close()
            raise OSError("the store is gone")

    registry = start(Stubborn())
    registry.stop()
    assert not registry.is_alive()


def test_a_shorter_history_keeps_the_latest_events(context: Context) -> None:
    first = start(MemoryJournal())
    for name in "abc":
        register_device(context, "camera", f"tcp://{name}:1", name, first.url)
    first.stop()
    past = first.journal.load("", 2)
    assert [event.seq for event in past.events] == [2, 3]
    assert [held.device.name for held in past.registrations] == ["a", "b", "c"]
    assert not any(isinstance(event, Removed) for event in past.events)
