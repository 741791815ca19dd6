"""Whether the registry's loop comes round, which is more than that its thread is alive."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import zmq

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.doorbell import Doorbell
from tests.support.live import PATIENCE, let_pass, raw_client, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

INFO = b'{"event":"INFO","payload":{}}'


@contextmanager
def stuck(registry: DeviceRegistry, context: Context) -> Iterator[None]:
    """Let the loop's thread stand still, in the midst of a request, for as long as a block."""
    stuck, go_on = threading.Event(), threading.Event()
    core = cast(RegistryCore, registry._core)
    info = core._info

    def stand_still(now: float) -> Any:
        stuck.set()
        go_on.wait(2 * PATIENCE)
        return info(now)

    with pytest.MonkeyPatch.context() as patch, raw_client(context, registry.url) as client:
        patch.setattr(core, "_info", stand_still)
        client.socket.send(INFO)
        assert stuck.wait(PATIENCE)
        try:
            yield
        finally:
            go_on.set()
        assert client.socket.poll(int(PATIENCE * 1000))


def test_a_registry_responds_from_its_start_to_its_stop() -> None:
    registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", tick_interval=3600)
    assert not registry.responds(PATIENCE)
    registry.start()
    for _ in range(3):
        assert registry.responds(PATIENCE)
    registry.stop()
    since = time.monotonic()
    assert not registry.responds(PATIENCE)
    assert time.monotonic() - since < PATIENCE / 2


@pytest.mark.interpreted
def test_one_whose_loop_is_stuck_does_not_until_that_goes_on(
    registry: DeviceRegistry, context: Context
) -> None:
    with stuck(registry, context):
        assert registry.is_alive()
        assert not registry.responds(0.01)
        assert not registry.responds(0.01)
    assert registry.responds(PATIENCE)
    bell = cast(Doorbell, registry._bell)
    assert not bell._questions


def test_it_responds_under_a_load_that_never_lets_it_sleep(
    registry: DeviceRegistry, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = context.socket(zmq.DEALER)
    crowd.linger = 0
    crowd.connect(registry.url)
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            crowd.send_multipart([b"", INFO])
            while crowd.poll(0):
                crowd.recv_multipart()

    loading = threading.Thread(target=load)
    loading.start()
    try:
        for _ in range(50):
            assert registry.responds(PATIENCE)
    finally:
        over.set()
        loading.join()
        crowd.close()


def test_asking_from_several_threads_at_once_gives_each_an_answer(
    registry: DeviceRegistry,
) -> None:
    answers: list[bool] = []

    def ask() -> None:
        answers.extend(registry.responds(PATIENCE) for _ in range(200))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert answers == [True] * 800


def test_a_loop_that_was_asked_goes_back_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float] = []
    poll = zmq.Poller.poll

    def counting_poll(self: zmq.Poller, timeout: int | None = None) -> Any:
        if threading.current_thread().name == "devicewatch-registry":
            rounds.append(time.monotonic())
        return poll(self, timeout)

    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", tick_interval=3600
    ) as registry:
        assert registry.responds(PATIENCE)
        monkeypatch.setattr(zmq.Poller, "poll", counting_poll)
        for _ in range(20):
            assert registry.responds(PATIENCE)
        # While a ring has not been noted yet, or comes after its question was answered, it goes
        # round once or twice more; afterwards it sleeps.
        rounds.clear()
        let_pass(0.05)
        assert len(rounds) <= 1


@pytest.mark.interpreted
def test_whoever_waits_when_it_ends_waits_no_longer(
    registry: DeviceRegistry, context: Context
) -> None:
    answers: list[bool] = []
    bell = cast(Doorbell, registry._bell)
    with stuck(registry, context):
        asker = threading.Thread(target=lambda: answers.append(registry.responds(PATIENCE)))
        asker.start()
        wait_until(lambda: bell._questions)
        since = time.monotonic()
        registry._stopping.set()
    asker.join()
    assert time.monotonic() - since < PATIENCE / 2
    assert len(answers) == 1


def test_that_somebody_asks_is_known_before_the_bell_rings() -> None:
    class Slow(Doorbell):
        """Its ring wakes the loop before the one who rang goes on."""

        def ring(self) -> None:
            known.append(self.asked)
            self.answer()

    known: list[bool] = []
    bell = Slow()
    assert bell.is_answered(PATIENCE)
    assert known == [True]
    assert not bell.asked
    bell.close()
