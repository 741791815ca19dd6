"""Loggers for the library: structlog's interface, the standard library's handlers.

A program that embeds devicewatch configures `logging` as it always does, and decides there what
becomes of the `devicewatch` loggers; without any configuration, warnings go to stderr. Key-value
pairs travel as `extra`, so that a structured formatter finds them; so no key may be an attribute
of `logging.LogRecord`, such as `name`.
"""

import logging

import structlog
from structlog.stdlib import BoundLogger, render_to_log_kwargs


def get_logger(name: str) -> BoundLogger:
    """A structured logger that hands its events to `logging.getLogger(name)`."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, render_to_log_kwargs],
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger
