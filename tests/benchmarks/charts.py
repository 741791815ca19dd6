"""The figures of two runs as charts and as a table in the docs: `make performance`.

`python -m tests.benchmarks.charts FILE COMPILED` reads what a run of the registry as it is written,
and one of the compiled registry, have written with `--json`, draws docs/images/performance-*.svg,
and puts the table between the two markers of docs/performance.md.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from . import svg
from .figures import Figure, Of
from .report import MET, MISSED, Results, goal_text, load, machine_line, number, spread

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "performance.md"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"

_MILLISECONDS: Final = {"µs": 0.001, "ms": 1.0, "s": 1000.0}


Compiled: TypeAlias = Mapping[str, Figure]
"""What was found of the compiled registry, by row."""


def draw(results: Results, compiled: Results, images: Path) -> None:
    """Draw the charts."""
    others = _by_row(compiled)
    figures = [figure for found in results.figures.values() for figure in found if figure.goal]
    rates = [_row(f, others, 1.0) for f in figures if f.unit == "/s"]
    times = [_row(f, others, _MILLISECONDS[f.unit]) for f in figures if f.unit in _MILLISECONDS]
    if rates:
        _write(images / "performance-rates.svg", svg.bars("Requests per second", "", rates))
    if times:
        _write(
            images / "performance-times.svg",
            svg.dots("How long things take", "milliseconds, logarithmic", times),
        )


def _by_row(results: Results) -> Compiled:
    return {figure.row: figure for found in results.figures.values() for figure in found}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _row(figure: Figure, others: Compiled, scale: float) -> svg.Row:
    goal, compiled = figure.goal, others.get(figure.row)
    wanted = None
    if goal is not None and goal.of is Of.VALUE:
        wanted = goal.bound * scale
    elif goal is not None and figure.bare is not None:
        wanted = goal.bound * figure.bare * scale
    return svg.Row(
        label=figure.row,
        value=figure.value * scale,
        bare=None if figure.bare is None else figure.bare * scale,
        compiled=None if compiled is None else _in_place(compiled, figure) * scale,
        goal=wanted,
        text=number(figure.value, figure.unit),
    )


def _in_place(compiled: Figure, figure: Figure) -> float:
    """What the compiled registry would have come to beside the bare loop of the other run."""
    if compiled.ratio is None or figure.bare is None:
        return compiled.value
    return compiled.ratio * figure.bare


def table(results: Results, compiled: Results) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    yield machine_line(results)
    yield ""
    yield "| what | bare loop | median | spread | ratio | | compiled | ratio | | goal |"
    yield "|---|--:|--:|--:|--:|---|--:|--:|---|--:|"
    notes: list[str] = []
    others = _by_row(compiled)
    for name, found in results.figures.items():
        yield f"| **{name}** | | | | | | | | | |"
        for figure in found:
            yield _line(figure, others.get(figure.row), notes)
    for place, note in enumerate(notes, 1):
        yield ""
        yield f"<sup>{place}</sup> {note}"


def _line(figure: Figure, compiled: Figure | None, notes: list[str]) -> str:
    row = figure.row
    if figure.note:
        if figure.note not in notes:
            notes.append(figure.note)
        row += f" <sup>{notes.index(figure.note) + 1}</sup>"
    cells = (
        row,
        "" if figure.bare is None else number(figure.bare, figure.unit),
        number(figure.value, figure.unit),
        spread(figure),
        *_ratio(figure),
        *(("", "", "") if compiled is None else _beside(compiled)),
        "" if figure.goal is None else goal_text(figure.goal, figure.unit),
    )
    return f"| {' | '.join(cells)} |"


def _beside(compiled: Figure) -> tuple[str, str, str]:
    return number(compiled.value, compiled.unit), *_ratio(compiled)


def _ratio(figure: Figure) -> tuple[str, str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return ratio, {True: MET, False: MISSED, None: ""}[figure.met]


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
    parser.add_argument("compiled", type=Path, help="the same, of the compiled registry")
    options = parser.parse_args()
    results, compiled = load(options.file), load(options.compiled)
    draw(results, compiled, DOCS / "images")
    page = put_in(PAGE.read_text(encoding="utf-8"), table(results, compiled))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
