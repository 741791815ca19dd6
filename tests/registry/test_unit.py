"""The unit for systemd: what it starts is there, and says that it is ready."""

import re
import shlex
import socket
from configparser import ConfigParser
from pathlib import Path

import pytest

from devicewatch.registry.cli import main
from devicewatch.registry.commands.demo import running
from tests.support.live import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"

OPTIONS = {option for parameter in main.commands["serve"].params for option in parameter.opts}


def service() -> dict[str, list[str]]:
    """The unit's section [Service]; a setting may come more than once."""
    text = (DOCS / "examples" / "devicewatch.service").read_text()
    parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.read_string(text)
    assert parser.sections() == ["Unit", "Service", "Install"]
    section = text.partition("[Service]")[2].partition("[Install]")[0]
    settings: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        settings.setdefault(key, []).append(value)
    assert {key.lower() for key in settings} == parser["Service"].keys()
    return settings


def command() -> list[str]:
    """The command that it starts, as systemd understands it, but for the journal's folder."""
    unit = service()
    environment = dict(
        variable.split("=", 1) for line in unit["Environment"] for variable in shlex.split(line)
    )
    (line,) = unit["ExecStart"]
    words: list[str] = []
    for word in line.split():
        words += environment[word[1:]].split() if word.startswith("$") else [word]
    return words


def existing(words: list[str]) -> list[str]:
    """Without `--journal FILE`, as long as there is no such option."""
    if "--journal" in OPTIONS or "--journal" not in words:
        return words
    where = words.index("--journal")
    return words[:where] + words[where + 2 :]


def test_the_unit_s_command_has_all_these_options() -> None:
    program, name, *arguments = existing(command())
    assert program == "/opt/devicewatch/bin/devicewatch"
    assert name == "serve"
    assert {word for word in arguments if word.startswith("-")} <= OPTIONS


def test_so_has_the_one_that_the_page_shows() -> None:
    page = (DOCS / "service.md").read_text()
    (options,) = re.findall(r'^Environment="DEVICEWATCH_OPTIONS=(.*)"$', page, re.MULTILINE)
    assert {word for word in options.split() if word.startswith("-")} <= OPTIONS
    assert page.count("/opt/devicewatch/bin/") >= 3


def test_the_unit_s_command_says_that_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    state = tmp_path / "state" / "devicewatch"
    state.mkdir(parents=True)
    arguments = [word.replace("%S", str(state.parent)) for word in existing(command())[1:]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        with running(*arguments, "--port", "0", "--events-port", "0"):
            assert manager.recv(1000) == b"READY=1\n"


def test_what_the_unit_forbids_leaves_zeromq_what_it_needs() -> None:
    unit = service()
    (families,) = unit["RestrictAddressFamilies"]
    # libzmq asks for the network interfaces when it binds, and aborts the process if it may not.
    assert set(families.split()) == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
    # It sets its threads' scheduling, which is one of these.
    assert not any("@resources" in calls for calls in unit["SystemCallFilter"])
