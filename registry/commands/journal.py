"""`devicewatch journal`: looking into the file in which a registry keeps what it has to."""

import sys
from pathlib import Path

import attrs
import click

from ...events.plain import device_dict, record_dict
from ...events.text import printable
from ..sqlite import Summary, check, show
from . import display

_file = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def journal() -> None:
    """Look into a registry's journal.

    It is not changed, and may be in use.
    """


@journal.command("check")
@_file
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_(file: Path, as_json: bool) -> None:
    """Say whether a registry can go on from FILE.

    The exit code is 1 if it cannot, or if there is no such journal.
    """
    findings = check(file)
    if as_json:
        summary = None if findings.summary is None else attrs.asdict(findings.summary)
        display.print_json({"problems": findings.problems, "summary": summary})
    else:
        if findings.summary is not None:
            _print_summary(file, findings.summary)
        for problem in findings.problems:
            click.echo(f"problem: {printable(problem)}")
        if not findings.problems:
            click.echo("nothing is wrong with it")
    sys.exit(1 if findings.problems else 0)


@journal.command("show")
@_file
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--events",
    "count",
    default=10,
    show_default=True,
    metavar="N",
    type=click.IntRange(0),
    help="How many of the latest events.",
)
def show_(file: Path, as_json: bool, count: int) -> None:
    """Show the devices and the latest events in FILE."""
    shown = show(file)
    events = shown.events[-count:] if count else ()
    if as_json:
        display.print_json(
            {
                "summary": attrs.asdict(shown.summary),
                "devices": [device_dict(device) for device in shown.devices],
                "events": [record_dict(event) for event in events],
            }
        )
        return
    _print_summary(file, shown.summary)
    click.echo()
    display.print_devices(shown.devices)
    if events:
        click.echo()
    for event in events:
        display.print_event(event)


def _print_summary(file: Path, summary: Summary) -> None:
    if summary.in_use:
        state = "in use by a registry"
    else:
        state = "closed" if summary.clean else "not closed: its registry was killed"
    rows = {
        "journal": file,
        "state": state,
        "devices": summary.devices,
        "events so far": summary.seq,
        "events kept": summary.events,
        "epoch": summary.epoch,
    }
    for label, value in rows.items():
        click.echo(f"{click.style(f'{label:<15}', bold=True)}{printable(value)}")
