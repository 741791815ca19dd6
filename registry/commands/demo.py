"""`devicewatch demo`: the main job, for real, in under twenty seconds.

A registry, three devices and a watcher, each a process of its own on free ports of this machine.
What is printed of events is what the watcher's process printed; at the end the view that those
events lead to is compared with what the registry itself says.
"""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from ...events.text import printable, printable_lines

SHORT_LEASE: Final = 2.0
"""Seconds: short, so that a device that dies is missed soon.

Only the arm has it, which dies; the leases of the others must not end, however long it takes to
start one of them again.
"""

STEP_TIMEOUT: Final = 6.0
"""Seconds that one step of the demo may take; normally it is a fraction."""

_COMMAND: Final = (sys.executable, "-m", "devicewatch.registry")

_Record = dict[str, Any]


@click.command()
def demo() -> None:
    """See a registry, three devices and a watcher at work."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: its processes end, too
    sys.exit(0 if run_demo() else 1)


def run_demo() -> bool:
    """Play it. True if the watcher's view was the registry's in the end."""
    with contextlib.ExitStack() as stack:
        try:
            return _Demo(stack).play()
        except StepFailed as failure:
            click.echo(printable_lines(f"the demo failed: {failure}"), err=True)
            return False


class StepFailed(Exception):
    """Something that a step waits for did not happen."""


class _Demo:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._console = Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._view: dict[str, _Record] = {}

    def play(self) -> bool:
        registry = self._run("serve", "--port", "0", "--events-port", "0", "--tick", "0.5")
        ready = registry.next_line()
        self._url = ready.split()[4]
        self._say(printable(ready))
        self._watcher = self._run("watch", "--json", "--registry", self._url)
        self._say("a watcher follows, in a process of its own; three devices start")
        camera = self._announce("camera", 7001, "cam")
        arm = self._announce("arm", 7002, "arm", "--lease", str(SHORT_LEASE))
        pump = self._announce("pump", 7003, "pump")
        self._expect(("added", "cam", None), ("added", "arm", None), ("added", "pump", None))
        for device in (camera, arm, pump):
            device.next_line()  # it knows that it is registered

        self._say("the pump leaves in good order")
        pump.process.terminate()
        self._expect(("removed", "pump", "unregistered"))

        self._say(f"the arm is killed; its lease of {SHORT_LEASE:g} s runs out")
        arm.process.kill()
        self._expect(("removed", "arm", "expired"))

        self._say("the camera is killed and starts again at once: it keeps its name")
        camera.process.kill()
        camera.process.wait()
        self._announce("camera", 7001, "cam")
        self._expect(("removed", "cam", "replaced"), ("added", "cam", None))
        return self._compare()

    def _compare(self) -> bool:
        listed = subprocess.run(
            [*_COMMAND, "list", "--json", "--registry", self._url],
            capture_output=True, text=True, timeout=STEP_TIMEOUT, check=False,
        )  # fmt: skip
        if listed.returncode != 0:
            raise StepFailed(listed.stderr.strip())
        devices = {device["name"]: device for device in json.loads(listed.stdout)}
        equal = devices == self._view
        self._say(
            f"the watcher's view {'equals' if equal else 'DIFFERS FROM'} the registry's: "
            f"{_names(self._view)}" + ("" if equal else f" and {_names(devices)}")
        )
        return equal

    def _announce(self, device_type: str, port: int, name: str, *options: str) -> "RunningCommand":
        return self._run(
            "announce", device_type, f"tcp://127.0.0.1:{port}", "--name", name, *options,
            "--registry", self._url,
        )  # fmt: skip

    def _run(self, *arguments: str) -> "RunningCommand":
        return self._stack.enter_context(running(*arguments))

    def _expect(self, *expected: tuple[str, str, str | None]) -> None:
        """Show the watcher's events until all of these have come, in any order."""
        left = list(expected)
        while left:
            line = self._watcher.next_line()
            event = json.loads(line)
            happened = (event["event"], event["device"]["name"], event["reason"])
            self._show(event)
            if happened not in left:
                raise StepFailed(f"nobody expected {happened}")
            left.remove(happened)

    def _show(self, event: _Record) -> None:
        device, added = event["device"], event["event"] == "added"
        if added:
            self._view[device["name"]] = device
        else:
            self._view.pop(device["name"], None)
        self._console.print(
            Text.assemble(
                (f"{self._elapsed:5.1f} s ", "dim"),
                ("  + added    " if added else "  - removed  ", "green" if added else "red"),
                (f"{printable(device['name']):<6}", "cyan"),
                f"{printable(device['addr']):<24}",
                ("" if added else printable(event["reason"]), "dim"),
            )
        )

    def _say(self, text: str) -> None:
        self._console.print(Text.assemble((f"{self._elapsed:5.1f} s ", "dim"), text))

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _names(view: dict[str, _Record]) -> str:
    return printable(", ".join(sorted(view)) or "no devices")


class RunningCommand:
    """A `devicewatch` command in a process of its own, and the lines that it prints.

    Attributes:
        process: The process.
        errors: The lines that it has printed on stderr so far.
    """

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._name = arguments[0]
        self.process = subprocess.Popen(
            [*_COMMAND, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self._readers = [self._read(self._from_stdout), self._read(self._from_stderr)]

    def next_line(self, timeout: float = STEP_TIMEOUT) -> str:
        """The next line of its output, within so many seconds.

        Raises:
            StepFailed: There was none.
        """
        with contextlib.suppress(queue.Empty):
            line = self._lines.get(timeout=timeout)
            if line is not None:
                return line
        raise StepFailed(
            f"`devicewatch {self._name}` printed nothing more within {timeout:g} s. "
            + "".join(self.errors)
        )

    def end(self) -> None:
        """End it, in good order if possible."""
        self.process.terminate()
        try:
            self.process.wait(STEP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _from_stdout(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _from_stderr(self) -> None:
        self.errors.extend(self.process.stderr or ())

    def _read(self, target: Callable[[], None]) -> threading.Thread:
        reader = threading.Thread(target=target, daemon=True)
        reader.start()
        return reader


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[RunningCommand]:
    """Run a `devicewatch` command for as long as a `with` block."""
    process = RunningCommand(arguments)
    try:
        yield process
    finally:
        process.end()
