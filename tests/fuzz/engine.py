"""One target, fuzzed in a process of its own: `python -m tests.fuzz.engine TARGET …`.

With atheris, which is libFuzzer for Python: what leads to code that no other input has led to is
kept, and changed further. Where atheris is not to be had, Hypothesis draws the inputs and is told
how many lines of devicewatch each has reached, which it tries to raise: that finds less, and is
slower.

What was done is printed at the end, as one line of JSON; the input that failed is in the folder.
"""

import argparse
import importlib
import json
import logging
import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings, target
from hypothesis import strategies as st

from .corpus import Lines, findings, kept, noting

BATCH: Final = 200
"""Inputs between two looks at the clock, without atheris."""

UNIT_TIMEOUT: Final = 20
"""Seconds after which a single input has hung."""


def atheris() -> Any:
    """The library, which has no types; None where it is not installed."""
    try:
        return importlib.import_module("atheris")
    except ImportError:
        return None


def fuzz_with_atheris(fuzzer: Any, name: str, folder: Path, seconds: int, number: int) -> None:
    """Does not return: libFuzzer ends the process, and has the last word on stderr."""
    with fuzzer.instrument_imports(include=["devicewatch"]):
        targets = importlib.import_module("tests.fuzz.targets")
    chosen = targets.TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for index, data in enumerate(all_seeds(chosen, name)):
        (corpus / f"seed-{index}").write_bytes(data)
    words = folder / "words"
    words.write_text("".join(f'"{word}"\n' for word in sorted(set(targets.dictionary()))))
    options = {
        "dict": words,
        "max_total_time": seconds,
        "max_len": targets.LONGEST,
        "seed": number,
        "timeout": UNIT_TIMEOUT,
        "rss_limit_mb": 2048,
        "artifact_prefix": f"{folder}{os.sep}",
        "print_final_stats": 1,
    }
    arguments = [f"-{key}={value}" for key, value in options.items()]
    fuzzer.Setup([sys.argv[0], *arguments, str(corpus)], _without_result(chosen.play))
    fuzzer.Fuzz()


def all_seeds(chosen: Any, name: str) -> list[bytes]:
    """What a target begins with."""
    return [*chosen.seeds(), *kept(name), *findings(name)]


def _without_result(play: Any) -> Any:
    def test_one_input(data: bytes) -> None:
        play(data)

    return test_one_input


def fuzz_with_hypothesis(name: str, folder: Path, seconds: float, number: int) -> None:
    """Until time is up, or something is found."""
    targets = importlib.import_module("tests.fuzz.targets")
    play, inputs = targets.TARGETS[name].play, drawn(all_seeds(targets.TARGETS[name], name))
    reached: Lines = set()
    executions, started = 0, time.monotonic()
    failed: list[bytes] = []
    while time.monotonic() - started < seconds and not failed:

        @seed(number)
        @settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.target, Phase.shrink),
        )
        @given(inputs)
        def play_some(data: bytes) -> None:
            nonlocal executions
            executions += 1
            lines: Lines = set()
            try:
                with noting(lines):
                    play(data)
            except BaseException:
                failed.append(data)
                raise
            reached.update(lines)
            target(float(len(lines)))

        try:
            play_some()
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            traceback.print_exc()
            (folder / "crash-hypothesis").write_bytes(failed[-1])  # the smallest
        number += 1
    done = {"executions": executions, "lines": len(reached)}
    print(json.dumps(done))


def drawn(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Seeds, changed in places, and any bytes."""
    return st.one_of(
        st.builds(
            lambda data, at, cut, more: data[:at] + more + data[at + cut :],
            st.sampled_from(seeds),
            st.integers(0, 400),
            st.integers(0, 8),
            st.binary(max_size=40),
        ),
        st.binary(max_size=400),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--without-atheris", action="store_true")
    options = parser.parse_args()
    logging.getLogger("devicewatch").setLevel(logging.CRITICAL + 1)  # trouble is the point here
    fuzzer = None if options.without_atheris else atheris()
    arguments = options.target, options.folder, options.seconds, options.seed
    if fuzzer is None:
        fuzz_with_hypothesis(*arguments)
    else:
        fuzz_with_atheris(fuzzer, *arguments)


if __name__ == "__main__":
    main()
