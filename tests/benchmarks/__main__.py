"""Measure, and print a table: `make bench`, or `python -m tests.benchmarks --only latency`.

Each part measures the registry, a process of its own, beside a bare loop that reads and writes the
same JSON and does nothing else. They take turns, so that whatever else the machine does strikes
both; only the ratios, each taken within its round, mean anything on another machine.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from . import expiry, joining, journal, latency, memory, pacing, throughput, watching
from .figures import Figure
from .profile import FULL, QUICK, Profile
from .report import Results, save, show

PARTS: Final[Mapping[str, Callable[[Profile], Iterator[Figure]]]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "watching": watching.measure,
    "joining": joining.measure,
    "expiry": expiry.measure,
    "memory": memory.measure,
    "pacing": pacing.measure,
    "journal": journal.measure,
}
"""What can be measured, in the order of the table."""

_PIPE_WIDTH: Final = 130


def run(results: Results, profile: Profile, parts: list[str], console: Console) -> None:
    """Measure these parts; what is found goes into the results at once."""
    with console.status("") as status:
        for part in parts:
            found = results.figures[part] = []
            status.update(f"measuring {part}")
            for figure in PARTS[part](profile):
                found.append(figure)
                status.update(f"measuring {part}: {figure.row}")


def main() -> None:
    """Measure, print, and keep the figures if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute, and roughly")
    parser.add_argument("--only", metavar="PART,…", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples there")
    options = parser.parse_args()
    parts = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all processes end, too
    profile = QUICK if options.quick else FULL
    results = Results.begin(profile.name)
    try:
        run(results, profile, parts, Console(stderr=True))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:  # what there is, even if that is not all
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        show(results, Console(highlight=False, width=width))
        if options.json:
            save(results, options.json)


if __name__ == "__main__":
    main()
