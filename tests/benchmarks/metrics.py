"""What metrics cost: the time of a request without, and with them.

Run it with `python -m tests.benchmarks.metrics [FOLDER]`. A FOLDER with another version of the
project (a worktree, say) is measured beside this one. Short bursts of requests take turns, and only
the ratios, each taken within its round, mean anything; those of the processor's time that the
registry's process took are the steadier ones on a machine that does other things as well. With
metrics, somebody reads them once a second meanwhile, which is far more often than anybody does.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devicewatch.registry.commands.demo import running
from tests.benchmarks.client import FEW, WINDOW, Client
from tests.benchmarks.figures import ratio

ROUNDS = 100
BURST = 3_000

SERVE = ("serve", "--port", "0", "--events-port", "0", "--history", "0")
STEPS = {"CHECK_ALIVE": Client.renew, "REGISTER": Client.register_again}


class Registry:
    """A registry in a process, and a client of it."""

    def __init__(self, stack: contextlib.ExitStack, *options: str) -> None:
        self.command = stack.enter_context(running(*SERVE, *options))
        self.client = Client(self.command.next_line().split()[4])
        self.client.fill(FEW)

    def burst(self, step: Callable[[Client, int], None]) -> tuple[float, float]:
        """Microseconds that a request takes: of time, and of the processor's."""
        client, requests = self.client, BURST if step is Client.renew else BURST // 5
        since, cpu = time.perf_counter(), self._processor_time()
        for number in range(requests):
            if number >= WINDOW:
                client.receive()
            step(client, number)
        for _ in range(WINDOW):
            client.receive()
        passed = time.perf_counter() - since
        return passed / requests * 1e6, (self._processor_time() - cpu) / requests * 1e6

    def _processor_time(self) -> float:
        tasks = Path(f"/proc/{self.command.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def packages_of(folder: Path) -> Iterator[None]:
    """Let programs that are started import the packages in a folder."""
    with tempfile.TemporaryDirectory() as directory:
        namespace = Path(directory) / "devicewatch"
        namespace.mkdir()
        for name in ("events", "registry", "subscribers"):
            (namespace / name).symlink_to(folder.resolve() / name)
        os.environ["PYTHONPATH"] = directory
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]


@contextmanager
def read_every_second(url: str) -> Iterator[None]:
    """Scrape, as Prometheus does."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1.0):
            urllib.request.urlopen(url).read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    """Measure and print."""
    with contextlib.ExitStack() as stack:
        registries: dict[str, Registry] = {}
        for folder in sys.argv[1:]:
            with packages_of(Path(folder)):
                registries[folder] = Registry(stack)
        registries["without"] = Registry(stack)
        registries["with"] = Registry(stack, "--metrics-port", "0")
        url = registries["with"].command.next_line().split()[-1]
        stack.enter_context(read_every_second(url))
        taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
        order = list(registries)
        for _ in range(ROUNDS):
            order.append(order.pop(0))
            for request, step in STEPS.items():
                for name in order:
                    taken.setdefault((request, name), []).append(registries[name].burst(step))
    first = next(iter(registries))
    print(f"{'µs per request':<28}{'time':>8}{f'/ {first}':>12}{'processor':>12}{f'/ {first}':>12}")
    for request in STEPS:
        for name in registries:
            line = f"{request:<14}{name:<14}"
            for values, others in zip(
                zip(*taken[request, name], strict=True),
                zip(*taken[request, first], strict=True),
                strict=True,
            ):
                line += f"{statistics.median(values):>8.1f}"
                line += f"{ratio([*values], [*others]):>12.3f}    "
            print(line.rstrip())


if __name__ == "__main__":
    main()
