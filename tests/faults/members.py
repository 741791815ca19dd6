"""What is known of registrations and requests, and of the lives of a registry that is killed."""

import enum
import math
import threading
from typing import Any

import attrs

SHORT, LONG = 0.3, 3600.0
"""Leases, in seconds. The registry is away for longer than the short one, which must outlast it."""


class Fate(enum.Enum):
    """What an owner knows of a registration."""

    PRESENT = "it is there"
    SILENT = "its lease runs out"
    UNREGISTERED = "it was unregistered"
    REPLACED = "its owner has put another in its place"
    EXPIRED = "it was late, and has expired"


@attrs.define(eq=False)
class Member:
    """A registration, as its owner knows it.

    Attributes:
        request: What was asked for; the instance is in the metadata, too, where all can see it.
        uuid: Its secret.
        name: That it was given.
        revision: Its number; None as long as the owner cannot know it.
        lease: Length of its lease.
        granted: When its lease cannot have begun later, as far as its owner caused it.
        fate: What became of it.
    """

    request: dict[str, Any]
    uuid: str = ""
    name: str = ""
    revision: int | None = None
    lease: float = LONG
    granted: float = 0.0
    fate: Fate = Fate.PRESENT

    @property
    def instance(self) -> str:
        return str(self.request["instance"])


@attrs.define(eq=False)
class Pending:
    """A request that has not been answered."""

    event: str
    payload: dict[str, Any]
    member: Member
    repeated: bool = False


class Killed(Exception):
    """The registry is no more, and so is what it would have answered."""


@attrs.define
class Life:
    """One of the registry's.

    Attributes:
        began: When its leases began anew, at the earliest.
        ended: When it was dead for certain.
    """

    began: float
    ended: float = math.inf


class Rounds:
    """Says who may do what: the one who kills, and the owners.

    Attributes:
        lives: The registry's, so far.
        kills: How often the registry was killed: by then it is dead for certain.
        released: How many kills have been dealt with; as long as that is fewer, owners who have
            seen that all is as it should be wait.
        over: Whether the owners are to stop.
    """

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.kills = self.released = 0
        self.over = False
        self.changed = threading.Condition()

    def is_due(self, member: Member, at: float) -> bool:
        """Whether a lease may have ended by then, in any life of the registry."""
        return any(
            max(member.granted, life.began) + member.lease < min(life.ended, at)
            for life in self.lives
        )

    def began(self, at: float) -> None:
        """The present life cannot have begun earlier."""
        with self.changed:
            self.lives[-1].began = max(at, self.lives[-1].began)

    def set(self, **values: int) -> None:
        with self.changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()
