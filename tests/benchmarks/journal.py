"""What keeping a journal costs, and how soon a registry is back with one.

Run it with `make bench-journal`. The first table has registrations per second of a client that
keeps a hundred under way, each a device at an address of its own and one event, and how long one
takes for a client that sends one after the other; with the journal in memory, and in a file, at
each durability. Rounds are interleaved, and ratios are taken within a round. The second table has
how long `devicewatch serve` takes from its start until it answers, with a journal of so many
devices and ten thousand events, beside one without any.

What `power` costs depends on the disk: name a folder on the one that is meant.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

from devicewatch.events.messages import Register
from devicewatch.registry import SqliteJournal
from devicewatch.registry.commands.demo import running
from devicewatch.registry.core import CoreSettings, RegistryCore

from .client import Client
from .figures import ratio

ROUNDS: Final = 7
SINGLE: Final = 300
"""Registrations one after the other, in each round."""
DEVICES: Final = (0, 10_000, 100_000)
STARTS: Final = 5

_SERVE: Final = ("serve", "--port", "0", "--events-port", "0")
_numbers = count()


def register(client: Client) -> None:
    """A device that nobody has seen before registers."""
    number = next(_numbers)
    client.send("REGISTER", device(number))


def device(number: int) -> dict[str, Any]:
    return {
        "device_type": "camera",
        "addr": f"tcp://10.0.{number >> 8}:{number & 255}",
        "name": f"cam-{number}",
        "alive_timeout": 3600,
    }


def latencies(client: Client) -> list[float]:
    """Seconds that each of some registrations takes, one after the other."""
    found = []
    for _ in range(SINGLE):
        since = time.perf_counter()
        register(client)
        client.receive()
        found.append(time.perf_counter() - since)
    return found


def measure_registrations(folder: Path) -> None:
    """Print the first table."""
    modes = {
        "memory": ("--no-journal",),
        "process": ("--journal", str(folder / "process"), "--durability", "process"),
        "power": ("--journal", str(folder / "power"), "--durability", "power"),
    }
    rates: dict[str, list[float]] = {mode: [] for mode in modes}
    singles: dict[str, list[float]] = {mode: [] for mode in modes}
    with ExitStack() as stack:
        servers = {
            mode: stack.enter_context(running(*_SERVE, *options)) for mode, options in modes.items()
        }
        clients = {mode: Client(server.next_line().split()[4]) for mode, server in servers.items()}
        for _ in range(ROUNDS):
            for mode, client in clients.items():
                rates[mode].append(client.rate(lambda client, _: register(client)))
                singles[mode] += latencies(client)
    print(
        f"{'journal':<10}{'registrations/s':>16}{'/ memory':>10}{'p50':>10}{'p99':>10}{'worst':>10}"
    )
    for mode, values in rates.items():
        milliseconds = sorted(1000 * seconds for seconds in singles[mode])
        p99 = milliseconds[int(0.99 * len(milliseconds))]
        print(
            f"{mode:<10}{statistics.median(values):>16,.0f}{ratio(values, rates['memory']):>10.2f}"
            f"{statistics.median(milliseconds):>7.2f} ms{p99:>7.2f} ms{milliseconds[-1]:>7.2f} ms"
        )


def fill(path: Path, devices: int) -> None:
    """Make a journal with so many devices."""
    journal = SqliteJournal(path)
    past = journal.load("epoch", 10_000)
    core = RegistryCore(past.epoch, 0.0, CoreSettings())
    for number in range(devices):
        core.handle(Register(**device(number)), 0.0)
        change = core.change
        assert change is not None
        journal.append(change)
    journal.close()


def measure_starts(folder: Path) -> None:
    """Print the second table."""
    print(f"\n{'devices':>10}{'until it answers':>18}{'of it, the journal':>20}{'its file':>12}")
    without: list[float] = []
    for number in DEVICES:
        path = folder / f"with-{number}"
        fill(path, number)
        seconds = list(_starts("--journal", str(path)))
        without = without or seconds
        more = statistics.median(seconds) - statistics.median(without)
        print(
            f"{number:>10,}{statistics.median(seconds):>16.2f} s{more:>18.2f} s"
            f"{path.stat().st_size / 1e6:>9.1f} MB"
        )


def _starts(*options: str) -> Iterator[float]:
    for _ in range(STARTS):
        since = time.perf_counter()
        with running(*_SERVE, *options) as server:
            server.next_line()
            yield time.perf_counter() - since


def main() -> None:
    """Measure and print."""
    where = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        measure_registrations(Path(folder))
        measure_starts(Path(folder))


if __name__ == "__main__":
    main()
