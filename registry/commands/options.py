"""What several commands have: options, and how long they wait."""

import math
from pathlib import Path
from typing import Any, Final

import click

from ...events.keys import Key
from ...events.protocol import DEFAULT_REGISTRY, KEY_VARIABLE, REGISTRY_VARIABLE

CONNECT_TIMEOUT: Final = 5.0
"""Seconds after which a command takes the registry for unreachable."""


class Number(click.FloatRange):
    """A range of numbers; neither "nan" nor "inf" is in any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


class Seconds(Number):
    """A range of seconds."""


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

key_option = click.option(
    "--key",
    envvar=KEY_VARIABLE,
    show_envvar=True,
    metavar="NAME",
    type=Key.load,  # never the key itself, which others could see on the command line
    help="Your key for a registry with keys: its name, or its file (see `keys new`).",
)

authorized_option = click.option(
    "--authorized",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The list of keys that are let in.  [default: authorized_keys in your configuration]",
)
