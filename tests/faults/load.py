"""Devices that come, stay, leave, die and take over from each other, at random."""

import random
import threading
from collections.abc import Callable
from typing import Final, Self

import zmq

from devicewatch.events import Cursor
from tests.support.live import RawClient

from .truth import Historian

NAMES: Final = ("", "arm", "cam", "pump", "lamp")
TYPES: Final = ("camera", "arm")
ADDRS: Final = tuple(f"tcp://10.0.0.1:{port}" for port in range(1, 21))
SHORT, LONG = 0.2, 3600.0
"""Leases, in seconds: one that runs out if it is not renewed, and one that does not."""


class Load:
    """A crowd of devices, in one thread. What the registry makes of it is written down.

    Args:
        context: ZeroMQ context to open a socket in.
        url: The registry's address.
        historian: Writes it down.
        dice: Decides everything.
        short: Whether some leases are short.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        url: str,
        historian: Historian,
        dice: random.Random,
        *,
        short: bool = True,
    ) -> None:
        self.client = RawClient(context, url)
        self.historian = historian
        self._dice = dice
        self._leases = (SHORT, LONG) if short else (LONG,)
        self._uuids: dict[str, str] = {}  # of who was the last to register, by address

    def step(self) -> None:
        """Something happens to one device."""
        steps = (self.register, self.register, self.register, self._renew, self._unregister)
        self._dice.choice(steps)()
        self.historian.update(self.client)

    def burst(self, number: int) -> Cursor:
        """Many things happen at once; say where the registry is then."""
        for _ in range(number):
            self.step()
        return self.historian.update(self.client)

    def settle(self) -> Cursor:
        """Nothing will happen any more: say where the registry is."""
        for uuid in self._uuids.values():
            self.client.ask("CHECK_ALIVE", {"uuid": uuid, "alive_timeout": LONG})
        return self.historian.update(self.client)

    def register(self) -> None:
        """A device comes: maybe to an address, or with the name, of another."""
        dice = self._dice
        payload = {
            "device_type": dice.choice(TYPES),
            "addr": dice.choice(ADDRS),
            "name": dice.choice(NAMES),
            "overwrite": dice.random() < 0.3,
            "alive_timeout": dice.choice(self._leases),
            "metadata": {"notes": "x" * dice.choice([0, 200])},
        }
        reply = self.client.ask("REGISTER", payload)
        assert reply["event"] == "REGISTER_ACK", reply
        self._uuids[str(payload["addr"])] = reply["payload"]["uuid"]

    def _renew(self) -> None:
        lease = self._dice.choice(self._leases)
        self.client.ask("CHECK_ALIVE", {"uuid": self._any_uuid(), "alive_timeout": lease})

    def _unregister(self) -> None:
        self.client.ask("UNREGISTER", {"uuid": self._any_uuid()})

    def _any_uuid(self) -> str:
        return self._dice.choice([*self._uuids.values(), "nobody's"])

    def close(self) -> None:
        self.client.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Background:
    """Calls a function again and again, in a thread, for as long as a `with` block.

    Args:
        work: What to do.
        pause: Says how many seconds to wait before it is done again.
    """

    def __init__(self, work: Callable[[], object], pause: Callable[[], float]) -> None:
        self._work = work
        self._pause = pause
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="devicewatch-test-load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._pause()):
                self._work()
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            self._error = error
