"""Fixtures for all tests. Sockets are real, on loopback and on ports that the system picks."""

import threading
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import HealthCheck, settings

from devicewatch.registry import DeviceRegistry

TICK = 0.1
"""Seconds: short, so that tests which wait for a tick need not wait long."""

settings.register_profile(
    "devicewatch", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("devicewatch")


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context; ending it would hang, and the test fail, if a socket were left open."""
    context = zmq.Context()
    yield context
    context.term()


@pytest.fixture
def registry() -> Iterator[DeviceRegistry]:
    """A registry that runs."""
    with DeviceRegistry(
        addr="127.0.0.1", port="0", events_port="0", tick_interval=TICK
    ) as registry:
        yield registry


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("devicewatch"):
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} was left behind"
