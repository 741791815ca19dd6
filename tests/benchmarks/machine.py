"""What the benchmarks run on, and what its processor's time goes to."""

import os
import platform
from pathlib import Path
from typing import Final

import zmq

from devicewatch.registry.build import COMPILED

_NANOSECONDS: Final = 1e9


def cpu_by_thread(pid: int) -> dict[int, float]:
    """Seconds that each thread of a process has had of a processor, to the nanosecond."""
    return {
        int(task.name): int((task / "schedstat").read_text().split()[0]) / _NANOSECONDS
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def cpu(pid: int) -> float:
    """Seconds that a process has had of the processors, to the nanosecond."""
    return sum(cpu_by_thread(pid).values())


def describe() -> dict[str, str | int]:
    """This machine, and what runs on it."""
    return {
        "registry": "compiled" if COMPILED else "as written",
        "cpu": _model(),
        "cores": os.cpu_count() or 1,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libzmq": zmq.zmq_version(),
        "pyzmq": zmq.pyzmq_version(),
        "load": f"{os.getloadavg()[0]:.1f}",  # asked for before anything begins, so of others
    }


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
