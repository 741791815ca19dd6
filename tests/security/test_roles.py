"""Who may do what: every cell of role and request, asked of a registry in a process of its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import zmq

from devicewatch.events.protocol import RequestName, Role
from tests.support.live import wait_until

from .parties import CUT, Context, KeyedRegistry, Pair, Wire, keys, wire

NAMES: Final = {
    "viewer": ("viewer", "*"),
    "device": ("device", "cam*"),
    "another device": ("device", "arm-[0-9]"),
    "admin": ("admin", "nothing"),  # an admin may have any name, whatever is said here
    "owner": ("device", "*"),  # of what is another's to all the others
    "revoked": ("device", "*"),
}
"""The roles of the keys that are let in, and the names that they may have; "revoked" was."""

WHO: Final = ("no key", "unknown key", "revoked", "viewer", "device", "another device", "admin")
STRANGERS: Final = WHO[:3]

OUT, NO = "not let in", "FORBIDDEN"
ALIVE, GONE = "ACK, success", "ACK, no success"
IN = "REGISTER_ACK"

TABLE: Final[dict[str, tuple[str, ...]]] = {
    # request                             no key, unknown, revoked, viewer, device, other, admin
    "REGISTER an own name":               (OUT, OUT, OUT, NO, IN, IN, IN),
    "REGISTER again, for the same":       (OUT, OUT, OUT, NO, IN, IN, IN),
    "REGISTER a name not allowed":        (OUT, OUT, OUT, NO, NO, NO, IN),
    "REGISTER no name, none allowed":     (OUT, OUT, OUT, NO, NO, NO, IN),
    "REGISTER over another's name":       (OUT, OUT, OUT, NO, NO, NO, IN),
    "REGISTER at another's address":      (OUT, OUT, OUT, NO, NO, NO, IN),
    "REGISTER as another's instance":     (OUT, OUT, OUT, NO, NO, NO, IN),
    "REGISTER without an address":        (OUT, OUT, OUT, *["INVALID"] * 4),
    "UNREGISTER its own":                 (OUT, OUT, OUT, NO, ALIVE, ALIVE, ALIVE),
    "UNREGISTER another's":               (OUT, OUT, OUT, NO, NO, NO, ALIVE),
    "UNREGISTER an unknown uuid":         (OUT, OUT, OUT, NO, GONE, GONE, GONE),
    "CHECK_ALIVE its own":                (OUT, OUT, OUT, NO, ALIVE, ALIVE, ALIVE),
    "CHECK_ALIVE another's":              (OUT, OUT, OUT, NO, NO, NO, ALIVE),
    "CHECK_ALIVE an unknown uuid":        (OUT, OUT, OUT, NO, GONE, GONE, GONE),
    "INFO":                               (OUT, OUT, OUT, *["INFO"] * 4),
    "SNAPSHOT":                           (OUT, OUT, OUT, *["SNAPSHOT"] * 4),
    "REPLAY":                             (OUT, OUT, OUT, *["EVENTS"] * 4),
    "REPLAY of another epoch":            (OUT, OUT, OUT, *["COMPACTED"] * 4),
    "an unknown request":                 (OUT, OUT, OUT, *["UNSUPPORTED"] * 4),
    "no JSON":                            (OUT, OUT, OUT, *["MALFORMED"] * 4),
    "to follow the stream":               (OUT, OUT, OUT, *["tick"] * 4),
}  # fmt: skip

CELLS: Final = [(what, who) for what in TABLE for who in WHO]
CHANGES: Final = (IN, ALIVE)
"""Outcomes after which the registry's state may be another."""


class Scene:
    """A registry, all who talk to it, and what is registered as a cell is tried.

    Attributes:
        epoch: The registry's.
        uuids: By party, of what it has registered for this cell.
    """

    def __init__(self, registry: KeyedRegistry, context: Context, stack: ExitStack) -> None:
        self.registry = registry
        self.pairs: dict[str, Pair | None] = {who: Pair.new() for who in ("unknown key", *NAMES)}
        self.pairs["no key"] = None
        registry.let_in(*(f"{role} {self.key(who)} {n}" for who, (role, n) in NAMES.items()))
        stack.enter_context(registry)
        self._context = context
        self._wires = {who: stack.enter_context(self.wire(zmq.REQ, who)) for who in NAMES}
        self._revoke()
        self.epoch = self.admin.ask("INFO", {})["payload"]["epoch"]
        self.uuids: dict[str, str] = {}

    @property
    def admin(self) -> Wire:
        return self._wires["admin"]

    def key(self, who: str) -> str:
        pair = self.pairs[who]
        assert pair is not None
        return pair.public

    def wire(self, kind: int, who: str) -> AbstractContextManager[Wire]:
        url = self.registry.events_url if kind == zmq.SUB else self.registry.url
        return wire(self._context, kind, url, self.pairs[who], self.registry.key)

    def prepare(self, who: str) -> None:
        """Have a device of the owner's, and one of this party's if it may have any."""
        owner = self._wires["owner"]
        self.uuids = {who: str(uuid4())}
        ack = owner.register("tcp://owner:1", "cam-theirs", instance="the owner's")
        self.uuids["owner"] = ack["uuid"]
        if who not in (*STRANGERS, "viewer"):
            ack = self._wires[who].register(f"tcp://{who}:1", own(who, 1), instance=who)
            self.uuids[who] = ack["uuid"]

    def clear(self, *uuids: str) -> None:
        for uuid in (*self.uuids.values(), *uuids):
            self.admin.ask("UNREGISTER", {"uuid": uuid})
        assert self.admin.ask("SNAPSHOT", {})["payload"]["devices"] == []

    def _revoke(self) -> None:
        """Let the key in that is going to be revoked, so that it was there once."""
        self._wires["revoked"].register("tcp://revoked:1", "revoked")
        keys("revoke", "--", self.key("revoked"))
        self._wires["revoked"].until(CUT)
        wait_until(lambda: not self.admin.ask("SNAPSHOT", {})["payload"]["devices"])


def own(who: str, number: int) -> str:
    """A name that a party may have."""
    return f"arm-{number}" if who == "another device" else f"cam-{number}"


def register(**payload: object) -> bytes:
    camera = {"device_type": "pump", "alive_timeout": 20}
    return request("REGISTER", camera | payload)


def request(event: str, payload: object) -> bytes:
    return json.dumps({"event": event, "payload": payload}).encode()


REQUESTS: Final[dict[str, Callable[[Scene, str], bytes]]] = {
    "REGISTER an own name": lambda _, who: register(addr=f"tcp://{who}:2", name=own(who, 2)),
    "REGISTER again, for the same": lambda _, who: register(
        device_type="camera", addr=f"tcp://{who}:1", name=own(who, 1), instance=who
    ),
    "REGISTER a name not allowed": lambda _, who: register(addr=f"tcp://{who}:2", name="valve"),
    "REGISTER no name, none allowed": lambda _, who: register(addr=f"tcp://{who}:2", name=""),
    "REGISTER over another's name": lambda _, who: register(
        addr=f"tcp://{who}:2", name="cam-theirs", overwrite=True
    ),
    "REGISTER at another's address": lambda _, who: register(
        addr="tcp://owner:1", name=own(who, 2)
    ),
    "REGISTER as another's instance": lambda _, who: register(
        device_type="camera", addr="tcp://owner:1", name="cam-theirs", instance="the owner's"
    ),
    "REGISTER without an address": lambda *_: register(name="cam-2"),
    "UNREGISTER its own": lambda scene, who: request("UNREGISTER", {"uuid": scene.uuids[who]}),
    "UNREGISTER another's": lambda scene, _: request("UNREGISTER", {"uuid": scene.uuids["owner"]}),
    "UNREGISTER an unknown uuid": lambda *_: request("UNREGISTER", {"uuid": str(uuid4())}),
    "CHECK_ALIVE its own": lambda scene, who: request("CHECK_ALIVE", {"uuid": scene.uuids[who]}),
    "CHECK_ALIVE another's": lambda scene, _: request(
        "CHECK_ALIVE", {"uuid": scene.uuids["owner"]}
    ),
    "CHECK_ALIVE an unknown uuid": lambda *_: request("CHECK_ALIVE", {"uuid": str(uuid4())}),
    "INFO": lambda *_: request("INFO", {}),
    "SNAPSHOT": lambda *_: request("SNAPSHOT", {}),
    "REPLAY": lambda scene, _: request("REPLAY", {"epoch": scene.epoch, "after": 0}),
    "REPLAY of another epoch": lambda *_: request("REPLAY", {"epoch": "other", "after": 0}),
    "an unknown request": lambda *_: request("SHUTDOWN", {}),
    "no JSON": lambda *_: b"\xff",
}


@pytest.fixture(scope="module")
def scene(home: Path, wires: Context) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(KeyedRegistry(home), wires, stack)


@pytest.mark.parametrize(("what", "who"), CELLS, ids=[f"{who}: {what}" for what, who in CELLS])
def test_what_each_may_do(scene: Scene, what: str, who: str) -> None:
    expected = TABLE[what][WHO.index(who)]
    scene.prepare(who)
    before = scene.admin.state()
    reply: dict[str, Any] = {}
    if what == "to follow the stream":
        found = follow(scene, who)
    else:
        found, reply = ask(scene, who, REQUESTS[what](scene, who))
    assert found == expected, reply
    if expected not in CHANGES:
        assert scene.admin.state() == before
    if "another's" in what:  # whatever became of it, it was no secret to the one who asked
        assert scene.uuids["owner"] not in json.dumps(reply)
    scene.clear(*[reply["payload"]["uuid"]] if found == IN else [])


def follow(scene: Scene, who: str) -> str:
    with scene.wire(zmq.SUB, who) as stream:
        if not stream.is_let_in:
            assert not stream.socket.poll(0)
            return OUT
        found: str = stream.message()["event"]
        return found


def ask(scene: Scene, who: str, message: bytes) -> tuple[str, dict[str, Any]]:
    """Ask over a connection that is new, and put the outcome into a word of the table."""
    with scene.wire(zmq.REQ, who) as client:
        client.socket.send(message)
        if not client.is_let_in:
            assert not client.socket.poll(0)
            return OUT, {}
        reply: dict[str, Any] = json.loads(client.socket.recv())
        payload = reply["payload"]
        if reply["event"] == "ACK":
            return (ALIVE if payload["success"] else GONE), reply
        return payload["code"] if reply["event"] == "ERROR" else reply["event"], reply


def test_the_table_leaves_no_cell_out() -> None:
    assert {role for role, _ in NAMES.values()} == set(Role)
    assert set(WHO) >= {"no key", "unknown key", *NAMES} - {"owner"}
    assert all(len(row) == len(WHO) for row in TABLE.values())
    assert {what.split()[0] for what in TABLE} >= set(RequestName)
    assert set(REQUESTS) == set(TABLE) - {"to follow the stream"}
    for who in STRANGERS:
        assert {row[WHO.index(who)] for row in TABLE.values()} == {OUT}
