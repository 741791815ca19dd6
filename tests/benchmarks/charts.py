"""The figures of a run as charts and as a table in the docs: `make performance`.

`python -m tests.benchmarks.charts FILE` reads what a run has written with `--json`, draws
docs/images/performance-*.svg, and puts the table between the two markers of docs/performance.md.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from . import svg
from .figures import Figure, Of
from .report import MET, MISSED, Results, goal_text, load, machine_line, number, spread

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "performance.md"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"

_MILLISECONDS: Final = {"µs": 0.001, "ms": 1.0, "s": 1000.0}


def draw(results: Results, images: Path) -> None:
    """Draw the charts."""
    figures = [figure for found in results.figures.values() for figure in found if figure.goal]
    rates = [_row(f, 1.0) for f in figures if f.unit == "/s"]
    times = [_row(f, _MILLISECONDS[f.unit]) for f in figures if f.unit in _MILLISECONDS]
    if rates:
        _write(images / "performance-rates.svg", svg.bars("Requests per second", "", rates))
    if times:
        _write(
            images / "performance-times.svg",
            svg.dots("How long things take", "milliseconds, logarithmic", times),
        )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _row(figure: Figure, scale: float) -> svg.Row:
    goal = figure.goal
    wanted = None
    if goal is not None and goal.of is Of.VALUE:
        wanted = goal.bound * scale
    elif goal is not None and figure.bare is not None:
        wanted = goal.bound * figure.bare * scale
    text = number(figure.value, figure.unit)
    if figure.ratio is not None:
        text += f" ({figure.ratio:.2f})"
    return svg.Row(
        label=figure.row,
        value=figure.value * scale,
        bare=None if figure.bare is None else figure.bare * scale,
        goal=wanted,
        text=text,
        met=figure.met,
    )


def table(results: Results) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    yield machine_line(results)
    yield ""
    yield "| what | median | spread | bare loop | ratio | goal | |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    notes: list[str] = []
    for name, found in results.figures.items():
        yield f"| **{name}** | | | | | | |"
        for figure in found:
            yield _line(figure, notes)
    for place, note in enumerate(notes, 1):
        yield ""
        yield f"<sup>{place}</sup> {note}"


def _line(figure: Figure, notes: list[str]) -> str:
    row = figure.row
    if figure.note:
        if figure.note not in notes:
            notes.append(figure.note)
        row += f" <sup>{notes.index(figure.note) + 1}</sup>"
    cells = (
        row,
        number(figure.value, figure.unit),
        spread(figure),
        "" if figure.bare is None else number(figure.bare, figure.unit),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.goal is None else goal_text(figure.goal, figure.unit),
        {True: MET, False: MISSED, None: ""}[figure.met],
    )
    return f"| {' | '.join(cells)} |"


def put_in(page: str, lines: Iterator[str]) -> str:
    """The page, with other lines between the markers.

    Raises:
        ValueError: It has none.
    """
    before, _, rest = page.partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"there is no {BEGIN} … {END}")
    return "\n".join([before + BEGIN, *lines, END + after])


def main() -> None:
    """Draw, and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.charts", description=__doc__)
    parser.add_argument("file", type=Path, help="what a run has written with --json")
    results = load(parser.parse_args().file)
    draw(results, DOCS / "images")
    PAGE.write_text(put_in(PAGE.read_text(encoding="utf-8"), table(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
