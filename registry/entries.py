"""What the heap of `leases` is made of; by itself, as mypyc cannot compile it (see `setup.py`)."""

from typing import Any


class Entry(float):
    """When a lease comes up: a number that knows its lease.

    A heap of pairs would take twice the memory, and longer to compare.
    """

    __slots__ = ("lease",)

    lease: Any
