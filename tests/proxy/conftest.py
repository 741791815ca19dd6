"""Fixtures: a proxy, its target, and both ends of a connection through it."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.ends import Ends, accept, connect
from tests.support.live import PATIENCE
from tests.support.proxy import FaultProxy


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE)
        yield target


@pytest.fixture
def proxy(target: socket.socket) -> Iterator[FaultProxy]:
    with FaultProxy(target.getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
def ends(proxy: FaultProxy, target: socket.socket) -> Iterator[Ends]:
    """Both ends of a connection through the proxy."""
    with connect(proxy) as client, accept(target) as server:
        yield client, server


@pytest.fixture(params=["to the target", "from the target"])
def way(ends: Ends, request: pytest.FixtureRequest) -> Ends:
    """The same, whichever of them sends first."""
    client, server = ends
    return (client, server) if request.param == "to the target" else (server, client)
