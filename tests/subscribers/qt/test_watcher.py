"""`DeviceWatcher`: which signals come, when, and where; and how it ends."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, QThread, QTimer
from shiboken6 import delete, isValid

from devicewatch.events import (
    Added,
    AddressError,
    AuthenticationError,
    Event,
    Live,
    Record,
    Removed,
    Stale,
    State,
    Status,
)
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.journal import MemoryJournal
from devicewatch.subscribers import Watcher
from devicewatch.subscribers.qt import DeviceWatcher
from devicewatch.subscribers.qt.watcher import MAX_BATCH
from tests.support.keys import client_key, guarded
from tests.support.live import PATIENCE, RawClient, free_port, raw_client
from tests.support.qt import spin_for, spin_until

Context = zmq.Context[zmq.Socket[bytes]]
Follow = Callable[..., DeviceWatcher]


@pytest.fixture
def client(context: Context, registry: DeviceRegistry) -> Iterator[RawClient]:
    with raw_client(context, registry.url) as client:
        yield client


@pytest.fixture
def watcher(follow: Follow, registry: DeviceRegistry, context: Context) -> DeviceWatcher:
    return follow(registry.url, context=context)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "devicewatch-qt"]


def alive(watcher: DeviceWatcher) -> DeviceWatcher:
    spin_until(lambda: watcher.live)
    return watcher


def register_many(client: RawClient, number: int) -> None:
    for n in range(number):
        client.register(f"tcp://a:{n}", f"cam-{n}")


# --- signals -------------------------------------------------------------------------------------


def test_signals_carry_records_in_order_in_the_gui_thread(
    client: RawClient, watcher: DeviceWatcher
) -> None:
    seen: list[tuple[Event, list[str], threading.Thread]] = []

    def note(event: Event) -> None:
        seen.append((event, list(watcher.devices), threading.current_thread()))

    watcher.added.connect(note)
    watcher.removed.connect(note)
    alive(watcher)
    one = client.register("tcp://a:1", "one")["uuid"]
    client.register("tcp://a:2", "two")
    client.ask("UNREGISTER", {"uuid": one})
    spin_until(lambda: len(seen) == 3)
    assert [(type(event), event.device.name, names) for event, names, _ in seen] == [
        (Added, "one", ["one"]),
        (Added, "two", ["one", "two"]),
        (Removed, "one", ["two"]),
    ]
    assert {thread for _, _, thread in seen} == {threading.main_thread()}


def test_the_status_is_a_record_and_properties(
    watcher: DeviceWatcher, registry: DeviceRegistry
) -> None:
    assert watcher.status.state is State.CONNECTING
    assert (watcher.property("state"), watcher.property("live")) == ("connecting", False)
    assert watcher.property("why") == watcher.why == watcher.status.why
    assert watcher.property("url") == watcher.url == registry.url
    told: list[Status] = []
    watcher.statusChanged.connect(told.append)
    spin_until(lambda: watcher.live)
    assert told == [watcher.status]
    assert told[0].state is State.LIVE
    assert (watcher.property("state"), watcher.property("why")) == ("live", "")
    assert abs(watcher.since.toMSecsSinceEpoch() / 1000 - time.time()) < PATIENCE


def test_a_restarted_registry_is_stale_then_live_and_keeps_the_devices(
    follow: Follow, context: Context
) -> None:
    port, events_port, journal = free_port(), free_port(), MemoryJournal()

    def registry() -> DeviceRegistry:
        return DeviceRegistry(
            addr="127.0.0.1",
            port=port,
            events_port=events_port,
            tick_interval=0.1,
            journal=journal,
        )

    with registry() as first:
        with raw_client(context, first.url) as client:
            client.register("tcp://a:1", "cam")
        watcher = follow(first.url, context=context)
        records: list[Record] = []
        watcher.received.connect(records.extend)
        spin_until(lambda: watcher.live)
    spin_until(lambda: not watcher.live)
    assert watcher.status.state is State.STALE
    assert watcher.why
    assert list(watcher.devices) == ["cam"]
    with registry():
        spin_until(lambda: watcher.live)
    assert list(watcher.devices) == ["cam"]
    kinds = [type(record) for record in records]
    assert kinds[:3] == [Added, Live, Stale]
    assert Removed not in kinds


def test_more_than_fit_into_a_turn_leave_the_event_loop_its_turns(
    client: RawClient, follow: Follow, registry: DeviceRegistry, context: Context
) -> None:
    count = 4 * MAX_BATCH
    register_many(client, count)
    watcher = follow(registry.url, context=context)
    batches: list[int] = []
    turns: list[int] = []  # how many devices were known at each
    watcher.received.connect(lambda records: batches.append(len(records)))
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(len(watcher.devices)))
    timer.start(0)
    spin_until(lambda: watcher.live)
    timer.stop()
    assert list(watcher.devices) == [f"cam-{n}" for n in range(count)]
    assert sum(batches) == count + 1
    assert max(batches) <= MAX_BATCH
    between = sorted({known for known in turns if known})
    assert max(b - a for a, b in zip([0, *between], [*between, count], strict=True)) <= MAX_BATCH


def test_two_watchers_see_the_same(client: RawClient, follow: Follow, context: Context) -> None:
    url = client.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    both = [follow(url, context=context), follow(url, context=context, device_type="arm")]
    register_many(client, 3)
    client.register("tcp://a:9", "arm", device_type="arm")
    spin_until(lambda: len(both[0].devices) == 4 and both[1].devices)
    assert list(both[1].devices) == ["arm"]


def test_a_slot_that_fails_stops_nothing(
    client: RawClient, watcher: DeviceWatcher, complaints: list[str]
) -> None:
    watcher.added.connect(lambda _event: 1 / 0)
    register_many(client, 2)
    spin_until(lambda: len(watcher.devices) == 2)
    assert complaints == ["ZeroDivisionError: division by zero"] * 2
    complaints.clear()


def test_a_slot_with_an_event_loop_of_its_own_is_told_no_more_meanwhile(
    client: RawClient, watcher: DeviceWatcher
) -> None:
    seen: list[str] = []

    def dialog(event: Added) -> None:
        if event.device.name == "cam-0":
            client.register("tcp://b:1", "late")
            loop = QEventLoop()
            QTimer.singleShot(100, loop.quit)
            loop.exec()
        seen.append(event.device.name)

    watcher.added.connect(dialog)
    register_many(client, 3)
    spin_until(lambda: len(seen) == 4)
    assert seen == ["cam-0", "cam-1", "cam-2", "late"]


# --- errors --------------------------------------------------------------------------------------


def test_an_address_that_makes_no_sense_is_an_error_at_once(application: QCoreApplication) -> None:
    parent = QObject()
    with pytest.raises(AddressError):
        DeviceWatcher("controller", parent)
    assert parent.children() == []
    with pytest.raises(AddressError):
        DeviceWatcher(events_url="controller")
    assert threads() == []


def test_it_belongs_in_the_application_s_thread(application: QCoreApplication) -> None:
    caught: list[BaseException] = []

    def make() -> None:
        try:
            DeviceWatcher()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join(PATIENCE)
    assert "QApplication" in str(caught[0])


def test_whoever_is_not_let_in_is_told_once_and_comes_in_once_they_are(
    follow: Follow, context: Context, tmp_path: Path
) -> None:
    with guarded(tmp_path / "list") as gate:
        watcher = follow(gate.registry.url, context=context, key=client_key("gui"))
        errors: list[Exception] = []
        watcher.errorOccurred.connect(errors.append)
        spin_until(lambda: errors)
        assert isinstance(errors[0], AuthenticationError)
        spin_until(lambda: watcher.why == str(errors[0]))
        assert watcher.state == "connecting"
        gate.let_in("gui")
        spin_until(lambda: watcher.live, 3 * PATIENCE)
        assert len(errors) == 1


def test_a_context_that_ends_closes_it(registry: DeviceRegistry, follow: Follow) -> None:
    mine: Context = zmq.Context()
    watcher = follow(registry.url, context=mine)
    spin_until(lambda: watcher.live)
    mine.term()
    spin_until(lambda: watcher.state == "closed")
    assert watcher.why == "its ZeroMQ context was terminated"
    assert threads() == []


def test_a_fault_of_our_own_is_told_and_closes_it(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watcher, "records", None)
    watcher = follow()
    errors: list[Exception] = []
    watcher.errorOccurred.connect(errors.append)
    spin_until(lambda: watcher.state == "closed")
    assert isinstance(errors[0], TypeError)


# --- how it ends ---------------------------------------------------------------------------------


def test_stop_is_the_end_of_signals(client: RawClient, watcher: DeviceWatcher) -> None:
    spin_until(lambda: watcher.live)
    told: list[Status] = []
    watcher.statusChanged.connect(told.append)
    watcher.stop()
    assert threads() == []
    assert [(status.state, status.why) for status in told] == [(State.CLOSED, "it was stopped")]
    client.register("tcp://a:1")
    spin_for(0.05)
    watcher.stop()
    assert len(told) == 1
    assert watcher.devices == {}


def test_a_slot_may_stop_it(client: RawClient, watcher: DeviceWatcher) -> None:
    batches: list[list[Record]] = []
    watcher.received.connect(batches.append)
    watcher.added.connect(lambda _event: watcher.stop())
    register_many(client, 5)
    spin_until(lambda: watcher.state == "closed")
    spin_for(0.05)
    assert list(watcher.devices) == ["cam-0"]
    told = [record for batch in batches for record in batch if isinstance(record, Added)]
    assert [event.device.name for event in told] == ["cam-0"]


@pytest.mark.parametrize("signal", ["added", "statusChanged", "received"])
def test_a_slot_may_delete_it(client: RawClient, watcher: DeviceWatcher, signal: str) -> None:
    seen: list[object] = []

    def delete_it(record: object) -> None:
        seen.append(record)
        delete(watcher)

    getattr(watcher, signal).connect(delete_it)
    register_many(client, 5)
    spin_until(lambda: seen)
    spin_for(0.05)
    assert len(seen) == 1
    assert threads() == []


def test_it_ends_with_its_parent_while_busy(
    client: RawClient, registry: DeviceRegistry, context: Context
) -> None:
    register_many(client, 1_000)
    parent = QObject()
    watcher = DeviceWatcher(registry.url, parent, context=context)
    spin_until(lambda: watcher.devices)
    assert len(watcher.devices) < 1_000
    delete(parent)
    assert not isValid(watcher)
    assert threads() == []
    spin_for(0.05)


def test_it_ends_with_the_last_reference(registry: DeviceRegistry, context: Context) -> None:
    watcher = alive(DeviceWatcher(registry.url, context=context))
    watcher.added.connect(watcher.stop)
    del watcher
    gc.collect()
    assert threads() == []
    spin_for(0.02)


def test_it_may_be_collected_in_any_thread(registry: DeviceRegistry, context: Context) -> None:
    watcher = alive(DeviceWatcher(registry.url, context=context))
    watcher.itself = watcher  # type: ignore[attr-defined]
    gone = weakref.ref(watcher)
    del watcher
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join(PATIENCE)
    assert gone() is None
    assert threads() == []
    spin_for(0.02)


def test_it_ends_with_the_application(
    registry: DeviceRegistry, follow: Follow, context: Context, application: QCoreApplication
) -> None:
    watcher = follow(registry.url, context=context)
    watcher.statusChanged.connect(lambda: watcher.live and application.quit())
    application.exec()
    assert watcher.status.why == "the application quits"
    assert threads() == []


FORGETFUL = """
import sys, threading
from PySide6.QtCore import QCoreApplication, QTimer
from devicewatch.subscribers.qt import DeviceListModel, DeviceWatcher
application = QCoreApplication([])
watcher = DeviceWatcher(sys.argv[1])
model = DeviceListModel(watcher)
if sys.argv[2] == "exec":
    watcher.statusChanged.connect(lambda: application.quit())
    application.exec()
"""


@pytest.mark.parametrize("way", ["exec", "at once"])
def test_a_program_that_forgets_it_ends_without_a_word(registry: DeviceRegistry, way: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORGETFUL, registry.url, way],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_no_thread_of_qt_s_is_needed(watcher: DeviceWatcher, application: QCoreApplication) -> None:
    spin_until(lambda: watcher.live)
    assert not application.findChildren(QThread)
