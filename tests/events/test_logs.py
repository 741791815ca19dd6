"""Structured events go through the standard library's logging, and wherever that sends them."""

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest

from devicewatch.events.logs import get_logger


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
