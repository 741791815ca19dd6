"""How thoroughly to measure: enough to rely on, or a look that takes less than a minute."""

from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class Profile:
    """How much of everything.

    Attributes:
        name: What it is called.
        rounds: How often each thing is measured; the bare loop takes its turn in each round.
        rate_rounds: How often rates are. One registry's are compared with another's, and vary more
            from round to round than what is looked for in them.
        seconds: For how long something that goes on is measured in a round.
        trips: How many of what is done one by one are measured in a round.
        devices: How many devices there are: few, many, and possibly more.
        watchers: How many follow at a time, where there are many.
    """

    name: str
    rounds: int
    rate_rounds: int
    seconds: float
    trips: int
    devices: tuple[int, ...]
    watchers: tuple[int, ...]

    @property
    def quick(self) -> bool:
        """Whether a rough answer will do."""
        return self is not FULL


FULL: Final = Profile(
    name="full",
    rounds=15,
    rate_rounds=30,
    seconds=0.2,
    trips=800,
    devices=(10, 10_000, 100_000),
    watchers=(100, 1_000),
)

QUICK: Final = Profile(
    name="quick",
    rounds=3,
    rate_rounds=3,
    seconds=0.15,
    trips=400,
    devices=(10, 10_000),
    watchers=(100,),
)

TINY: Final = Profile(
    name="tiny",
    rounds=1,
    rate_rounds=1,
    seconds=0.02,
    trips=20,
    devices=(3, 30),
    watchers=(2,),
)
"""For the suite: whether figures come out."""
