"""What is fuzzed: functions that take any bytes, and fail only where devicewatch does."""

import random
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias
from unittest.mock import patch

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test

from devicewatch.events.protocol import MAX_PAGE, ErrorCode, Reason, ReplyName, RequestName, Topic
from tests.events.strategies import frame_lists
from tests.events.vectors import load
from tests.promises.machine import Everything
from tests.registry.test_core_machine import CoreBesideAModel

from . import codecs, core_play, mirror_play

LONGEST: Final = 4096
"""Bytes of an input."""

Play: TypeAlias = Callable[[bytes], object]


@attrs.frozen
class Target:
    """Something to fuzz.

    Attributes:
        play: Takes any bytes. Whatever it raises is a finding.
        seeds: Inputs to begin with.
    """

    play: Play
    seeds: Callable[[], Iterator[bytes]]


# --- seeds --------------------------------------------------------------------------------------


def vectors(*kinds: str) -> Callable[[], Iterator[bytes]]:
    """The vectors of the protocol, but for the very long ones."""

    def seeds() -> Iterator[bytes]:
        for vector in chain.from_iterable(map(load, kinds)):
            data = codecs.SEPARATOR.join(vector.frames)
            if len(data) <= LONGEST:
                yield data

    return seeds


def raw(step: int, kinds: tuple[str, ...], number_of_frames: int) -> Iterator[bytes]:
    """A step that takes frames, with those of the vectors."""
    for vector in chain.from_iterable(map(load, kinds)):
        if sum(map(len, vector.frames)) <= LONGEST // 2:
            frames = [len(frame).to_bytes(2, "little") + frame for frame in vector.frames]
            yield bytes([step, number_of_frames]) + b"".join(frames)


def anything(number: int = 30) -> Iterator[bytes]:
    """Steps as they come."""
    random_bytes = random.Random(number).randbytes
    return (random_bytes(20 + 10 * length) for length in range(number))


def few() -> Iterator[bytes]:
    return anything(12)


def core_seeds() -> Iterator[bytes]:
    head = bytes([3])
    yield from (head + step for step in raw(core_play.Step.RAW, ("requests", "bad_requests"), 0))
    yield from anything()


def mirror_seeds() -> Iterator[bytes]:
    step = mirror_play.Step
    honest, hostile = bytes([0, 0, 2, 0, 1, 0]), bytes([1, 0, 2, 0, 1, 0])
    come = bytes([step.COME, 0, 1, 0, step.COME, 1, 2, 1, step.DELIVER, step.DELIVER])
    begin = bytes([step.ANSWER, step.DELIVER, step.ANSWER]) + come
    hole = bytes([step.GO, 0, step.LOSE, 0, step.TICK, step.DELIVER, step.ANSWER])
    again = bytes([step.RESTART, 1, step.DELIVER, step.ANSWER, step.READ, 7])
    silence = bytes([step.WAIT_FOR_DEADLINE, step.ANSWER, step.DELIVER, step.ANSWER])
    for head in (honest, hostile):
        yield head + begin
        yield head + begin + hole + bytes([step.READ, 5])
        yield head + begin + silence + hole + again + begin
        yield from (head + begin + noise for noise in anything())
    yield hostile + begin[:2] + bytes([step.HEAR, 2, 0, 1, 3, 0, 0]) * 150  # while it fetches
    for noise in raw(step.HEAR_RAW, ("events",), 0):
        yield hostile + begin + noise
    for noise in raw(step.REPLY_RAW, ("replies",), 0):
        yield hostile + bytes([step.REPLY_RAW]) + noise[2:]
        yield hostile + begin + bytes([step.REPLY_RAW]) + noise[2:]


# --- frames -------------------------------------------------------------------------------------


def split(decode: Callable[[codecs.Frames], None]) -> Play:
    """The frames as they stand in the bytes."""
    return lambda data: decode(data.split(codecs.SEPARATOR))


@settings(database=None, deadline=None, print_blob=False, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(st.just(codecs.decode_a_request), frame_lists("requests"))
    | st.tuples(st.just(codecs.decode_a_reply), frame_lists("replies"))
    | st.tuples(st.just(codecs.decode_an_event), frame_lists("events"))
)
def _decode_json(drawn: tuple[Callable[[codecs.Frames], None], codecs.Frames]) -> None:
    """Nearly all of it is JSON, and much of it nearly right: bytes as such seldom are."""
    decode, frames = drawn
    decode(frames)


# --- machines -----------------------------------------------------------------------------------


def drawn_from_bytes(test: Any) -> Play:
    """A test of Hypothesis, which takes its decisions from the bytes."""
    play: Play = test.hypothesis.fuzz_one_input
    return play


def machine(kind: type[RuleBasedStateMachine], page: int = MAX_PAGE) -> Play:
    """A play of the suite, with pages of this size."""
    test = get_state_machine_test(
        kind,
        settings=settings(
            database=None,
            deadline=None,
            print_blob=False,
            stateful_step_count=50,
            suppress_health_check=list(HealthCheck),
        ),
    )

    play = drawn_from_bytes(test)

    def play_with_pages(data: bytes) -> object:
        with patch("devicewatch.registry.core.MAX_PAGE", page):
            return play(data)

    return play_with_pages


TARGETS: Final[dict[str, Target]] = {
    "request": Target(split(codecs.decode_a_request), vectors("requests", "bad_requests")),
    "reply": Target(split(codecs.decode_a_reply), vectors("replies")),
    "event": Target(split(codecs.decode_an_event), vectors("events")),
    "json": Target(drawn_from_bytes(_decode_json), anything),
    "core": Target(core_play.play_the_core, core_seeds),
    "mirror": Target(mirror_play.play_a_mirror, mirror_seeds),
    "core-model": Target(machine(CoreBesideAModel), few),
    "promises": Target(machine(Everything, 2), few),
}


def dictionary() -> Iterator[str]:
    """The words of the protocol, for a fuzzer that knows no JSON."""
    for name in (*RequestName, *ReplyName, *Topic, *Reason, *ErrorCode):
        yield str(name)
    for vector in chain.from_iterable(map(load, ("requests", "replies", "events"))):
        for part in vector.frames[-1].split(b'"')[1:-1:2]:
            if part.isalpha() or part.replace(b"_", b"").isalpha():
                yield part.decode()
