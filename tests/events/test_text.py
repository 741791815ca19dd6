"""Text from strangers: what of it may be registered, and how it is shown."""

import csv
import io
import re
import sys
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import csv_text, printable
from devicewatch.events.text import printable_lines, unprintable

MANY = "".join(map(chr, [*range(0x1_1000), *range(0xE_0000, 0xE_0200), sys.maxunicode]))
"""All that is common, halves of characters, and a part of what is beyond."""

any_text = st.text(st.characters())  # halves of characters too


# --- printable -------------------------------------------------------------------------------


def test_what_prints_stays_and_nothing_else() -> None:
    shown = printable(MANY)
    assert shown.isprintable()
    numbers = re.compile(r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")
    assert numbers.sub("", shown) == "".join(filter(str.isprintable, MANY))
    assert len(numbers.findall(shown)) == sum(not c.isprintable() for c in MANY)


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x00", r"\u0000"),
        ("\n", r"\u000a"),
        ("\x1b", r"\u001b"),
        ("\x7f", r"\u007f"),
        ("\x9b", r"\u009b"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\U0010ffff", r"\U0010ffff"),
        ("\\", "\\"),
        (" ", " "),
        ("\N{SEAL}", "\N{SEAL}"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_what_does_not_print_is_shown_by_its_number(character: object, shown: str) -> None:
    assert printable(character) == shown


@given(any_text, st.none() | st.integers(1, 20))
def test_what_was_shown_stays_as_it_is(text: str, longest: int | None) -> None:
    shown = printable(text, longest)
    assert shown.isprintable()
    assert printable(shown, longest) == printable(shown) == shown
    assert longest is None or len(shown) <= longest
    if text.isprintable() and (longest is None or len(text) <= longest):
        assert shown == text


def test_what_is_too_long_ends_in_an_ellipsis() -> None:
    assert printable("a" * 10, 10) == "a" * 10
    assert printable("a" * 11, 10) == "a" * 9 + "…"
    assert printable("\x1b" * 3, 10) == r"\u001b\u0" + "…"
    assert printable("abc", 0) == "…"


@given(any_text, st.sampled_from(["", "  "]))
def test_lines_stay_lines(text: str, indent: str) -> None:
    lines = printable_lines(text, indent).split("\n")
    assert len(lines) == text.count("\n") + 1
    assert all(line.isprintable() and line.startswith(indent) for line in lines)


# --- in words --------------------------------------------------------------------------------


@given(any_text)
def test_what_does_not_print_is_named(text: str) -> None:
    found = unprintable(text)
    assert (found is None) == text.isprintable()
    assert found is None or found.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cam", None),
        ("a\u202eb\x1b", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("\x1b", "U+001B"),
        ("\ue000", "U+E000"),
        ("\U000e0041", "U+E0041 (TAG LATIN CAPITAL LETTER A)"),
    ],
)
def test_the_first_of_them_is_named(text: str, words: str | None) -> None:
    assert unprintable(text) == words


# --- elsewhere -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1+1", "\uff1d1+1", "\uff20x", "'=1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = csv_text(text)
    assert cell.startswith("'")
    assert cell.lstrip("'") == text.lstrip("'")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("cam", "cam"),
        ("", ""),
        ("a=1", "a=1"),
        ("\t=1+1", r"\u0009=1+1"),
        ("\r\n=1", r"\u000d\u000a=1"),
    ],
)
def test_other_text_is_shown(text: str, cell: str) -> None:
    assert csv_text(text) == cell


@given(st.lists(any_text, min_size=1, max_size=3))
def test_a_row_of_csv_is_one_line_with_its_cells(texts: list[str]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(map(csv_text, texts))
    assert file.getvalue().count("\n") == 1
    assert file.getvalue()[:-1].isprintable()
    assert next(csv.reader([file.getvalue()]), [""]) == [csv_text(text) for text in texts]


@given(any_text)
def test_html_is_the_standard_library_s_business(text: str) -> None:
    shown = escape(printable(text))
    assert shown.isprintable()
    assert not {"<", ">", '"', "'"} & set(shown)
