"""Raw TCP on both ports for a few seconds. The long profile is a part of `make fuzz`."""

import random
import sys

import pytest

from devicewatch.events.errors import RegistryUnreachable
from tests.support.live import wait_until

from . import wire
from .assaults import KINDS, plan

ALL = 65 + len(KINDS)
"""Attacks after which there has been one of each."""


def limited(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """Let the registry begin with the limit of open files that most systems give a process."""
    begin = f'ulimit {which} 1024 && exec "$0" "$@"'
    command = ("sh", "-c", begin, sys.executable, "-m", "devicewatch.registry")
    monkeypatch.setattr("devicewatch.registry.commands.demo._COMMAND", command)


def test_a_plan_is_the_same_for_the_same_seed() -> None:
    one, other, another = (plan(seed) for seed in (1, 1, 2))
    attacks = [next(one) for _ in range(ALL)]
    assert attacks == [next(other) for _ in range(ALL)]
    assert attacks != [next(another) for _ in range(ALL)]


def test_nobody_notices_an_assault(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, "-Sn")
    with wire.Assault(random.randrange(10**6)) as assault:
        assault.be_silent(1100)
        assault.attack(2 * ALL)
        summary = assault.end()
    assert summary.descriptors[1] > 1100
    assert len(summary.attacks) == 1 + len(KINDS)


def test_it_would_be_noticed_if_somebody_were_shut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a registry that cannot have more than 1024 descriptors."""
    limited(monkeypatch, "-n")
    monkeypatch.setattr("tests.fuzz.bystanders.IN_TIME", 0.5)
    with wire.Assault(1) as assault:
        assault.be_silent(1100)
        wait_until(lambda: assault.bystanders.trouble)
        with pytest.raises(RegistryUnreachable):
            assault.bystanders.check()
