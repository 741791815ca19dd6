"""Keys for tests, and registries with keys. Drawing a pair takes a while: each is drawn once."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from devicewatch.events.keys import Key
from devicewatch.events.protocol import Role
from devicewatch.registry import DeviceRegistry
from devicewatch.registry.authorized import authorize, begin_list, revoke
from devicewatch.registry.security import Grant

from .live import wait_until

TICK = 0.1


@cache
def key_of(who: str) -> Key:
    """Somebody's own pair, the same for the same name, which is for no registry yet."""
    return Key.new()


def public_of(who: str) -> str:
    return key_of(who).public


def client_key(who: str, registry: str = "registry") -> Key:
    """Somebody's key for somebody's registry."""
    return attrs.evolve(key_of(who), registry=public_of(registry))


class Guarded:
    """A registry with keys, and the list of those that are let in.

    Attributes:
        registry: It.
        list: The list.
    """

    def __init__(self, registry: DeviceRegistry, path: Path) -> None:
        self.registry = registry
        self.list = path

    def let_in(self, who: str, role: Role = Role.DEVICE, names: str = "*") -> Key:
        """Put somebody on the list, wait until the registry has noticed, and give the key."""
        grant = Grant(public_of(who), role, names)
        authorize(self.list, grant)
        wait_until(lambda: self._grants().get(grant.public) == grant)
        return client_key(who)

    def let_out(self, who: str) -> None:
        """Strike somebody out, and wait until the registry has noticed."""
        revoke(self.list, public_of(who))
        wait_until(lambda: public_of(who) not in self._grants())

    def _grants(self) -> dict[str, Grant]:
        gate = self.registry._gate
        assert gate is not None
        return dict(gate.grants)


def let_in_by(path: Path, **roles: Role) -> Path:
    """A list of those who are let in, by name; made if there is none."""
    begin_list(path)
    for who, role in roles.items():
        authorize(path, Grant(public_of(who), role))
    return path


@contextmanager
def guarded(path: Path, *, key: str = "registry", **options: Any) -> Iterator[Guarded]:
    """A registry with keys that runs, and lets in whoever is on the list at a path."""
    settings: dict[str, Any] = {"addr": "127.0.0.1", "port": "0", "events_port": "0"}
    settings |= {"tick_interval": TICK, "key": key_of(key), "authorized": let_in_by(path)}
    with DeviceRegistry(**settings | options) as registry:
        yield Guarded(registry, path)
