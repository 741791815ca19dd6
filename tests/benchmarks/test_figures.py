"""What becomes of figures: goals, the table, JSON and back, charts, the page in the docs."""

import io
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from .charts import BEGIN, END, PAGE, draw, put_in, table
from .figures import Figure, Goal, Of, alone, at_least, at_most, beside, flatness, percentile
from .report import MET, MISSED, Results, goal_text, load, number, save, show

RATE = beside("rate", "/s", [30.0, 10.0, 20.0], [40.0, 20.0, 10.0], at_least(0.75), "a note")
FLAT = flatness("flat", [8.0, 4.0], [10.0, 5.0], at_least(0.9, Of.VALUE))
TIME = beside("time", "ms", [3.0], [1.0], at_most(1.5))
SIZE = alone("size", "B", [650.0], at_most(700, Of.VALUE))
REPORTED = alone("reported", "%", [0.05], note="a note")
SOONER = beside("time", "ms", [1.25], [1.0], at_most(1.5))


@pytest.fixture
def results() -> Results:
    results = Results.begin("tiny")
    results.figures["some"] = [RATE, FLAT, TIME]
    results.figures["others"] = [SIZE, REPORTED]
    return results


@pytest.fixture
def compiled() -> Results:
    """Of the same thing, compiled: not all of it was measured."""
    results = Results.begin("tiny")
    results.figures["some"] = [SOONER]
    return results


def test_a_ratio_is_taken_within_each_round() -> None:
    assert (RATE.value, RATE.low, RATE.high, RATE.bare) == (20.0, 10.0, 30.0, 20.0)
    assert RATE.ratio == 0.75  # of 0.75, 0.5 and 2


@pytest.mark.parametrize(
    ("figure", "met"), [(RATE, True), (FLAT, False), (TIME, False), (SIZE, True), (REPORTED, None)]
)
def test_goals(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_a_ratio_that_is_not_there_meets_no_goal() -> None:
    assert not alone("rate", "/s", [1.0], at_least(0.1)).met
    assert not alone("rate", "/s", [float("nan")], at_most(0.1, Of.VALUE)).met


def test_percentiles() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (
        51,
        100,
        100,
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123_456.7, "/s", "123,457/s"),
        (1.234, "ms", "1.23 ms"),
        (12.34, "ms", "12.3 ms"),
        (1043.2, "ms", "1,043 ms"),
        (0.0123, "%", "0.012 %"),
        (0.0, "%", "0.00 %"),
        (0.97, "\u00d7", "0.97\u00d7"),
    ],
)
def test_numbers_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_goals_as_people_read_them() -> None:
    assert goal_text(Goal(0.75, True), "/s") == "\u2265 0.75"
    assert goal_text(Goal(20, False, Of.VALUE), "ms") == "\u2264 20 ms"


def test_what_was_saved_is_read(results: Results, tmp_path: Path) -> None:
    save(results, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results


def test_the_table(results: Results) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    show(results, console)
    lines = console.export_text().splitlines()
    for figure in (RATE, FLAT, TIME, SIZE, REPORTED):
        (line,) = (line for line in lines if line.strip().startswith(figure.row))
        assert (MET in line) == (figure.met is True)
        assert (MISSED in line) == (figure.met is False)
    assert any("2 of 4 goals are missed" in line for line in lines)
    assert sum("a note" in line for line in lines) == 1


def test_the_charts(results: Results, compiled: Results, tmp_path: Path) -> None:
    draw(results, compiled, tmp_path)
    pictures = sorted(tmp_path.iterdir())
    assert [picture.name for picture in pictures] == [
        "performance-rates.svg",
        "performance-times.svg",
    ]
    for picture, figure in zip(pictures, (RATE, TIME), strict=True):
        texts = [text for text in ET.parse(picture).getroot().itertext() if text]
        assert {figure.row, number(figure.value, figure.unit)} <= set(texts)
    marks = [picture.read_text().count('class="compiled"') for picture in pictures]
    assert marks == [1, 2]  # of the legend, and of the one figure that there is


def test_the_page_has_a_place_for_the_table(results: Results, compiled: Results) -> None:
    page = put_in(PAGE.read_text(), table(results, compiled))
    assert page.count(BEGIN) == page.count(END) == 1
    time = (
        f"| time | 1.00 ms | 3.00 ms |  | 3.00 | {MISSED} | 1.25 ms | 1.25 | {MET} | \u2264 1.5 |"
    )
    assert time in page.splitlines()
    assert f"| size |  | 650 B |  |  | {MET} |  |  |  | \u2264 700 B |" in page.splitlines()
    assert put_in(page, table(results, compiled)) == page


def test_a_page_without_a_place() -> None:
    with pytest.raises(ValueError, match="there is no"):
        put_in("words", iter(()))
