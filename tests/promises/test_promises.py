"""Every promise, through everything that can happen; and that its breach would be noticed."""

import pytest

from devicewatch.registry.core import RegistryCore
from devicewatch.registry.service import Service
from devicewatch.subscribers.mirror import Mirror

from . import broken
from .machine import Everything, play
from .soak import soak
from .validators import BrokenPromise

PARTS = {"mirror": Mirror, "core": RegistryCore, "service": Service}


def test_every_promise_is_kept() -> None:
    """For seconds; the long profile is `make soak`."""
    play(Everything, examples=100, steps=40)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("name", "variant", "seed"),  # a seed that leads there soon
    [
        ("P1", broken.ReplaysBackwards, 3),
        ("P2", broken.TakesAnythingTwice, 3),
        ("P3", broken.NeverReplays, 3),
        ("P4", broken.ForgetsWhatHappensBetweenPages, 4),
        ("P5", broken.TakesNoNoticeOfTicks, 1),
        ("P6", broken.TakesSilenceForAbsence, 2),
        ("P6", broken.NeverHearsTheSilence, 2),
        ("P7", broken.NamesOnlyTheName, 3),
        ("P8", broken.TakesItsOwnAbsenceForTheirs, 19),
        ("P8", broken.NeverLetsGo, 8),
        ("P9", broken.LetsTwoShareAnAddress, 2),
        ("P10", broken.GivesOutNewSecrets, 1),
        ("P10", broken.GoesOnWithOldLeases, 1),
        ("P10", broken.CountsAnew, 1),
        ("P10", broken.PublishesFirst, 1),
        ("P10", broken.AcknowledgesWhatIsNotKept, 1),
    ],
)
def test_a_breach_is_noticed(
    name: str, variant: type[Mirror | RegistryCore | Service], seed: int
) -> None:
    part = next(part for part, kind in PARTS.items() if issubclass(variant, kind))
    machine = type(variant.__name__, (Everything,), {part: variant, "promises": (name,)})
    with pytest.raises(BrokenPromise, match=f"^{name}: "):
        play(machine, examples=1000, steps=40, find=True, seed=seed)


def test_the_long_profile_plays_the_same_again_from_the_same_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert soak(seed=7, minutes=0.0, examples=3)
    assert capsys.readouterr().out.startswith("seed 7: 3 plays")


def test_the_long_profile_says_how_to_play_a_breach_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = type("Broken", (Everything,), {"mirror": broken.NamesOnlyTheName})
    assert not soak(seed=7, minutes=0.0, examples=20, machine=machine)
    out = capsys.readouterr().out
    assert "make soak SEED=7 MINUTES=0" in out
    assert "P7" in out
