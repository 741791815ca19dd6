"""What owners were told of their devices, beside what a registry says of them, and what happened.

P10: what was acknowledged is there, with the same uuid, name and number; who was unregistered is
not; and whatever was not acknowledged either happened or did not, and once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from devicewatch.events import Added, Device, Event, Live, Origin, Reason, Record, Removed
from tests.promises.validators import promise
from tests.support.live import RawClient

from . import flood
from .members import Fate, Life, Member, Rounds
from .owners import Owner
from .truth import Historian

BEACON: Final = "tcp://10.9.9.9:1"
"""Address of a device that is no owner's, and registers again after each restart."""
_OTHERS: Final = (BEACON, flood.ADDR)

ROUNDING: Final = 0.05
"""Seconds by which two readings of the time of day may differ."""


def audit_devices(
    devices: Mapping[str, Device], owners: Iterable[Owner], rounds: Rounds, at: float
) -> None:
    """See that those who are present are who should be.

    Args:
        devices: Those present, by name.
        owners: They were doing nothing meanwhile.
        rounds: Theirs.
        at: When all that is past, at the latest.
    """
    left = {device.metadata.get("instance"): device for device in devices.values()}
    for owner in owners:
        for member in owner.around():
            device = left.pop(member.instance, None)
            if device is None:
                due = rounds.is_due(member, at)
                promise("P10", due, f"what was acknowledged is not there: {member}")
            else:
                _compare(device, member)
    unknown = [device for device in left.values() if device.addr not in _OTHERS]
    promise("P10", not unknown, f"nobody knows of {unknown}")


def _compare(device: Device, member: Member) -> None:
    if member.revision is None:  # its acknowledgement was the second: from now on it is known
        member.revision = device.revision
    request = member.request
    expected = attrs.evolve(
        device,
        name=member.name,
        revision=member.revision,
        device_type=request["device_type"],
        addr=request["addr"],
        metadata=request["metadata"],
    )
    promise("P10", device == expected, f"{device} was acknowledged as {expected}")


def audit_uuids(client: RawClient, owners: Iterable[Owner]) -> None:
    """See that every device that has a long lease is known, and none that has left."""
    for owner in owners:
        for member in owner.gone() + owner.present():
            payload = {"uuid": member.uuid, "alive_timeout": member.lease}
            there = client.ask("CHECK_ALIVE", payload)["payload"]["success"]
            promise("P10", there == (member.fate is Fate.PRESENT), f"{there} is wrong: {member}")


@attrs.define
class Course:
    """A registration, as it really came and went."""

    added: Added
    removed: Removed | None = None


class Courses:
    """Every registration there was, by its instance.

    Args:
        events: All that happened.
        lives: The registry's.
    """

    def __init__(self, events: Sequence[Event], lives: Sequence[Life]) -> None:
        self._lives = lives
        self._courses: dict[object, list[Course]] = {}
        by_revision: dict[int, Course] = {}
        for event in events:
            if event.device.addr in _OTHERS:
                continue
            if isinstance(event, Added):
                course = by_revision[event.seq] = Course(event)
                instance = event.device.metadata["instance"]
                self._courses.setdefault(instance, []).append(course)
            else:
                by_revision[event.device.revision].removed = event

    def audit(self, owners: Iterable[Owner]) -> None:
        """See that what happened is what the owners were told, and nothing else."""
        members = [member for owner in owners for member in owner.members]
        unknown = self._courses.keys() - {member.instance for member in members}
        promise("P10", not unknown, f"registered, and nobody knows of it: {unknown}")
        for member in members:
            courses = self._courses.get(member.instance, [])
            promise("P10", bool(courses), f"it was acknowledged, and never was: {member}")
            for course in courses[
                :-1
            ]:  # kept, not acknowledged, and late when it was asked for again
                lease = member.request["alive_timeout"]
                expired = self._has_expired(course, 0.0, lease)
                promise("P10", expired, f"registered twice: {course}, {member}")
            self._audit(member, courses[-1])

    def _audit(self, member: Member, course: Course) -> None:
        device, gone = course.added.device, course.removed
        same = device.name == member.name and member.revision in (None, device.revision)
        promise("P10", same, f"{device} was acknowledged as {member}")
        if gone is None or member.fate is Fate.PRESENT:
            as_told = gone is None and member.fate is Fate.PRESENT
        elif gone.reason is Reason.EXPIRED:
            as_told = self._has_expired(course, member.granted, member.lease)
        else:
            as_told = (member.fate, gone.reason) in (
                (Fate.UNREGISTERED, Reason.UNREGISTERED),
                (Fate.REPLACED, Reason.REPLACED),
            )
        promise("P10", as_told, f"{member} was left by {gone}")

    def _has_expired(self, course: Course, granted: float, lease: float) -> bool:
        """Whether it has, and no earlier than it may, given that leases restart in full."""
        gone = course.removed
        if gone is None or gone.reason is not Reason.EXPIRED:
            return False
        began = [life.began for life in self._lives if life.began <= gone.time]
        return gone.time >= max(granted, *began) + lease - ROUNDING

    def kept(self, event: str, member: Member, before: float) -> bool:
        """Whether a request that was not answered had been kept when the registry was killed."""
        courses = self._courses.get(member.instance)
        if not courses or event not in ("REGISTER", "UNREGISTER"):
            return False
        happened = courses[0].added if event == "REGISTER" else courses[-1].removed
        return happened is not None and happened.time < before


def audit_told(records: Sequence[Record], historian: Historian, who: object) -> int:
    """See that nothing that a watcher was told has been undone since, or become something else.

    Returns:
        How many records that is about: what follows is newer than what the historian knows.
    """
    latest = historian.events[-1].seq
    for number, record in enumerate(records):
        if not isinstance(record, Added | Removed) or record.origin is Origin.SNAPSHOT:
            continue
        if record.seq > latest:
            return number
        really = historian.truth.event(record.epoch, record.seq)
        promise("P10", record == really, f"{who} was told {record}, and now it is {really}")
    return len(records)


def audit_records(records: Collection[Record], who: object) -> None:
    """See that a watcher saw no restart, but for its silence: nobody seemed to leave and return.

    The order, and that nothing is missing, is for others to judge.
    """
    for record in records:
        resynced = isinstance(record, Live) and record.resynced
        promise("P10", not resynced, f"{who} was resynced: {record}")
        if isinstance(record, Added | Removed):
            promise("P10", record.origin is not Origin.RESYNC, f"a flap for {who}: {record}")
    told = Counter(
        (type(record), record.epoch, record.device.revision)
        for record in records
        if isinstance(record, Added | Removed)
    )
    twice = [key for key, number in told.items() if number > 1]
    promise("P10", not twice, f"{who} was told twice: {twice}")
