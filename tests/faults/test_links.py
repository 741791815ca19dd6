"""What a lost link looks like: a view that is stale, and devices that stay."""

import random
import time
from collections.abc import Iterator

import pytest
import zmq

from devicewatch.events import Live, Stale
from devicewatch.events.protocol import STALE_AFTER_TICKS
from devicewatch.registry import DeviceRegistry
from tests.support.live import wait_until
from tests.support.proxy import proxied
from tests.support.watchers import KINDS, AnyWatcher

from .load import Load
from .scribe import Scribe
from .truth import Historian, fetch_devices
from .weather import FAULTS, SILENCING, Link, half_open, heal

Context = zmq.Context[zmq.Socket[bytes]]

TICK = 0.1

SLACK = 3.0
"""Seconds that a busy machine may take in addition."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.subscribers.inquiry.REPLY_TIMEOUT", 0.3)
    monkeypatch.setattr("devicewatch.subscribers.inquiry.LONGEST_PAUSE", 0.5)


@pytest.fixture
def historian(registry: DeviceRegistry) -> Historian:
    return Historian(history=10_000)


@pytest.fixture
def load(context: Context, registry: DeviceRegistry, historian: Historian) -> Iterator[Load]:
    with Load(context, registry.url, historian, random.Random(1), short=False) as load:
        load.burst(50)
        yield load


@pytest.fixture(params=KINDS, ids=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> type[AnyWatcher]:
    kind: type[AnyWatcher] = request.param
    return kind


@pytest.fixture
def link(registry: DeviceRegistry) -> Iterator[Link]:
    with proxied(registry) as link:
        yield link


@pytest.fixture
def scribe(kind: type[AnyWatcher], link: Link, load: Load) -> Iterator[Scribe]:
    """One that is live, at the other end of the link."""
    requests, events = link
    with Scribe(kind, requests.url, events_url=events.url) as scribe:
        at = load.settle()
        wait_until(lambda: scribe.is_at(at))
        yield scribe


@pytest.mark.parametrize("fault", SILENCING)
def test_a_lost_link_makes_the_view_stale_and_removes_nobody(
    scribe: Scribe, link: Link, load: Load, historian: Historian, fault: str
) -> None:
    devices = fetch_devices(load.client)
    told = len(scribe.records)
    broken = time.time()
    for proxy in link:
        FAULTS[fault](proxy)
    load.burst(50)
    wait_until(lambda: "no answer" in scribe.why)  # it has noticed, and tried in vain
    assert scribe.watcher is not None
    assert scribe.watcher.devices == devices
    *before, stale = scribe.records[told:]
    assert isinstance(stale, Stale)
    assert all(isinstance(record, Live | Stale) for record in before)
    assert stale.time - broken < STALE_AFTER_TICKS * TICK + SLACK
    assert "is silent" in stale.why

    heal(link)
    at = load.settle()
    wait_until(lambda: scribe.is_at(at))
    assert scribe.watcher.devices == fetch_devices(load.client)
    assert scribe.why == ""
    words = [record for record in scribe.records[told:] if isinstance(record, Live | Stale)]
    assert isinstance(words[-1], Live)
    assert not any(isinstance(word, Live) and word.resynced for word in words)
    scribe.judge(historian.truth)


@pytest.mark.parametrize("dead", ["the stream", "requests", "both"])
def test_out_of_half_open_connections_it_finds_by_itself(
    scribe: Scribe, link: Link, load: Load, historian: Historian, dead: str
) -> None:
    requests, events = link
    accepted = events.accepted
    if dead == "requests":
        half_open(requests)
        accepted = requests.accepted
        events.cut()  # something to ask for
        load.burst(50)
        events.heal()
    elif dead == "both":
        half_open(requests)
        half_open(events)
    else:
        half_open(events)
    load.burst(50)
    at = load.settle()
    wait_until(lambda: scribe.is_at(at))
    assert (requests if dead == "requests" else events).accepted > accepted
    if dead != "requests":  # the registry does not know yet, and still tells it of the time
        swallowed = events.swallowed
        wait_until(lambda: events.swallowed > swallowed)
    assert scribe.is_at(at)
    assert not any(isinstance(record, Live) and record.resynced for record in scribe.records)
    scribe.judge(historian.truth)


def test_a_stream_that_is_late_is_yielded_late_and_whole(
    scribe: Scribe, link: Link, load: Load, historian: Historian
) -> None:
    _, events = link
    events.delay(0.03)
    load.burst(50)
    events.throttle(200_000)
    load.burst(50)
    at = load.settle()
    wait_until(lambda: scribe.is_at(at))
    assert [event.seq for event in scribe.events[-50:]] == list(range(at.seq - 49, at.seq + 1))
    scribe.judge(historian.truth)
