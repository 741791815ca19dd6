"""Storms, one after the other: `python -m tests.faults --seconds 600`."""

import argparse
import logging
import time

from .storm import storm

HISTORIES = (100_000, 300, 30)
"""Events kept for replay: all; about as many as are missed at a time; hardly any."""


def main() -> None:
    """Play storms until time is up, and print what each consisted of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on")
    parser.add_argument("--steps", type=int, default=200, help="how long each storm lasts")
    parser.add_argument("--crowd", type=int, default=1, help="how many watchers of each sort")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    logging.getLogger("devicewatch").addHandler(logging.NullHandler())
    end = time.monotonic() + options.seconds
    seed = options.seed
    while time.monotonic() < end:
        history = HISTORIES[seed % len(HISTORIES)]
        summary = storm(seed, steps=options.steps, history=history, crowd=options.crowd)
        print(f"storm {seed}, history {history}: {summary}", flush=True)  # noqa: T201
        seed += 1


if __name__ == "__main__":
    main()
