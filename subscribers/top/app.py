"""The dashboard itself: a watcher in Textual's event loop, and what it leads to, on a screen.

A task reads the watcher and does nothing but take note; ten times a second at the most the screen
is brought up to date with all that has happened since, so a burst of a thousand events is drawn
once. What takes long to draw is drawn less often.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import attrs
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.theme import Theme
from textual.widgets import Footer, Input, Label

from ...events.errors import DevicewatchError
from ...events.records import State
from ..aio import AsyncWatcher
from .board import Board
from .chronicle import Chronicle
from .log import EventLog
from .order import Choice, arrange
from .screens import Details, Help, Page, StatusBar
from .table import DeviceTable, Heading
from .words import found, status

FRAME: Final = 0.1
"""Seconds between two looks at what has happened, at the least."""
SHARE: Final = 5
"""What a frame took, times this, is how long the next one is waited for: most time is for keys."""
BATCH: Final = 500
"""Records that are taken in before others get their turn."""

THEME: Final = Theme(
    name="devicewatch",
    ansi=True,
    primary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_cyan",
        "border-blurred": "ansi_bright_black",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_cyan",
        "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
        "block-hover-background": "ansi_default",
        "footer-key-foreground": "ansi_cyan",
    },
)
"""The terminal's own colours on its own background, be that dark or light."""


class Words(Input):
    """Where a filter is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep the filter"),
        Binding("escape", "app.clear", "Clear it"),
        Binding("down", "submit", "To the table", show=False),
    ]


class TopApp(App[DevicewatchError | None]):
    """What `devicewatch top` shows. It returns what was in the way, if something was.

    Args:
        watcher: What to follow; it is closed in the end.
        url: The registry's address, as it is to be shown.
    """

    CSS_PATH = "top.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "devicewatch top"
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (14, "-low"), (30, "-high")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority, what is typed right after it is for the filter already.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("escape", "clear", "Clear"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("l", "left", "Left"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, priority=True),
    ]

    def __init__(self, watcher: AsyncWatcher, url: str) -> None:
        super().__init__(ansi_color=True)  # said early, as NO_COLOR is dealt with here
        self.register_theme(THEME)
        self.theme = THEME.name
        self.animation_level = "none"
        self.board = Board()
        self.chronicle = Chronicle()
        self.choice = Choice()
        self.table = DeviceTable(self.board, id="table")
        self._status = StatusBar(markup=False)
        self._heading = Heading(id="heading")
        self._events = EventLog(self.chronicle, id="log")
        self._words = Words(id="words", compact=True, select_on_focus=False)
        self._found = Label("", id="found", markup=False)
        self._watcher = watcher
        self._url = url
        self._began = time.time()
        self._made_from = (-1, 0, 0)  # the board, the width and the time of what is on the screen
        self._shown = 0

    def compose(self) -> ComposeResult:
        """What it consists of."""
        yield self._status
        yield self._heading
        yield self.table
        yield self._events
        with Horizontal(id="filter"):
            yield Label("filter: ", markup=False)
            yield self._words
            yield self._found
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin."""
        self._events.border_title = "events"
        self.query_one("#filter").display = False
        self.table.focus()
        self.app_resume_signal.subscribe(self, self._draw_all)
        self.run_worker(self._follow(), name="follow", exit_on_error=True)
        self._frame()

    async def _follow(self) -> None:
        """Take in what the watcher yields, until it is closed or is not let in."""
        try:
            async with self._watcher as watcher:
                number = 0
                async for record in watcher.records():
                    now = time.time()
                    self.board.add(record, now)
                    self.chronicle.add(record)
                    number += 1
                    if number % BATCH == 0:
                        await asyncio.sleep(0)
        except DevicewatchError as error:
            self.exit(error)

    # --- drawing ------------------------------------------------------------------------------

    def _frame(self) -> None:
        if not self.is_running:
            return  # the screen is being taken down
        began = time.perf_counter()
        self.bring_up_to_date()
        took = time.perf_counter() - began
        self.set_timer(max(FRAME, SHARE * took), self._frame)

    def bring_up_to_date(self) -> None:
        """Show what is the case now."""
        now = time.time()
        self.board.forget(now)
        self._show_status(now)
        self._events.show()
        # Durations are in seconds, so once a second something changes by itself.
        made_from = (self.board.version, self.table.size.width, int(now))
        if made_from != self._made_from:
            self._made_from = made_from
            self._show_rows(now)

    def _draw_all(self, _app: object) -> None:
        """After Ctrl-Z and `fg` the terminal's screen is empty."""
        for screen in self.screen_stack:
            screen.refresh(layout=True)
            for widget in screen.walk_children():
                widget.refresh()

    def _show_status(self, now: float) -> None:
        at_present = self._watcher.status
        if at_present.since < self._began:  # it has not looked at the clock yet
            at_present = attrs.evolve(at_present, since=self._began)
        lines = status(at_present, self._url, self.board, now, self.size.width - 2)
        self._status.show(lines)
        if (page := self._page) is not None:
            page.status.show(lines)
        self.table.set_class(at_present.state is not State.LIVE, "-stale")

    def _show_rows(self, now: float) -> None:
        rows = arrange(self.board, self.choice, now)
        self._shown = len(rows)
        self.table.show(rows, now)
        self._heading.show(self.table.columns, self.choice)
        self._count()
        if (page := self._page) is not None:
            page.tell_time()

    def _count(self) -> None:
        self._found.update(f" {found(self._shown, self.board, left=self.choice.left)}")

    @property
    def _page(self) -> Page | None:
        """What lies over the table."""
        # In the end there is no screen at all.
        top = self.screen_stack[-1] if self.screen_stack else None
        return top if isinstance(top, Page) else None

    # --- what the keys do ---------------------------------------------------------------------

    def _choose(self, choice: Choice) -> None:
        self.choice = choice
        self._show_rows(time.time())

    def action_filter(self) -> None:
        """Begin to filter, or go on."""
        self.query_one("#filter").display = True
        self.screen.set_focus(self._words)  # at once: what is typed next is for it

    def action_clear(self) -> None:
        """Filter no more."""
        self._words.value = ""
        self.screen.set_focus(self.table)
        self.query_one("#filter").display = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Which keys are of use: the footer shows these."""
        typing = self._words.has_focus
        if action == "clear":
            return bool(self.choice.words) or typing
        return action != "filter" or not (typing or self._page is not None)

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._choose(self.choice.by(self.choice.key.next()))

    def action_reverse(self) -> None:
        """Sort backwards."""
        self._choose(self.choice.by(self.choice.key))

    def action_left(self) -> None:
        """Show or hide those who left."""
        self._choose(attrs.evolve(self.choice, left=not self.choice.left))

    async def action_help(self) -> None:
        """Show what the keys do."""
        await self._lay_over(Help())

    def on_heading_clicked(self, event: Heading.Clicked) -> None:
        """Sort by a column."""
        self._choose(self.choice.by(event.key))

    async def on_device_table_picked(self, event: DeviceTable.Picked) -> None:
        """Show all about a device."""
        await self._lay_over(Details(event.row, self.board))

    async def _lay_over(self, page: Page) -> None:
        if self.screen_stack:
            await self.push_screen(page)
            self.bring_up_to_date()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by what is typed, as it is typed."""
        if self.screen_stack:  # else it came when the screen was taken down
            self._choose(attrs.evolve(self.choice, words=event.value))
            self.refresh_bindings()

    def on_input_submitted(self) -> None:
        """Back to the table, with the filter in place, if there is one."""
        if self.screen_stack:
            self.screen.set_focus(self.table)
            self.query_one("#filter").display = bool(self._words.value.strip())


def run(watcher: AsyncWatcher, url: str) -> None:
    """Show what a watcher sees until somebody quits, or a signal ends it.

    Raises:
        DevicewatchError: The registry does not let this program in.
    """
    app = TopApp(watcher, url)
    with _quiet():
        error = asyncio.run(_run(app))
    if error is not None:
        raise error


async def _run(app: TopApp) -> DevicewatchError | None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, app.exit)
    return await app.run_async()


@contextmanager
def _quiet() -> Iterator[None]:
    """No log lines across the screen: what they say of the view is on it."""
    logger = logging.getLogger("devicewatch")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
