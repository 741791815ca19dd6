"""What a benchmark comes to: figures, each with what a bare loop did meanwhile, and its goal."""

import enum
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final

import attrs


class Of(enum.Enum):
    """What a goal is for."""

    RATIO = "ratio"
    VALUE = "value"


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        row: What was measured: "CHECK_ALIVE/s, 10,000 devices".
        value: The median of the rounds.
        unit: What it is measured in: "/s", "ms", "s", "µs", "B", "%", or `TIMES`.
        low: The lowest of the rounds.
        high: The highest.
        bare: The median of the bare loop; None if there is none.
        ratio: The median of the ratios to it, each taken within its round; None if there is none.
        goal: What it should be; None if it is only reported.
        note: What else there is to say.
        samples: What each round came to.
        bare_samples: What the bare loop came to in each round.
    """

    row: str
    value: float
    unit: str
    low: float
    high: float
    bare: float | None = None
    ratio: float | None = None
    goal: "Goal | None" = None
    note: str = ""
    samples: tuple[float, ...] = ()
    bare_samples: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether it is as it should be; None without a goal."""
        return None if self.goal is None else self.goal.met(self)


@attrs.frozen
class Goal:
    """What a figure should be.

    Attributes:
        bound: The least, or the most.
        at_least: Which of the two.
        of: Whether that is about the ratio to the bare loop or the value itself.
    """

    bound: float
    at_least: bool
    of: Of = Of.RATIO

    def met(self, figure: Figure) -> bool:
        """Whether a figure is as it should be. One without a ratio has none that is right."""
        found = figure.ratio if self.of is Of.RATIO else figure.value
        if found is None or math.isnan(found):
            return False
        return found >= self.bound if self.at_least else found <= self.bound


def at_least(bound: float, of: Of = Of.RATIO) -> Goal:
    """A goal."""
    return Goal(bound, True, of)


def at_most(bound: float, of: Of = Of.RATIO) -> Goal:
    """A goal."""
    return Goal(bound, False, of)


def beside(
    row: str,
    unit: str,
    samples: Iterable[float],
    bare: Iterable[float],
    goal: Goal | None = None,
    note: str = "",
) -> Figure:
    """A figure of what some rounds came to, with what the bare loop came to in the same rounds."""
    ours, theirs = tuple(samples), tuple(bare)
    return attrs.evolve(
        alone(row, unit, ours, goal, note),
        bare=statistics.median(theirs),
        ratio=ratio(ours, theirs),
        bare_samples=theirs,
    )


def alone(
    row: str, unit: str, samples: Iterable[float], goal: Goal | None = None, note: str = ""
) -> Figure:
    """A figure of what some rounds came to, which no bare loop can be put beside."""
    values = tuple(samples)
    return Figure(
        row=row,
        value=statistics.median(values),
        unit=unit,
        low=min(values),
        high=max(values),
        goal=goal,
        note=note,
        samples=values,
    )


def worst(
    row: str,
    unit: str,
    samples: Iterable[float],
    bare: Iterable[float],
    goal: Goal | None = None,
    note: str = "",
) -> Figure:
    """A figure of the worst that has happened in any round, with the worst at the bare loop."""
    figure = beside(row, unit, samples, bare, goal, note)
    most = max(figure.bare_samples)
    return attrs.evolve(figure, value=figure.high, bare=most, ratio=figure.high / most)


def flatness(
    row: str, many: Sequence[float], few: Sequence[float], goal: Goal | None = None
) -> Figure:
    """How a rate with many devices compares to that with few, round by round."""
    return alone(row, TIMES, [a / b for a, b in zip(many, few, strict=True)], goal)


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


TIMES: Final = "\u00d7"
"""The unit of a figure that is a ratio itself."""
