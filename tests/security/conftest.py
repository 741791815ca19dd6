"""What the tests of keys share: a home of their own, so that nobody's keys are found, or made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from .parties import Context


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where commands find their configuration, and what they keep."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.delenv("DEVICEWATCH_KEY", raising=False)
        patch.delenv("DEVICEWATCH_REGISTRY", raising=False)
        yield folder


@pytest.fixture(scope="module")
def wires() -> Iterator[Context]:
    """A context for sockets that last as long as the module's tests."""
    context: Context = zmq.Context()
    yield context
    context.term()
