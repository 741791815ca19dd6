"""Waiting for file descriptors.

There are two ways, as in `events.transfer`: `plain` asks the system's poll(2), and the compiled
build for Linux has `epoll`, which tells the system once what it waits for.
"""

from .plain import poll_timeout

try:
    from .epoll import Files
except ImportError:
    from .plain import Files

__all__ = ["Files", "poll_timeout"]
