"""Two sorts of charts as SVG: bars, and pairs of dots. Readable in light and in dark."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as ET

import attrs

PLOT: Final = 360
RIGHT: Final = 110
TOP: Final = 84
ROW: Final = 26
BOTTOM: Final = 16
CHARACTER: Final = 7.3
"""How wide one is, about; text cannot be measured here."""

_STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  fill: #1f2328; }
.card { fill: #ffffff; stroke: #d1d9e0; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.grid { stroke: #d1d9e0; }
.band { stroke: #d1d9e0; stroke-width: 3; }
.ours { fill: #0969da; }
.bare { fill: #afb8c1; }
.compiled { fill: #8250df; }
.goal { stroke: #bc4c00; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .card { fill: #0d1117; stroke: #3d444d; }
  .small { fill: #9198a1; }
  .grid, .band { stroke: #3d444d; }
  .ours { fill: #4493f8; }
  .bare { fill: #656c76; }
  .compiled { fill: #ab7df8; }
  .goal { stroke: #f0883e; }
}
"""


@attrs.frozen(kw_only=True)
class Row:
    """One line of a chart.

    Attributes:
        label: What it is about.
        value: Ours.
        bare: The bare loop's; None if there is none.
        compiled: Ours, compiled; None if that was not measured.
        goal: What ours should be; None if that is not laid down.
        text: What stands at the end of the line.
    """

    label: str
    value: float
    bare: float | None
    compiled: float | None
    goal: float | None
    text: str


def bars(title: str, unit: str, rows: Sequence[Row]) -> str:
    """Bars from zero: ours, and beneath it, thinner, compiled and the bare loop's."""
    most = max(
        max(row.value, row.bare or 0.0, row.compiled or 0.0, row.goal or 0.0) for row in rows
    )
    step = _step(most)
    scale = PLOT / (step * math.ceil(most / step))
    ticks = [step * number for number in range(math.ceil(most / step) + 1)]
    picture = _Picture(title, unit, rows, at_least=True)
    left = picture.left
    picture.grid((left + tick * scale, f"{tick:,g}") for tick in ticks)
    for row, y in picture.rows(rows):
        picture.bar(y - 9, 8, row.value * scale, "ours")
        if row.compiled is not None:
            picture.bar(y - 0.5, 4, row.compiled * scale, "compiled")
        if row.bare is not None:
            picture.bar(y + 4, 4, row.bare * scale, "bare")
        if row.goal is not None:
            picture.goal(left + row.goal * scale, y)
    return picture.text()


def dots(title: str, unit: str, rows: Sequence[Row]) -> str:
    """Dots on a logarithmic scale, on which a ratio is a distance: the bare loop's, and ours."""
    values = [v for row in rows for v in (row.value, row.bare, row.compiled, row.goal) if v]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    scale = PLOT / max(1, high - low)
    picture = _Picture(title, unit, rows, at_least=False)

    def place(value: float) -> float:
        return picture.left + (math.log10(max(value, 10.0**low)) - low) * scale

    picture.grid((place(10.0**n), f"{10.0**n:,g}") for n in range(low, high + 1))
    for row, y in picture.rows(rows):
        if row.goal is not None:
            picture.goal(place(row.goal), y)
        if row.bare is not None:
            picture.line("band", place(row.bare), y, place(row.value), y)
            picture.dot(place(row.bare), y, 5, "bare")
        picture.dot(place(row.value), y, 6, "ours")
        if row.compiled is not None:
            picture.dot(place(row.compiled), y, 3.5, "compiled")
    return picture.text()


def _step(most: float) -> float:
    """A round number of which a few make up the most."""
    power: float = 10.0 ** math.floor(math.log10(most))
    return next(power * part for part in (0.2, 0.5, 1.0, 2.0) if most <= 6 * power * part)


class _Picture:
    def __init__(self, title: str, unit: str, rows: Sequence[Row], *, at_least: bool) -> None:
        self.left = round(36 + CHARACTER * max(len(row.label) for row in rows))
        self._width = self.left + PLOT + RIGHT
        self._height = TOP + len(rows) * ROW + BOTTOM
        self._svg = ET.Element(
            "svg", xmlns="http://www.w3.org/2000/svg", role="img",
            viewBox=f"0 0 {self._width} {self._height}",
            width=str(self._width), height=str(self._height),
        )  # fmt: skip
        ET.SubElement(self._svg, "title").text = title
        ET.SubElement(self._svg, "style").text = _STYLE
        ET.SubElement(
            self._svg, "rect", x="0.5", y="0.5", rx="6",
            width=str(self._width - 1), height=str(self._height - 1), attrib={"class": "card"},
        )  # fmt: skip
        self._say(20, 28, title, "title")
        self._legend(unit, "the least that is wanted" if at_least else "the most that is wanted")

    def _legend(self, unit: str, goal: str) -> None:
        y = 50
        self._say(20, y, unit, "small")
        x = self.left
        for name, words in (
            ("ours", "devicewatch"),
            ("compiled", "compiled"),
            ("bare", "bare loop"),
        ):
            self.dot(x + 5, y - 4, 5, name)
            self._say(x + 16, y, words, "small")
            x += 40 + 6 * len(words)
        self.line("goal", x + 5, y - 10, x + 5, y + 2)
        self._say(x + 12, y, goal, "small")

    def grid(self, ticks: Iterable[tuple[float, str]]) -> None:
        """Lines from top to bottom, and what they stand for."""
        for x, label in ticks:
            self.line("grid", x, TOP - 6, x, self._height - BOTTOM)
            self._say(x, TOP - 11, label, "small", "middle")

    def rows(self, rows: Sequence[Row]) -> Iterator[tuple[Row, float]]:
        """Each row, and where its middle is; with what is said at both ends."""
        for number, row in enumerate(rows):
            y = TOP + (number + 0.5) * ROW
            self._say(self.left - 12, y + 4, row.label, "", "end")
            self._say(self._width - RIGHT + 16, y + 4, row.text, "")
            yield row, y

    def bar(self, y: float, height: float, width: float, style: str) -> None:
        self._add("rect", style, x=self.left, y=y, width=max(1.0, width), height=height, rx=2)

    def dot(self, x: float, y: float, radius: float, style: str) -> None:
        self._add("circle", style, cx=x, cy=y, r=radius)

    def goal(self, x: float, y: float) -> None:
        self.line("goal", x, y - 11, x, y + 11)

    def line(self, style: str, x1: float, y1: float, x2: float, y2: float) -> None:
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self) -> str:
        ET.indent(self._svg, " ")
        return ET.tostring(self._svg, encoding="unicode") + "\n"

    def _say(self, x: float, y: float, text: str, style: str, anchor: str = "start") -> None:
        element = self._add("text", style, x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = text

    def _add(self, name: str, style: str, **values: float) -> ET.Element:
        plain = {key: f"{value:.1f}".removesuffix(".0") for key, value in values.items()}
        return ET.SubElement(self._svg, name, {"class": style, **plain})
