"""A registry that is killed and started again is as it was, and nobody has noticed (P10).

The long version is `make crashes`.
"""

import random
from pathlib import Path

import pytest

from tests.promises.validators import BrokenPromise

from .bundles import crash_bundles
from .crashes import crash
from .liars import Lie, command

KILLS = 3
LONGEST = 0.5
"""Seconds that a life may last, once all is well."""

LIES_FOR = 5
"""Kills by which every liar is found out; nearly always one is enough."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the way back takes a fraction of the time. The long version has it as it is."""
    monkeypatch.setattr("devicewatch.subscribers.inquiry.REPLY_TIMEOUT", 0.5)
    monkeypatch.setattr("devicewatch.subscribers.inquiry.LONGEST_PAUSE", 0.5)


def test_whatever_was_acknowledged_is_there_after_a_kill() -> None:
    summary = crash(random.randrange(1_000_000), kills=KILLS, longest=LONGEST)
    assert len(summary.kills) == KILLS
    assert summary.unanswered > 0
    assert summary.outlasted > 0


def test_of_many_changes_at_a_time_those_are_kept_that_came_first(tmp_path: Path) -> None:
    crowd = crash_bundles(random.randrange(1_000_000), kills=1, folder=tmp_path)
    assert crowd.acknowledged > crowd.lost > 0


def test_a_registry_that_lies_about_many_changes_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicewatch.registry.commands.demo._COMMAND", command(Lie.LAGGING))
    with pytest.raises(BrokenPromise, match="P10"):
        crash_bundles(random.randrange(1_000_000), kills=LIES_FOR, folder=tmp_path)


def test_a_registry_without_a_journal_is_found_out() -> None:
    with pytest.raises(BrokenPromise, match="P10"):
        crash(random.randrange(1_000_000), kills=1, longest=LONGEST, options=())


@pytest.mark.interpreted
@pytest.mark.parametrize(
    "lie", [Lie.PUBLISHING_FIRST, Lie.LAGGING], ids=lambda lie: lie.name.lower()
)
def test_a_registry_that_lies_is_found_out(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicewatch.registry.commands.demo._COMMAND", command(lie))
    with pytest.raises(BrokenPromise):
        crash(random.randrange(1_000_000), kills=LIES_FOR, longest=LONGEST)
