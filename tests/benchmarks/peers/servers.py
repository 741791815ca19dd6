"""Servers of others: where they are, and how they are started and ended."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 10.0
"""Seconds that a server may take to start, or to end."""

_SYSTEM: Final = "/usr/local/sbin:/usr/sbin"
"""Where distributions put servers, which not every user's PATH has."""


def executable(name: str) -> str | None:
    """Where a program is: what `$NAME` says (`$REDIS_SERVER`, say), or else where programs are."""
    told = os.environ.get(name.upper().replace("-", "_"))
    return shutil.which(told or name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM}")


@contextmanager
def running_server(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program for as long as a `with` block, and end that alone; Ctrl-C does not reach it."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=nothing, process_group=0
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server that was started is ready.

    Raises:
        RuntimeError: It ended, or took too long.
    """
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"this does not start: {_shown(process.args)}")
        pause.wait(0.02)


def _shown(arguments: object) -> str:
    return " ".join(map(str, arguments)) if isinstance(arguments, Sequence) else str(arguments)
