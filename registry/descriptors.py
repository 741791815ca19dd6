"""How many file descriptors `devicewatch serve` may have: one for each connection, and a few more.

Where they run out, nobody can connect any more, and ZeroMQ's thread is busy trying. The usual limit
of a process is 1024, so that old programs with `select` are safe, and the system lets each raise
its own; this one does not use `select`.
"""

import resource
from typing import Final

from ..events.logs import get_logger

WANTED: Final = 65_536
"""Connections, about. Not all that a system may allow, as each takes some kilobytes of memory."""

log = get_logger(__name__)


def raise_limit() -> None:
    """Raise the limit of this process to what is wanted, or as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # a sandbox may not allow even that
        log.warning("the limit of open files cannot be raised", limit=soft, why=str(error))
