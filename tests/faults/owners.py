"""Owners of devices, who remember exactly what a registry that is killed has told them.

Each is a thread with one REQ socket that asks without a pause, so that a kill nearly always hits a
request on its way. What was asked, and not answered, is *pending*: it may have been kept or not.
After the restart it is asked again, or the owner looks what has become of it, before all else.

Nobody else has anything to do with an owner's devices, so of each it knows what has to be.
"""

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import zmq

from tests.promises.validators import promise

from .members import LONG, SHORT, Fate, Killed, Member, Pending, Rounds

PRESENT_AT_MOST: Final = 8
"""Devices of one owner."""

ASKED_OF_THE_GONE: Final = 20
"""Of those who left, so many are asked for after each restart; in the end, all."""

PATIENCE: Final = 30.0
"""Seconds without an answer, though the registry is said to be there, after which to give up."""


class Owner:
    """Has devices that come, stay, and leave, as long as nobody says that it is over.

    Args:
        context: ZeroMQ context to open sockets in.
        url: The registry's address.
        number: Tells it from the others.
        rounds: See `Rounds`.
        dice: Decides everything.

    Attributes:
        members: All that it has ever registered.
        acknowledged: How many requests were answered.
        hit: What was pending at each kill.
        highest: The highest seq that it was told.
        outlasted: How often a lease shorter than the time away was found to have outlasted it.
        closed: The kill after which it has closed its socket, and
        verified: the one after which it has found all as it should be.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        url: str,
        number: int,
        rounds: Rounds,
        dice: random.Random,
    ) -> None:
        self.members: list[Member] = []
        self._around: list[Member] = []
        self.acknowledged = self.highest = self.outlasted = 0
        self.hit: list[Pending] = []
        self.closed = self.verified = 0
        self.error: BaseException | None = None
        self._context, self._url, self._number = context, url, number
        self._rounds, self._dice = rounds, dice
        self._pending: Pending | None = None
        self._serials = itertools.count(1)
        self._socket = self._open()
        self._thread = threading.Thread(target=self._run, name="devicewatch-test-owner")
        self._thread.start()

    # --- for the one who kills ------------------------------------------------------------------

    def present(self) -> list[Member]:
        """Those who are there."""
        return [member for member in self.around() if member.fate is Fate.PRESENT]

    def silent(self) -> list[Member]:
        """Those who fell silent."""
        return [member for member in self.around() if member.fate is Fate.SILENT]

    def around(self) -> list[Member]:
        """Both."""
        there = (Fate.PRESENT, Fate.SILENT)
        self._around = [member for member in self._around if member.fate in there]
        return self._around

    def gone(self) -> list[Member]:
        """Those who left."""
        gone = (Fate.UNREGISTERED, Fate.REPLACED, Fate.EXPIRED)
        return [member for member in self.members if member.fate in gone]

    def join(self) -> None:
        """Wait until it has stopped, with an `error` or without. `over` has to be set."""
        self._thread.join()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._live()
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            self.error = error
        finally:
            self._socket.close(linger=0)
            self._rounds.set()

    def _live(self) -> None:
        rounds = self._rounds
        while True:
            try:
                while rounds.kills == self.closed and not rounds.over:
                    if self.verified < self.closed:
                        self._verify()
                        self.verified = self.closed
                        rounds.set()
                        self._wait_for_release()
                    else:
                        self._step()
            except Killed:
                pass
            if rounds.over:
                return
            self._mourn()

    def _mourn(self) -> None:
        """The registry is dead: begin anew with another socket, and ask what was not answered.

        The old one is closed before the registry is started again, so that nothing comes late.
        """
        self._socket.close(linger=0)
        if self._pending is not None and not self._pending.repeated:
            self.hit.append(self._pending)
            self._pending.repeated = True
        self._socket = self._open()
        self.closed = self._rounds.kills
        self._rounds.set()

    def _wait_for_release(self) -> None:
        rounds = self._rounds
        with rounds.changed:
            rounds.changed.wait_for(
                lambda: rounds.released >= self.closed or rounds.kills > self.closed or rounds.over
            )

    def _open(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.REQ)
        socket.linger = 0
        socket.set(zmq.RECONNECT_IVL, 20)  # it knocks while the registry starts
        socket.connect(self._url)
        return socket

    def _ask(self, event: str, payload: object) -> dict[str, Any]:
        """Ask, and wait for the answer as long as the registry lives."""
        self._socket.send(json.dumps({"event": event, "payload": payload}).encode())
        give_up = time.monotonic() + PATIENCE
        while not self._socket.poll(10):
            if self._rounds.kills > self.closed and not self._socket.poll(0):
                raise Killed
            assert time.monotonic() < give_up, f"{event} was not answered"
        reply: dict[str, Any] = json.loads(self._socket.recv())
        assert reply["event"] not in ("ERROR", "UNSUPPORTED"), reply
        self.acknowledged += 1
        self.highest = max(self.highest, reply["payload"].get("seq", 0))
        return reply

    # --- load -----------------------------------------------------------------------------------

    def _step(self) -> None:
        for member in self.present():
            if member.lease == SHORT and time.time() - member.granted > SHORT / 4:
                self._renew(member)
        present = self.present()
        dice, some = self._dice, self._dice.choice(present) if present else None
        if some is None:
            self._register(present)
        elif len(present) > PRESENT_AT_MOST:
            dice.choice((self._unregister, self._unregister, self._fall_silent))(some)
        else:
            wishes: list[Callable[[], None]] = [
                lambda: self._register(present),
                lambda: self._unregister(some),
                lambda: self._renew(some),
                lambda: self._renew(some, dice.choice((SHORT, LONG))),
            ]
            dice.choices(wishes, (4, 1, 3, 1))[0]()

    def _register(self, present: list[Member]) -> None:
        dice, serial = self._dice, next(self._serials)
        instance = f"{self._number}-{serial}"
        own = f"{dice.choice(('kiln', 'lamp'))}{self._number}"  # nobody else's
        name = dice.choice(("", "arm", "cam", own, own))
        addr = f"tcp://10.0.{self._number}.{serial // 60_000}:{serial % 60_000 + 1}"
        if present and dice.random() < 0.3:
            addr = dice.choice(present).request["addr"]
        request = {
            "device_type": dice.choice(("camera", "arm")),
            "addr": addr,
            "name": name,
            "overwrite": name == own and dice.random() < 0.5,
            "alive_timeout": dice.choice((SHORT, LONG, LONG, LONG)),
            "instance": instance,
            "metadata": {"instance": instance, "notes": "x" * dice.choice((0, 0, 200, 1000))},
        }
        self._do(Pending("REGISTER", request, Member(request)))

    def _renew(self, member: Member, lease: float | None = None) -> None:
        payload = {"uuid": member.uuid, "alive_timeout": lease or member.lease}
        self._do(Pending("CHECK_ALIVE", payload, member))

    def _unregister(self, member: Member) -> None:
        self._do(Pending("UNREGISTER", {"uuid": member.uuid}, member))

    def _fall_silent(self, member: Member) -> None:
        self._renew(member, SHORT)
        if member.fate is Fate.PRESENT:
            member.fate = Fate.SILENT

    def _do(self, pending: Pending) -> None:
        self._pending = pending
        sent = time.time()
        reply = self._ask(pending.event, pending.payload)
        self._take(pending, reply["payload"], sent)
        self._pending = None

    # --- what is answered -----------------------------------------------------------------------

    def _take(self, pending: Pending, answer: dict[str, Any], sent: float) -> None:
        """Remember what the answer to a request says."""
        member = pending.member
        if pending.event == "REGISTER":
            self._is_registered(member, answer, sent)
            member.revision = None if pending.repeated else answer["seq"]
        elif pending.event == "UNREGISTER":
            if not (answer["success"] or pending.repeated):
                self._is_gone(member)
            else:  # by this request, or before the kill
                member.fate = Fate.UNREGISTERED
        elif answer["success"]:
            member.lease, member.granted = pending.payload["alive_timeout"], sent
        else:
            member.lease = min(member.lease, pending.payload["alive_timeout"])
            self._is_gone(member)

    def _is_registered(self, member: Member, answer: dict[str, Any], sent: float) -> None:
        request = member.request
        member.uuid, member.name = answer["uuid"], answer["name"]
        member.lease, member.granted = request["alive_timeout"], sent
        promise("P10", answer["alive_timeout"] == member.lease, f"another lease: {answer}")
        for other in self.around():
            same_addr = other.request["addr"] == request["addr"]
            if same_addr or (request["overwrite"] and other.name == request["name"]):
                other.fate = Fate.REPLACED
        self.members.append(member)
        self._around.append(member)

    def _is_gone(self, member: Member) -> None:
        """The registry does not know it any more: it was late, or a promise is broken."""
        due = self._rounds.is_due(member, time.time())
        promise("P10", due, f"what was acknowledged is not there: {member}")
        member.fate = Fate.EXPIRED

    # --- after a restart ------------------------------------------------------------------------

    def _verify(self) -> None:
        """Settle what is pending, then see that everybody is there, and nobody is back."""
        pending, answer, sent = self._pending, None, time.time()
        if pending is not None and pending.event == "UNREGISTER" and self._dice.random() < 0.5:
            self._look_at(pending.member)
            pending = self._pending = None
        if pending is not None:
            answer = self._ask(pending.event, pending.payload)["payload"]
        self._ask_when_it_began()
        if pending is not None and answer is not None:
            self._take(pending, answer, sent)
            self._pending = None
        died, life = self._rounds.lives[-2:]
        for member in self.present():
            away = life.began - max(member.granted, died.ended)
            self._renew(member)
            if away > member.lease and member.fate is Fate.PRESENT:
                self.outlasted += 1
        for member in self.gone()[-ASKED_OF_THE_GONE:]:
            back = self._ask("CHECK_ALIVE", {"uuid": member.uuid})["payload"]["success"]
            promise("P10", not back, f"it is back: {member}")

    def _look_at(self, member: Member) -> None:
        """It was to be unregistered, and either was or was not: then it stays."""
        payload = {"uuid": member.uuid, "alive_timeout": member.lease}
        sent = time.time()
        if self._ask("CHECK_ALIVE", payload)["payload"]["success"]:
            member.granted = sent
        else:
            member.fate = Fate.UNREGISTERED

    def _ask_when_it_began(self) -> None:
        self._ask("INFO", {})
        sent = time.time()  # only now is it certain that it will be answered at once
        self._rounds.began(sent - self._ask("INFO", {})["payload"]["uptime"])
