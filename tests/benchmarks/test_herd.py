"""The herd, small: the rush after a loss makes every view right, and no lease is lost in it."""

from .herd import HEADER, Scale, herd, line

SMALL = Scale(
    watchers=20,
    devices=300,
    processes=1,
    device_processes=1,
    lease=5.0,
    interval=0.5,
    tick=0.2,
    history=200,
    away=1.5,
    quiet=0.2,
    patience=30.0,
)


def test_a_herd_that_loses_the_registry_is_right_again_and_no_lease_is_lost() -> None:
    little, much, killed = herd(SMALL)
    for result in (little, much, killed):
        print(f"{HEADER}\n{line(result)}")  # shown if the test fails
        assert result.right
        assert len(result.live_after) == SMALL.watchers
        assert result.latencies
        assert result.lost == 0
    assert (little.resynced, much.resynced, killed.resynced) == (0, 20, 20)
