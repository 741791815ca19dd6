"""Loggers for the library: structlog's interface, the standard library's handlers.

A program that embeds devicewatch configures `logging` as it always does, and decides there what
becomes of the `devicewatch` loggers; without any configuration, warnings go to stderr. Key-value
pairs travel as `extra`, so that a structured formatter finds them; so no key may be an attribute
of `logging.LogRecord`, such as `name`.

Logs quote strangers. Whatever the program does with a record, its values are harmless by then (see
`text`): one line each, without escapes, and not too long. So is the text of a traceback, whose
lines stay, indented.
"""

import logging
from typing import Final

import structlog
from structlog.stdlib import BoundLogger, render_to_log_kwargs
from structlog.typing import EventDict, ExcInfo

from .text import LONGEST_MESSAGE, printable, printable_lines

_NOT_TEXT: Final = ("exc_info", "stack_info", "stacklevel")
"""What `logging` itself makes something of."""

_INDENT: Final = "  "


def get_logger(name: str) -> BoundLogger:
    """A structured logger that hands its events to `logging.getLogger(name)`."""
    standard = logging.getLogger(name)
    standard.addFilter(_tame_traceback)
    logger: BoundLogger = structlog.wrap_logger(
        standard,
        processors=[structlog.stdlib.filter_by_level, _tame_values, render_to_log_kwargs],
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def harmless_traceback(error: ExcInfo) -> str:
    """An exception and where it came from, in lines that are indented and play no tricks."""
    return printable_lines(logging.Formatter().formatException(error), _INDENT)


def _tame_values(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {key: value if key in _NOT_TEXT else _tame(value) for key, value in event.items()}


def _tame(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value, LONGEST_MESSAGE)


def _tame_traceback(record: logging.LogRecord) -> bool:
    """Write down the traceback here, as every formatter would later: they use what they find."""
    if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
        record.exc_text = harmless_traceback(record.exc_info)
    return True
