"""What `setup.py` does where the innermost modules are to be compiled."""

import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def test_nothing_that_was_compiled_earlier_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("events", "registry", "subscribers"):
        shutil.copytree(ROOT / name, tmp_path / name)
    stale = tmp_path / "build" / "lib.some-platform" / "devicewatch" / "registry" / "gone.so"
    stale.parent.mkdir(parents=True)
    stale.touch()
    compiler = ModuleType("mypyc.build")
    monkeypatch.setattr(compiler, "mypycify", lambda *_args, **_more: [], raising=False)
    monkeypatch.setitem(sys.modules, "mypyc", ModuleType("mypyc"))
    monkeypatch.setitem(sys.modules, "mypyc.build", compiler)
    monkeypatch.setattr(pytest.importorskip("setuptools"), "setup", lambda **_more: None)
    monkeypatch.setenv("DEVICEWATCH_COMPILED", "1")
    monkeypatch.setenv("MYPYPATH", "")  # which it sets
    monkeypatch.chdir(tmp_path)
    runpy.run_path("setup.py")
    assert (tmp_path / "build" / "compiled" / "devicewatch" / "registry" / "core.py").exists()
    assert not stale.exists()
