"""Free numbers: small examples, a plain set of names beside it, and what they cost."""

from collections.abc import Iterable
from itertools import count
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devicewatch.registry.names import NumberedNames, split_number

ODD_NAMES = [
    "cam",
    "cam-",
    "cam-00",
    "cam-007",
    "cam-01",
    "cam--1",
    "cam--0",
    "cam-1-1",
    "cam-1-01",
    "-0",
    "-1",
    "-3",
    "-",
    "--",
    "1",
    "cam-+1",
    "cam- 1",
    "cam-1 ",
    "cam-1_0",
    "cam-1.0",
    "cam-1e1",
    "cam-٣",
    "cam-²",
    "cam-1٣",
    "cam\N{EN DASH}1",
    "kamera-ö-2",
    "cam-999999999",
    "cam-1000000000",
    "cam-9999999999",
    "cam-18446744073709551615",
]
BASES = ["cam", "cam-", "cam-1", "cam-/", ""]


def smallest_free(taken: set[str], base: str, start: int) -> str:
    return next(name for n in count(start) if (name := f"{base}-{n}") not in taken)


def numbered(names: Iterable[str]) -> NumberedNames:
    result = NumberedNames()
    for name in names:
        result.add(name)
    return result


def cams(*numbers: int) -> list[str]:
    return [f"cam-{n}" for n in numbers]


# --- examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 1])
def test_the_first_number_is_the_one_to_start_from(start: int) -> None:
    assert NumberedNames().first_free("cam", start) == f"cam-{start}"


def test_the_smallest_number_that_is_free_is_found() -> None:
    names = numbered(cams(0, 1, 2, 5))

    assert names.first_free("cam", 0) == "cam-3"
    assert names.first_free("cam", 1) == "cam-3"


def test_number_zero_is_only_found_where_it_is_wanted() -> None:
    names = numbered(cams(1, 2))

    assert names.first_free("cam", 0) == "cam-0"
    assert names.first_free("cam", 1) == "cam-3"


def test_a_number_given_back_is_found_again() -> None:
    names = numbered(cams(*range(200)))
    names.discard("cam-70")

    assert names.first_free("cam", 0) == "cam-70"


def test_bases_do_not_get_in_each_others_way() -> None:
    names = numbered([*cams(0, 1), "arm-0", "cam-1-0", "-0"])

    assert names.first_free("cam", 0) == "cam-2"
    assert names.first_free("arm", 0) == "arm-1"
    assert names.first_free("cam-1", 0) == "cam-1-1"
    assert names.first_free("", 0) == "-1"
    assert names.first_free("pump", 0) == "pump-0"


@pytest.mark.parametrize("taken", [99, 100, 101, 199, 200, 9_999, 10_000, 10_001, 10_100, 110_000])
def test_numbers_go_on_past_every_level(taken: int) -> None:
    names = numbered(cams(*range(1, taken)))
    assert names.first_free("cam", 1) == f"cam-{taken}"
    assert names.first_free("cam", 0) == "cam-0"

    names.add("cam-0")
    assert names.first_free("cam", 1) == f"cam-{taken}"
    assert names.first_free("cam", 0) == f"cam-{taken}"


@pytest.mark.parametrize("free", [0, 1, 99, 100, 9_899, 9_999, 10_000, 19_999, 20_999])
def test_a_single_gap_is_found_wherever_it_is(free: int) -> None:
    names = numbered(cams(*range(21_000)))
    names.discard(f"cam-{free}")

    assert names.first_free("cam", 0) == f"cam-{free}"
    assert names.first_free("cam", 1) == ("cam-21000" if free == 0 else f"cam-{free}")


@pytest.mark.parametrize("name", ["cam-007", "cam-01", "cam-٣", "cam-+1", "cam- 1", "cam-1_0"])
def test_a_name_that_is_not_made_here_blocks_no_number(name: str) -> None:
    names = numbered([name])

    assert [names.first_free("cam", start) for start in (0, 1)] == ["cam-0", "cam-1"]
    assert names.first_free(name, 1) == f"{name}-1"


def test_discarding_what_is_not_there_frees_nothing_else() -> None:
    names = numbered(cams(*range(100)))
    names.discard("cam-100")
    names.discard("cam-199")
    names.discard("arm-0")
    names.discard("cam")

    assert names.first_free("cam", 0) == "cam-100"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cam-7", ("cam-", 7)),
        ("cam-0", ("cam-", 0)),
        ("cam-10", ("cam-", 10)),
        ("cam-100", ("cam-1", 0)),
        ("cam-1234", ("cam-12", 34)),
        ("cam--1", ("cam--", 1)),
        ("cam-1-2", ("cam-1-", 2)),
        ("-3", ("-", 3)),
        ("--3", ("--", 3)),
        ("kamera-ö-2", ("kamera-ö-", 2)),
        ("cam-999999999", ("cam-9999999", 99)),
    ],
)
def test_a_numbered_name_is_split(name: str, expected: tuple[str, int]) -> None:
    place, number = expected
    assert split_number(name) == (place, 1 << number)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cam",
        "7",
        "-",
        "cam-",
        "cam-07",
        "cam-00",
        "cam-٣",
        "cam-²",
        "cam-+1",
        "cam-1 ",
        "cam-1000000000",
        "cam-18446744073709551615",
    ],
)
def test_a_name_that_could_not_have_been_made_here_has_no_number(name: str) -> None:
    assert split_number(name) == (name, 0)


# --- against a plain set ------------------------------------------------------------------------


def check(names: NumberedNames, taken: set[str]) -> None:
    for base in BASES:
        for start in (0, 1):
            assert names.first_free(base, start) == smallest_free(taken, base, start)


SMALL_NUMBERS = st.one_of(st.integers(0, 3), st.integers(97, 103), st.integers(195, 230))
NAMES = st.one_of(
    st.builds("{}-{}".format, st.sampled_from(BASES), SMALL_NUMBERS),
    st.sampled_from(ODD_NAMES),
    st.text("ab-01/٣", max_size=4),
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("toggle"), NAMES),
        st.tuples(
            st.just("fill"), st.builds("{}-{}".format, st.sampled_from(BASES), SMALL_NUMBERS)
        ),
    ),
    max_size=60,
)


@pytest.mark.no_cover
@given(CHANGES)
@settings(deadline=None)
def test_names_agree_with_a_plain_set(changes: list[tuple[str, str]]) -> None:
    names, taken = NumberedNames(), set[str]()
    for what, name in changes:
        if what == "fill":  # every number up to this one
            base, _, number = name.rpartition("-")
            for n in range(int(number) + 1):
                names.add(f"{base}-{n}")
                taken.add(f"{base}-{n}")
        elif name in taken:
            names.discard(name)
            taken.remove(name)
        else:
            names.add(name)
            taken.add(name)
        check(names, taken)


FULL = 10_300
NUMBERS_UP_TO_FULL = st.one_of(
    st.integers(0, FULL - 1), st.sampled_from([0, 1, 99, 100, 9_899, 9_900, 9_999, 10_000])
)


@pytest.mark.no_cover
@given(st.lists(NUMBERS_UP_TO_FULL, unique=True, max_size=12), st.randoms(use_true_random=False))
@example([0], Random(0))
@example([9_999, 0, 100], Random(0))
@settings(max_examples=15, deadline=None)
def test_gaps_in_thousands_are_filled_from_the_smallest(gaps: list[int], random: Random) -> None:
    names, taken = numbered(cams(*range(FULL))), set(cams(*range(FULL)))
    for gap in gaps:
        names.discard(f"cam-{gap}")
        taken.remove(f"cam-{gap}")
    check(names, taken)

    for _ in range(len(gaps) + 2):
        name = names.first_free("cam", random.choice([0, 1]))
        assert name not in taken
        names.add(name)
        taken.add(name)
        check(names, taken)


@given(st.lists(NAMES, unique=True, max_size=80), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_nothing_remains_when_all_are_discarded(chosen: list[str], random: Random) -> None:
    names = numbered(chosen)
    random.shuffle(chosen)
    for name in chosen:
        names.discard(name)

    assert len(names._bitmaps) == 0


@pytest.mark.parametrize("order", ["up", "down", "any"])
def test_nothing_remains_when_thousands_are_discarded(order: str) -> None:
    names = numbered(cams(*range(10_500)))
    assert len(names._bitmaps) > 0

    leaving = cams(*range(10_500))
    if order == "down":
        leaving.reverse()
    elif order == "any":
        Random(5).shuffle(leaving)
    for name in leaving:
        names.discard(name)

    assert len(names._bitmaps) == 0
    assert names.first_free("cam", 0) == "cam-0"


# --- what it costs ------------------------------------------------------------------------------


class CountingDict(dict[str, int]):
    """A dict that counts how often one of them is looked into."""

    looks = 0

    def get(self, key: str, default: int = 0) -> int:  # type: ignore[override]
        CountingDict.looks += 1
        return super().get(key, default)


@pytest.mark.interpreted
@pytest.mark.parametrize("taken", [10, 100, 1_000, 10_000])
def test_a_free_number_is_found_in_as_many_steps_as_it_has_digits(taken: int) -> None:
    names = numbered(cams(*range(taken)))
    names._bitmaps._dicts = list(map(CountingDict, names._bitmaps._dicts))
    CountingDict.looks = 0

    assert names.first_free("cam", 0) == f"cam-{taken}"
    assert 1 <= CountingDict.looks <= 5

    CountingDict.looks = 0
    names.add(f"cam-{taken}")
    names.discard(f"cam-{taken}")
    assert 2 <= CountingDict.looks <= 8
