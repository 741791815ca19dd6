"""A mapping that grows a little at a time.

A dict that is full moves all its entries into a larger table at once: a step of 5 ms at 87,382
entries, and of 50 ms at 700,000. Here the keys are spread over many dicts, by their hashes, so that
each of these is small and moves by itself.
"""

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")

_SHARDS: Final = 127
"""A prime: the dicts themselves look at the lower bits of a hash, which have to differ in each."""


class Shards(Generic[K, V]):
    """As much of a dict as is needed here; but it is in no particular order."""

    def __init__(self) -> None:
        self._dicts: list[dict[K, V]] = [{} for _ in range(_SHARDS)]

    def __repr__(self) -> str:
        return f"Shards({dict(self.items())!r})"

    def __len__(self) -> int:
        return sum(map(len, self._dicts))

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._dicts)

    def __contains__(self, key: K) -> bool:
        return key in self._dicts[hash(key) % _SHARDS]

    def __getitem__(self, key: K) -> V:
        return self.part(key)[key]

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: D | None = None) -> V | D | None:
        """The value of a key, or a default if it has none."""
        return self._dicts[hash(key) % _SHARDS].get(key, default)

    def part(self, key: K) -> dict[K, V]:
        """The dict that a key belongs to: to change what is in there for that key, and no other."""
        return self._dicts[hash(key) % _SHARDS]

    def values(self) -> Iterator[V]:
        """All values."""
        return chain.from_iterable(shard.values() for shard in self._dicts)

    def items(self) -> Iterator[tuple[K, V]]:
        """All keys, each with its value."""
        return chain.from_iterable(shard.items() for shard in self._dicts)
