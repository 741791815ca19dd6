"""Who is registered: by name, address, uuid and revision."""

from functools import lru_cache
from typing import Final, TypeVar

from ..events.messages import Register
from ..events.records import Device
from .device_types import TypeCounts
from .journal import Registration
from .leases import Lease
from .names import NumberedNames
from .order import InOrder
from .shards import Shards

T = TypeVar("T")

_SHARED: Final = 1_000


class Holder(Lease):
    """A device that holds a registration, and its lease.

    There may be very many of them, and so that they are small each has only what it needs: how it
    asked is of interest only for those that may ask again.

    Attributes:
        device: What everybody knows of it.
        uuid: Its secret.
        lease: Length of its lease in seconds; see `Registration`.
        peer: Who asked; see `Registration`.
        request: How it asked, if it has an `instance`.
    """

    __slots__ = ("device", "lease", "peer", "request", "uuid")

    def __init__(
        self, device: Device, uuid: str, lease: float, request: Register, peer: str
    ) -> None:
        self.entry = None
        self.device = device
        self.uuid = uuid
        self.lease = shared(lease)
        self.peer = peer
        self.request = None if request.instance is None else request

    def __repr__(self) -> str:
        return f"Holder(device={self.device!r}, lease={self.lease!r})"

    @property
    def registration(self) -> Registration:
        """What is to be kept of it."""
        device = self.device
        # Where nobody reads how it asked, any name will do, but the one that it got may be longer
        # than one that may be asked for.
        request = self.request or Register(device.device_type, device.addr, "")
        return Registration(device, self.uuid, self.lease, request, self.peer)


@lru_cache(_SHARED)
def shared(value: T) -> T:
    """The same object for equal values: what very many devices have in common is there once."""
    return value


class Registrations:
    """An index for each way in which a registration is known.

    One thread at a time may use it; `devices` and `types` may be read from any.

    Attributes:
        by_name: Those of the devices' names. Read it, do not change it; nor the others.
        by_addr: Those of the devices' addresses.
        by_uuid: Those of the devices' secrets.
        by_peer: Those of whoever asked for them, where that is known; what is in there is by uuid.
        types: How many there are of each type.
    """

    def __init__(self) -> None:
        self.by_name = Shards[Holder]()
        self.by_addr = Shards[Holder]()
        self.by_uuid = Shards[Holder]()
        self.by_peer = Shards[dict[str, Holder]]()
        self.types = TypeCounts()
        self._in_order = InOrder[Holder]()
        self._numbered = NumberedNames()

    def __len__(self) -> int:
        return len(self._in_order)

    @property
    def devices(self) -> dict[str, Device]:
        """The devices present, by name, in order of revision: a copy."""
        return {(device := holder.device).name: device for holder in self._in_order.values}

    def put(self, holder: Holder) -> None:
        """Enter one whose name, address, uuid and revision nobody else has."""
        device = holder.device
        name, addr, uuid = device.name, device.addr, holder.uuid
        self._numbered.add(name)
        self.types.add(device.device_type)
        self.by_name[name] = holder
        self.by_addr[addr] = holder
        self.by_uuid[uuid] = holder
        if peer := holder.peer:
            of_peer = self.by_peer.get(peer)
            if of_peer is None:
                self.by_peer[peer] = of_peer = {}
            of_peer[uuid] = holder
        self._in_order.put(device.revision, holder)

    def remove(self, holder: Holder) -> None:
        """Take one out.

        Raises:
            KeyError: It is not there.
        """
        device = holder.device
        name, addr, uuid = device.name, device.addr, holder.uuid
        del self.by_name[name]
        del self.by_addr[addr]
        del self.by_uuid[uuid]
        if peer := holder.peer:
            of_peer = self.by_peer[peer]
            del of_peer[uuid]
            if not of_peer:
                del self.by_peer[peer]
        self._in_order.remove(device.revision)
        self._numbered.discard(name)
        self.types.remove(device.device_type)

    def free_name(self, wish: str, device_type: str) -> str:
        """The name for a device that wishes for one, which may be empty or taken."""
        if not wish:
            return self._numbered.first_free(device_type, 0)
        if wish in self.by_name:
            return self._numbered.first_free(wish, 1)
        return wish

    def page(self, after: int | None, limit: int) -> tuple[list[Device], bool]:
        """The devices with a revision above `after`, in order, up to a limit; are there more?"""
        found = self._in_order.after(after or 0, limit + 1)
        return [holder.device for holder in found[:limit]], len(found) > limit
