"""Records, made quickly.

The constructor that attrs writes for a frozen class sets each field by a call of its own, in
Python, which is a good part of what a registration takes. There are two ways, as in `transfer`:
`plain` takes it as it is, and the compiled build has `speedups`, which puts values in their places.
"""

try:
    from .speedups import maker
except ImportError:
    from .plain import maker

__all__ = ["maker"]
