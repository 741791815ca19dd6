"""Figures for people, as a table, and for programs, as JSON."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import machine
from .figures import TIMES, Figure, Goal, Of

MET, MISSED = "✓", "✗"

WIDE: Final = 110
"""Columns of a terminal that has room for everything."""

_MACHINE: Final = (
    "Measured on {date} ({profile}, {registry}) with {cores} cores of {cpu}, {kernel}, {python}, "
    "libzmq {libzmq}, pyzmq {pyzmq}. The load (of others) was {load} when it began."
)

_DIGITS: Final = {"/s": 0, "B": 0}
"""Digits behind the point, where a unit has no need of those that a number of its size has."""


@attrs.frozen
class Results:
    """What a run came to.

    Attributes:
        profile: How thoroughly it was measured.
        date: When it began.
        machine: What it ran on.
        figures: What was found, by the name of the part that found it.
    """

    profile: str
    date: str
    machine: Mapping[str, str | int]
    figures: dict[str, list[Figure]]

    @classmethod
    def begin(cls, profile: str) -> "Results":
        """Nothing yet."""
        now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(profile, now, machine.describe(), {})


def save(results: Results, path: Path) -> None:
    """Write the JSON, each figure with all its samples on a line of its own."""
    values = attrs.asdict(results, value_serializer=_plain)
    figures = values.pop("figures")
    parts = (
        f"  {_line(name)}: [\n   " + ",\n   ".join(map(_line, found)) + "\n  ]"
        for name, found in figures.items()
    )
    head = "".join(f" {_line(name)}: {_line(value)},\n" for name, value in values.items())
    text = "{\n" + head + ' "figures": {\n' + ",\n".join(parts) + "\n }\n}\n"
    path.write_text(text, encoding="utf-8")


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def load(path: Path) -> Results:
    """Read it.

    Raises:
        OSError: It cannot be read.
        ValueError: It is something else.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    figures = {
        name: [_figure(figure) for figure in found] for name, found in values["figures"].items()
    }
    return Results(values["profile"], values["date"], values["machine"], figures)


def _plain(_owner: object, _field: object, value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value.value if isinstance(value, Of) else value


def _figure(values: dict[str, Any]) -> Figure:
    if values["goal"] is not None:
        values["goal"] = Goal(**values["goal"] | {"of": Of(values["goal"]["of"])})
    for name in ("samples", "bare_samples"):
        values[name] = tuple(values[name])
    return Figure(**values)


def show(results: Results, console: Console, beside: str = "BARE LOOP") -> None:
    """Print the table of what was measured beside something."""
    headings = ("MEDIAN", "SPREAD", beside, "RATIO", "GOAL")
    left_out = headings.index("SPREAD") + 1 if console.width < WIDE else None
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for heading in headings:
        if left_out is None or heading != "SPREAD":
            table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    notes: list[str] = []
    for name, found in results.figures.items():
        table.add_row(Text(name, style="bold cyan"))
        for figure in found:
            cells = _row(figure, notes)
            table.add_row(*(cell for place, cell in enumerate(cells) if place != left_out))
        table.add_section()
    console.print(table)
    for number, note in enumerate(notes, 1):
        console.print(Text(f"  {number}  {note}", style="dim"))
    console.print(Text(machine_line(results), style="dim"))
    console.print(_verdict(results))


def _row(figure: Figure, notes: list[str]) -> Sequence[str | Text]:
    what = Text("  " + figure.row)
    if figure.note:
        if figure.note not in notes:
            notes.append(figure.note)
        what.append(f" {notes.index(figure.note) + 1}", style="dim")
    goal, met = figure.goal, figure.met
    of_ratio = goal is not None and goal.of is Of.RATIO
    style = "" if met is None else "green" if met else "bold red"
    return (
        what,
        Text(number(figure.value, figure.unit), style="" if of_ratio else style),
        Text(spread(figure), style="dim"),
        "" if figure.bare is None else number(figure.bare, figure.unit),
        "" if figure.ratio is None else Text(f"{figure.ratio:.2f}", style if of_ratio else ""),
        "" if goal is None else goal_text(goal, figure.unit),
        "" if met is None else Text(MET if met else MISSED, style=style),
    )


def _verdict(results: Results) -> Text:
    goals = [f.met for found in results.figures.values() for f in found if f.met is not None]
    if not goals:
        return Text("nothing was measured that has a goal", style="dim")
    if all(goals):
        return Text(f"all {len(goals)} goals are met", style="green")
    return Text(f"{goals.count(False)} of {len(goals)} goals are missed", style="bold red")


def machine_line(results: Results) -> str:
    """When, and on what."""
    return _MACHINE.format(
        profile=results.profile, date=results.date[:16].replace("T", " "), **results.machine
    )


def number(value: float, unit: str) -> str:
    """A value as people read it: 123,456/s, 1.23 ms, 12.3 %."""
    digits = _DIGITS.get(unit)
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        if 0 < abs(value) < 0.1 and unit != TIMES:
            digits = 3
    return f"{value:,.{digits}f}{'' if unit in ('/s', TIMES) else ' '}{unit}"


def spread(figure: Figure) -> str:
    """From the lowest round to the highest, without the unit."""
    if figure.low == figure.high:
        return ""
    ends = [number(end, figure.unit).removesuffix(figure.unit) for end in (figure.low, figure.high)]
    return " \u2013 ".join(end.strip() for end in ends)


def goal_text(goal: Goal, unit: str) -> str:
    """What is wanted: ≥ 0.75, or ≤ 20 ms."""
    sign = "≥" if goal.at_least else "≤"
    if goal.of is Of.RATIO:
        return f"{sign} {goal.bound:g}"
    return f"{sign} {goal.bound:g}{'' if unit == TIMES else ' '}{unit}"
