"""Nothing that the registry lets go of waits for the garbage collector: `serve` holds it back."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from devicewatch.events.codec import encode_request
from devicewatch.events.messages import (
    CheckAlive,
    Info,
    Register,
    Replay,
    Request,
    Snapshot,
    Unregister,
)
from devicewatch.registry import MemoryJournal
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.service import Service
from devicewatch.registry.settings import CoreSettings
from tests.support.cores import numbered_uuids

DEVICES = 300


@contextmanager
def collecting_nothing() -> Iterator[None]:
    while gc.collect():  # what other tests have left, of which some goes only when other has gone
        pass
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_no_request_and_no_lease_that_ends_leaves_a_circle_behind() -> None:
    journal = MemoryJournal()
    past = journal.load("e", 50)
    core = RegistryCore(past.epoch, 0.0, CoreSettings(history=50), numbered_uuids())
    service = Service(core, journal, lambda _message: None)

    def days() -> None:
        for now in range(3):
            ask: list[Request] = [
                *(Register("camera", f"tcp://{n}", "", now == 1, 0.5) for n in range(DEVICES)),
                *(CheckAlive(f"uuid-{n}", 0.2 + n % 3) for n in range(2 * DEVICES)),
                *(Unregister(f"uuid-{n}") for n in range(0, 2 * DEVICES, 7)),
                Info(),
                Snapshot(limit=100),
                Replay("e", 0),
            ]
            for request in ask:
                service.answer([encode_request(request)], float(now))
            for malformed in (b"", b"{", b'{"event":"REGISTER","payload":{}}', b"[" * 2000):
                service.answer([malformed], float(now))
            while core.next_deadline() < now + 0.9:
                service.expire(now + 0.9, drained=True)
                core.tick(now + 0.9)

    with collecting_nothing():
        days()
        assert core.seq > 2 * DEVICES
        assert gc.collect() == 0
