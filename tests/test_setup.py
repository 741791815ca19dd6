"""What `setup.py` does where the innermost modules are to be compiled."""

import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def test_what_is_built_is_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("events", "registry", "subscribers"):
        shutil.copytree(ROOT / name, tmp_path / name)
    stale = tmp_path / "build" / "lib.some-platform" / "devicewatch" / "registry" / "gone.so"
    stale.parent.mkdir(parents=True)
    stale.touch()
    for compiler, function in (("mypyc.build", "mypycify"), ("Cython.Build", "cythonize")):
        module = ModuleType(compiler)
        monkeypatch.setattr(module, function, lambda *_args, **_more: [], raising=False)
        monkeypatch.setitem(sys.modules, compiler.partition(".")[0], ModuleType("a compiler"))
        monkeypatch.setitem(sys.modules, compiler, module)
    monkeypatch.setattr(pytest.importorskip("setuptools"), "setup", lambda **_more: None)
    monkeypatch.setenv("DEVICEWATCH_COMPILED", "1")
    monkeypatch.setenv("MYPYPATH", "")  # which it sets
    monkeypatch.chdir(tmp_path)
    runpy.run_path("setup.py")
    package = tmp_path / "build" / "compiled" / "devicewatch"
    assert (package / "registry" / "core.py").exists()
    assert (package / "__init__.py").exists(), "or types would be read from what is installed"
    assert not stale.exists(), "what an earlier build has compiled would be packed"
