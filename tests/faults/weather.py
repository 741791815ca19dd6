"""What the network does to watchers: faults that come and go, at random."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tests.support.proxy import FaultProxy

Link: TypeAlias = tuple[FaultProxy, FaultProxy]
"""One watcher's: for its requests and for its event stream."""


def half_open(proxy: FaultProxy) -> None:
    """The connections that are there are dead, and nobody has told either end; new ones work."""
    proxy.black_hole()
    proxy.heal()


FAULTS: Final[dict[str, Callable[[FaultProxy], None]]] = {
    "cut": FaultProxy.cut,
    "stall": FaultProxy.stall,
    "black hole": FaultProxy.black_hole,
    "half-open": half_open,
    "short delay": lambda proxy: proxy.delay(0.02),
    "long delay": lambda proxy: proxy.delay(0.4),
    "thin": lambda proxy: proxy.throttle(100_000),
    "very thin": lambda proxy: proxy.throttle(5_000),
}
SILENCING: Final = ("cut", "stall", "black hole")
"""After these nothing gets through, until they are healed."""


class Weather:
    """Strikes at links, one after the other.

    Args:
        links: The links.
        dice: Decides everything.

    Attributes:
        log: What it did last.
        faults: How many faults there have been.
    """

    def __init__(self, links: Sequence[Link], dice: random.Random) -> None:
        self.log: deque[str] = deque(maxlen=100)
        self.faults = 0
        self._links = links
        self._dice = dice

    def step(self) -> None:
        """Heal one link, or break it: its requests, its event stream, or both."""
        dice = self._dice
        number = dice.randrange(len(self._links))
        requests, events = self._links[number]
        proxies = dice.choice([[requests], [events], [requests, events]])
        fault = dice.choice([*FAULTS, *["heal"] * len(FAULTS)])
        for proxy in proxies:
            FAULTS.get(fault, FaultProxy.heal)(proxy)
        self.faults += fault in FAULTS
        which = "both" if len(proxies) == 2 else "requests" if requests in proxies else "events"
        self.log.append(f"link {number} ({which}): {fault}")

    def strike(self) -> None:
        """Break all of them."""
        for link in self._links:
            for proxy in link:
                FAULTS[self._dice.choice(SILENCING)](proxy)

    def clear(self) -> None:
        """All is well again."""
        for link in self._links:
            heal(link)


def heal(link: Link) -> None:
    """End every fault of a link."""
    for proxy in link:
        proxy.heal()
