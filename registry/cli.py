"""The `devicewatch` command."""

import contextlib
import logging
import math
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, NoReturn

import click

from ..events.errors import DevicewatchError
from ..events.protocol import (
    DEFAULT_EVENTS_PORT,
    DEFAULT_HISTORY,
    DEFAULT_LEASE,
    DEFAULT_PORT,
    DEFAULT_REGISTRY,
    DEFAULT_TICK_INTERVAL,
    MAX_LEASE,
    MAX_TICK_INTERVAL,
    MIN_LEASE,
    MIN_TICK_INTERVAL,
    REGISTRY_VARIABLE,
)
from ..subscribers.watch import Watcher
from . import display
from .announce import announce
from .demo import run_demo
from .requester import query_devices, query_info
from .server import DeviceRegistry

CONNECT_TIMEOUT: Final = 5.0
"""Seconds after which a command takes the registry for unreachable."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Seconds(click.FloatRange):
    """A range of seconds; neither "nan" nor "inf" is in any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return seconds


registry_option = click.option(
    "--registry",
    "url",
    envvar=REGISTRY_VARIABLE,
    default=DEFAULT_REGISTRY,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The registry's address.",
)


class _Commands(click.Group):
    """Shows our own errors as one line; everything else is a bug and may have its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DevicewatchError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="devicewatch")
def main() -> None:
    """Know which devices are present.

    `devicewatch serve` runs the registry, `devicewatch watch` follows it; `devicewatch demo`
    shows both at work.
    """
    display.configure_logs()


@main.command()
@click.option(
    "--bind",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDR",
    help='Interface to listen at; "*" for all: then anyone who can connect can register.',
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    metavar="PORT",
    help="TCP port for requests; 0 picks a free one.",
)
@click.option(
    "--events-port",
    default=DEFAULT_EVENTS_PORT,
    show_default=True,
    metavar="PORT",
    help="TCP port for the event stream; 0 picks a free one.",
)
@click.option(
    "--history",
    default=DEFAULT_HISTORY,
    show_default=True,
    metavar="N",
    type=click.IntRange(0, 10_000_000),
    help="Past events to keep for replay.",
)
@click.option(
    "--tick",
    default=DEFAULT_TICK_INTERVAL,
    show_default=True,
    metavar="SECONDS",
    type=_Seconds(MIN_TICK_INTERVAL, MAX_TICK_INTERVAL),
    help="Time between two signs of life.",
)
def serve(bind: str, port: str, events_port: str, history: int, tick: float) -> None:
    """Run the registry until Ctrl-C or SIGTERM."""
    display.configure_logs(logging.INFO)
    registry = DeviceRegistry(
        addr=bind, port=port, events_port=events_port, history=history, tick_interval=tick
    )
    with _interruptible():
        try:
            registry.start()
            click.echo(
                f"devicewatch registry ready at {registry.url} (events {registry.events_url})"
            )
            sys.stdout.flush()
            registry.join()
            raise click.ClickException("the registry stopped by itself; its log says why")
        except KeyboardInterrupt:
            pass
        finally:
            _ignore_signals()
            registry.stop()


@main.command("list")
@registry_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(url: str, as_json: bool) -> None:
    """Show the devices present."""
    devices = query_devices(None, url, CONNECT_TIMEOUT)
    if as_json:
        display.print_json([display.device_record(device) for device in devices])
    else:
        display.print_devices(devices)


@main.command()
@registry_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(url: str, as_json: bool) -> None:
    """Show what the registry says of itself."""
    reply = query_info(None, url, CONNECT_TIMEOUT)
    if as_json:
        display.print_json(display.info_record(reply))
    else:
        display.print_info(url, reply)


@main.command()
@registry_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--type", "device_type", metavar="TYPE", help="Only devices of this type.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N events.")
@click.option(
    "--timeout",
    type=_Seconds(0, MAX_LEASE, min_open=True),
    metavar="SECONDS",
    help="Stop after this time; an error if --count events have not come by then.",
)
def watch(
    url: str, as_json: bool, device_type: str | None, count: int | None, timeout: float | None
) -> None:
    """Show the devices present, then every change as it happens."""
    show = (
        (lambda event: display.print_json(display.event_record(event)))
        if as_json
        else (display.print_event)
    )
    left = count
    with _interruptible(), contextlib.suppress(KeyboardInterrupt), Watcher(url) as watcher:
        if timeout is not None:
            timer = threading.Timer(timeout, watcher.close)
            timer.daemon = True
            timer.start()
        watcher.connect(CONNECT_TIMEOUT)
        for event in watcher:
            if device_type is not None and event.device.device_type != device_type:
                continue
            show(event)
            if left is not None:
                left -= 1
                if left == 0:
                    return
        if left:
            raise click.ClickException(f"{left} of {count} events did not come in {timeout:g} s")


@main.command(
    "announce", options_metavar="[OPTIONS]", context_settings={"allow_interspersed_args": True}
)
@click.argument("device_type", metavar="TYPE")
@click.argument("addr")
@registry_option
@click.option("--name", default="", help='The name it would like.  [default: "TYPE-0", …]')
@click.option("--overwrite", is_flag=True, help="Take the name even from its present holder.")
@click.option(
    "--lease",
    default=DEFAULT_LEASE,
    show_default=True,
    type=_Seconds(MIN_LEASE, MAX_LEASE),
    metavar="SECONDS",
    help="How long the registry waits for a sign of life.",
)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="More to know about it.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def announce_(
    url: str,
    device_type: str,
    addr: str,
    name: str,
    overwrite: bool,
    lease: float,
    metadata: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    """Be present as a device of TYPE at ADDR, until Ctrl-C or SIGTERM.

    With COMMAND, for as long as that runs; the exit code is COMMAND's.
    """
    display.configure_logs(logging.INFO)
    if command and shutil.which(command[0]) is None:
        raise click.ClickException(f"cannot run {command[0]!r}: there is no such command")
    presence = announce(
        device_type,
        addr,
        name,
        url,
        overwrite=overwrite,
        alive_timeout=lease,
        metadata=_parse_metadata(metadata),
        timeout=CONNECT_TIMEOUT,
        on_change=display.PresenceChanges(err=bool(command)),
    )
    code = 128 + signal.SIGINT
    with _interruptible(), contextlib.suppress(KeyboardInterrupt), presence:
        code = 0
        name = display.printable(presence.name)
        # With a COMMAND, stdout is the command's.
        click.echo(f"{device_type} {name} is present at {url}", err=bool(command))
        sys.stdout.flush()
        try:
            code = _run_command(command) if command else _wait_for_signal()
        finally:
            _ignore_signals()
    sys.exit(code)


@main.command()
def demo() -> None:
    """See a registry, three devices and a watcher at work."""
    with _interruptible():
        sys.exit(0 if run_demo() else 1)


def _parse_metadata(pairs: tuple[str, ...]) -> dict[str, str | int | float | bool | None]:
    metadata: dict[str, str | int | float | bool | None] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise click.BadParameter(
                f"{pair!r} is not of the form KEY=VALUE", param_hint="--metadata"
            )
        metadata[key] = value
    return metadata


def _run_command(command: tuple[str, ...]) -> int:
    """Run a command to its end and give its exit code; signals end it.

    A terminal sends SIGINT to the command as well, which may take its time to clean up; only a
    second one ends it for good.
    """
    child: subprocess.Popen[bytes] | None = None
    signals: list[int] = []
    ended = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        signals.append(number)
        ended = signals != [signal.SIGINT]
        if ended and child is not None:
            child.terminate()

    # No exception may come between starting the command and knowing about it.
    for number in _ENDING:
        signal.signal(number, end)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]!r}: {error.strerror}") from None
    if ended:
        child.terminate()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _wait_for_signal() -> NoReturn:
    while True:
        signal.pause()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """The end has begun, and takes a second at the most: let it finish."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
