"""A mapping from texts, that grows a little at a time and may be very large.

There are two ways, as in `events.transfer`: `plain` is made of dicts, and the compiled build has
`speedups`, which looks at less memory to find a key among many.
"""

try:
    from .speedups import Shards
except ImportError:
    from .plain import Shards

__all__ = ["Shards"]
