"""`devicewatch watch`: the event stream on a terminal, or as JSON lines."""

import sys
import time
from collections.abc import Iterator

import click

from ...events.errors import RegistryUnreachable
from ...events.keys import Key
from ...events.plain import record_dict
from ...events.protocol import MAX_LEASE
from ...events.records import Cursor, Event
from ...subscribers.watch import Watcher
from . import display, options
from .options import Seconds, key_option, registry_option
from .signals import Signals


@click.command()
@registry_option
@key_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--type", "device_type", metavar="TYPE", help="Only devices of this type.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N events.")
@click.option(
    "--timeout",
    type=Seconds(0, MAX_LEASE, min_open=True),
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
    key: Key | None,
    as_json: bool,
    device_type: str | None,
    count: int | None,
    timeout: float | None,
    since: str | None,
) -> None:
    """Show the devices present, then every change as it happens.

    Where no registry answers for five seconds at the start, that is an error; later it is waited
    for.
    """
    show = (
        (lambda event: display.print_json(record_dict(event))) if as_json else (display.print_event)
    )
    left = count
    patience = options.CONNECT_TIMEOUT if timeout is None else min(timeout, options.CONNECT_TIMEOUT)
    deadline = None if timeout is None else time.monotonic() + timeout
    with (
        Signals() as signals,
        Watcher(url, since=_parse_cursor(since), device_type=device_type, key=key) as watcher,
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
