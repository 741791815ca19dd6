"""Real processes that are stopped, killed, and started again."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, Self

from devicewatch.events import Added, Device, Event
from devicewatch.registry.commands.demo import RunningCommand, running
from devicewatch.subscribers.inquiry import LONGEST_PAUSE
from tests.promises.validators import promise

from .truth import event_of


class RegistryProcess:
    """`devicewatch serve`, in several lives at the same two ports.

    Args:
        options: More for the command. Without `--journal` among them, it keeps nothing.
        ports: The two; "0" is a free one, which is then kept.

    Attributes:
        url: Its address.
        events_url: That of its event stream.
    """

    def __init__(self, *options: str, ports: tuple[str, str] = ("0", "0")) -> None:
        self.url = self.events_url = ""
        self._options = options if "--journal" in options else ("--no-journal", *options)
        self._ports = ports
        self._stack = ExitStack()
        self.command: RunningCommand

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Begin to start."""
        port, events_port = self._ports
        self.command = self._stack.enter_context(
            running("serve", "--port", port, "--events-port", events_port, *self._options)
        )

    def await_ready(self) -> None:
        words = self.command.next_line().split()  # …ready at URL (events URL)
        self.url, self.events_url = words[4], words[6].rstrip(")")
        self._ports = (self.url.rpartition(":")[2], self.events_url.rpartition(":")[2])

    def kill(self) -> None:
        """`kill -9`."""
        self.command.process.kill()
        self.command.process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()


@contextmanager
def stopped(command: RunningCommand) -> Iterator[None]:
    """Stop a process for as long as a `with` block: SIGSTOP, and SIGCONT."""
    command.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        command.process.send_signal(signal.SIGCONT)


PATIENCE: Final = 3 * LONGEST_PAUSE
"""Seconds that a line may take: a watcher that is not let in pauses between two attempts."""


class WatchProcess:
    """`devicewatch watch --json`, and the events that it prints.

    Attributes:
        command: The process.
        events: What has been read of it.
        devices: What that adds up to, by name.
    """

    def __init__(self, command: RunningCommand) -> None:
        self.command = command
        self.events: list[Event] = []
        self.devices: dict[str, Device] = {}

    def read_until(self, seq: int) -> None:
        """Read what it prints, up to the event of this number."""
        while not self.events or self.events[-1].seq < seq:
            self._read()

    def read_until_there_are(self, devices: Mapping[str, Device]) -> None:
        """Read what it prints, until it adds up to these devices."""
        while self.devices != devices:
            self._read()

    def read_until_there_is(self, name: str) -> None:
        """Read what it prints, until a device has that name."""
        while name not in self.devices:
            self._read()

    def _read(self) -> None:
        event = event_of(json.loads(self.command.next_line(PATIENCE)))
        device = event.device
        if isinstance(event, Added):
            promise("P4", device.name not in self.devices, f"there already: {event}")
            self.devices[device.name] = device
        else:
            promise("P7", self.devices.pop(device.name, None) == device, f"not there: {event}")
        self.events.append(event)

    @property
    def log(self) -> str:
        """What it has logged, as far as that has been read."""
        return "".join(self.command.errors)


@contextmanager
def watching(url: str) -> Iterator[WatchProcess]:
    """Follow a registry, in a process of its own."""
    with running("watch", "--json", "--registry", url) as command:
        yield WatchProcess(command)
