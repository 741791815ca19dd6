"""Lines of text, and how wide they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from devicewatch.events.text import clock
from devicewatch.subscribers.top.lines import Tone, fit, fit_line, moment, plain, width_of


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("cam", 5, "cam  "),
        ("cam", 3, "cam"),
        ("camera", 4, "cam…"),
        ("camera", 1, "…"),
        ("camera", 0, ""),
        ("", 0, ""),
        ("相機一", 6, "相機一"),
        ("相機一", 5, "相機…"),
        ("相機一", 4, "相 …"),
        ("[red]x[/]", 9, "[red]x[/]"),
    ],
)
def test_text_is_cut_or_filled_up(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


def test_numbers_are_put_to_the_right() -> None:
    assert fit("7 s", 5, right=True) == "  7 s"
    assert fit("100 min", 5, right=True) == "100 …"


printing = st.text(st.characters(exclude_categories=("C", "Z")), max_size=12)


@given(printing, st.integers(0, 15))
def test_whatever_prints_takes_the_cells_that_it_gets(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width


@given(st.lists(printing, max_size=4), st.integers(0, 30))
def test_so_does_a_line(texts: list[str], width: int) -> None:
    line = fit_line(tuple((text, Tone.PLAIN) for text in texts), width)
    assert width_of(line) == width


def test_a_line_keeps_its_tones() -> None:
    line = (("cam", Tone.NAME), (" left", Tone.DIM))
    assert fit_line(line, 8) == line
    assert fit_line(line, 5) == (("cam", Tone.NAME), (" …", Tone.DIM))
    assert plain(fit_line(line, 9)) == "cam left "


def test_times_that_there_are_not() -> None:
    assert len(clock(1.5e9)) == 8
    assert moment(1.5e9).startswith("2017-07-1")
    for seconds in (1e300, -1e300, float("inf"), float("nan")):
        assert clock(seconds) == "??:??:??"
        assert "no time" in moment(seconds)
