"""`devicewatch log`: every event as a line of a log file, once, whatever is killed when."""

import sys
from concurrent.futures import ThreadPoolExecutor, wait

import click

from ...events.durability import Durability
from ...events.keys import Key
from ...subscribers.lines import LogFormat
from ...subscribers.log import LogSubscriber
from .options import key_option, registry_option
from .signals import Signals

_STDOUT = "-"


@click.command("log")
@registry_option
@key_option
@click.option(
    "--output",
    default=_STDOUT,
    metavar="FILE",
    help="Append to this file, and go on after what it has; - is the standard output.",
)
@click.option(
    "--format",
    "format_",
    default=LogFormat.JSON.value,
    show_default=True,
    type=click.Choice([form.value for form in LogFormat]),
    help="JSON lines, or lines for people.",
)
@click.option("--type", "device_type", metavar="TYPE", help="Only devices of this type.")
@click.option(
    "--durability",
    default=Durability.PROCESS.value,
    show_default=True,
    type=click.Choice([durability.value for durability in Durability]),
    help="What a line in the file is to survive: the end of the process, or a power cut as well, "
    "for which it has to wait for the disk.",
)
def log(
    url: str,
    key: Key | None,
    output: str,
    format_: str,
    device_type: str | None,
    durability: str,
) -> None:
    """Log every event as a line of a file, each once.

    How far it has got is kept beside the file, in FILE.cursor: started again, even after `kill -9`,
    it goes on there, with nothing lost and nothing twice. SIGHUP opens FILE anew, for logrotate;
    Ctrl-C and SIGTERM end it. It waits for a registry that is not there, and for a full disk. See
    docs/log.md.
    """
    logger = LogSubscriber(
        url,
        None if output == _STDOUT else output,
        format=LogFormat(format_),
        device_type=device_type,
        durability=Durability(durability),
        key=key,
    )
    if output == _STDOUT:
        _log_to_stdout(logger)
    else:
        _log_to_file(logger)


def _log_to_stdout(logger: LogSubscriber) -> None:
    with Signals() as signals, signals.lookout(logger.stop) as lookout:
        logger.run()
        if lookout.nobody_reads:
            sys.exit(1)


def _log_to_file(logger: LogSubscriber) -> None:
    """In a thread, while this one waits for signals: SIGHUP is not the end."""
    with Signals(on_hangup=logger.reopen) as signals, ThreadPoolExecutor(1) as pool:
        logging = pool.submit(logger.run)
        signals.ring_after(lambda: wait([logging]))
        signals.wait(logging.done)
        logger.stop()
        logging.result()
