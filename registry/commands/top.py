"""`devicewatch top`: a live dashboard in a terminal."""

import os
import sys

import click

from ...events.extras import extra
from ...events.keys import Key
from ...subscribers.aio import AsyncWatcher
from .options import key_option, registry_option


@click.command()
@registry_option
@key_option
@click.option("--type", "device_type", metavar="TYPE", help="Only devices of this type.")
def top(url: str, key: Key | None, device_type: str | None) -> None:
    """Show the devices live, in a terminal.

    It keeps trying while the registry is away. `?` shows what the keys do; docs/terminal.md says
    more. It needs the extra `devicewatch[tui]`.
    """
    with extra("tui"):
        from ...subscribers.top import app
    _check_terminal()
    app.run(AsyncWatcher(url, device_type=device_type, key=key), url)


def _check_terminal() -> None:
    """Refuse what cannot show a dashboard.

    Raises:
        ClickException: stdin, stdout and stderr are not all one terminal, or it can do nothing.
    """
    instead = "`devicewatch watch` shows the same as lines of text"
    if not _on_terminal():
        raise click.ClickException(f"this needs a terminal, with nothing redirected; {instead}")
    if os.environ.get("TERM") in (None, "", "dumb", "unknown"):
        raise click.ClickException(f"this needs a terminal that can move its cursor; {instead}")


def _on_terminal() -> bool:
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
