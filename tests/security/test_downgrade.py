"""A program with a key talks to its registry, encrypted, or to nobody; and one without, likewise.

Every combination that does not fit is tried: on commands that start, and on a device and a watcher
that have been there for a while when something else turns up in the place of their registry.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import attrs
import pytest
import zmq

from devicewatch.events.errors import AuthenticationError
from devicewatch.events.keys import Key
from devicewatch.registry.commands.demo import running
from devicewatch.registry.requester import query_info
from tests.faults.processes import RegistryProcess, WatchProcess
from tests.support.live import PATIENCE, wait_until

from .parties import Context, KeyedRegistry, Pair, logged, wire
from .session import secrets_in
from .tape import Tape

SOON: Final = 2.0
"""Seconds. That nobody answers at all, commands say after five."""

IDS: Final = ("without a key", "at one without keys", "at another one with keys")

NAME, ADDR, NOTE = "readable-camera", "tcp://readable:1", "readable-note"
DEVICE: Final = (
    "announce", "readable-type", ADDR, "--name", NAME, "--metadata", f"note={NOTE}"
)  # fmt: skip
READABLE: Final = (b"readable", b"REGISTER", b"CHECK_ALIVE", b"SNAPSHOT", b'"event"', b'"uuid"')

WANTED: Final = "lets in nobody without a key, and none was given"
KEYLESS: Final = "has no key, so it is not the registry that this key is for"
ANOTHER: Final = "does not have the registry's key"

MOST_SAID: Final = 64 + 202
"""Bytes of ZMTP's greeting and CURVE's HELLO, neither of which says anything but what it is."""


@attrs.frozen
class Site:
    """Three registries: one with keys, one without, and another one with keys.

    Attributes:
        registries: By name.
        pair: A key that is let in by both that have keys.
        file: Its file, which trusts the first.
        journal: Of the first.
    """

    registries: dict[str, RegistryProcess]
    pair: Pair
    file: str
    journal: Path

    def options(self, url: str, *, key: bool) -> tuple[str, ...]:
        return ("--registry", url, *(("--key", self.file) if key else ()))

    def ports(self, name: str) -> tuple[int, int]:
        registry = self.registries[name]
        return _port(registry.url), _port(registry.events_url)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[Site]:
    pair, journal = Pair.new(), home / "journal"
    keyed = KeyedRegistry(home, "--journal", str(journal))
    other = KeyedRegistry(home, "--key", Pair.new().file(home))
    keyed.let_in(f"device {pair.public} *")
    registries = {"keyed": keyed, "open": RegistryProcess(), "other": other}
    with ExitStack() as stack:
        for registry in registries.values():
            registry.launch()
            stack.push(registry)
        for registry in registries.values():
            registry.await_ready()
        yield Site(registries, pair, pair.file(home, keyed.key), journal)


# --- those who start ------------------------------------------------------------------------------

CASES: Final = [(False, "keyed", WANTED), (True, "open", KEYLESS), (True, "other", ANOTHER)]
"""Whether there is a key, what it meets, and the words for that."""


def test_commands_say_why_not_in_one_line(site: Site) -> None:
    commands = {
        (case, command): subprocess.Popen(
            [sys.executable, "-m", "devicewatch.registry", *command,
             *site.options(site.registries[case[1]].url, key=case[0])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for case in CASES
        for command in (("list",), ("watch",), DEVICE)
    }  # fmt: skip
    found = {key: command.communicate(timeout=2 * PATIENCE) for key, command in commands.items()}
    for (case, command), (output, errors) in found.items():
        assert (commands[case, command].returncode, output) == (1, "")
        (line,) = errors.splitlines()
        assert line.startswith("Error: ")
        assert case[2] in line
        assert site.registries[case[1]].url in line


@pytest.mark.parametrize(("with_key", "meets", "words"), CASES, ids=IDS)
def test_why_not_is_known_soon(
    site: Site, wires: Context, with_key: bool, meets: str, words: str
) -> None:
    key = Key.load(site.file) if with_key else None
    for _ in range(3):  # who hangs up first is a matter of luck
        since = time.monotonic()
        with pytest.raises(AuthenticationError, match=words):
            query_info(wires, site.registries[meets].url, key=key)
        assert time.monotonic() - since < SOON


# --- those who were there -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "meets", "words"),
    [("open", "keyed", WANTED), ("keyed", "open", KEYLESS), ("keyed", "other", ANOTHER)],
    ids=IDS,
)
def test_in_the_place_of_its_registry_nothing_else_is_told_anything(
    site: Site, wires: Context, at: str, meets: str, words: str
) -> None:
    key = at == "keyed"
    with (
        Tape(site.ports(at)) as tape,
        running(*DEVICE, "--lease", "1", *site.options(tape.url, key=key)) as announce,
        running("watch", "--json", *site.options(tape.url, key=key)) as follower,
    ):
        watch = WatchProcess(follower)
        announce.next_line()
        watch.read_until_there_is(NAME)
        secrets = {secret.encode() for secret in secrets_in(site.journal)} if key else set()
        assert bool(secrets) is key
        assert readable(tape.sent + tape.received, secrets) is not key

        tape.forward_to(site.ports(meets))
        wait_until(lambda: "the view is stale" in watch.log)
        wait_until(lambda: "refuses the device" in logged(announce))
        wait_until(lambda: words in watch.log)
        assert words in logged(announce)
        attempts = tape.accepted[0]
        wait_until(lambda: tape.accepted[0] >= attempts + 3)  # they try on
        assert follower.process.poll() is announce.process.poll() is None
        assert not readable(tape.sent, secrets)
        assert len(tape.sent) <= MOST_SAID * sum(tape.accepted)

        registered = logged(announce).count('"registered"')
        tape.forward_to(site.ports(at))
        wait_until(lambda: "the view is live again" in watch.log)
        wait_until(lambda: logged(announce).count('"registered"') > registered)
        assert readable(tape.sent + tape.received, secrets) is not key
    pair = site.pair if meets == "keyed" else None
    if meets != "other":
        registry = site.registries[meets]
        public = getattr(registry, "key", "")
        with wire(wires, zmq.REQ, registry.url, pair, public) as client:
            devices = client.ask("SNAPSHOT", {})["payload"]["devices"]
            assert NAME not in {device["name"] for device in devices}


def readable(recorded: bytearray, secrets: set[bytes]) -> bool:
    """Whether a recording tells anything of what was said."""
    return any(text in recorded for text in (*READABLE, *secrets))
