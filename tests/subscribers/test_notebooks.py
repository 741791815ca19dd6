"""Watchers of both kinds, as a notebook shows them."""

import threading
from collections.abc import Callable

import pytest
import zmq

from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import AsyncWatcher, Watcher
from tests.support.live import PATIENCE, raw_client, wait_until
from tests.support.watchers import KINDS, AnyWatcher

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture(params=KINDS, ids=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> type[AnyWatcher]:
    kind: type[AnyWatcher] = request.param
    return kind


def of(watcher: AnyWatcher) -> Watcher | AsyncWatcher:
    return watcher if isinstance(watcher, Watcher) else watcher.inner


def test_a_watcher_shows_itself_as_a_table(
    kind: type[AnyWatcher], registry: DeviceRegistry, context: Context
) -> None:
    with kind(registry.url, context=context) as watcher:
        assert "<b>connecting</b>: no registry has answered yet" in of(watcher)._repr_html_()
        with raw_client(context, registry.url) as client:
            client.register("tcp://a:1", "<cam>")
        watcher.connect(PATIENCE)
        assert watcher.get(PATIENCE)
        html = of(watcher)._repr_html_()
        assert "<b>live</b> since" in html
        assert f"1 device at {registry.url}" in html
        assert "&lt;cam&gt;" in html
        assert repr(of(watcher)).endswith(f" of {registry.url}: live, 1 devices>")
    assert "<b>closed</b> since" in of(watcher)._repr_html_()


def test_it_may_be_shown_while_another_thread_waits(
    registry: DeviceRegistry, context: Context
) -> None:
    with Watcher(registry.url, context=context) as watcher:
        follower = threading.Thread(target=lambda: list(watcher))
        follower.start()
        shown: Callable[[], str] = watcher._repr_html_
        with raw_client(context, registry.url) as client:
            for number in range(100):
                client.register(f"tcp://a:{number}")
                shown()
        wait_until(lambda: "100 devices" in shown())
        watcher.close()
        follower.join(PATIENCE)
