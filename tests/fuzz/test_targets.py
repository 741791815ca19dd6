"""Every target for a moment, on what is known and on what Hypothesis draws; and that each can fail.

The long profile is `make fuzz`.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.promises.broken import LetsTwoShareAnAddress

from . import corpus, engine
from .__main__ import TARGETS as NAMES
from .__main__ import explain, outcome
from .broken import BROKEN
from .reader import Reader
from .targets import TARGETS, Play, Target

EXAMPLES = {"core-model": 15, "promises": 8, "core": 60, "mirror": 60}
"""Of others, 200."""

ENOUGH = 5_000
"""Inputs after which what is broken should have shown."""


def test_all_targets_have_a_name_for_the_command() -> None:
    assert set(NAMES) == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_was_found_is_there_again(name: str) -> None:
    for data in engine.all_seeds(TARGETS[name], name):
        TARGETS[name].play(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment_of_each_target(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=EXAMPLES.get(name, 200), suppress_health_check=list(HealthCheck), database=None
    )
    @given(engine.drawn(list(target.seeds())))
    def play(data: bytes) -> None:
        target.play(data)

    play()


def inputs(target: Target) -> Iterator[bytes]:
    """Seeds, and then seeds changed in a few places: the same ones each time."""
    seeds = list(target.seeds())
    yield from seeds
    choose = random.Random(1)
    for _ in range(ENOUGH):
        data = bytearray(choose.choice(seeds))
        for _ in range(choose.randrange(5)):
            if data:
                data[choose.randrange(len(data))] = choose.randrange(256)
        yield bytes(data + choose.randbytes(choose.randrange(40)))


def is_noticed(play: Play, target: Target) -> bool:
    for data in inputs(target):
        try:
            play(data)
        except Exception:  # noqa: BLE001 - whatever it is
            return True
    return False


@pytest.mark.parametrize(
    ("name", "play"),
    [pytest.param(name, play, id=f"{name}, {what}") for name, what, play in BROKEN],
)
@pytest.mark.interpreted
def test_what_is_broken_is_noticed(name: str, play: Play) -> None:
    assert is_noticed(play, TARGETS[name])


def test_what_differs_from_the_model_is_noticed() -> None:
    with patch("tests.registry.test_core_machine.RegistryCore", LetsTwoShareAnAddress):
        assert is_noticed(TARGETS["core-model"].play, TARGETS["core-model"])


# --- the runner ---------------------------------------------------------------------------------


@pytest.mark.interpreted
def test_without_atheris_it_says_how_far_it_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fuzz_with_hypothesis("request", tmp_path, 0.2, 1)
    done = json.loads(capsys.readouterr().out)
    assert done["executions"] > 0
    assert done["lines"] > 30
    assert list(tmp_path.iterdir()) == []


@pytest.mark.interpreted
def test_a_finding_is_kept_and_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicewatch.events.codec._text", bytes.decode)
    engine.fuzz_with_hypothesis("request", tmp_path, 20, 1)
    printed = capsys.readouterr()
    found = outcome("request", tmp_path, 20, printed.err + printed.out, 0)
    assert "A FINDING" in str(found)
    assert found.found is not None
    with pytest.raises(UnicodeDecodeError):
        TARGETS["request"].play(found.found.read_bytes())
    assert "findings/request/" in explain(found)
    assert "UnicodeDecodeError" in explain(found)


def test_the_words_of_libfuzzer_are_understood(tmp_path: Path) -> None:
    log = """
#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 76Mb
#2711\tDONE   cov: 334 ft: 2208 corp: 170/25Kb lim: 310 exec/s: 169 rss: 76Mb
stat::number_of_executed_units: 2711
"""
    quiet = outcome("core", tmp_path, 10, log, 0)
    assert str(quiet).split(maxsplit=1)[1] == (
        "2711 executions,     271/s, 334 edges, 2208 features: no finding"
    )
    (tmp_path / "crash-1").touch()
    assert "A FINDING" in str(outcome("core", tmp_path, 10, log, 77))


def test_what_is_kept_of_a_run_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "HERE", tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    inputs = list(TARGETS["request"].seeds())
    for number, data in enumerate(inputs):
        (folder / str(number)).write_bytes(data)
    number = corpus.keep("request", folder, TARGETS["request"].play)
    assert 3 <= number < len(inputs) // 2, "many lead to the same lines"
    assert len(list(corpus.kept("request"))) == number
    assert list(corpus.kept("mirror")) == []


@given(st.binary(max_size=20), st.integers(1, 100_000))
def test_a_reader_goes_on_where_the_bytes_have_ended(data: bytes, below: int) -> None:
    reader = Reader(data)
    for _ in range(20):
        assert 0 <= reader.number(below) < below
    assert not reader.has_more
    assert (reader.flag(), reader.frame(), reader.text(), reader.choose("ab")) == (
        False, b"", "", "a",
    )  # fmt: skip
