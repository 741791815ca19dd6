"""What lies over the table for a while: all about one device, and help."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from .board import Board, Row
from .lines import Line
from .paint import text_of
from .words import details, help_lines


class StatusBar(Static):
    """What the view is worth: it is there whatever else is."""

    ALLOW_SELECT = False

    _lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines."""
        if lines != self._lines:
            self._lines = lines
            self.update(text_of(lines))


class Page(ModalScreen[None]):
    """A text that can be scrolled.

    Attributes:
        status: What the view is worth, here as well.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", key_display="Esc"),
        Binding("down,j", "scroll(1)", "Scroll", key_display="↑↓"),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home,g", "page(-1_000)", "To the top", show=False),
        Binding("end,G", "page(1_000)", "To the end", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.status = StatusBar(markup=False)
        self._page = VerticalScroll(id="page", can_focus=False)
        self._text = Static(id="text", markup=False)

    def compose(self) -> ComposeResult:
        """What it consists of."""
        yield self.status
        with self._page:
            yield self._text
        yield Footer(show_command_palette=False)

    def action_scroll(self, lines: int) -> None:
        """Up or down by a line."""
        self._page.scroll_relative(y=lines, animate=False, immediate=True)

    def action_page(self, pages: int) -> None:
        """Up or down by what is on the screen."""
        self.action_scroll(pages * max(1, self._page.size.height - 1))

    def tell_time(self) -> None:
        """Show what has changed."""


class Help(Page):
    """Keys and signs."""

    def on_mount(self) -> None:
        """Show them."""
        self._page.border_title = "help"
        self._text.update(text_of(help_lines()))


class Details(Page):
    """All about a device, as it is at each moment.

    Args:
        row: The device.
        board: Where to look whether it is still there.
    """

    def __init__(self, row: Row, board: Board) -> None:
        super().__init__()
        self._row = row
        self._board = board

    def on_mount(self) -> None:
        """Show it."""
        self._page.border_title = "device"
        self.tell_time()

    def on_resize(self) -> None:
        """Show it at another width."""
        self.tell_time()

    def tell_time(self) -> None:
        """Show what has changed."""
        self._row = self._board.row(self._row.device.name) or self._row
        width = self._page.scrollable_content_region.width
        cells = max(step for step in (12, 24, 36, 60) if step <= max(12, width))
        text = text_of(details(self._row, self._board, time.time(), cells))
        self._text.update(text)
