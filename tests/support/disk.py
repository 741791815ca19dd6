"""A disk on which a process dies at a chosen step or byte, or which is full from one on."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class Death(BaseException):
    """The process is no more. Nothing that it would have done afterwards happens."""


class MortalDisk:
    """Stands between a program and its files. A byte that is written counts as one step.

    Attributes:
        steps: How many were done.
        left: After how many more the process dies; None is never.
        room: How many bytes there is room for; None is enough.
        longest: How long a file may become; None is as long as it likes.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.left: int | None = None
        self.room: int | None = None
        self.longest: int | None = None
        self._real = {name: getattr(os, name) for name in ("open", "write", "replace", "ftruncate")}
        self._real["fsync"] = lambda file: None  # it would take long, and nobody cuts the power

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Be the disk for as long as a `with` block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, real in self._real.items():
                patch.setattr(os, name, self._write if name == "write" else self._mortal(real))
            yield

    def _mortal(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._step(1)
            return real(*arguments, **options)

        return call

    def _write(self, file: int, data: memoryview | bytes) -> int:
        count = len(data) if self.room is None else min(self.room, len(data))
        if self.longest is not None:
            count = min(count, self.longest - os.fstat(file).st_size)
        if data and count <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.room is not None:
            self.room -= count
        if self.left is not None and count >= self.left:
            self._real["write"](file, data[: self.left])
        self._step(count)
        written: int = self._real["write"](file, data[:count])
        return written

    def _step(self, count: int) -> None:
        self.steps += count
        if self.left is not None:
            self.left -= count
            if self.left <= 0:
                raise Death
