"""A registry is killed again and again, and nobody may notice: `python -m tests.faults.crashes`.

It is a process, killed with SIGKILL at moments drawn at random: under load, with requests on their
way to it, and while it starts. It has a journal; so whatever it said must hold in its next life
(P10), and no watcher may see more of a kill than a moment of silence.
"""

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from devicewatch.registry.sqlite import check
from tests.promises.validators import promise

from . import bundles
from .killer import Killer, Summary


def crash(
    seed: int,
    *,
    kills: int,
    starts: float = 0.0,
    longest: float = 0.5,
    flooded: bool = False,
    options: Sequence[str] | None = None,
    tell: Callable[[object], None] = lambda kill: None,
) -> Summary:
    """Kill a registry again and again, and judge what everybody was told. Raises `BrokenPromise`.

    Args:
        seed: Decides what happens.
        kills: How often it is killed.
        starts: How often that is while it starts.
        longest: Seconds that it may live, once all is well.
        flooded: Whether the journal is kept busy all the time.
        options: For the registry. None gives it a journal.
        tell: Told of every kill, once it is over.
    """
    dice = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        journal = folder / "journal"
        if options is None:
            options = ("--journal", str(journal))
        try:
            with ExitStack() as everyone:
                killer = Killer(everyone, dice, options, flooded, tell)
                while len(killer.kills) < kills:
                    killer.kill(longest=longest)
                    killed = time.monotonic()
                    while len(killer.kills) < kills and dice.random() < starts:
                        tell(killer.kills[-1])
                        killer.kill_while_it_starts()
                    killer.start(killed)
                summary = killer.finish()
        except BaseException as error:
            error.add_note(f"in crash {seed}")
            raise
        if journal.exists():
            problems = check(journal).problems
            promise("P10", not problems, f"the journal is damaged: {problems}")
    return summary


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Kill a registry again and again.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds that a life may last")
    parser.add_argument("--starts", type=float, default=0.25, help="how often it dies starting")
    options = parser.parse_args()
    logging.getLogger("devicewatch").addHandler(logging.NullHandler())

    def tell(line: object) -> None:
        print(line, flush=True)  # noqa: T201

    tell(f"seed {options.seed}: {options.kills} kills")
    starts, longest = options.starts, options.longest
    summary = crash(
        options.seed, kills=options.kills, starts=starts, longest=longest, flooded=True, tell=tell
    )
    tell(summary)
    with tempfile.TemporaryDirectory() as folder:
        tell(bundles.main(options.seed, options.kills, Path(folder)))


if __name__ == "__main__":
    main()
