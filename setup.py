"""Builds devicewatch. With DEVICEWATCH_COMPILED=1 its innermost modules become machine code.

Everything else about the package is in `pyproject.toml`, and without that variable nothing is
compiled. What is compiled is the same Python, by mypyc, from the types that it has anyway; and by
Cython four modules of its own, which move messages by libzmq's calls instead of pyzmq's, wait for
them, make records without Python, and find devices among many. See `docs/performance.md` for what
it brings. It takes a C compiler with Python's headers, and a minute.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from setuptools import setup

COMPILED = (
    "events/codec.py",
    "events/link.py",
    "registry/authority.py",
    "registry/core.py",
    "registry/device_types.py",
    "registry/envelopes.py",
    "registry/fairness.py",
    "registry/history.py",
    "registry/leases.py",
    "registry/ledger.py",
    "registry/loop.py",
    "registry/marker.py",
    "registry/names.py",
    "registry/order.py",
    "registry/registrations.py",
    "registry/requester.py",
    "registry/service.py",
    "registry/watchers.py",
)
"""What every request goes through, and holds no records: those of attrs have code of their own."""

SPEEDUPS = ["events/making/speedups.pyx", "registry/shards/speedups.pyx"]
"""What Python has no way to say; `plain`, beside each, does the same."""

if os.name == "posix":
    SPEEDUPS += ["events/files/speedups.pyx", "events/transfer/speedups.pyx"]
if sys.platform == "linux":
    SPEEDUPS += ["events/files/epoll.pyx"]

COMPILERS = ("cython>=3.1", "mypy>=2.4")

ROOT = Path(__file__).parent
TREE = ROOT / "build" / "compiled"
"""The packages under the name that they are imported by, which mypyc goes by."""


def main() -> None:
    """Build."""
    if os.environ.get("DEVICEWATCH_COMPILED", "0") in ("", "0"):
        setup()
        return
    with (ROOT / "pyproject.toml").open("rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    setup(setup_requires=[*COMPILERS, *needed], ext_modules=_extensions())


def _extensions() -> list[Any]:
    try:
        from Cython.Build import cythonize
        from mypyc.build import mypycify
    except ImportError:
        return []  # whoever builds asks for `setup_requires` first, and builds when it has them
    package = TREE / "devicewatch"
    # A module that an earlier build has compiled, and that is not compiled any more, would be
    # packed as it was then, and be imported in place of what can be read here.
    for old in (TREE, *TREE.parent.glob("lib*")):
        shutil.rmtree(old, ignore_errors=True)
    package.mkdir(parents=True)
    for part in ("events", "registry", "subscribers"):
        shutil.copytree(ROOT / part, package / part)
    # Of a package without this, mypy would rather read one that is installed already, an older one.
    (package / "__init__.py").touch()
    os.environ["MYPYPATH"] = str(TREE)
    options = ["--config-file=", "--strict", "--namespace-packages", "--explicit-package-bases"]
    paths = [os.path.relpath(package / path) for path in COMPILED]
    extensions: list[Any] = mypycify([*options, *paths], group_name="devicewatch")
    return extensions + cythonize(
        [os.path.relpath(package / path) for path in SPEEDUPS], quiet=True
    )


main()
