"""A real browser, which shows a page, and what went on in it that must not.

It is Debian's Chromium, driven by Playwright. Nothing is ever downloaded.
"""

import importlib
import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.support.live import PATIENCE
from tests.support.needs import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")

_FUNCTION: Final = re.compile(r"[\w(\[\], )]*=>")

_WATCH: Final = """
window.violations = [];
window.slow = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));
new PerformanceObserver((list) => slow.push(...list.getEntries().map((entry) => entry.duration)))
  .observe({ type: "longtask", buffered: true });
"""


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A browser. A test that asks for one is skipped where there is none, but not in CI."""
    needs("Playwright (pip install playwright)", importlib.util.find_spec("playwright"))
    needs("Chromium (apt-get install chromium)", CHROMIUM)
    playwright: Any = importlib.import_module("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # As root, in a container, Chromium has no sandbox. It sees nothing but our own page.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One look at a page, by somebody who has never been there.

    Attributes:
        page: Playwright's.
        excused: Beginnings of words on the console that are no fault of the page.
    """

    def __init__(self, page: "Page", url: str) -> None:
        self.page = page
        self.excused: tuple[str, ...] = ()
        self._origin = origin(url)
        self._asked: list[str] = []
        self._said: list[str] = []
        page.set_default_timeout(1000 * PATIENCE)
        page.on("request", lambda request: self._asked.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._said.append(f"error: {error}"))
        page.add_init_script(_WATCH)

    def until(self, condition: str, argument: object = None) -> None:
        """Wait until this JavaScript, a function or an expression, gives something."""
        if not _FUNCTION.match(
            condition
        ):  # the page allows nobody to evaluate text again and again
            condition = f"() => ({condition})"
        # Looking in every frame would take more time than the page itself.
        self.page.wait_for_function(condition, arg=argument, timeout=1000 * PATIENCE, polling=25)

    def until_state(self, state: str) -> None:
        """Wait until the page says that its view is live, say."""
        self.until("state => document.documentElement.dataset.state === state", state)

    def until_shown(self, name: str, *, gone: bool = False) -> None:
        """Wait until there is a row for a device that is present, or one that has left."""
        self.until(
            """([name, gone]) => [...document.querySelectorAll("tr.device")].some((row) =>
            row.querySelector(".name").textContent === name &&
            row.classList.contains("gone") === gone)""",
            [name, gone],
        )

    def texts(self, selector: str) -> list[str]:
        """What the elements say, in order."""
        return self.page.locator(selector).all_text_contents()

    def check(self) -> None:
        """Nothing went out to others, nothing was said on the console, nothing broke a rule."""
        assert {origin(url) for url in self._asked} <= {self._origin}
        assert [said for said in self._said if not said.startswith(self.excused or "\0")] == []
        assert self.page.evaluate("violations") == []

    def _note(self, message: "ConsoleMessage") -> None:
        self._said.append(message.text)


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def visit(
    browser: "Browser",
    url: str,
    prepare: "Callable[[Page], object]" = bool,
    **circumstances: Any,
) -> Iterator[Visit]:
    """Open a page, and check in the end that nothing went on that must not.

    Args:
        browser: Which one.
        url: The page's address.
        prepare: Called with the page before it goes there.
        circumstances: What Playwright's `Browser.new_context` takes: `viewport`, `color_scheme`.
    """
    context = browser.new_context(**circumstances)
    try:
        look = Visit(context.new_page(), url)
        prepare(look.page)
        look.page.goto(url)
        yield look
        look.check()
    finally:
        context.close()
