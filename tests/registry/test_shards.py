"""A mapping that grows a little at a time, beside a dict."""

import contextlib
import gc
import importlib
import random
import sys
import weakref
from types import ModuleType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from devicewatch.registry import shards
from devicewatch.registry.build import COMPILED
from devicewatch.registry.shards import plain

KEYS: st.SearchStrategy[str] = st.one_of(st.text("ab", max_size=3), st.text(max_size=2))

WAYS = ["plain", "speedups"] if COMPILED else ["plain"]
"""`make compiled`, which every change has to pass, takes both."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"devicewatch.registry.shards.{request.param}")


class _Value:
    """Something that can be seen to go."""


class ShardsBesideADict(RuleBasedStateMachine):
    """Whatever is done to it is done to a dict."""

    way: ModuleType

    def __init__(self) -> None:
        super().__init__()
        self._shards: plain.Shards[int] = self.way.Shards()
        self._dict: dict[str, int] = {}

    @rule(key=KEYS, value=st.integers())
    def set(self, key: str, value: int) -> None:
        self._shards[key] = self._dict[key] = value

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        if key in self._dict:
            del self._shards[key], self._dict[key]
        else:
            with pytest.raises(KeyError) as caught:
                del self._shards[key]
            assert caught.value.args == (key,)

    @rule(data=st.data())
    def remove_what_is_there(self, data: st.DataObject) -> None:
        if self._dict:
            key = data.draw(st.sampled_from(list(self._dict)))
            del self._shards[key], self._dict[key]

    @rule(key=KEYS)
    def look_up(self, key: str) -> None:
        assert (key in self._shards) == (key in self._dict)
        assert self._shards.get(key) == self._dict.get(key)
        assert self._shards.get(key, "default") == self._dict.get(key, "default")
        if key in self._dict:
            assert self._shards[key] == self._dict[key]
        else:
            with pytest.raises(KeyError):
                self._shards[key]

    @invariant()
    def they_are_the_same(self) -> None:
        _agree(self._shards, self._dict)


def _agree(mapping: plain.Shards[int], beside: dict[str, int]) -> None:
    assert len(mapping) == len(beside)
    assert set(mapping) == set(beside)
    assert sorted(mapping.values()) == sorted(beside.values())
    assert len(list(mapping.items())) == len(beside)
    assert dict(mapping.items()) == beside


def test_what_is_compiled_is_used() -> None:
    assert (shards.Shards is not plain.Shards) == COMPILED


def test_it_agrees_with_a_dict(way: ModuleType) -> None:
    class Machine(ShardsBesideADict):
        pass

    Machine.way = way
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None)
    )


@pytest.mark.parametrize("most", [200, 3_000, 20_000])
def test_it_agrees_with_a_dict_when_it_is_large(way: ModuleType, most: int) -> None:
    """Keys come and go at random, about as many as there may be are there."""
    dice = random.Random(most)
    mapping: plain.Shards[int] = way.Shards()
    beside: dict[str, int] = {}
    for number in range(3 * most):
        key = f"cam-{dice.randrange(2 * most)}"
        if dice.random() < 0.5 and key in beside:
            assert mapping[key] == beside[key]
            del mapping[key], beside[key]
        else:
            mapping[key] = beside[key] = number
        assert mapping.get(key) == beside.get(key)
    _agree(mapping, beside)
    for key in list(beside):
        del mapping[key]
    _agree(mapping, {})


def test_it_shows_what_it_holds(way: ModuleType) -> None:
    mapping = way.Shards()
    mapping["a"] = 1

    assert repr(mapping) == "Shards({'a': 1})"


def test_it_keeps_what_it_holds_and_nothing_else(way: ModuleType) -> None:
    mapping = way.Shards()
    keys = [f"key {number}" for number in range(500)]
    values = [_Value() for _ in keys]
    before = [sys.getrefcount(keys[0]), sys.getrefcount(values[0])]
    there = [weakref.ref(value) for value in values]
    for key, value in zip(keys, values, strict=True):
        mapping[key] = _Value()
        mapping[key] = value
    after = [sys.getrefcount(keys[0]), sys.getrefcount(values[0])]
    assert after == [count + 1 for count in before]
    del values[:], value
    gc.collect()
    assert all(reference() is not None for reference in there)
    for key in keys[:250]:
        del mapping[key]
    assert [reference() is not None for reference in there] == [False] * 250 + [True] * 250
    after = [sys.getrefcount(keys[0])]
    assert after == before[:1]
    del mapping
    assert not any(reference() for reference in there)


def test_it_may_be_used_by_what_goes(way: ModuleType) -> None:
    """What is taken out, or replaced, may look into it as it goes, and change it."""
    mapping = way.Shards()

    class Last:
        def __del__(self) -> None:
            seen.append(dict(mapping.items()).keys())
            mapping["later"] = 1

    seen: list[object] = []
    mapping["first"] = Last()
    del mapping["first"]
    assert dict(mapping.items()) == {"later": 1}
    mapping["first"] = Last()
    mapping["first"] = 2
    assert dict(mapping.items()) == {"later": 1, "first": 2}
    assert seen == [set(), {"later", "first"}]


def test_it_may_change_under_whoever_goes_through_it(way: ModuleType) -> None:
    """To make what it gives may collect garbage, and the end of that may run anything."""
    mapping = way.Shards()

    class Garbage:
        def __init__(self) -> None:
            self.circle = self

        def __del__(self) -> None:
            for key in list(there):
                there.remove(key)
                del mapping[key]

    thresholds = gc.get_threshold()
    pairs = [(number, number) for number in range(3_000)]  # none is left that can be used again
    for threshold in (10, 20, 40):
        there = {f"cam-{number}" for number in range(300)}
        for key in there:
            mapping[key] = [key]
        gc.collect()
        Garbage()
        gc.set_threshold(threshold)
        try:
            with contextlib.suppress(RuntimeError):  # as a dict says it
                assert all(value == [key] for key, value in mapping.items())
        finally:
            gc.set_threshold(*thresholds)
        gc.collect()
        assert len(mapping) == 0
    assert len(pairs) == 3_000


def test_keys_are_spread_so_that_no_dict_has_many() -> None:
    mapping = plain.Shards[None]()
    for number in range(25_400):
        mapping[f"cam-{number}"] = None

    assert max(map(len, mapping._dicts)) < 400
