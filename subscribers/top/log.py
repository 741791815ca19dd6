"""The event log on the screen: as with the table, only the lines in sight are drawn."""

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .chronicle import Chronicle
from .paint import painted


class EventLog(ScrollView, can_focus=True):
    """The last events. It follows them unless somebody has scrolled up."""

    ALLOW_SELECT = False

    def __init__(self, chronicle: Chronicle, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._chronicle = chronicle
        self._told = self._lines = 0

    def show(self) -> None:
        """Show what is new."""
        fresh = self._chronicle.count - self._told
        if not fresh:
            return
        self._told += fresh
        at_end = self.scroll_offset.y >= self.max_scroll_y
        lines = len(self._chronicle.lines)
        dropped = self._lines + fresh - lines
        self._lines = lines
        self.virtual_size = Size(self.size.width, lines)
        there = self.max_scroll_y if at_end else self.scroll_offset.y - dropped
        self.scroll_to(y=max(0, there), animate=False, force=True)
        self.refresh()

    def on_resize(self) -> None:
        """Stay at the end."""
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Draw a line of the screen."""
        lines = self._chronicle.lines
        index = y + self.scroll_offset.y
        style = self.rich_style
        strip = painted(lines[index] if index < len(lines) else (), style)
        return strip.adjust_cell_length(self.size.width, style)
