"""The long run: `make fuzz SECONDS=60 SEED=7`, or `python -m tests.fuzz --target core`.

Each target gets so many seconds in a process of its own, some processes at a time; and so do the
attacks on a registry that runs.
"""

import argparse
import json
import logging
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

from . import engine, wire
from .corpus import FINDINGS

TARGETS: Final = ("request", "reply", "event", "json", "core", "mirror", "core-model", "promises")
WIRE: Final = "wire"

GRACE: Final = 120
"""Seconds that a process may take beyond its time: to start, and over its last input."""

_DONE: Final = re.compile(r"DONE +cov: (\d+) ft: (\d+) corp: (\d+)")
_PULSE: Final = re.compile(r"#(\d+)\s+\w+ +cov: (\d+) ft: (\d+)")
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units: (\d+)")


@attrs.frozen
class Outcome:
    """What came of fuzzing one target.

    Attributes:
        found: The input that failed, if one did.
        log: What the process printed, the last of it.
    """

    name: str
    seconds: int
    executions: int
    reached: str
    found: Path | None
    log: str

    def __str__(self) -> str:
        rate = self.executions / max(1, self.seconds)
        findings = "no finding" if self.found is None else "A FINDING"
        return (
            f"{self.name:<11} {self.executions:>9} executions, {rate:>7.0f}/s, "
            f"{self.reached}: {findings}"
        )


def fuzz(name: str, folder: Path, seconds: int, seed: int, *, without_atheris: bool) -> Outcome:
    """Fuzz one target, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(folder)]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    command += ["--without-atheris"] if without_atheris else []
    log = folder / "log"
    with log.open("w") as file:
        status = subprocess.run(
            command, check=False, stdout=file, stderr=subprocess.STDOUT, timeout=seconds + GRACE
        ).returncode
    return outcome(name, folder, seconds, log.read_text(errors="replace"), status)


def outcome(name: str, folder: Path, seconds: int, log: str, status: int) -> Outcome:
    """Read what a process has printed and left behind."""
    found = next(
        iter([*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("oom-*")]), None
    )
    if status and found is None:
        found = folder / "log"
    lines = log.strip().splitlines()
    if lines and lines[-1].startswith("{"):
        done = json.loads(lines[-1])
        return Outcome(name, seconds, done["executions"], f"{done['lines']} lines", found, log)
    pulses = _PULSE.findall(log)
    executed = _EXECUTED.search(log)
    executions = int(executed[1]) if executed else int(pulses[-1][0]) if pulses else 0
    edges, features = pulses[-1][1:] if pulses else ("0", "0")
    return Outcome(name, seconds, executions, f"{edges} edges, {features} features", found, log)


def explain(found: Outcome) -> str:
    """What to do with a finding."""
    assert found.found is not None
    text = (
        found.log[found.log.find("Uncaught Python exception") :]
        if "Uncaught" in found.log
        else found.log
    )
    return (
        f"\n{found.name}: what failed is in {found.found}\n{text[-3000:]}\n"
        f"The same again:    python -m tests.fuzz.corpus {found.name} {found.found}\n"
        f"To make it a test: install -D -m 644 {found.found} "
        f"{FINDINGS}/{found.name}/WHAT-IT-SHOWS.bin\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", choices=[*TARGETS, WIRE], action="append")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--without-atheris", action="store_true", help="as where it is not there")
    options = parser.parse_args()
    logging.getLogger("devicewatch").setLevel(logging.CRITICAL + 1)  # trouble is the point here
    chosen = options.target or [*TARGETS, WIRE]
    without = options.without_atheris or engine.atheris() is None
    if without:
        print("atheris is not there: Hypothesis takes its place, which is slower and finds less")
    folder = Path(tempfile.mkdtemp(prefix="devicewatch-fuzz-"))
    print(
        f"seed {options.seed}, {options.seconds} s for each target; inputs in {folder}", flush=True
    )
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [
            pool.submit(
                fuzz, name, folder / name, options.seconds, options.seed, without_atheris=without
            )
            for name in chosen
            if name != WIRE
        ]
        outcomes = []
        for future in running:
            outcomes.append(future.result())
            print(outcomes[-1], flush=True)
    findings = [outcome for outcome in outcomes if outcome.found]
    print("".join(map(explain, findings)), end="", flush=True)
    if WIRE in chosen:
        print(wire.attack_for(options.seconds, options.seed), flush=True)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
