"""Fixtures for all tests. Sockets are real, on loopback and on ports that nobody uses."""

import logging
import signal
import threading
from collections.abc import Iterator

import pytest
import zmq
from coverage import Coverage
from hypothesis import HealthCheck, settings

from devicewatch.registry import DeviceRegistry
from devicewatch.registry.build import COMPILED

TICK = 0.1
"""Seconds: short, so that tests which wait for a tick need not wait long."""

settings.register_profile(
    "devicewatch", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("devicewatch")


UNCOVERED = ("benchmarks", "faults", "fuzz", "promises", "proxy", "qt", "security", "web")
"""Folders of tests that take all parts together: measuring what they cover would take long. The
coverage that must be whole is that of tests which are after something in particular."""


def pytest_configure(config: pytest.Config) -> None:
    """Measure coverage once; and let Ctrl-C be Ctrl-C.

    In the background of a shell SIGINT is ignored, and so it would be by all programs that tests
    start, and then interrupt.

    In the workers of pytest-xdist pytest-cov begins twice (7.1 does), and `no_cover` ends but one
    of them: what should not be measured was, at three times the price.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = Coverage.current()
    if hasattr(config, "workerinput") and begun is not None:
        begun.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage where it would not count, and leave out what cannot be."""
    for item in items:
        if COMPILED and item.get_closest_marker("interpreted"):
            item.add_marker(pytest.mark.skip("what it would put its own in place of is compiled"))
        if item.path.parent.name in UNCOVERED:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True, scope="session")
def _state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may find, or leave, a journal or a key in the directories of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("DEVICEWATCH_KEY", raising=False)
        yield


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
def _loggers_as_they_were() -> Iterator[None]:
    """A command that runs in a test's own process sets them up for itself."""
    logger = logging.getLogger("devicewatch")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.propagate, logger.handlers = before[1:]


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("devicewatch"):
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} was left behind"
