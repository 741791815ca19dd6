"""The `devicewatch` command; `commands` has a file for each of its own."""

from typing import Any

import click

from ..events.errors import DevicewatchError
from ..events.text import printable
from .build import COMPILED
from .commands import display
from .commands.announce import announce_
from .commands.demo import demo
from .commands.journal import journal
from .commands.keys import keys
from .commands.log import log
from .commands.query import info, list_
from .commands.serve import serve
from .commands.top import top
from .commands.watch import watch
from .commands.web import web


class _Commands(click.Group):
    """Shows our own errors as one line; everything else is a bug and may have its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DevicewatchError as error:
            raise click.ClickException(printable(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="devicewatch",
    message=f"%(prog)s, version %(version)s{', compiled' if COMPILED else ''}",
)
def main() -> None:
    """Know which devices are present.

    `devicewatch serve` runs the registry, `devicewatch watch` follows it; `devicewatch demo`
    shows both at work.
    """
    display.configure_output()
    display.configure_logs()


for command in (serve, journal, keys, list_, info, watch, web, top, log, announce_, demo):
    main.add_command(command)
