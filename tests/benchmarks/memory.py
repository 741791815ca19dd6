"""What a device costs a registry in memory."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from devicewatch.events.protocol import DEFAULT_HISTORY

from . import zmtp
from .figures import Figure, Of, alone, at_most
from .profile import QUICK, Profile
from .servers import register, registry

_FIRST: Final = 0.01
"""Part of the devices that register before anything is measured: the very first ones bring in what
is needed once."""

_QUICK: Final = 12_500
"""Devices where time is short: dicts are as full then as with 100,000, which this depends on."""

_AT_REST: Final = 0.2
"""Seconds after which a registry has dealt with all that it was asked."""


def memory(pid: int | str) -> int:
    """Bytes of memory that a process has, besides the code that it has read in."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the system does not say how much memory process {pid} has")


def per_device(devices: int, history: int) -> float:
    """Bytes for each of so many devices."""
    with registry(history=history) as server, zmtp.Client(server.url) as client:
        first = 1 + int(_FIRST * devices)
        client.all([zmtp.request(register(number)) for number in range(first)])
        requests = [zmtp.request(register(number)) for number in range(first, devices)]
        time.sleep(_AT_REST)
        before = memory(server.pid)
        client.all(requests)
        time.sleep(_AT_REST)
        return (memory(server.pid) - before) / len(requests)


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    devices = _QUICK if profile is QUICK else profile.devices[-1]
    row = f"memory per device, {devices:,} devices"
    found = per_device(devices, history=0)
    yield alone(f"{row}, no history", "B", [found], at_most(700, Of.VALUE))
    if not profile.quick:
        found = per_device(devices, DEFAULT_HISTORY)
        yield alone(f"{row}, {DEFAULT_HISTORY:,} events of history", "B", [found])
