"""Those who talk to a registry with keys, each with a key of its own, or with none.

Nothing here uses our own clients: plain sockets, and JSON by hand, hide nothing.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import attrs
import zmq
from zmq.utils.monitor import parse_monitor_message

from devicewatch.events.keys import Key
from devicewatch.registry.commands.demo import RunningCommand
from tests.faults.processes import RegistryProcess
from tests.support.live import PATIENCE

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

LET_IN: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED
NOT_LET_IN: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
CUT: Final = zmq.EVENT_DISCONNECTED

_ESTABLISHED: Final = "01"
"""In /proc/net/tcp."""

MS: Final = int(PATIENCE * 1000)


@attrs.frozen
class Pair:
    """A key pair as it is drawn by ZeroMQ itself."""

    public: str
    secret: str = attrs.field(repr=False)

    @classmethod
    def new(cls) -> Self:
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())

    def file(self, folder: Path, registry: str | None = None) -> str:
        """A new file of it, for a command, that may say which registry it is for."""
        path = folder / f"{uuid4()}.key"
        Key(self.public, self.secret, registry).save(path)
        return str(path)


class KeyedRegistry(RegistryProcess):
    """`devicewatch serve --curve`, and the list of those whom it lets in.

    Args:
        home: The folder that stands for the configuration of whoever runs it (`XDG_CONFIG_HOME`).
        options: More for the command.

    Attributes:
        key: Its public key.
        authorized: The list.
    """

    def __init__(self, home: Path, *options: str) -> None:
        super().__init__("--curve", *options)
        self.key = ""
        self.authorized = home / "devicewatch" / "authorized_keys"

    def await_ready(self) -> None:
        super().await_ready()
        self.key = self.command.next_line().rpartition(" ")[2]  # its public key is KEY

    def let_in(self, *lines: str) -> None:
        """Add lines to the list."""
        old = self.authorized.read_text() if self.authorized.exists() else ""
        self.rewrite(old + "".join(f"{line}\n" for line in lines))

    def strike_out(self, public: str) -> None:
        """Take the line of a key out of the list."""
        lines = self.authorized.read_text().splitlines(keepends=True)
        self.rewrite("".join(line for line in lines if public not in line))

    def rewrite(self, text: str) -> None:
        """Write the list anew, as an editor does."""
        self.authorized.parent.mkdir(parents=True, exist_ok=True)
        draft = self.authorized.with_name("draft")
        draft.write_text(text)
        draft.replace(self.authorized)

    @property
    def seconds_since_change(self) -> float:
        """How long ago the list was changed."""
        return time.time() - self.authorized.stat().st_mtime

    @property
    def log(self) -> str:
        """What it has logged, as far as that has been read."""
        return "".join(self.command.errors)


class Wire:
    """A plain socket with a key, or without one, and a monitor that tells what becomes of it.

    Args:
        context: Where to open it.
        kind: `zmq.REQ`, `zmq.DEALER`, `zmq.SUB`; the latter subscribes to everything.
        url: Where to connect to.
        pair: What to show.
        server: Whom to trust: the registry's public key.
    """

    def __init__(
        self, context: Context, kind: int, url: str, pair: Pair | Key | None, server: str
    ) -> None:
        self.socket = context.socket(kind)
        self.socket.linger = 0
        self.socket.rcvtimeo = MS
        self.socket.set_hwm(0)
        if pair is not None:
            self.socket.set(zmq.CURVE_SERVERKEY, server.encode())
            self.socket.set(zmq.CURVE_PUBLICKEY, pair.public.encode())
            self.socket.set(zmq.CURVE_SECRETKEY, pair.secret.encode())
        if kind == zmq.SUB:
            self.socket.subscribe(b"")
        self._monitor = self.socket.get_monitor_socket(LET_IN | NOT_LET_IN | CUT)
        self._monitor.linger = 0
        self.socket.connect(url)

    def until(self, events: int) -> int:
        """Wait until something of this kind happens to its connection, and say what."""
        event = self._next(events, MS)
        assert event, "nothing becomes of the connection"
        return event

    def has_met(self, events: int) -> bool:
        """Whether something of this kind has happened since the last time that was asked."""
        return self._next(events, 0) != 0

    def _next(self, events: int, timeout: int) -> int:
        while self._monitor.poll(timeout):
            event: int = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event & events:
                return event
        return 0

    @property
    def is_let_in(self) -> bool:
        """Whether its handshake succeeds; waits until that has shown."""
        return self.until(LET_IN | NOT_LET_IN) == LET_IN

    def ask(self, event: str, payload: object) -> dict[str, Any]:
        """Send `{"event": …, "payload": …}` and return the reply."""
        return self.send(json.dumps({"event": event, "payload": payload}).encode())

    def send(self, *frames: bytes) -> dict[str, Any]:
        """Send frames as they are and return the reply."""
        self.socket.send_multipart(frames)
        (reply,) = self.socket.recv_multipart()
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def register(self, addr: str, name: str, **more: object) -> dict[str, Any]:
        """Register a camera, and return the payload of the acknowledgement."""
        reply = self.ask("REGISTER", {"device_type": "camera", "addr": addr, "name": name, **more})
        assert reply["event"] == "REGISTER_ACK", reply
        ack: dict[str, Any] = reply["payload"]
        return ack

    def state(self) -> object:
        """What the registry knows: its number, and every device."""
        payload = self.ask("SNAPSHOT", {})["payload"]
        return payload["seq"], payload["devices"]

    def message(self) -> dict[str, Any]:
        """The body of the event stream's next message."""
        _topic, body = self.socket.recv_multipart()
        message: dict[str, Any] = json.loads(body)
        return message

    def event(self, **wanted: object) -> dict[str, Any]:
        """The next message of the event stream with these contents."""
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.message()
            found = message | {"name": message.get("device", {}).get("name")}
            if all(found.get(key) == value for key, value in wanted.items()):
                return message
            assert time.monotonic() < deadline, f"no such event: {wanted}"

    def close(self) -> None:
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)


@contextmanager
def wire(
    context: Context, kind: int, url: str, pair: Pair | Key | None, server: str
) -> Iterator[Wire]:
    """A wire for as long as a `with` block."""
    wire = Wire(context, kind, url, pair, server)
    try:
        yield wire
    finally:
        wire.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "devicewatch.registry", *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def keys(*arguments: str) -> str:
    """Run `devicewatch keys`, in a process of its own, and give what it prints.

    A key of ZeroMQ's own may begin with a minus: it goes behind "--".
    """
    result = run("keys", *arguments)
    assert result.returncode == 0, (arguments, result.stderr)
    return result.stdout


def logged(command: RunningCommand) -> str:
    """What a command has written to its log, as far as that has been read."""
    return "".join(command.errors)


def connections(command: RunningCommand) -> set[str]:
    """The TCP connections that a process has, each by its two ends, as the kernel shows them."""
    process = Path("/proc") / str(command.process.pid)
    inodes = set()
    for entry in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(entry.readlink()))
    rows = [line.split() for line in (process / "net" / "tcp").read_text().splitlines()[1:]]
    return {
        f"{local} {remote}"
        for _, local, remote, state, *_, inode in (row[:10] for row in rows)
        if state == _ESTABLISHED and f"socket:[{inode}]" in inodes
    }
