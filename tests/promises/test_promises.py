"""Every promise, through everything that can happen; and that its breach would be noticed."""

import pytest

from devicewatch.registry.core import RegistryCore
from devicewatch.subscribers.mirror import Mirror

from . import broken
from .machine import Everything, play
from .validators import BrokenPromise


def test_every_promise_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """For seconds; the long profile is `make soak`."""
    play(Everything, monkeypatch, examples=150, steps=40)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("P1", broken.ReplaysBackwards),
        ("P2", broken.TakesAnythingTwice),
        ("P3", broken.NeverReplays),
        ("P4", broken.ForgetsWhatHappensBetweenPages),
        ("P5", broken.TakesNoNoticeOfTicks),
        ("P6", broken.TakesSilenceForAbsence),
        ("P6", broken.NeverHearsTheSilence),
        ("P7", broken.NamesOnlyTheName),
        ("P8", broken.TakesItsOwnAbsenceForTheirs),
        ("P8", broken.NeverLetsGo),
        ("P9", broken.LetsTwoShareAnAddress),
    ],
)
def test_a_breach_is_noticed(
    name: str, variant: type[Mirror] | type[RegistryCore], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = "mirror" if issubclass(variant, Mirror) else "core"
    machine = type(variant.__name__, (Everything,), {part: variant, "promises": (name,)})
    with pytest.raises(BrokenPromise, match=f"^{name}: "):
        play(machine, monkeypatch, examples=1000, steps=40, find=True)
