"""What the core asks before it does what it is asked to: may this peer, and is there room for it?

A peer is a key or, in a registry without keys, the address that a request comes from; None is the
registry's own process, and whoever cannot be told apart. A registration belongs to the peer that
made it. Without keys everybody may do everything, as far as the limits go. With keys

* a request has to be one that its key's role allows;
* a name has to be one that the key allows, also when it was chosen by the registry;
* what belongs to a key is nobody else's to renew, to displace or to end, unless it is an admin's;
* a registration whose key does not allow it any more, or that has none, protects nothing, cannot
  be renewed, and ends.
"""

from typing import Final

from ..events.codec import request_name
from ..events.keys import fingerprint
from ..events.messages import CheckAlive, ErrorReply, Register, Request, UnknownRequest, Unregister
from ..events.protocol import ErrorCode, RequestName, Role
from ..events.text import printable
from .limits import Limits, Rates
from .registrations import Holder
from .security import Grant, Grants

_UNCOUNTED: Final = (CheckAlive, Unregister)
"""Requests that are not refused for being too many: a lease must not end for that (P8)."""


class Authority:
    """Decides what peers may do.

    Attributes:
        limits: How much there may be.
        grants: The keys that are let in; None where there are no keys.
        counting: Whether requests count towards how many there may be in a second.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.grants: Grants | None = None
        self.counting = True
        self._rates = Rates(limits.requests_per_peer)

    def refusal(self, request: Request, peer: str, now: float) -> ErrorReply | None:
        """Why a request is not even looked at; None if it is."""
        if self.grants is not None:
            grant = self.grants.get(peer)
            if grant is None:
                return forbidden(request, f"the key {fingerprint(peer)} was revoked")
            if not grant.allows(request):
                return forbidden(request, f"{_who(grant)} is not allowed to {_name(request)}")
        if not self.counting or isinstance(request, _UNCOUNTED):
            return None
        if not self._rates.allows(peer, now):
            return ErrorReply(
                _name(request),
                ErrorCode.TOO_FAST,
                f"more than {self.limits.requests_per_peer:g} requests per second come from this "
                "peer: wait a little. Renewals are not counted",
            )
        return None

    def may_stay(self, holder: Holder) -> bool:
        """Whether a registration is still allowed."""
        if self.grants is None:
            return True
        grant = self.grants.get(holder.peer)
        return grant is not None and grant.allows_name(holder.device.name)

    def is_of(self, holder: Holder, peer: str | None) -> bool:
        """Whether a registration is a peer's own, and still allowed."""
        if self.grants is None:
            return True
        return peer in (None, holder.peer) and self.may_stay(holder)

    def may_end(self, holder: Holder, peer: str | None) -> bool:
        """Whether a registration is a peer's to end, or to put its own in the place of."""
        if self.grants is None or peer in (None, holder.peer):
            return True
        return self._is_admin(peer) or not self.may_stay(holder)

    def may_not_register(
        self, request: Register, name: str, peer: str | None, held: int, total: int
    ) -> ErrorReply | None:
        """Why a device may not be registered under a name; None if it may.

        Args:
            request: What it asked for.
            name: The name that it would get.
            peer: Who asks.
            held: How many devices the peer has registered already.
            total: How many devices there are already.
        """
        grant = None if self.grants is None or peer is None else self.grants.get(peer)
        if grant is not None and not grant.allows_name(name):
            why = f"{_who(grant)} is not allowed the name {name!r}, only {grant.names!r}"
            return forbidden(request, why)
        limits = self.limits
        if total >= limits.devices:
            return _too_many(f"this registry takes {limits.devices} devices, and has as many")
        most = limits.devices_per_peer
        if most is not None and peer is not None and held >= most:
            return _too_many(f"this registry takes {most} devices from one peer, and has as many")
        return None

    def _is_admin(self, peer: str | None) -> bool:
        grant = None if self.grants is None or peer is None else self.grants.get(peer)
        return grant is not None and grant.role is Role.ADMIN


def forbidden(request: Request, why: str) -> ErrorReply:
    """The refusal of what a key does not allow."""
    return ErrorReply(_name(request), ErrorCode.FORBIDDEN, printable(why))


def _too_many(why: str) -> ErrorReply:
    return ErrorReply(RequestName.REGISTER, ErrorCode.TOO_MANY, why)


def _who(grant: Grant) -> str:
    return f"the key {fingerprint(grant.public)}, {grant.role}'s,"


def _name(request: Request) -> str:
    return request.req_event if isinstance(request, UnknownRequest) else request_name(request)
