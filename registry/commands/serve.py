"""`devicewatch serve`: the registry as a command."""

import contextlib
import gc
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from platformdirs import user_state_path

from ...events.durability import Durability
from ...events.keys import Key, key_path
from ...events.logs import get_logger
from ...events.protocol import (
    DEFAULT_DEVICES_PER_KEY,
    DEFAULT_EVENTS_PORT,
    DEFAULT_HISTORY,
    DEFAULT_MAX_DEVICES,
    DEFAULT_PORT,
    DEFAULT_REQUESTS_PER_KEY,
    DEFAULT_TICK_INTERVAL,
    MAX_DEVICES,
    MAX_TICK_INTERVAL,
    MIN_TICK_INTERVAL,
)
from ..authorized import authorized_path, begin_list
from ..descriptors import raise_limit
from ..journal import NoJournal
from ..limits import KEYED, MAX_RATE, Limits
from ..server import DeviceRegistry
from ..service_manager import ServiceManager
from ..sqlite import SqliteJournal
from . import display
from .options import Number, Seconds, authorized_option
from .signals import Signals

_KEY_NAME: Final = "registry"

_NEVER: Final = 2**31 - 1

log = get_logger(__name__)


@click.command()
@click.option(
    "--bind",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDR",
    help='Interface to listen at; "*" for all. Without --curve, whoever can connect can register.',
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
    type=Seconds(MIN_TICK_INTERVAL, MAX_TICK_INTERVAL),
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
@click.option("--curve", is_flag=True, help="Encrypt everything, and let in only known keys.")
@click.option(
    "--key",
    "key_name",
    metavar="NAME",
    help=f"The registry's own key, or its file.  [default: {_KEY_NAME}, made if there is none]",
)
@authorized_option
@click.option(
    "--max-devices",
    default=DEFAULT_MAX_DEVICES,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, MAX_DEVICES),
    help="Devices to take in all.",
)
@click.option(
    "--devices-per-peer",
    metavar="N",
    type=click.IntRange(1),
    help="Devices to take from one key or, without keys, from one address.  "
    f"[default: {DEFAULT_DEVICES_PER_KEY} with --curve, or any number]",
)
@click.option(
    "--requests-per-peer",
    metavar="N",
    type=Number(1, MAX_RATE),
    help="Requests per second to answer one key or address. Renewals are not counted.  "
    f"[default: {DEFAULT_REQUESTS_PER_KEY:g} with --curve, or any number]",
)
@click.option(
    "--metrics-port",
    metavar="PORT",
    type=click.IntRange(0, 65_535),
    help="Serve /metrics, for Prometheus, and /healthz at this TCP port; 0 picks a free one.",
)
@click.option(
    "--metrics-bind",
    metavar="ADDR",
    help='Interface to serve them at; "*" for all. There is no password.  [default: 127.0.0.1]',
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
    curve: bool,
    key_name: str | None,
    authorized: Path | None,
    max_devices: int,
    devices_per_peer: int | None,
    requests_per_peer: float | None,
    metrics_port: int | None,
    metrics_bind: str | None,
) -> None:
    """Run the registry until Ctrl-C or SIGTERM.

    Started again, it goes on with the devices that it had (see docs/journal.md). SIGHUP does
    nothing: there is nothing to reload. Under systemd it says when it is ready and that it is
    well (see docs/service.md). With --curve it lets in only those whose keys `devicewatch keys
    authorize` has put on its list (see docs/security.md). With --metrics-port it says how it is
    doing (see docs/metrics.md).
    """
    if not curve and (key_name or authorized):
        raise click.UsageError("--key and --authorized are of use with --curve only")
    if journal_path is not None and no_journal:
        raise click.UsageError("--journal and --no-journal exclude each other")
    display.configure_logs(logging.INFO)
    if journal_path is None and not no_journal:
        journal_path = default_journal(port)
    if journal_path is None:
        log.info("no journal is kept: a restart forgets everybody")
    key = _registry_key(key_name) if curve else None
    if curve and authorized is None:
        authorized = authorized_path()
        begin_list(authorized)
    usual = KEYED if curve else Limits()
    raise_limit()
    registry = DeviceRegistry(
        addr=bind,
        port=port,
        events_port=events_port,
        history=history,
        tick_interval=tick,
        journal=NoJournal()
        if journal_path is None
        else SqliteJournal(journal_path, durability=Durability(durability)),
        key=key,
        authorized=authorized,
        limits=Limits(
            devices=max_devices,
            devices_per_peer=devices_per_peer or usual.devices_per_peer,
            requests_per_peer=requests_per_peer or usual.requests_per_peer,
        ),
    )
    with Signals(outlive_hangup=True) as signals, contextlib.ExitStack() as stack:
        stack.enter_context(_collecting_young_only())
        stack.callback(registry.stop)
        # First: a port that is in use is found out before anybody relies on the registry.
        metrics = stack.enter_context(_metrics(registry, metrics_port, metrics_bind))
        registry.start()
        stack.enter_context(ServiceManager(registry))
        click.echo(f"devicewatch registry ready at {registry.url} (events {registry.events_url})")
        if key is not None:
            click.echo(f"its public key is {key.public}")
        for url in metrics:
            click.echo(f"metrics at {url}")
        sys.stdout.flush()
        signals.ring_after(registry.join)
        signals.wait(lambda: not registry.is_alive())
        if not signals.received:
            raise click.ClickException("the registry stopped by itself; its log says why")


@contextlib.contextmanager
def _metrics(registry: DeviceRegistry, port: int | None, bind: str | None) -> Iterator[list[str]]:
    """Serve metrics, if they are wanted; gives where they are."""
    if port is None:
        if bind is not None:
            raise click.UsageError("--metrics-bind is of use with --metrics-port only")
        yield []
        return
    from ..metrics import MetricsServer  # needs a library

    with MetricsServer(registry, port, bind or "127.0.0.1") as server:
        yield [server.url]


def _registry_key(name: str | None) -> Key:
    """The registry's key; made, if it is the usual one and this is the first time.

    Raises:
        KeyFileError: It cannot be used.
    """
    path = key_path(name or _KEY_NAME)
    if name is None and not path.exists():
        Key.new().save(path)
        log.info("a key was made for this registry", file=str(path))
    return Key.load(name or _KEY_NAME)


@contextlib.contextmanager
def _collecting_young_only() -> Iterator[None]:
    """Have Python's garbage collector leave alone what has lived for long.

    With 100,000 devices it would look through them all, for a tenth of a second in which nobody is
    served, and find nothing: what a registry lets go of day by day is in no circle, and is freed at
    once.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


def default_journal(port: str) -> Path | None:
    """Where `serve` keeps the journal of a port unless it is told; None for any free port."""
    if not port.isdigit() or int(port) == 0:
        return None
    return user_state_path("devicewatch") / f"registry-{int(port)}.journal"
