"""`devicewatch announce`: a device that needs no program, or one around any command."""

import contextlib
import logging
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future

import click

from ...events.keys import Key
from ...events.protocol import DEFAULT_LEASE, MAX_LEASE, MIN_LEASE
from ...events.text import printable
from ..announce import Announcement, announce
from . import display, options
from .options import Seconds, key_option, registry_option
from .signals import Signals


@click.command(
    "announce", options_metavar="[OPTIONS]", context_settings={"allow_interspersed_args": True}
)
@click.argument("device_type", metavar="TYPE")
@click.argument("addr")
@registry_option
@key_option
@click.option("--name", default="", help='The name it would like.  [default: "TYPE-0", …]')
@click.option("--overwrite", is_flag=True, help="Take the name even from its present holder.")
@click.option(
    "--lease",
    default=DEFAULT_LEASE,
    show_default=True,
    type=Seconds(MIN_LEASE, MAX_LEASE),
    metavar="SECONDS",
    help="How long the registry waits for a sign of life.",
)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="More to know about it.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def announce_(
    url: str,
    key: Key | None,
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
        timeout=options.CONNECT_TIMEOUT,
        on_change=display.PresenceChanges(err=bool(command)),
        key=key,
    )
    with Signals() as signals, contextlib.ExitStack() as stack:
        if not _enter(presence, signals):
            sys.exit(128 + signals.received[0])
        stack.push(presence)
        # With a COMMAND, stdout is the command's.
        line = printable(f"{device_type} {presence.name} is present at {url}")
        click.echo(line, err=bool(command))
        sys.stdout.flush()
        if command:
            code = _run_command(command, signals)
        else:
            signals.wait()
            code = 0
    sys.exit(code)


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
