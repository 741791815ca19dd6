"""A registry is killed while it keeps many changes at a time; each of them is there, or not, whole.

One connection has a window of requests under way all the time: who registers, who leaves, who gets
another length of a lease. The registry serves them in the order of the connection, and keeps those
that come together in one transaction. So after a kill what is kept is what the first so many of
them have changed: at least as many as were acknowledged, or published.
"""

import itertools
import json
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import zmq

from devicewatch.events import Cursor
from tests.promises.validators import promise
from tests.support.live import RawClient, raw_client

from .processes import RegistryProcess
from .truth import Historian, fetch_devices

WINDOW: Final = 100
LONG: Final = 3600.0
HISTORY: Final = 1_000_000
TOLD_ENOUGH: Final = 300
"""Replies that come before a kill, so that there was something to keep."""

_PATIENCE: Final = 10_000
_SILENCE: Final = 50
"""Milliseconds after which nothing more comes from the dead."""


class Crowd:
    """Those behind one connection, and what they know.

    Attributes:
        acknowledged: How many requests were answered, in all lives.
        lost: How many were not, of which
        kept: so many had been kept.
    """

    def __init__(self, dice: random.Random) -> None:
        self.acknowledged = self.lost = self.kept = 0
        self._dice = dice
        self._numbers = itertools.count(1)
        self._present: dict[str, dict[str, Any]] = {}  # what each address was answered
        self._under_way: deque[tuple[str, dict[str, Any]]] = deque()

    def live(self, registry: RegistryProcess, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Ask until the registry is killed in the middle of it, and read what it has answered."""
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(registry.url)
            enough = TOLD_ENOUGH + self._dice.randrange(WINDOW)
            for told in itertools.count():
                while len(self._under_way) < WINDOW:
                    self._ask(socket)
                if told == enough:
                    registry.kill()
                if not socket.poll(_PATIENCE if told < enough else _SILENCE):
                    break
                self._take(json.loads(socket.recv_multipart()[1]))
        promise("P10", self.acknowledged > 0, "it does not answer")

    def _ask(self, socket: zmq.Socket[bytes]) -> None:
        asked = self._dice.random()
        free = [addr for addr in self._present if addr not in self._busy()] if asked < 0.4 else []
        if free:
            addr = self._dice.choice(free)
            payload: dict[str, Any] = {"uuid": self._present[addr]["uuid"], "addr": addr}
            event = "UNREGISTER"
            if asked < 0.2:
                event, payload["alive_timeout"] = "CHECK_ALIVE", LONG + self._dice.randrange(100)
        else:
            event, addr = "REGISTER", f"tcp://crowd:{next(self._numbers)}"
            payload = {"device_type": "camera", "addr": addr, "name": "", "alive_timeout": LONG}
        self._under_way.append((event, payload))
        socket.send_multipart([b"", json.dumps({"event": event, "payload": payload}).encode()])

    def _busy(self) -> set[str]:
        return {payload["addr"] for _, payload in self._under_way}

    def _take(self, reply: dict[str, Any]) -> None:
        event, payload = self._under_way.popleft()
        answer = reply["payload"]
        self.acknowledged += 1
        if event == "REGISTER":
            promise("P10", reply["event"] == "REGISTER_ACK", f"{payload} was answered {reply}")
            self._present[payload["addr"]] = answer
        else:
            promise("P10", answer.get("success") is True, f"{payload} was answered {reply}")
            if event == "UNREGISTER":
                del self._present[payload["addr"]]

    def look_after(self, client: RawClient, at: Cursor) -> None:
        """See that all is there that was acknowledged, and of the rest what came first."""
        there = {device.addr: device for device in fetch_devices(client).values()}
        promise("P10", at.seq >= self._highest(), f"back at {at}")
        fates = list(self._fates(there))
        promise("P10", fates == sorted(fates, reverse=True), f"kept out of order: {fates}")
        self.lost += len(self._under_way)
        self.kept += sum(fates)
        for event, payload in self._under_way:
            addr = payload["addr"]
            if event == "UNREGISTER" and addr not in there:
                del self._present[addr]
            elif event == "REGISTER" and addr in there:
                there.pop(addr)  # nobody knows its uuid
        self._under_way.clear()
        for addr, answer in self._present.items():
            device = there.pop(addr, None)
            same = device is not None and (device.name, device.revision) == (
                answer["name"],
                answer["seq"],
            )
            promise("P10", same, f"{device} was acknowledged as {answer}")
            asked = {"uuid": answer["uuid"], "alive_timeout": LONG}
            known = client.ask("CHECK_ALIVE", asked)["payload"]["success"]
            promise("P10", known, f"the uuid of {addr} is not known any more")

    def _highest(self) -> int:
        return max((answer["seq"] for answer in self._present.values()), default=0)

    def _fates(self, there: Mapping[str, object]) -> Iterator[bool]:
        """Whether what each that was not answered wanted has happened, in order."""
        for event, payload in self._under_way:
            if event != "CHECK_ALIVE":  # the length of a lease is nobody's to see
                yield (payload["addr"] in there) == (event == "REGISTER")


def crash_bundles(seed: int, *, kills: int, folder: Path, durability: str = "process") -> Crowd:
    """Kill a registry that keeps many changes at a time. Raises `BrokenPromise`.

    Args:
        seed: Decides what happens. What a kill strikes, the machine decides.
        kills: How often.
        folder: For its journal.
        durability: The journal's.
    """
    crowd, historian = Crowd(random.Random(seed)), Historian(HISTORY)
    with ExitStack() as stack:
        registry = RegistryProcess(
            "--journal", str(folder / f"bundles-{durability}"),
            "--durability", durability,
            "--history", str(HISTORY),
        )  # fmt: skip
        stack.enter_context(registry)
        context = stack.enter_context(zmq.Context())
        watcher = stack.enter_context(context.socket(zmq.SUB))
        watcher.rcvhwm = 0
        watcher.connect(registry.events_url)
        for topic in (b"added", b"removed"):
            watcher.subscribe(topic)
        for _ in range(kills):
            crowd.live(registry, context)
            registry.start()
            heard = _heard(watcher)
            with raw_client(context, registry.url) as client:
                at = historian.update(client)
                crowd.look_after(client, at)
            events = {event.seq: event for event in historian.events}
            for body in heard:
                event = events.get(body["seq"])
                same = event is not None and event.device.name == body["device"]["name"]
                promise("P10", same, f"published, and not kept: {body}")
    return crowd


def _heard(watcher: zmq.Socket[bytes]) -> list[dict[str, Any]]:
    heard = []
    while watcher.poll(0):
        heard.append(json.loads(watcher.recv_multipart()[1]))
    return heard


def main(seed: int, kills: int, folder: Path) -> str:
    """So many kills at each durability; what they came to."""
    since = time.monotonic()
    crowds = [
        crash_bundles(seed, kills=kills, folder=folder, durability=durability)
        for durability in ("process", "power")
    ]
    return (
        f"{2 * kills} kills in {time.monotonic() - since:.0f} s, with many changes at a time: "
        f"{sum(crowd.acknowledged for crowd in crowds)} acknowledged, "
        f"{sum(crowd.lost for crowd in crowds)} unanswered, "
        f"{sum(crowd.kept for crowd in crowds)} of them kept"
    )
