"""What a `Register` must not hold, found where it is and said in words.

For `codec`, which is compiled without these: what a program puts into a request may be of any type,
whatever the annotations say, and compiled code takes them at their word.
"""

import math
from collections.abc import Iterator, Mapping

from .errors import MessageError
from .messages import Register
from .protocol import ErrorCode, RequestName
from .text import unprintable


def check_text(request: Register) -> None:
    """Refuse text that does not print, and say where it is.

    Raises:
        MessageError: There is some.
    """
    for field, text in _texts(request):
        found = unprintable(text) if isinstance(text, str) else None
        if found is not None:
            why = f"{field} holds {found}, which does not print"
            raise MessageError(ErrorCode.INVALID, why, RequestName.REGISTER)


def _texts(request: Register) -> Iterator[tuple[str, object]]:
    yield "device_type", request.device_type
    yield "addr", request.addr
    yield "name", request.name
    yield "instance", request.instance
    metadata = request.metadata if isinstance(request.metadata, Mapping) else {}
    for key, value in metadata.items():
        yield "a key of metadata", key
        yield f"metadata {key!r}", value


def check_finite(request: Register) -> None:
    """Refuse numbers that JSON has no word for: msgspec would write null.

    Raises:
        ValueError: There is one.
    """
    numbers = {"alive_timeout": request.alive_timeout}
    for key, value in (numbers | dict(request.metadata) if request.metadata else numbers).items():
        if isinstance(value, float) and not math.isfinite(value):  # it would be written as null
            raise ValueError(f"{key!r} is {value}")
