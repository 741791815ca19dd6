"""A mapping in many small dicts, beside a plain one."""

from collections.abc import Hashable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devicewatch.registry.shards import Shards

KEYS: st.SearchStrategy[Hashable] = st.one_of(
    st.text("ab", max_size=3), st.integers(-300, 300), st.tuples(st.text("ab"), st.integers(0, 2))
)


class ShardsBesideADict(RuleBasedStateMachine):
    """Whatever is done to it is done to a dict."""

    def __init__(self) -> None:
        super().__init__()
        self._shards = Shards[Hashable, int]()
        self._dict: dict[Hashable, int] = {}

    @rule(key=KEYS, value=st.integers())
    def set(self, key: Hashable, value: int) -> None:
        self._shards.part(key)[key] = self._dict[key] = value

    @rule(key=KEYS)
    def remove(self, key: Hashable) -> None:
        assert self._shards.part(key).pop(key, None) == self._dict.pop(key, None)

    @rule(data=st.data())
    def remove_what_is_there(self, data: st.DataObject) -> None:
        if self._dict:
            key = data.draw(st.sampled_from(list(self._dict)))
            del self._shards.part(key)[key], self._dict[key]

    @rule(key=KEYS)
    def look_up(self, key: Hashable) -> None:
        assert (key in self._shards) == (key in self._dict)
        assert self._shards.get(key) == self._dict.get(key)
        assert self._shards.get(key, "default") == self._dict.get(key, "default")
        if key in self._dict:
            assert self._shards[key] == self._dict[key]

    @invariant()
    def they_are_the_same(self) -> None:
        shards, plain = self._shards, self._dict
        assert len(shards) == len(plain)
        assert set(shards) == set(plain)
        assert sorted(shards.values()) == sorted(plain.values())
        assert len(list(shards.items())) == len(plain)
        assert dict(shards.items()) == plain


ShardsBesideADict.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None
)
test_shards_agree_with_a_plain_dict = ShardsBesideADict.TestCase


def test_it_shows_what_it_holds() -> None:
    shards = Shards[str, int]()
    shards.part("a")["a"] = 1

    assert repr(shards) == "Shards({'a': 1})"


def test_keys_are_spread_so_that_no_dict_has_many() -> None:
    shards = Shards[object, None]()
    for number in range(12_700):
        for key in (number, f"cam-{number}"):
            shards.part(key)[key] = None

    assert max(map(len, shards._dicts)) < 400
