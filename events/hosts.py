"""Whom an HTTP request is meant for, by the name that it asks for. Pure.

A page from elsewhere can have its own name point at this machine ("DNS rebinding"), and then read
everything as if it came from there; but its name is what the `Host` header says.
"""

from collections.abc import Collection
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_machine(host: str) -> bool:
    """Whether a `Host` header is one that a browser on this machine sends."""
    name = host_name(host)
    return name is not None and (name == "localhost" or is_loopback(name))


def names_one_of(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header is an address, which nobody can have point elsewhere, or known.

    Args:
        host: The header.
        names: What else will do, in lower case.
    """
    name = host_name(host)
    return name is not None and (name == "localhost" or name in names or _is_address(name))


def host_name(host: str) -> str | None:
    """The name or address in a `Host` header, without the port; None if it makes no sense."""
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host.strip().lower(), "80"
    if not (port.isascii() and port.isdigit()):
        return None
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1] if ":" in name else None
    return None if ":" in name else name.removesuffix(".") or None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
