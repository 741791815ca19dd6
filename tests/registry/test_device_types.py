"""How many devices of each type there are."""

from devicewatch.registry.device_types import MAX_TYPES, TypeCounts


def test_so_many_types_are_told_apart_and_no_more() -> None:
    types = TypeCounts()
    for number in range(MAX_TYPES + 50):
        types.add(f"type {number}")
        types.add(f"type {number}")
    assert types.own == {f"type {number}": 2 for number in range(MAX_TYPES)}
    assert types.others == 100
    for number in range(MAX_TYPES + 50):
        types.remove(f"type {number}")
        types.remove(f"type {number}")
    assert set(types.own.values()) == {0}
    assert types.others == 0
    types.add("yet another")
    assert types.others == 1, "a type keeps its place, or lines would come and go without end"
