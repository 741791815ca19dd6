"""Whether what a journal holds can be true: what a registry relies on when it goes on from it."""

from collections.abc import Iterator

from ..events.records import Added, Event
from .journal import Past, Registration


def contradictions(past: Past) -> Iterator[str]:
    """Everything in it that cannot be, a clause each; nothing if a registry can go on from it.

    No secret is in any of them.
    """
    yield from _of_registrations(past)
    yield from _of_events(past)
    yield from _between(past)


def _of_registrations(past: Past) -> Iterator[str]:
    by_name: dict[str, Registration] = {}
    by_addr: dict[str, Registration] = {}
    by_uuid: dict[str, Registration] = {}
    for registration in past.registrations:
        device = registration.device
        for what, first in (
            ("name", by_name.setdefault(device.name, registration)),
            ("address", by_addr.setdefault(device.addr, registration)),
            ("uuid", by_uuid.setdefault(registration.uuid, registration)),
        ):
            if first is not registration:
                revisions = f"{first.device.revision} and {device.revision}"
                yield f"registrations {revisions} have the same {what}"
        if not 0 < device.revision <= past.seq:
            yield f"registration {device.revision} is not among events 1 to {past.seq}"


def _of_events(past: Past) -> Iterator[str]:
    before: Event | None = None
    for event in past.events:
        if event.epoch != past.epoch:
            yield f"event {event.seq} is of another epoch"
        if before is not None and event.seq != before.seq + 1:
            yield f"event {event.seq} follows event {before.seq}"
        before = event
    if before is not None and before.seq != past.seq:
        yield f"the last event is number {before.seq}, not {past.seq}"


def _between(past: Past) -> Iterator[str]:
    """What the events and the registrations say of each other."""
    present = {event.seq: event for event in past.events if isinstance(event, Added)}
    gone: dict[int, int] = {}
    for event in past.events:
        revision = event.device.revision
        if isinstance(event, Added):
            continue
        if revision in gone:
            yield f"event {event.seq} removes what event {gone[revision]} removed"
        present.pop(revision, None)
        gone[revision] = event.seq
    since = past.events[0].seq if past.events else past.seq + 1
    for registration in past.registrations:
        revision = registration.device.revision
        added = present.pop(revision, None)
        if revision in gone:
            yield f"registration {revision} is there, though event {gone[revision]} removed it"
        elif added is None and since <= revision <= past.seq:
            yield f"registration {revision} has no event"
        elif added is not None and added.device != registration.device:
            yield f"registration {revision} is not what event {revision} says"
    for revision in present:
        yield f"event {revision} has no registration, and none removed it"
