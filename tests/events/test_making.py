"""Records are the same, whichever way they are made."""

import gc
import importlib
from types import ModuleType
from typing import Any

import attrs
import pytest

from devicewatch.events import Added, Device, Removed, making
from devicewatch.events.making import plain
from devicewatch.events.protocol import Origin, Reason
from devicewatch.events.records import Cursor
from devicewatch.registry.build import COMPILED

DEVICE = Device("cam-1", "camera", "tcp://10.0.0.1:1", 7, 1.5, {"floor": 2})
RECORDS: list[Any] = [
    DEVICE,
    Added("epoch", 7, 1.5, DEVICE),
    Added("epoch", 7, 1.5, DEVICE, Origin.SNAPSHOT, Cursor("epoch", 7, 3)),
    Removed("epoch", 8, 2.5, DEVICE, Reason.EXPIRED),
]

WAYS = ["plain", "speedups"] if COMPILED else ["plain"]
"""`make compiled`, which every change has to pass, takes both."""

needs_speedups = pytest.mark.skipif(not COMPILED, reason="classes check what they are given")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"devicewatch.events.making.{request.param}")


def test_what_is_compiled_is_used() -> None:
    assert (making.maker is not plain.maker) == COMPILED


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_what_its_class_makes(way: ModuleType, record: Any) -> None:
    cls = type(record)
    made = way.maker(cls)(*attrs.astuple(record, recurse=False))
    assert type(made) is cls
    assert made == record
    assert repr(made) == repr(record)
    assert hash(made) == hash(record)
    assert made.cursor == record.cursor if cls is not Device else not hasattr(made, "cursor")
    assert gc.is_tracked(made) == gc.is_tracked(record)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.name = "another"


def test_what_is_left_out_is_the_default(way: ModuleType) -> None:
    made = way.maker(Added)("epoch", 7, 1.5, DEVICE)
    assert (made.origin, made.cursor) == (Origin.LIVE, Cursor("epoch", 7))
    made = way.maker(Added)("epoch", 7, 1.5, DEVICE, Origin.RESYNC)
    assert (made.origin, made.cursor) == (Origin.RESYNC, Cursor("epoch", 7))


@pytest.mark.parametrize("values", [(), ("epoch", 7, 1.5), tuple(range(7))])
def test_values_that_are_too_few_or_too_many_make_nothing(
    way: ModuleType, values: tuple[object, ...]
) -> None:
    with pytest.raises(TypeError):
        way.maker(Added)(*values)


@attrs.frozen
class _Half:
    one: int
    two: int = 2
    three: list[int] = attrs.field(factory=list)
    four: int = 4


@needs_speedups
def test_what_has_a_factory_is_to_be_given_and_so_is_what_comes_before_it() -> None:
    assert making.maker(_Half)(1, 5, [6]) == _Half(1, 5, [6], 4)
    with pytest.raises(TypeError):
        making.maker(_Half)(1, 5)


@attrs.frozen
class _Checked:
    number: int = attrs.field(validator=attrs.validators.instance_of(int))


@attrs.frozen
class _Converted:
    number: int = attrs.field(converter=int)


@attrs.frozen
class _Finished:
    number: int

    def __attrs_post_init__(self) -> None:
        """It has something to do."""


@attrs.frozen(slots=False)
class _Open:
    number: int


@attrs.frozen
class _Named:
    number: int = attrs.field(kw_only=True)


@needs_speedups
@pytest.mark.parametrize("cls", [_Checked, _Converted, _Finished, _Open, _Named])
def test_a_class_whose_constructor_does_more_is_refused(cls: type) -> None:
    with pytest.raises(TypeError, match=cls.__name__):
        making.maker(cls)
