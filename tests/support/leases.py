"""Leases that are known by a name, for tests: who holds them does not matter there."""

from devicewatch.registry.fairness import FairLeases
from devicewatch.registry.leases import Lease, Leases


class Named(Lease):
    """A lease with a name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class NamedLeases(Leases[Named]):
    """Leases by name."""

    def __init__(self) -> None:
        super().__init__()
        self._by_name: dict[str, Named] = {}

    def grant(self, name: str, deadline: float) -> None:
        self.set(self._by_name.setdefault(name, Named(name)), deadline)

    def end(self, name: str) -> None:
        self.cancel(self._by_name.pop(name))

    def ended(self, now: float, limit: int) -> list[str]:
        return [self._by_name.pop(lease.name).name for lease in self.expired(now, limit)]

    @property
    def entries(self) -> int:
        """How much is queued, whether it still counts or not."""
        return len(self._heap) + len(self._old)


class NamedFairLeases(FairLeases[Named]):
    """The same, where they end only for sure."""

    def __init__(self, now: float, *, watchful: bool) -> None:
        super().__init__(now, watchful=watchful)
        self._by_name: dict[str, Named] = {}

    def grant(self, name: str, seconds: float, now: float) -> None:
        self.set(self._by_name.setdefault(name, Named(name)), seconds, now)

    def end(self, name: str) -> None:
        self.cancel(self._by_name.pop(name))

    def left_of(self, name: str, now: float) -> float:
        return self.left(self._by_name[name], now)

    def ended(self, now: float, limit: int, *, drained: bool) -> list[str]:
        gone = self.expired(now, limit, drained=drained)
        return [self._by_name.pop(lease.name).name for lease in gone]
