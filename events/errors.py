"""Every error that devicewatch raises.

    DevicewatchError
    ├── AddressError         (ValueError)    not an address that ZeroMQ can use
    ├── AuthenticationError                  no key, a wrong one, or another registry than meant
    ├── BindError            (OSError)       the registry, or its web page, cannot listen there
    ├── JournalError                         what should be kept cannot be, or cannot be read
    ├── KeyFileError                         a file of keys that cannot be used
    ├── LogError                             a file of log lines that cannot be used
    ├── MessageError         (ValueError)    bytes that are no message of the protocol
    ├── MissingExtra         (ImportError)   a part of devicewatch that was not installed
    ├── RequestRefused                       the registry answered ERROR or UNSUPPORTED
    └── RegistryUnreachable  (TimeoutError)  no answer in time

Each says what happened, to what, and what to do about it; one that quotes what came over the wire
does so in text that is harmless to show. Settings that make no sense raise
plain `ValueError` or `TypeError`, as arguments do everywhere in Python.
"""

from .protocol import ErrorCode
from .text import LONGEST_MESSAGE, printable


class DevicewatchError(Exception):
    """Root of the tree: catches whatever devicewatch itself raises."""


class AddressError(DevicewatchError, ValueError):
    """An address that ZeroMQ cannot connect to; the message shows what one looks like."""


class AuthenticationError(DevicewatchError):
    """This program and the registry do not come together, on account of a key.

    The registry does not let this key in, or wants one where none was given; or it cannot prove
    that it is the registry which the key is for.
    """


class BindError(DevicewatchError, OSError):
    """The registry, or its web page, cannot listen on an address or port; the message names it."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class JournalError(DevicewatchError):
    """A registry's journal cannot be used, or a change cannot be kept in it."""


class KeyFileError(DevicewatchError):
    """A file of keys is not there, holds something else, or may be read by too many."""


class LogError(DevicewatchError):
    """A file to log events to cannot be opened, or another logger writes to it."""


class MessageError(DevicewatchError, ValueError):
    """Bytes that are no message of the protocol.

    Attributes:
        code: What kind of fault, as an `ERROR` reply reports it.
        req_event: The name of the request, or None where it could not be read.
    """

    def __init__(self, code: ErrorCode, message: str, req_event: str | None = None) -> None:
        super().__init__(printable(message, LONGEST_MESSAGE))
        self.code = code
        self.req_event = req_event

    def __reduce__(self) -> tuple[type, tuple[ErrorCode, str, str | None]]:
        return type(self), (self.code, str(self), self.req_event)


class MissingExtra(DevicewatchError, ImportError):
    """A part of devicewatch needs a library that was not installed; the message says how to."""


class RequestRefused(DevicewatchError):
    """The registry understood that it was asked something, and said no.

    Attributes:
        code: The registry's code (see `protocol.ErrorCode`), or `UNSUPPORTED`.
    """

    def __init__(self, code: str, message: str) -> None:
        self._message = printable(message, LONGEST_MESSAGE)
        super().__init__(f"{self._message} ({printable(code, 100)})")
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.code, self._message)


class RegistryUnreachable(DevicewatchError, TimeoutError):
    """No registry answered in time at an address; the message names both."""
