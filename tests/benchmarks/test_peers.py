"""The comparison, in short: each does the work, as far as it is installed."""

import pytest

from .peers.measure import Contest, Scale
from .peers.ours import Devicewatch
from .peers.peer import Peer
from .peers.with_nats import Nats
from .peers.with_redis import Redis

SMALL = Scale(rounds=1, devices=20, processes=1, trips=4, watchers=2, watcher_processes=1, silent=2)


@pytest.mark.parametrize("peer", [Devicewatch, Redis, Nats])
def test_each_does_the_work_and_its_watchers_are_told(peer: type[Peer]) -> None:
    if (lack := peer.lacks()) is not None:
        pytest.skip(f"there is no {lack}")
    contest = Contest([peer], SMALL)
    contest.run()
    figures = contest.figures(peer.name, peer.name)
    assert {"register", "renew", "1 watcher told, p50", "last of 2 told, p50"} <= {
        figure.row for figure in figures
    }
    assert all(figure.value > 0 for figure in figures if figure.unit == "/s")
