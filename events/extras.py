"""Libraries that only some parts of devicewatch need, installed as extras."""

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingExtra


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the imports of what `devicewatch[name]` brings: a library that is missing is one line.

        with extra("web"):
            import starlette

    Raises:
        MissingExtra: One of them is not installed; the message names it, and how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "devicewatch":
            raise  # our own fault
        library = error.name.partition(".")[0]
        raise MissingExtra(
            f"this needs the library {library!r}, which is not installed; "
            f"install it with: pip install 'devicewatch[{name}]'"
        ) from None
