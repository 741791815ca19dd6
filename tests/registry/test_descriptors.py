"""`devicewatch serve` lets in more than a thousand."""

import resource
import sys
from pathlib import Path

import pytest

from devicewatch.registry.descriptors import WANTED, raise_limit
from tests.faults.processes import RegistryProcess

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 524_288, (WANTED, 524_288)),
        (1024, INFINITE, (WANTED, INFINITE)),
        (1024, 4096, (4096, 4096)),
        (4096, 4096, None),
        (WANTED, INFINITE, None),
        (100_000, 200_000, None),
        (INFINITE, INFINITE, None),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes_and_never_lowered(
    soft: int, hard: int, expected: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, both: limits.append(both))
    raise_limit()
    assert limits == ([] if expected is None else [expected])


def test_where_it_may_not_be_raised_that_is_logged_and_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()
    assert "cannot be raised" in caplog.text


def test_serve_raises_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limited = 'ulimit -Sn 64 && exec "$0" "$@"'
    command = ("sh", "-c", limited, sys.executable, "-m", "devicewatch.registry")
    monkeypatch.setattr("devicewatch.registry.commands.demo._COMMAND", command)
    with RegistryProcess() as registry:
        limits = Path(f"/proc/{registry.command.process.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    expected = WANTED if hard == INFINITE else min(WANTED, hard)
    assert line.split()[3] == str(expected)
