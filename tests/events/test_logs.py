"""Structured events go through the standard library's logging, and wherever that sends them."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from devicewatch.events.logs import get_logger
from devicewatch.events.protocol import ErrorCode
from devicewatch.events.text import LONGEST_MESSAGE


@pytest.fixture
def name() -> Iterator[str]:
    name = f"devicewatch.{uuid4()}"
    yield name
    logging.Logger.manager.loggerDict.pop(name)


def test_an_event_becomes_a_record_with_its_values_as_extra(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, name):
        get_logger(name).info("registered", device="left", seq=7)
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == (name, logging.INFO, "registered")
    assert vars(record)["device"] == "left"
    assert vars(record)["seq"] == 7


def test_the_level_of_the_standard_logger_counts(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = get_logger(name)
    with caplog.at_level(logging.WARNING, name):
        log.info("unheard")
        log.warning("heard")
    assert caplog.messages == ["heard"]


def test_an_exception_brings_its_traceback(name: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        _: int = dict[str, int]()[name]
    except KeyError:
        get_logger(name).exception("it failed")
    assert "Traceback" in caplog.text
    assert f"KeyError: '{name}'" in caplog.text


def test_a_percent_sign_is_no_placeholder(name: str, caplog: pytest.LogCaptureFixture) -> None:
    get_logger(name).error("at 100%s", load="100 %")
    assert caplog.messages == ["at 100%s"]


def test_values_bound_to_a_logger_are_in_each_of_its_records(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = get_logger(name).bind(registry="tcp://127.0.0.1:5555")
    log.warning("stale")
    log.warning("live")
    assert [vars(record)["registry"] for record in caplog.records] == ["tcp://127.0.0.1:5555"] * 2


# --- what strangers sent ---------------------------------------------------------------------

HOSTILE = "\x1b[2Jgone\u202e\n2026 WARNING forged\r\x9b"
SHOWN = r"\u001b[2Jgone\u202e\u000a2026 WARNING forged\u000d\u009b"


class Odd:
    def __str__(self) -> str:
        return HOSTILE


def raise_hostile() -> None:
    raise ValueError(HOSTILE)


def test_values_are_harmless_before_any_handler_sees_them(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    get_logger(name).bind(bound=HOSTILE).warning(
        "heard",
        text=HOSTILE,
        odd=Odd(),
        path=Path(HOSTILE),
        names=[HOSTILE],
        code=ErrorCode.INVALID,
    )
    (record,) = caplog.records
    values = vars(record)
    assert (values["text"], values["odd"], values["path"], values["bound"]) == (SHOWN,) * 4
    assert values["code"] == "INVALID"
    assert values["names"] == str([HOSTILE])  # which is harmless as Python writes it


def test_an_event_is_harmless_too(name: str, caplog: pytest.LogCaptureFixture) -> None:
    get_logger(name).warning(HOSTILE)
    assert caplog.messages == [SHOWN]


def test_numbers_stay_numbers(name: str, caplog: pytest.LogCaptureFixture) -> None:
    numbers = {"whole": 7, "part": 0.5, "yes": True, "none": None, "huge": 10**5_000}
    get_logger(name).warning("counted", **numbers)
    (record,) = caplog.records
    assert {key: vars(record)[key] for key in numbers} == numbers


def test_a_long_value_is_cut(name: str, caplog: pytest.LogCaptureFixture) -> None:
    get_logger(name).warning("heard", text="a" * 1_000_000)
    (record,) = caplog.records
    assert vars(record)["text"] == "a" * (LONGEST_MESSAGE - 1) + "…"


@pytest.mark.parametrize("style", ["%(message)s", "%(levelname)s %(message)s %(text)s"])
def test_a_traceback_has_its_lines_and_forges_none(name: str, style: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(style))
    logging.getLogger(name).addHandler(handler)
    try:
        raise_hostile()
    except ValueError:
        get_logger(name).exception("it failed", text=HOSTILE)
    first, *lines = stream.getvalue().removesuffix("\n").split("\n")
    assert first == style % {"levelname": "ERROR", "message": "it failed", "text": SHOWN}
    assert lines[0] == "  Traceback (most recent call last):"
    assert lines[-2:] == [
        r"  ValueError: \u001b[2Jgone\u202e",
        r"  2026 WARNING forged\u000d\u009b",
    ]
    assert all(line.startswith("  ") and line.isprintable() for line in lines)


def test_no_traceback_is_no_trouble(name: str, caplog: pytest.LogCaptureFixture) -> None:
    get_logger(name).error("it failed", exc_info=True)
    assert "it failed" in caplog.text
