"""`devicewatch keys`, and keys in the other commands."""

import json
import os
import re
import shlex
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from devicewatch.events.keys import Key, fingerprint, keys_folder
from devicewatch.events.protocol import Role
from devicewatch.registry.authorized import authorized_path
from devicewatch.registry.cli import main
from devicewatch.registry.commands.demo import running
from devicewatch.registry.security import HEADER, Grant, parse_grants
from tests.support.keys import Guarded, client_key, guarded, key_of, let_in_by, public_of
from tests.support.live import PATIENCE

CAMERA = public_of("camera")
REGISTRY = public_of("registry")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration directory of this test's own."""
    folder = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder / "devicewatch"


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output.lower()
    return result.output


def error(*arguments: str, code: int = 1, **environment: str) -> str:
    """What is said of a command that fails: one line, or how to use it as well."""
    result = run(*arguments, **environment)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.output.splitlines() if line[:1] != "{"]  # no log
    if code == 1:
        assert len(lines) == 1
        assert lines[0].startswith("Error: ")
    return lines[-1] if code == 1 else "\n".join(lines)


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["new", "show", "authorize", "revoke"])
def test_every_command_explains_itself(command: str) -> None:
    assert f"Usage: main keys {command}" in done_help("keys", command)
    overview = done_help("keys").splitlines()
    (summary,) = [line for line in overview if line.split()[:1] == [command]]
    assert not summary.endswith("..."), "its first sentence is too long to be shown whole"


def done_help(*command: str) -> str:
    result = run(*command, "--help")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("command", ["list", "info", "watch", "announce"])
def test_the_key_of_a_command_is_explained(command: str) -> None:
    output = done_help(command)
    assert "--key" in output
    assert "DEVICEWATCH_KEY" in output


# --- new and show --------------------------------------------------------------------------------


def test_a_new_key_is_its_owners_alone(config: Path) -> None:
    output = done("keys", "new", "camera", "--registry", REGISTRY)
    path = config / "keys" / "camera.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.parent == keys_folder()
    key = Key.load("camera")
    assert key.registry == REGISTRY
    assert key.secret not in output
    assert f"{path} is a new key, {fingerprint(key.public)}" in output
    assert f"\n    {key.public}\n" in output
    command = re.search(r"devicewatch (keys authorize .*) --role ROLE", output)
    assert command is not None
    done(*shlex.split(command[1]), "--role", "device")
    assert list(parse_grants(authorized_path().read_text())) == [key.public]


def test_a_key_without_a_registry_is_a_registrys_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.key"
    assert "It is for a registry itself" in done("keys", "new", str(path))
    assert Key.load(path).registry is None


def test_an_existing_key_is_not_replaced() -> None:
    done("keys", "new", "camera")
    before = Key.load("camera")
    assert "is not replaced" in error("keys", "new", "camera")
    assert Key.load("camera") == before


def test_what_is_no_key_is_no_registry() -> None:
    words = error("keys", "new", "camera", "--registry", "tcp://127.0.0.1:5555", code=2)
    assert "is no key: one has 40 characters" in words
    assert not keys_folder().exists()


def test_a_key_is_shown_without_its_secret() -> None:
    done("keys", "new", "camera", "--registry", REGISTRY)
    key = Key.load("camera")
    output = run("keys", "show", "camera").output
    assert key.public in output
    assert fingerprint(key.public) in output
    assert REGISTRY in output
    assert key.secret not in output
    assert "there is no key" in error("keys", "show", "arm")


def test_all_keys_are_shown_and_what_is_wrong_with_them(config: Path) -> None:
    assert done("keys", "show") == ""
    done("keys", "new", "registry")
    done("keys", "new", "camera", "--registry", REGISTRY)
    (config / "keys" / "broken.key").write_text("x")
    (config / "keys" / "camera.key").chmod(0o644)
    done("keys", "authorize", CAMERA, "--role", "device", "--names", "cam*", "--comment", "bed 3")
    result = run("keys", "show")
    assert result.exit_code == 0
    broken, camera, registry, let_in, grant = result.output.splitlines()
    assert broken.startswith("problem: ")
    assert camera.startswith("problem: others than its owner")
    assert registry.split() == [
        "registry",
        (key := Key.load("registry")).public,
        fingerprint(key.public),
    ]
    assert let_in == f"let in by {authorized_path()}:"
    assert grant.split() == ["device", CAMERA, "cam*", "bed", "3", fingerprint(CAMERA)]


def test_a_list_is_shown_that_is_named(tmp_path: Path) -> None:
    path = let_in_by(tmp_path / "list", camera=Role.VIEWER)
    assert CAMERA in done("keys", "show", "--authorized", str(path))
    path.write_text("nonsense\n")
    assert "line 1" in error("keys", "show", "--authorized", str(path))
    assert "there is no list" in error("keys", "show", "--authorized", str(tmp_path / "none"))


# --- authorize and revoke ------------------------------------------------------------------------


def grants() -> list[Grant]:
    return list(parse_grants(authorized_path().read_text()).values())


def test_a_key_is_let_in_changed_and_revoked() -> None:
    who = fingerprint(CAMERA)
    output = done("keys", "authorize", CAMERA, "--role", "device", "--names", "cam*")
    assert output == (
        f"the key {who} is let in, as device for the names cam*: {authorized_path()}\n"
    )
    assert grants() == [Grant(CAMERA, Role.DEVICE, "cam*")]
    assert "was changed, as admin" in done("keys", "authorize", CAMERA, "--role", "admin")
    assert grants() == [Grant(CAMERA, Role.ADMIN)]
    done("keys", "authorize", REGISTRY, "--role", "viewer", "--comment", "the dashboard")
    output = done("keys", "revoke", who)
    assert output == f"the key {who} is let in no more: {authorized_path()}\n"
    assert [(grant.public, grant.comment) for grant in grants()] == [(REGISTRY, "the dashboard")]
    assert "is not in" in error("keys", "revoke", CAMERA)
    done("keys", "revoke", REGISTRY)
    assert authorized_path().read_text() == HEADER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["camera", "--role", "device"], "is no key"),
        ([CAMERA], "--role"),
        ([CAMERA, "--role", "root"], "root"),
        ([CAMERA, "--role", "device", "--names", ""], "use ? where a name has a space"),
        ([CAMERA, "--role", "device", "--names", "a b"], "use ? where a name has a space"),
        ([CAMERA, "--role", "device", "--names", "a\u2028b"], "use ? where a name has a space"),
        ([CAMERA, "--role", "device", "--comment", f"x\nadmin {REGISTRY} *"], "one line of text"),
        ([CAMERA, "--role", "device", "--comment", "x\u2028y"], "one line of text"),
    ],
)
def test_what_makes_no_sense_lets_nobody_in(arguments: list[str], words: str) -> None:
    assert words in error("keys", "authorize", *arguments, code=2)
    assert not authorized_path().exists()


# --- with a registry -----------------------------------------------------------------------------


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(let_in_by(tmp_path / "list", camera=Role.DEVICE)) as gate:
        client_key("camera").save(keys_folder() / "camera.key")
        yield gate


@pytest.mark.parametrize("how", ["option", "path", "environment"])
@pytest.mark.parametrize("command", ["info", "list", "watch"])
def test_the_commands_take_a_key(gate: Guarded, command: str, how: str) -> None:
    arguments = [command, "--json", "--registry", gate.registry.url]
    if command == "watch":
        arguments += ["--timeout", "0.1"]
    path = str(keys_folder() / "camera.key")
    match how:
        case "option":
            result = run(*arguments, "--key", "camera")
        case "path":
            result = run(*arguments, "--key", path)
        case _:
            result = run(*arguments, DEVICEWATCH_KEY="camera")
    assert result.exit_code == 0, result.output
    if command == "info":
        assert json.loads(result.output)["refused"] == 0


@pytest.mark.parametrize("command", [["info"], ["list"], ["watch"], ["announce", "arm", "tcp://a"]])
def test_without_the_right_key_a_command_is_one_clear_line(
    gate: Guarded, command: list[str]
) -> None:
    arguments = [*command, "--registry", gate.registry.url]
    client_key("stranger").save(keys_folder() / "stranger.key")
    assert "does not know the key" in error(*arguments, "--key", "stranger")
    assert "there is no key" in error(*arguments, "--key", "nobody")
    assert "there is no key" in error(*arguments, DEVICEWATCH_KEY="nobody")
    key_of("camera").save(keys_folder() / "own.key")
    assert "does not say which registry it is for" in error(*arguments, "--key", "own")


def test_a_device_is_announced_with_a_key(gate: Guarded) -> None:
    command = ["announce", "camera", "tcp://a:1", "--key", "camera", "--", "true"]
    result = run(*command, DEVICEWATCH_REGISTRY=gate.registry.url)
    assert result.exit_code == 0, result.output
    assert gate.registry.seq == 2


# --- serve ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--key", "registry"], "of use with --curve only"),
        (["--authorized", "list"], "of use with --curve only"),
        (["--max-devices", "0"], "--max-devices"),
        (["--devices-per-peer", "0"], "--devices-per-peer"),
        (["--requests-per-peer", "0.5"], "--requests-per-peer"),
        (["--requests-per-peer", "nan"], "--requests-per-peer"),
    ],
)
def test_what_makes_no_sense_starts_no_registry(arguments: list[str], words: str) -> None:
    assert words in error("serve", *arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--key", "nobody"], "there is no key"),
        (["--authorized", "nothing"], "there is no list of keys nothing"),
    ],
)
def test_what_is_named_has_to_be_there(arguments: list[str], words: str) -> None:
    result = run("serve", "--curve", "--port", "0", "--events-port", "0", *arguments)
    assert result.exit_code == 1
    assert words in result.output.splitlines()[-1]
    assert not (keys_folder() / "nobody.key").exists()


def test_a_registry_makes_its_key_and_its_list_the_first_time(config: Path) -> None:
    publics = []
    for _ in range(2):
        with running(
            "serve", "--curve", "--port", "0", "--events-port", "0", "--max-devices", "1",
            "--devices-per-peer", "1", "--requests-per-peer", "5",
        ) as serve:  # fmt: skip
            words = serve.next_line().split()
            assert words[:4] == ["devicewatch", "registry", "ready", "at"]
            publics.append(serve.next_line().removeprefix("its public key is "))
            if len(publics) == 1:
                assert authorized_path().read_text() == HEADER
                done("keys", "new", "camera", "--registry", publics[0])
                done("keys", "authorize", Key.load("camera").public, "--role", "device")
                _takes_its_limits(words[4])
            serve.process.send_signal(signal.SIGTERM)
            assert serve.process.wait(PATIENCE) == 0
    assert publics[0] == publics[1] == Key.load("registry").public
    assert stat.S_IMODE((config / "keys" / "registry.key").stat().st_mode) == 0o600
    assert len(grants()) == 1


def _takes_its_limits(url: str) -> None:
    arguments = ["--registry", url, "--key", "camera"]
    pause = threading.Event()
    announce = ("announce", "camera", "tcp://a:1", *arguments, "--", "true")
    while (result := run(*announce)).exit_code:
        assert "does not know the key" in result.output
        pause.wait(0.05)  # until its list has been read again, or the test's own time is up
    outputs = [run("info", *arguments).output for _ in range(60)]
    assert any("TOO_FAST" in output for output in outputs)


def test_a_key_that_others_may_read_starts_no_registry() -> None:
    done("keys", "new", "registry")
    (keys_folder() / "registry.key").chmod(0o640)
    result = run("serve", "--curve", "--port", "0", "--events-port", "0")
    assert result.exit_code == 1
    assert "chmod 600" in result.output.splitlines()[-1]
    assert os.environ["XDG_CONFIG_HOME"] in result.output
    assert attrs.fields(Key).secret.repr is False
