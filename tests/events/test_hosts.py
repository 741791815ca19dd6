"""Whom a request is meant for."""

import pytest

from devicewatch.events.hosts import is_loopback, names_one_of, names_this_machine


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.:80",
        "127.0.0.1",
        "127.0.0.1:9",
        "127.9.9.9",
        "[::1]",
        "[::1]:8080",
    ],
)
def test_names_of_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "[::1",
        "::1",
        "::1:80",
        "localhost:evil",
        "localhost:",
        "evil:[::1]",
        "localhost:\N{SUPERSCRIPT TWO}",
        "127.1",
        ".",
        ":80",
        "[]",
        "[localhost]",
    ],
)
def test_names_of_others(host: str) -> None:
    assert not names_this_machine(host)


def test_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("controller")


@pytest.mark.parametrize(
    "host",
    [
        *["localhost:8080", "10.0.0.1", "10.0.0.1:80", "[fe80::1]:8080", "[::1]"],
        *["controller", "Controller.LOCAL:8080", "controller.local."],
    ],
)
def test_addresses_and_known_names_are_one_of_them(host: str) -> None:
    assert names_one_of(host, {"controller", "controller.local"})


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.controller", "controller.evil", "10.0.0.1.evil", "[controller]"],
)
def test_other_names_are_none_of_them(host: str) -> None:
    assert not names_one_of(host, {"controller"})
