"""The `devicewatch` command."""

import contextlib
import logging
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import click
from platformdirs import user_state_path

from ..events.errors import DevicewatchError, RegistryUnreachable
from ..events.logs import get_logger
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
from ..events.records import Cursor, Event
from ..subscribers.watch import Watcher
from . import display
from .announce import Announcement, announce
from .demo import run_demo
from .descriptors import raise_limit
from .journal import Durability
from .journal_cli import journal
from .requester import query_devices, query_info
from .server import DeviceRegistry
from .service_manager import ServiceManager
from .signals import Signals
from .sqlite import SqliteJournal

CONNECT_TIMEOUT: Final = 5.0
"""Seconds after which a command takes the registry for unreachable."""


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


log = get_logger(__name__)

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


main.add_command(journal)


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
@click.option(
    "--journal",
    "journal_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to keep who is registered.  [default: one for each port, in your state directory; "
    "none with --port 0]",
)
@click.option("--no-journal", is_flag=True, help="Keep nothing: a restart forgets everybody.")
@click.option(
    "--durability",
    default=Durability.PROCESS.value,
    show_default=True,
    type=click.Choice([durability.value for durability in Durability]),
    help="What each change is to survive: the end of the process, or a power cut as well, for "
    "which it has to wait for the disk.",
)
def serve(
    bind: str,
    port: str,
    events_port: str,
    history: int,
    tick: float,
    journal_path: Path | None,
    no_journal: bool,
    durability: str,
) -> None:
    """Run the registry until Ctrl-C or SIGTERM.

    Started again, it goes on with the devices that it had (see docs/journal.md). SIGHUP does
    nothing: there is nothing to reload. Under systemd it says when it is ready and that it is
    well (see docs/service.md).
    """
    if journal_path is not None and no_journal:
        raise click.UsageError("--journal and --no-journal exclude each other")
    display.configure_logs(logging.INFO)
    if journal_path is None and not no_journal:
        journal_path = default_journal(port)
    if journal_path is None:
        log.info("no journal is kept: a restart forgets everybody")
    raise_limit()
    registry = DeviceRegistry(
        addr=bind,
        port=port,
        events_port=events_port,
        history=history,
        tick_interval=tick,
        journal=None
        if journal_path is None
        else SqliteJournal(journal_path, durability=Durability(durability)),
    )
    with Signals(outlive_hangup=True) as signals, contextlib.ExitStack() as stack:
        stack.callback(registry.stop)
        registry.start()
        stack.enter_context(ServiceManager(registry))
        click.echo(f"devicewatch registry ready at {registry.url} (events {registry.events_url})")
        sys.stdout.flush()
        signals.ring_after(registry.join)
        signals.wait(lambda: not registry.is_alive())
        if not signals.received:
            raise click.ClickException("the registry stopped by itself; its log says why")


def default_journal(port: str) -> Path | None:
    """Where `serve` keeps the journal of a port unless it is told; None for any free port."""
    if not port.isdigit() or int(port) == 0:
        return None
    return user_state_path("devicewatch") / f"registry-{int(port)}.journal"


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
@click.option(
    "--since",
    metavar="CURSOR",
    help="Go on after the event with this cursor (see --json), as far as the history reaches.",
)
def watch(
    url: str,
    as_json: bool,
    device_type: str | None,
    count: int | None,
    timeout: float | None,
    since: str | None,
) -> None:
    """Show the devices present, then every change as it happens."""
    show = (
        (lambda event: display.print_json(display.event_record(event)))
        if as_json
        else (display.print_event)
    )
    left = count
    patience = CONNECT_TIMEOUT if timeout is None else min(timeout, CONNECT_TIMEOUT)
    deadline = None if timeout is None else time.monotonic() + timeout
    with (
        Signals() as signals,
        Watcher(url, since=_parse_cursor(since), device_type=device_type) as watcher,
        signals.lookout(watcher.close) as lookout,
    ):
        try:
            watcher.connect(patience)
        except RegistryUnreachable:
            if not signals.received:
                raise
        if watcher.resumed is False:
            click.echo("the registry cannot go on after that cursor; all of it anew", err=True)
        for event in _until(watcher, deadline):
            show(event)
            if left is not None:
                left -= 1
                if left == 0:
                    return
        if lookout.nobody_reads:
            sys.exit(1)
        if left and not signals.received:
            raise click.ClickException(f"{left} of {count} events did not come in {timeout:g} s")


def _parse_cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None


def _until(watcher: Watcher, deadline: float | None) -> Iterator[Event]:
    """The watcher's events up to a time, or for ever."""
    left = None
    while deadline is None or (left := deadline - time.monotonic()) > 0:
        event = watcher.get(left)
        if event is None:
            return
        yield event


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
    with Signals() as signals, contextlib.ExitStack() as stack:
        if not _enter(presence, signals):
            sys.exit(128 + signals.received[0])
        stack.push(presence)
        name = display.printable(presence.name)
        # With a COMMAND, stdout is the command's.
        click.echo(f"{device_type} {name} is present at {url}", err=bool(command))
        sys.stdout.flush()
        if command:
            code = _run_command(command, signals)
        else:
            signals.wait()
            code = 0
    sys.exit(code)


@main.command()
def demo() -> None:
    """See a registry, three devices and a watcher at work."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: its processes end, too
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


def _enter(presence: Announcement, signals: Signals) -> bool:
    """Wait until a device is registered, but no longer than until the first signal.

    Raises:
        DevicewatchError: It cannot be registered.
    """
    entered: Future[Announcement] = Future()

    def enter() -> None:
        try:
            entered.set_result(presence.__enter__())
        except BaseException as error:  # noqa: BLE001 (for the thread that waits)
            entered.set_exception(error)

    signals.ring_after(enter)
    signals.wait(entered.done)
    if not signals.received:
        entered.result()
        return True
    with contextlib.suppress(RuntimeError):  # it has not even begun
        presence.__exit__(None, None, None)
    entered.exception()
    presence.__exit__(None, None, None)
    return False


def _run_command(command: tuple[str, ...], signals: Signals) -> int:
    """Run a command to its end and give its exit code; signals end it.

    A terminal sends SIGINT to the command as well, which may take its time to clean up; only a
    second one ends it for good.
    """
    if signals.received:
        return 128 + signals.received[0]
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]!r}: {error.strerror}") from None
    signals.ring_after(child.wait)
    while child.poll() is None:
        signals.wait(lambda: child.poll() is not None)
        if signals.received not in ([], [signal.SIGINT]):
            child.terminate()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode
