"""Every promise, on real sockets, through everything that can happen to a network.

The long version is `python -m tests.faults --seconds 600`.
"""

import random

import pytest

from .storm import storm

STEPS = 40


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the way back takes a fraction of the time. The long version has it as it is."""
    monkeypatch.setattr("devicewatch.subscribers.inquiry.REPLY_TIMEOUT", 0.4)
    monkeypatch.setattr("devicewatch.subscribers.inquiry.LONGEST_PAUSE", 0.5)


@pytest.mark.parametrize("history", [100_000, 30], ids=["long history", "short history"])
def test_every_promise_is_kept_in_a_storm(history: int) -> None:
    summary = storm(random.randrange(1_000_000), steps=STEPS, history=history)
    assert summary.faults > 5
    assert summary.stale >= 6
    assert summary.lives > 6
    assert (summary.resyncs > 0) == (history == 30)
