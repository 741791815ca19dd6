"""Imports run one way: `events` knows nobody, `subscribers` knows `events`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {"events", "registry", "subscribers"}

ALLOWED: Final = {
    "events": set[str](),
    "subscribers": {"events"},
    "registry": {"events"},
}
EXCEPTIONS: Final = {
    ("registry", "server.py"): {"subscribers"},  # calls a program's callbacks
    ("registry", "commands/log.py"): {"subscribers"},  # logs what a watcher sees
    ("registry", "commands/top.py"): {"subscribers"},  # a dashboard is a watcher
    ("registry", "commands/watch.py"): {"subscribers"},  # shows what a watcher sees
    ("registry", "commands/web.py"): {"subscribers"},  # and so does a web page
}


def imported(source: str, module: tuple[str, ...]) -> Iterator[str]:
    """Our packages that the source text of a module imports, wherever in it that happens.

    Args:
        source: The text.
        module: Where it stands: `("devicewatch", "registry", "server")`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*module[: -node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            found = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for name in found:
            if name[0] == "devicewatch":
                yield name[1] if len(name) > 1 else "devicewatch"
            assert name[0] not in PACKAGES, f"{name[0]} is installed as devicewatch.{name[0]}"


def files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    package, *inner = path.relative_to(ROOT).parts
    allowed = {package} | ALLOWED[package] | EXCEPTIONS.get((package, "/".join(inner)), set())
    module = ("devicewatch", package, *inner)
    assert set(imported(path.read_text(encoding="utf-8"), module)) <= allowed


def test_every_package_was_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == PACKAGES
    assert len(files()) > 15


@pytest.mark.parametrize(
    "source",
    [
        "from ..registry.core import RegistryCore",
        "from ..registry import core",
        "from .. import registry",
        "from .. import events, registry",
        "import devicewatch.registry",
        "import devicewatch.registry.core as core",
        "import json, devicewatch.registry",
        "from devicewatch import registry",
        "from devicewatch.registry.core import RegistryCore",
        "def later():\n    from ..registry import core",
        "if TYPE_CHECKING:\n    from ..registry import core",
    ],
)
def test_no_way_to_import_goes_unnoticed(source: str) -> None:
    assert "registry" in set(imported(source, ("devicewatch", "subscribers", "watch.py")))


@pytest.mark.parametrize(
    "source",
    [
        "from .mirror import Mirror",
        "from . import mirror",
        "import json",
        "from x.registry import y",
    ],
)
def test_other_imports_are_no_concern(source: str) -> None:
    assert set(imported(source, ("devicewatch", "subscribers", "watch.py"))) <= {"subscribers"}


def test_an_import_by_the_folders_name_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match=r"devicewatch\.events"):
        list(imported("from events.records import Added", ("devicewatch", "registry", "core.py")))
