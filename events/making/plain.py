"""Records are made by their class."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """What makes records of a class, of values in the order of its fields; none by their names.

    Args:
        cls: A frozen class of attrs with slots, whose constructor only sets fields. Of these, all
            have to be given that come before one with a `factory`, and that one, too.
    """
    return cls
