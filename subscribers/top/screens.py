"""What lies over the table for a while: all about one device, and help."""

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from .board import Board, Row
from .paint import text_of
from .words import details, help_lines


class Page(ModalScreen[None]):
    """A text that can be scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", key_display="Esc"),
        Binding("down,j", "scroll(1)", "Scroll", key_display="↑↓"),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def compose(self) -> ComposeResult:
        """What it consists of."""
        with VerticalScroll(id="page"):
            yield Static(id="text", markup=False)
        yield Footer(show_command_palette=False)

    def action_scroll(self, lines: int) -> None:
        """Up or down by a line."""
        self.query_one("#page").scroll_relative(y=lines, animate=False)

    def tell_time(self) -> None:
        """Show what has changed."""


class Help(Page):
    """Keys and signs."""

    def on_mount(self) -> None:
        """Show them."""
        self.query_one("#page").border_title = "help"
        self.query_one("#text", Static).update(text_of(help_lines()))


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
        self.query_one("#page").border_title = "device"
        self.tell_time()

    def on_resize(self) -> None:
        """Show it at another width."""
        self.tell_time()

    def tell_time(self) -> None:
        """Show what has changed."""
        self._row = self._board.row(self._row.device.name) or self._row
        width = self.query_one("#page").scrollable_content_region.width
        cells = max(step for step in (12, 24, 36, 60) if step <= max(12, width))
        text = text_of(details(self._row, self._board, time.time(), cells))
        self.query_one("#text", Static).update(text)
