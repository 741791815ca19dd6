"""Qt properties that type checkers can read: PySide6's stubs do not say what one gives."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from PySide6.QtCore import Signal

T = TypeVar("T")

if TYPE_CHECKING:

    class Property(Generic[T]):
        """PySide6's, as far as it is used here."""

        def __init__(
            self, kind: type, fget: Callable[[Any], T], *, notify: Signal | None = None
        ) -> None: ...

        def __get__(self, instance: object, owner: type | None = None) -> T: ...

else:
    from PySide6.QtCore import Property

__all__ = ["Property"]
