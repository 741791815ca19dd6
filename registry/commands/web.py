"""`devicewatch web`: a page that shows the devices, live."""

import sys

import click

from ...events.extras import extra
from ...events.keys import Key
from ...events.text import printable
from .options import key_option, registry_option
from .signals import Signals


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDR",
    help='Interface to listen at; "*" for all. There is no log-in: whoever reaches it sees all.',
)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    metavar="PORT",
    type=click.IntRange(0, 65_535),
    help="TCP port; 0 picks a free one.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="With --host beyond this machine: a name under which browsers may ask for it, beside its "
    "addresses and its own name. May be repeated.",
)
@registry_option
@key_option
def web(host: str, port: int, allowed: tuple[str, ...], url: str, key: Key | None) -> None:
    """Show the devices on a web page, live, until Ctrl-C.

    It waits for a registry that is not there, and says so. See docs/web.md for the JSON beside the
    page (/api/devices, /api/events), and for whom to let see it.
    """
    with extra("web"):
        from ...subscribers.web.server import WebServer
    server = WebServer(url, host=host, port=port, allowed_hosts=allowed, key=key)
    with Signals() as signals, server:
        click.echo(printable(f"devicewatch web page ready at {server.url} (registry {url})"))
        sys.stdout.flush()
        signals.ring_after(server.join)
        signals.wait(lambda: not server.is_alive())
    if server.error is not None:
        raise server.error
    if not signals.received:
        raise click.ClickException("the page is not served any more, and nobody knows why")
