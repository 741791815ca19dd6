"""`devicewatch list` and `devicewatch info`: asking the registry once."""

import click

from ...events.keys import Key
from ...events.plain import device_dict
from ..requester import query_devices, query_info
from . import display, options
from .options import key_option, registry_option


@click.command("list")
@registry_option
@key_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(url: str, key: Key | None, as_json: bool) -> None:
    """Show the devices present."""
    devices = query_devices(None, url, options.CONNECT_TIMEOUT, key=key)
    if as_json:
        display.print_json([device_dict(device) for device in devices])
    else:
        display.print_devices(devices)


@click.command()
@registry_option
@key_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(url: str, key: Key | None, as_json: bool) -> None:
    """Show what the registry says of itself."""
    reply = query_info(None, url, options.CONNECT_TIMEOUT, key=key)
    if as_json:
        display.print_json(display.info_record(reply))
    else:
        display.print_info(url, reply)
