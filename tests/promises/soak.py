"""The long profile of the promises: `make soak MINUTES=10`; one seed again: `SEED=7 MINUTES=0`."""

import argparse
import logging
import random
import sys
import time
import traceback

from .machine import Everything, play
from .validators import BrokenPromise

EXAMPLES = 300
STEPS = 80


def soak(
    *,
    seed: int,
    minutes: float,
    examples: int = EXAMPLES,
    machine: type[Everything] = Everything,
) -> bool:
    """Play from one seed after the other until time is up; False if a promise was broken."""
    end = time.monotonic() + 60 * minutes
    while True:
        started = time.monotonic()
        try:
            play(machine, examples=examples, steps=STEPS, seed=seed)
        except BrokenPromise:
            print(traceback.format_exc())
            print(f"seed {seed}: a promise is broken, see above.")
            print(f"The same again: make soak SEED={seed} MINUTES=0")
            return False
        took = time.monotonic() - started
        print(f"seed {seed}: {examples} plays of up to {STEPS} steps, {took:.0f} s", flush=True)
        if time.monotonic() >= end:
            return True
        seed += 1


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Play all that can happen, for minutes.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    logging.getLogger("devicewatch").setLevel(logging.CRITICAL)  # trouble is the point here
    sys.exit(0 if soak(seed=arguments.seed, minutes=arguments.minutes) else 1)


if __name__ == "__main__":
    main()
