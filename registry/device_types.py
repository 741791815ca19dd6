"""How many devices of each type are registered."""

from typing import Final

MAX_TYPES: Final = 100
"""Types of devices that are counted by themselves; the others are counted together."""


class TypeCounts:
    """How many devices of each type there are.

    The first `MAX_TYPES` types that come are told apart, for good: whoever gives his devices a new
    type each time adds neither memory nor lines to what is measured.

    Attributes:
        others: How many there are of other types.
    """

    def __init__(self) -> None:
        self._own: dict[str, int] = {}
        self.others = 0

    def add(self, device_type: str) -> None:
        """A device of that type is there."""
        if device_type in self._own:
            self._own[device_type] += 1
        elif len(self._own) < MAX_TYPES:
            self._own[device_type] = 1
        else:
            self.others += 1

    def remove(self, device_type: str) -> None:
        """It is not any more."""
        if device_type in self._own:
            self._own[device_type] -= 1
        else:
            self.others -= 1

    @property
    def own(self) -> dict[str, int]:
        """How many there are of each type that is told apart, also 0: a copy."""
        return self._own.copy()
