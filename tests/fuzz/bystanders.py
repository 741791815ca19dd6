"""Those who must not notice that a registry is attacked: a device, someone who asks, a watcher."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Self

import zmq

from devicewatch.events import Added, Cursor, Event
from devicewatch.registry import announce
from devicewatch.registry.requester import query_devices, query_info
from devicewatch.subscribers import Watcher
from tests.faults.processes import RegistryProcess
from tests.support.live import PATIENCE, RawClient, wait_until

Context = zmq.Context[zmq.Socket[bytes]]

LEASE: Final = 1.5
"""Seconds: of a device that must not notice."""

IN_TIME: Final = 5.0
"""Seconds in which each request is answered, on a machine that is busy with the attack as well."""


class Bystanders:
    """Those who must not notice: a device, someone who asks, and a watcher.

    Attributes:
        requests: How many were answered.
        slowest: Seconds that the slowest of them took.
        trouble: What has happened to one of them.
        events: What the watcher has seen.
    """

    def __init__(self, registry: RegistryProcess, context: Context) -> None:
        self.requests = 0
        self.slowest = 0.0
        self._registry = registry
        self._context = context
        self._over = threading.Event()
        self.trouble: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()
        self._watcher: Watcher
        self.events: list[Event] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            url = self._registry.url
            stack.enter_context(
                announce(
                    "camera", "tcp://10.0.0.5:7000", "steady", url,
                    alive_timeout=LEASE, timeout=PATIENCE, context=self._context,
                )
            )  # fmt: skip
            self._watcher = stack.enter_context(Watcher(url, context=self._context))
            for body in (self._ask, self._watch):
                thread = threading.Thread(target=self._guard, args=(body,))
                thread.start()
                self._threads.append(thread)
            stack.callback(self._stop)
            wait_until(lambda: self.requests and self.events)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def _stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except Exception as error:  # noqa: BLE001 - for `check`
            self.trouble.append(error)

    def _ask(self) -> None:
        """Ask on a connection that stays, and on one that is new, in turn."""
        url = self._registry.url
        old = RawClient(self._context, url)
        old.socket.linger = 0
        with old.socket:
            while not self._over.wait(0.02):
                for ask in (
                    lambda: old.ask("INFO", {}),
                    lambda: query_info(self._context, url, IN_TIME),
                ):
                    began = time.monotonic()
                    ask()
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.requests += 1

    def _watch(self) -> None:
        while not self._over.is_set():
            event = self._watcher.get(0.05)
            if event is not None:
                self.events.append(event)

    def check(self) -> None:
        """Nobody has noticed anything."""
        if self.trouble:
            raise self.trouble[0]
        assert self.slowest < IN_TIME, f"a request took {self.slowest:.1f} s"
        steady = [event for event in self.events if event.device.name == "steady"]
        assert len(steady) == 1, f"the device was not left alone: {steady}"
        assert isinstance(steady[0], Added)

    def agree(self) -> None:
        """The watcher sees what the registry says is there."""
        url = self._registry.url

        def same() -> bool:
            reply = query_info(self._context, url, IN_TIME)
            there = {d.name: d for d in query_devices(self._context, url, IN_TIME)}
            return self._watcher.cursor == Cursor(reply.epoch, reply.seq) and (
                dict(self._watcher.devices) == there
            )

        wait_until(same)
