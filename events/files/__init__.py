"""Waiting for file descriptors.

There are two ways, as in `events.transfer`: in Python, and in the compiled build by the system's
own calls, for `LastingFiles` by one that only Linux has.
"""

from .plain import poll_timeout

try:
    from .speedups import Files
except ImportError:
    from .plain import Files

try:
    from .epoll import LastingFiles
except ImportError:
    from .plain import LastingFiles

__all__ = ["Files", "LastingFiles", "poll_timeout"]
