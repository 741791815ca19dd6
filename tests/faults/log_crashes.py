"""Loggers and their registry are killed again and again: `python -m tests.faults.log_crashes`.

They are processes, killed with SIGKILL at moments drawn at random: under load, while they start,
and around the rotation of their files, which are renamed, and opened anew with SIGHUP or not, or,
while nobody writes to them, copied and emptied. The registry has a journal. What is in the files in
the end must be what the registry says has happened: each event once, in order, and no line torn.
"""

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import zmq

from devicewatch.events import Event
from devicewatch.registry.commands.demo import RunningCommand, StepFailed, running
from devicewatch.subscribers.recovery import decode_bookmark
from tests.promises.validators import promise
from tests.support.live import free_port, let_pass, raw_client, wait_until

from .killer import START
from .processes import RegistryProcess
from .traffic import Traffic
from .truth import Historian, event_of

HISTORY: Final = 10_000_000
PATIENCE: Final = 60.0
"""Seconds until everything is logged, once nothing happens any more."""


class Logger:
    """`devicewatch log`, in many lives, and its files.

    Args:
        url: The registry's address.
        path: Its file.
        options: More for the command.
        dice: Decide what happens.

    Attributes:
        counts: What happened, and how often.
    """

    def __init__(self, url: str, path: Path, options: tuple[str, ...], dice: random.Random) -> None:
        self.path = path
        self.counts = Counter[str]()
        self._arguments = ("log", "--registry", url, "--output", str(path), *options)
        self._dice = dice
        self._rotations = 0
        self._stack = ExitStack()
        self._command: RunningCommand

    def start(self) -> None:
        self._stack.close()
        self._command = self._stack.enter_context(running(*self._arguments))

    def kill(self) -> None:
        """At once, or around a rotation; then something may happen to its file."""
        before = self._dice.choice(("nothing", "nothing", "renamed", "renamed, SIGHUP"))
        if before != "nothing":
            self._rename(f"{before}, killed")
        if before == "renamed, SIGHUP":
            self._command.process.send_signal(signal.SIGHUP)
            let_pass(self._dice.uniform(0.0, 0.003))
        self._command.process.kill()
        self._command.process.wait()
        self.counts["killed"] += 1
        self._count_what_it_left()
        after = self._dice.choice(("nothing", "nothing", "renamed", "copied"))
        if after == "renamed":
            self._rename("killed, renamed")
        elif after == "copied" and self.path.exists():
            self.counts["killed, copied and emptied"] += 1
            shutil.copy(self.path, self._next_name())
            os.truncate(self.path, 0)

    def rotate(self) -> None:
        """As logrotate does."""
        self._rename("renamed, SIGHUP")
        self._command.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """As systemd does."""
        if self._command.process.poll() is None:
            self._command.process.terminate()
            promise("P13", self._command.process.wait(PATIENCE) in (0, -signal.SIGTERM), "it fails")
        self.counts["ended"] += 1

    def lines(self) -> list[dict[str, Any]]:
        """All that is in its files; the last line may be on its way."""
        numbered = [self._numbered(number) for number in range(1, self._rotations + 1)]
        data = b"".join(file.read_bytes() for file in (*numbered, self.path) if file.exists())
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def latest(self) -> int:
        """Number of the last event that is in its file, or in one before it."""
        for number in range(self._rotations + 1, 0, -1):
            file = self.path if number > self._rotations else self._numbered(number)
            found = file.read_bytes().splitlines() if file.exists() else []
            for line in reversed(found):
                if line.endswith(b"}") and "seq" in (fields := json.loads(line)):
                    return int(fields["seq"])
        return 0

    def judge(self, events: list[Event]) -> None:
        """See that its files are the event stream, exactly."""
        lines = self.lines()
        found = [line for line in lines if "seq" in line]
        numbers = Counter(line["seq"] for line in found)
        twice = [seq for seq, count in numbers.items() if count > 1]
        promise("P2", not twice, f"{self.path} has these twice: {twice[:10]}")
        missing = {event.seq for event in events} - numbers.keys()
        promise("P3", not missing, f"{self.path} lacks {sorted(missing)[:10]}")
        promise("P1", [event_of(line) for line in found] == events, f"{self.path} differs")
        for line, event in zip(found, events, strict=True):
            promise("P1", line["cursor"] == str(event.cursor), f"{line} is at {event.cursor}")
        for line in lines:
            promise("P3", line.get("resumed") is not False, f"not resumed: {line}")
            promise("P3", not line.get("resynced"), f"missed: {line}")
            promise("P3", line["event"] != "start" or line["why"] is None, f"in doubt: {line}")
        self.counts["lines"] += len(lines)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _rename(self, why: str) -> None:
        if self.path.exists():
            self.counts[why] += 1
            self.path.rename(self._next_name())

    def _next_name(self) -> Path:
        self._rotations += 1
        return self._numbered(self._rotations)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _count_what_it_left(self) -> None:
        note = self.path.with_name(f"{self.path.name}.cursor")
        pending = decode_bookmark(note.read_bytes()).pending if note.exists() else None
        if pending is None:
            self.counts["found idle"] += 1
            return
        for file in self.path.parent.glob(f"{self.path.name}*"):
            if file.stat().st_ino == pending.inode:
                written = file.stat().st_size - pending.offset
                part = "all" if written == len(pending.data) else "part" if written else "nothing"
                self.counts[f"found writing, {part} of it written"] += 1


def crash(
    seed: int,
    *,
    kills: int,
    loggers: int = 3,
    longest: float = 1.0,
    tell: Callable[[object], None] = lambda line: None,
) -> Counter[str]:
    """Kill loggers and their registry, and judge the files. Raises `BrokenPromise`.

    Args:
        seed: Decides what happens. What a kill strikes in the middle of, the machine decides.
        kills: How often something is killed.
        loggers: How many there are.
        longest: Seconds from one kill to the next at the most.
        tell: Told how far it has got.

    Returns:
        What happened, and how often.
    """
    dice = random.Random(seed)
    counts = Counter[str]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = ("--tick", "0.2", "--history", str(HISTORY), "--journal", str(folder / "journal"))
        registry = RegistryProcess(*options, ports=(free_port(), free_port()))
        stack.enter_context(registry)
        context = stack.enter_context(zmq.Context())
        victims = [
            stack.enter_context(
                Logger(registry.url, folder / str(number) / "events.log", more, dice)
            )
            for number, more in _made(folder, loggers)
        ]
        for logger in victims:
            wait_until(lambda logger=logger: _is_live(logger), PATIENCE)  # type: ignore[misc]
        with Traffic(context, registry.url, random.Random(dice.random())):
            while (number := _kills(counts, victims)) < kills:
                let_pass(dice.uniform(0.0, longest))
                _strike(dice, registry, victims, counts)
                if number % 25 == 0:
                    tell(f"{number} kills")
        with raw_client(context, registry.url) as client:
            historian = Historian(HISTORY)
            at = historian.update(client)
        counts["events"] = len(historian.events)
        for logger in victims:
            wait_until(lambda logger=logger: logger.latest() >= at.seq, PATIENCE)  # type: ignore[misc]
            logger.end()
            logger.judge(historian.events)
            counts.update({f"logger {what}": count for what, count in logger.counts.items()})
    return counts


def _made(folder: Path, loggers: int) -> list[tuple[int, tuple[str, ...]]]:
    for number in range(loggers):
        (folder / str(number)).mkdir()
    return [(number, ("--durability", "power") if number % 2 else ()) for number in range(loggers)]


def _is_live(logger: Logger) -> bool:
    return any(line["event"] == "live" for line in logger.lines())


def _kills(counts: Counter[str], victims: list[Logger]) -> int:
    return counts["registry killed"] + sum(logger.counts["killed"] for logger in victims)


def _strike(
    dice: random.Random, registry: RegistryProcess, victims: list[Logger], counts: Counter[str]
) -> None:
    """Kill somebody, or everybody, or let something harmless happen."""
    logger = dice.choice(victims)
    what = dice.choices(
        ("logger", "registry", "everybody", "rotation", "end"), weights=(12, 2, 2, 3, 1)
    )[0]
    if what == "rotation":
        logger.rotate()
        return
    if what == "end":
        logger.end()
        logger.start()
        return
    struck = {"logger": [logger], "registry": [], "everybody": victims}[what]
    for victim in struck:
        victim.kill()
    if what != "logger":
        counts["registry killed"] += 1
        registry.kill()
    for victim in struck:
        victim.start()
        if dice.random() < 0.25:  # while it starts, and finishes what was begun
            let_pass(dice.uniform(0.0, START))
            victim.kill()
            victim.start()
    if what != "logger":
        _start(registry)


def _start(registry: RegistryProcess) -> None:
    """Start it again. It has a long history to load, on a machine that is busy."""
    registry.launch()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            registry.await_ready()
        except StepFailed:
            if registry.command.process.poll() is not None or time.monotonic() > deadline:
                raise
        else:
            return


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Kill loggers, and their registry.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--loggers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()

    def tell(line: object) -> None:
        print(line, flush=True)  # noqa: T201

    tell(f"seed {options.seed}: {options.kills} kills of {options.loggers} loggers and a registry")
    since = time.monotonic()
    counts = crash(options.seed, kills=options.kills, loggers=options.loggers, tell=tell)
    for what, count in sorted(counts.items()):
        tell(f"{count:9,} {what}")
    tell(f"each file is the event stream, exactly ({time.monotonic() - since:.0f} s)")


if __name__ == "__main__":
    main()
