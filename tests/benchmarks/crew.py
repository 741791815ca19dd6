"""Processes that look on while something is measured: who asks, and who listens.

Each is a function that runs in a process of its own (see `crowd.Worker`) and does what it is told
over a pipe. Moments are those of the monotonic clock, which all processes of a machine share.
"""

import gc
import signal
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final, Self

import attrs
import msgspec
import zmq

from devicewatch.events import Added, Live, Reason, Removed
from devicewatch.events.sockets import Context
from devicewatch.subscribers import Watcher, watch

from .crowd import Worker
from .memory import memory
from .servers import register, renew

SILENCE: Final = 2_000
"""Milliseconds without an event after which no more of them are waited for."""

_ASKER: Final = 10_000_000
"""The number of the device that asks: nobody else's."""

_decode = msgspec.json.Decoder().decode


# --- one who asks ---------------------------------------------------------------------------------


@attrs.frozen
class Waits:
    """How long somebody waited for answers who asks one thing after the other, without a pause.

    Attributes:
        begun: When each request was sent.
        lasted: Seconds until its answer was there.
        failed: How many answers were not what they should be.
    """

    begun: Sequence[float]
    lasted: Sequence[float]
    failed: int

    def worst(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest wait of those that had not ended at `since`, and had begun by `until`."""
        waits = zip(self.begun, self.lasted, strict=True)
        return max(lasted for begun, lasted in waits if begun + lasted >= since and begun <= until)


class Asker:
    """Asks CHECK_ALIVE for a device of its own, in a process of its own."""

    def __init__(self, url: str) -> None:
        self._worker = Worker(_ask, url)
        self._is_ready = False

    @contextmanager
    def asking(self) -> Iterator[list[Waits]]:
        """Let it ask for as long as a `with` block; then the list has what it found."""
        if not self._is_ready:
            self._worker.answer()  # it is registered
            self._is_ready = True
        found: list[Waits] = []
        self._worker.ask("begin")
        yield found
        found.append(self._worker.ask("end"))  # not after an error: it may wait for ever

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._worker.close()


def _ask(pipe: Connection, url: str) -> None:
    _be_quiet()
    context: Context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.linger = 0
    socket.connect(url)
    socket.send(register(_ASKER))
    request = renew(_decode(socket.recv())["payload"]["uuid"])
    pipe.send(None)
    while _is_told(pipe):
        begun, lasted, failed = array("d"), array("d"), 0
        while not pipe.poll():
            since = time.monotonic()
            socket.send(request)
            answer = socket.recv()
            lasted.append(time.monotonic() - since)
            begun.append(since)
            failed += b'"success":true' not in answer
        if not _is_told(pipe, Waits(begun, lasted, failed)):
            return


def _be_quiet() -> None:
    """Leave Ctrl-C to the one who started it, and collect no garbage: that takes its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _is_told(pipe: Connection, answer: object = None) -> bool:
    """Take the next thing that it is told, and answer it; False if there will be no more."""
    try:
        pipe.recv()
        pipe.send(answer)
    except (EOFError, BrokenPipeError):
        return False
    return True


# --- those who listen -----------------------------------------------------------------------------


@attrs.frozen
class Heard:
    """What a plain SUB socket has heard.

    Attributes:
        first: When the first `removed` came.
        last: When the last one came.
        number: How many came.
    """

    first: float
    last: float
    number: int


def listen(pipe: Connection, events_url: str, expected: int) -> None:
    """Take so many `removed` from a plain SUB socket, as fast as they come. Gives `Heard`.

    The first answer says that the subscription has arrived.
    """
    _be_quiet()
    context: Context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.set(zmq.RCVHWM, 0)
    for topic in (b"removed", b"tick"):
        socket.subscribe(topic)
    socket.connect(events_url)
    socket.recv_multipart()  # the tick that greets it
    socket.unsubscribe(b"tick")
    pipe.send(None)
    first = last = 0.0
    number = 0
    receive = socket.recv
    while number < expected:
        if number and not socket.poll(SILENCE):
            break
        try:
            while True:  # the rest of what has come, without asking whether there is any
                topic = receive(zmq.NOBLOCK if number else 0)
                _decode(receive())
                if topic == b"removed":
                    last = time.monotonic()
                    first = first or last
                    number += 1
                if number == expected:
                    break
        except zmq.Again:
            pass
    pipe.send(Heard(first, last, number))


@attrs.frozen
class Joined:
    """How a watcher went live.

    Attributes:
        began: When it began.
        ended: When it was live, and had told all devices.
        memory: Bytes that its process took more then.
        processor: Seconds of processor time that it took.
    """

    began: float
    ended: float
    memory: int
    processor: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


class Joining:
    """Takes down what it costs this process to join."""

    def __init__(self) -> None:
        self._memory, self._processor = memory("self"), time.process_time()
        self._began = time.monotonic()

    def done(self) -> Joined:
        """It has joined."""
        ended, processor = time.monotonic(), time.process_time() - self._processor
        return Joined(self._began, ended, memory("self") - self._memory, processor)


def join(pipe: Connection, url: str, devices: int) -> None:
    """When told to, begin to watch, and give `Joined` once so many devices have been told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(None)
    pipe.recv()
    joining = Joining()
    with Watcher(url) as watcher:
        told, live = 0, False
        for record in watcher.records():
            told += isinstance(record, Added)
            live = live or isinstance(record, Live)
            if live and told >= devices:
                pipe.send(joining.done())
                break


def follow(pipe: Connection, url: str, expected: int) -> None:
    """Take `removed … expired` out of a `watch()`. Gives when each came, by the device's name.

    The first answer says that it is live.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    when: dict[str, float] = {}
    is_live = False
    for record in watch(url, existing=False, status=True):
        now = time.monotonic()
        if isinstance(record, Live) and not is_live:
            is_live = True
            pipe.send(None)
        elif isinstance(record, Removed) and record.reason is Reason.EXPIRED:
            when[record.device.name] = now
            if len(when) == expected:
                break
    pipe.send(when)


def hear(pipe: Connection, events_url: str, expected: int) -> None:
    """The same as `follow` at a plain SUB socket, that decodes the JSON."""
    _be_quiet()
    context: Context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    for topic in (b"removed", b"tick"):
        socket.subscribe(topic)
    socket.connect(events_url)
    socket.recv_multipart()
    pipe.send(None)
    when: dict[str, float] = {}
    while len(when) < expected:
        topic, body = socket.recv_multipart()
        if topic == b"removed":
            name = _decode(body)["device"]["name"]
            when[name] = time.monotonic()
    pipe.send(when)
