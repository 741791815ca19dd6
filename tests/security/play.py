"""A busy session in which a lot fails: real processes, and plain sockets."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import zmq

from devicewatch.registry.commands.demo import RunningCommand, running
from tests.support.live import PATIENCE, wait_until

from .parties import CUT, Context, KeyedRegistry, Pair, Wire, wire
from .session import Session, may_hold_secrets, secrets_in

ENOUGH: Final = 400
"""Devices that a journal has no room for when it may not grow."""


class Play:
    """Plays it: a registry with keys and a journal, and everybody who has to do with it."""

    def __init__(self, home: Path, context: Context, stack: ExitStack) -> None:
        self.session = Session()
        self._home, self._context, self._stack = home, context, stack
        self._journal = home / "journal"
        self._commands: dict[str, RunningCommand] = {}
        listed = ("admin", "device", "other", "viewer", "revoked")
        self._pairs = {name: Pair.new() for name in (*listed, "strange")}
        self.session.secrets |= {pair.secret for pair in self._pairs.values()}
        self._registry = KeyedRegistry(home, "--journal", str(self._journal))
        roles = {"admin": "admin *", "viewer": "viewer *"}
        for name in listed:
            role, names = roles.get(name, "device cam*").split()
            self._registry.let_in(f"{role} {self._pairs[name].public} {names}")
        stack.enter_context(self._registry)
        own_key = home / "devicewatch" / "keys" / "registry.key"
        self.session.secrets.add(own_key.read_text().split('"')[3])
        self._files = {n: p.file(home, self._registry.key) for n, p in self._pairs.items()}
        self._wires = {
            name: stack.enter_context(self._wire(zmq.REQ, name))
            for name in ("admin", "other", "viewer", "revoked")
        }
        self._stream = stack.enter_context(self._wire(zmq.SUB, "viewer"))
        self._stream.event(event="tick")

    def play(self) -> Session:
        with guest(self._home) as end_of_guest:
            announce = self._start(
                "announce", "camera", "tcp://d:1", "--name", "cam-1", "--lease", "1",
                *self._as("device"), "--", "sh", "-c", "env; exec sleep 60",
            )  # fmt: skip
            watch = self._start("watch", "--json", *self._as("viewer"))
            watch.next_line()
            uuid = self._register("other", "tcp://o:1", "cam-2")
            self._register("revoked", "tcp://r:1", "cam-3")
            self._note_secrets()
            self._ask_for_what_is_not_allowed(uuid)
            self._look_from_outside()
            commands = self._commands_that_look()
            self._displace(announce)
            self._fill_up()
            for name, process in commands.items():
                self.session.say(name, *process.communicate(timeout=PATIENCE))
            self._revoke(watch)
            self._kill_and_start_again()
            self._collect()
            end_of_guest(self.session)
        return self.session

    # --- scenes ---------------------------------------------------------------------------------

    def _ask_for_what_is_not_allowed(self, uuid: str) -> None:
        """With a uuid that belongs to another, or that is cut off, or twice as long."""
        for who in ("viewer", "revoked", "other"):
            for event in ("UNREGISTER", "CHECK_ALIVE"):
                if who != "other":
                    self._ask(who, event, {"uuid": uuid})
                self._ask(who, event, {"uuid": 4 * uuid})
                self._ask(who, event, {"uuid": [uuid], "alive_timeout": uuid})
            self._ask(who, "REGISTER", {"device_type": "a", "addr": "", "instance": uuid})
            for raw in (b"{", b"\xff" + uuid.encode(), f'{{"uuid": "{uuid}'.encode()):
                self.session.say("replies", self._wires[who].send(raw))
            self._ask(who, "SHUTDOWN", {"uuid": uuid})
            self._ask(who, "SNAPSHOT", {})
            self._ask(who, "REPLAY", {"epoch": "", "after": 0})
        epoch = self._ask("viewer", "INFO", {})["payload"]["epoch"]
        self._ask("viewer", "REPLAY", {"epoch": epoch, "after": 0})
        for who in ("strange", "admin"):
            pair, server = self._pairs[who], self._registry.key if who == "strange" else None
            with wire(
                self._context, zmq.REQ, self._registry.url, pair, server or pair.public
            ) as wrong:
                wrong.socket.send(uuid.encode())
                assert not wrong.is_let_in

    def _look_from_outside(self) -> None:
        """As anybody on the same machine can, or at least whoever has the same account."""
        for name, command in self._commands.items() | {("serve", self._registry.command)}:
            process = Path("/proc") / str(command.process.pid)
            tasks = [task / "comm" for task in (process / "task").iterdir()]
            for place in (process / "cmdline", process / "environ", process / "comm", *tasks):
                self.session.said[f"{place.name} of {name}"] = place.read_bytes()

    def _commands_that_look(self) -> dict[str, subprocess.Popen[str]]:
        """Started at once, and read later."""
        own = self._home / "devicewatch" / "keys"
        damaged = own / "damaged.key"
        damaged.write_text((own / "registry.key").read_text().replace("public", "secret", 1))
        damaged.chmod(0o600)
        viewer, strange, other = (self._as(who) for who in ("viewer", "strange", "other"))
        misplaced = {"DEVICEWATCH_KEY": self._pairs["viewer"].secret}
        return {
            "list --json": self._begin("list", "--json", *viewer),
            "info --json": self._begin("info", "--json", *viewer),
            "list, strange": self._begin("list", *strange),
            "announce, forbidden": self._begin("announce", "valve", "tcp://v:1", *other),
            "list, a key for its name": self._begin("list", "--registry", "tcp://a:1", **misplaced),
            "keys show": self._begin("keys", "show"),
            "keys show NAME": self._begin("keys", "show", "registry"),
            "keys show FILE": self._begin("keys", "show", str(damaged)),
            "journal show": self._begin("journal", "show", "--json", str(self._journal)),
            "journal check": self._begin("journal", "check", "--json", str(self._journal)),
        }

    def _displace(self, announce: RunningCommand) -> None:
        self._register("admin", "tcp://d:1", "cam-1")
        wait_until(lambda: "displaced" in "".join(announce.errors))

    def _fill_up(self) -> None:
        """Let the journal's files grow no more."""
        pid = self._registry.command.process.pid
        log = self._journal.with_name(self._journal.name + "-wal")
        size = max(file.stat().st_size for file in (self._journal, log) if file.exists())
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
        for number in range(ENOUGH):
            camera = {"device_type": "camera", "addr": f"tcp://f:{number}", "name": "cam-9"}
            reply = self._wires["other"].ask("REGISTER", camera)
            if reply["event"] == "ERROR":
                break
            self.session.secrets.add(reply["payload"]["uuid"])
        else:
            raise AssertionError("the journal took everything")
        self.session.say("replies", reply)
        self._note_secrets()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        self._register("other", "tcp://f:last", "cam-9")

    def _revoke(self, watch: RunningCommand) -> None:
        self._registry.strike_out(self._pairs["revoked"].public)
        self._registry.strike_out(self._pairs["viewer"].public)
        self._wires["revoked"].until(CUT)
        wait_until(lambda: "the view is stale" in "".join(watch.errors))
        self._note_stream()
        role = f"viewer {self._pairs['viewer'].public} *"
        self._registry.let_in(role)
        wait_until(lambda: "the view is live again" in "".join(watch.errors))

    def _kill_and_start_again(self) -> None:
        self._registry.kill()
        self.session.say("serve, killed", *self._registry.command.errors)
        self._registry.start()
        with self._wire(zmq.SUB, "admin") as self._stream:
            self._stream.event(event="tick")
            self._register("admin", "tcp://d:2", "cam-1", overwrite=True)
            self.session.say("the stream", self._stream.event(event="added", name="cam-1"))
            self._note_stream()

    def _collect(self) -> None:
        self._look_from_outside()
        for name, command in self._commands.items() | {("serve", self._registry.command)}:
            command.end()
            self.session.say_all_of(name, command)
        for file in self._home.rglob("*"):
            if file.is_file() and not may_hold_secrets(file):
                self.session.said[f"the file {file.name}"] = file.read_bytes()

    # --- and how they are done ------------------------------------------------------------------

    def _wire(self, kind: int, name: str) -> AbstractContextManager[Wire]:
        url = self._registry.events_url if kind == zmq.SUB else self._registry.url
        return wire(self._context, kind, url, self._pairs[name], self._registry.key)

    def _as(self, name: str) -> tuple[str, ...]:
        return "--registry", self._registry.url, "--key", self._files[name]

    def _start(self, *arguments: str) -> RunningCommand:
        command = self._stack.enter_context(running(*arguments))
        self._commands[arguments[0]] = command
        return command

    def _begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "devicewatch.registry", *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=os.environ | environment,
            )
        )  # fmt: skip
        self._stack.callback(process.kill)
        return process

    def _ask(self, who: str, event: str, payload: object) -> dict[str, Any]:
        reply = self._wires[who].ask(event, payload)
        self.session.say("replies", reply)
        return reply

    def _register(self, who: str, addr: str, name: str, **more: object) -> str:
        instance = str(uuid4())
        uuid: str = self._wires[who].register(addr, name, instance=instance, **more)["uuid"]
        self.session.secrets |= {uuid, instance}
        return uuid

    def _note_secrets(self) -> None:
        self.session.secrets |= secrets_in(self._journal)

    def _note_stream(self) -> None:
        while self._stream.socket.poll(0):
            self.session.say("the stream", self._stream.message())


@contextmanager
def guest(home: Path) -> Iterator[Callable[[Session], None]]:
    """The program in `guest`; what is yielded waits for its end, and collects."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.security.guest", str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip

        def end(session: Session) -> None:
            output, errors = process.communicate(timeout=2 * PATIENCE)
            assert "the end, which is not caught" in errors, errors
            session.say("stdout of guest", output)
            session.say("stderr of guest", errors)
            session.secrets |= set(json.loads((home / "guest.secrets").read_text()))

        try:
            yield end
        finally:
            process.kill()
