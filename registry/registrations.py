"""Who is registered: by name, address, uuid and revision."""

from itertools import islice

from sortedcontainers import SortedDict

from ..events.records import Device
from .counts import TypeCounts
from .journal import Registration
from .names import NumberedNames


class Registrations:
    """An index for each way in which a registration is known.

    One thread at a time may use it; `devices` and `types` may be read from any.

    Attributes:
        by_name: Those of the devices' names. Read it, do not change it; nor the others.
        by_addr: Those of the devices' addresses.
        by_uuid: Those of the devices' secrets.
        by_peer: Those of whoever asked for them; what is in there is by uuid.
        types: How many there are of each type.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Registration] = {}
        self.by_addr: dict[str, Registration] = {}
        self.by_uuid: dict[str, Registration] = {}
        self.by_peer: dict[str, dict[str, Registration]] = {}
        self.types = TypeCounts()
        self._by_revision: SortedDict[int, Registration] = SortedDict()
        self._numbered = NumberedNames()

    def __len__(self) -> int:
        return len(self.by_name)

    @property
    def devices(self) -> dict[str, Device]:
        """The devices present, by name: a copy."""
        # Copying a dict of strings is one step to other threads; a comprehension over it is not.
        present = self.by_name.copy()
        return {name: registration.device for name, registration in present.items()}

    def put(self, registration: Registration) -> None:
        """Enter a registration, or one in place of another of the same revision."""
        device = registration.device
        if device.name not in self.by_name:
            self._numbered.add(device.name)
            self.types.add(device.device_type)
        self.by_name[device.name] = registration
        self.by_addr[device.addr] = registration
        self.by_uuid[registration.uuid] = registration
        self.by_peer.setdefault(registration.peer, {})[registration.uuid] = registration
        self._by_revision[device.revision] = registration

    def remove(self, registration: Registration) -> None:
        """Take a registration out.

        Raises:
            KeyError: It is not there.
        """
        device = registration.device
        del self.by_name[device.name]
        del self.by_addr[device.addr]
        del self.by_uuid[registration.uuid]
        del self._by_revision[device.revision]
        of_peer = self.by_peer[registration.peer]
        del of_peer[registration.uuid]
        if not of_peer:
            del self.by_peer[registration.peer]
        self._numbered.discard(device.name)
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
        revisions = self._by_revision.irange(after, inclusive=(False, True))
        devices = [self._by_revision[revision].device for revision in islice(revisions, limit)]
        more = bool(devices) and devices[-1].revision != self._by_revision.peekitem(-1)[0]
        return devices, more
