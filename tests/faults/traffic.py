"""Devices that come and go in bursts, and do not mind that the registry is killed."""

import json
import random
import threading
from typing import Any, Final, Self

import zmq

NAMES: Final = ("", "cam", "arm", 'a "quoted" one\\', "\u5149\u5b66 \u00e9", "pump = 1")
ADDRS: Final = tuple(f"tcp://10.0.0.1:{port}" for port in range(1, 31))
LONG: Final = 3600.0
WINDOW: Final = 100
"""Requests that are on their way at the same time."""

PAUSES: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.2)
"""Seconds from one window to the next."""

SILENCE: Final = 200
"""Milliseconds after which what is on its way is lost."""


class Traffic:
    """A thread that registers and unregisters devices, for as long as a `with` block.

    Args:
        context: ZeroMQ context to open sockets in.
        url: The registry's address.
        dice: Decide what happens.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], url: str, dice: random.Random
    ) -> None:
        self._context, self._url, self._dice = context, url, dice
        self._uuids: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="devicewatch-test-traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            with self._context.socket(zmq.DEALER) as socket:
                socket.linger = 0
                socket.connect(self._url)
                while not self._over.is_set() and self._exchange(socket):
                    self._over.wait(self._dice.choice(PAUSES))

    def _exchange(self, socket: zmq.Socket[bytes]) -> bool:
        """Send a window of requests and read the replies; False if they do not come."""
        for _ in range(WINDOW):
            socket.send_multipart([b"", json.dumps(self._request()).encode()])
        for _ in range(WINDOW):
            if not socket.poll(SILENCE):
                return False
            payload = json.loads(socket.recv_multipart()[1])["payload"]
            self._uuids += [payload["uuid"]] if "uuid" in payload else []
        return True

    def _request(self) -> dict[str, Any]:
        dice = self._dice
        if self._uuids and dice.random() < 0.3:
            uuid = self._uuids.pop(dice.randrange(len(self._uuids)))
            return {"event": "UNREGISTER", "payload": {"uuid": uuid}}
        payload = {
            "device_type": dice.choice(("camera", "arm")),
            "addr": dice.choice(ADDRS),
            "name": dice.choice(NAMES),
            "overwrite": dice.random() < 0.3,
            "alive_timeout": LONG,
            "metadata": {"notes": "x" * dice.choice((0, 200, 1000))},
        }
        return {"event": "REGISTER", "payload": payload}
