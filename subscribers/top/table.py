"""The table of devices: only the rows on the screen are drawn, and of these only what changed.

Nothing is kept for each row, so a thousand devices cost no more than the screen's height, and
sorting or filtering them is a new list. The cursor is on a device, not on a line: it stays on it
when rows come, go or change places.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from .board import Board, Row
from .columns import Columns, header, line
from .lines import Line
from .order import Choice, SortKey
from .paint import painted

_DIM: Final = Style(dim=True)
_CURSOR: Final = Style(reverse=True)


class Heading(Widget):
    """The names of the columns. A click on one sorts by it."""

    ALLOW_SELECT = False

    class Clicked(Message):
        """Somebody clicked on a column's name."""

        def __init__(self, key: SortKey) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name for it)
        super().__init__(id=id)
        self._columns = Columns.fitting((), 80)
        self._line: Line = ()

    def show(self, columns: Columns, choice: Choice) -> None:
        """Show these columns."""
        self._columns = columns
        fresh = header(columns, choice)
        if fresh != self._line:
            self._line = fresh
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        """Draw it."""
        style = self.rich_style
        return painted(self._line, style).adjust_cell_length(self.size.width, style)

    def on_click(self, event: events.Click) -> None:
        """Sort by the column."""
        if (key := self._columns.at(event.x)) is not None:
            self.post_message(self.Clicked(key))


class DeviceTable(ScrollView, can_focus=True):
    """The rows, and a cursor.

    Attributes:
        columns: How wide they are.
    """

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "Details"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
    ]

    class Picked(Message):
        """Somebody wants to know all about a device."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    def __init__(self, board: Board, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.columns = Columns.fitting((), 80)
        self._board = board
        self._rows: Sequence[Row] = ()
        self._index = 0
        self._held = False  # whether somebody has chosen a device; until then it is the first one
        self._now = 0.0
        self._drawn: list[Line] = []  # what is on the screen

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._index] if self._index < len(self._rows) else None

    def show(self, rows: Sequence[Row], now: float) -> None:
        """Show these rows."""
        chosen = self.chosen
        self.columns = Columns.fitting(rows, self.scrollable_content_region.width)
        self._rows = rows
        if self.virtual_size != (size := Size(self.columns.width, len(rows))):
            self.virtual_size = size
        self._follow(chosen)
        self._now = now
        self._redraw()

    def _redraw(self) -> None:
        """Draw again what has changed on the screen."""
        before, top = self._drawn, self.scroll_offset.y
        self._drawn = [self._line(top + y) for y in range(self.size.height)]
        for y, (was, is_now) in enumerate(zip(before, self._drawn, strict=False)):
            if was != is_now:
                self.refresh_line(top + y)
        if len(before) != len(self._drawn):
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a line of the screen."""
        index = y + self.scroll_offset.y
        style = self.rich_style
        if index == self._index and self._rows:
            # Without the focus it is only a thin trace of itself.
            cursor = style + (_CURSOR if self.has_focus else Style(underline=True))
            strip = painted(self._line(index), cursor, over=True)
        elif self.has_class("-stale"):
            strip = painted(self._line(index), style + _DIM, over=True)
        else:
            strip = painted(self._line(index), style)
        return strip.adjust_cell_length(self.size.width, style)

    def on_resize(self) -> None:
        """The columns have another width."""
        self.show(self._rows, self._now)
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        """Choose a device, or show all about it when it is chosen already."""
        index = event.y + self.scroll_offset.y
        if index < len(self._rows):
            again = index == self._index and self._held
            self._go(index)
            if again:
                self.action_pick()

    def action_move(self, lines: int) -> None:
        """Up or down."""
        self._go(self._index + lines)

    def action_page(self, pages: int) -> None:
        """Up or down by what is on the screen."""
        self._go(self._index + pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """To the first row; the cursor stays there, whoever that is."""
        self._go(0)
        self._held = False

    def action_last(self) -> None:
        """To the last row."""
        self._go(len(self._rows) - 1)

    def action_pick(self) -> None:
        """All about the device under the cursor."""
        if (row := self.chosen) is not None:
            self.post_message(self.Picked(row))

    def _line(self, index: int) -> Line:
        if index >= len(self._rows):
            return ()
        return line(self._rows[index], self.columns, self._board, self._now)

    def _go(self, index: int) -> None:
        self._held = True
        before, self._index = self._index, max(0, min(index, len(self._rows) - 1))
        self.refresh_line(before)
        self.refresh_line(self._index)
        self._reveal()

    def _follow(self, row: Row | None) -> None:
        """Stay on a device, and it on its line of the screen, whatever happened to the rows."""
        before = self._index
        if not self._held or row is None:
            self._index = 0 if not self._held else max(0, min(before, len(self._rows) - 1))
        else:
            name = row.device.name
            found = (at for at, other in enumerate(self._rows) if other.device.name == name)
            self._index = next(found, max(0, min(before, len(self._rows) - 1)))
        if self._index != before:
            self.scroll_to(y=self.scroll_offset.y + self._index - before, animate=False, force=True)
            self.refresh_line(before)
            self.refresh_line(self._index)
        self._reveal()

    def _reveal(self) -> None:
        top, height = self.scroll_offset.y, self.size.height
        if self._index < top:
            self.scroll_to(y=self._index, animate=False, force=True)
        elif self._index >= top + height > top:
            self.scroll_to(y=self._index - height + 1, animate=False, force=True)
