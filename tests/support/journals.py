"""Help for tests of journals: changes such as a registry makes, and what is in a file."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from devicewatch.events.errors import JournalError
from devicewatch.events.messages import Register
from devicewatch.events.protocol import Reason
from devicewatch.events.records import Added, Device, Event, Removed
from devicewatch.registry.journal import Change, MemoryJournal, Past, Registration

EPOCH = "epoch-1"


class Changes:
    """Changes as a registry makes them, one after the other.

    Attributes:
        seq: Number of the latest event.
        present: Who is registered, by revision.
    """

    def __init__(self, past: Past | None = None) -> None:
        self.epoch = past.epoch if past else EPOCH
        self.seq = past.seq if past else 0
        self.present = {r.device.revision: r for r in past.registrations} if past else {}

    def register(self, **more: Any) -> Change:
        added = self._added(**more)
        return Change([added], [self.present[added.seq]])

    def remove(self, revision: int, reason: Reason = Reason.EXPIRED) -> Change:
        return Change([self._removed(revision, reason)])

    def replace(self, revision: int) -> Change:
        device = self.present[revision].device
        removed = self._removed(revision, Reason.REPLACED)
        added = self._added(name=device.name, addr=device.addr)
        return Change([removed, added], [self.present[added.seq]])

    def register_many(self, number: int) -> Change:
        events = [self._added() for _ in range(number)]
        return Change(events, [self.present[event.seq] for event in events])

    def remove_all(self) -> Change:
        return Change([self._removed(revision, Reason.EXPIRED) for revision in list(self.present)])

    def lengthen(self, revision: int, lease: float) -> Change:
        old = self.present[revision]
        new = Registration(old.device, old.uuid, lease, old.request)
        self.present[revision] = new
        return Change((), [new])

    def together(self, changes: Sequence[Change]) -> Change:
        """The latest of them as one: who came and went meanwhile is in the events only."""
        touched = {kept.device.revision for change in changes for kept in change.registrations}
        return Change(
            [event for change in changes for event in change.events],
            [self.present[revision] for revision in sorted(touched & self.present.keys())],
        )

    def _added(self, **more: Any) -> Added:
        self.seq += 1
        n = self.seq
        wish: dict[str, Any] = {"device_type": "camera", "addr": f"tcp://{n}", "name": f"cam-{n}"}
        request = Register(**wish | more)
        device = Device(
            request.name, request.device_type, request.addr, n, 1e9 + n, request.metadata or {}
        )
        self.present[n] = Registration(device, f"secret-{n}", 20.0, request)
        return Added(self.epoch, n, 1e9 + n, device)

    def _removed(self, revision: int, reason: Reason) -> Removed:
        self.seq += 1
        device = self.present.pop(revision).device
        return Removed(self.epoch, self.seq, 1e9 + self.seq, device, reason)


BAD = "bad"
"""What cannot be kept has to do with a device of that type, or with a lease of so many seconds."""
BAD_LEASE = 66.0


class PickyJournal(MemoryJournal):
    """Keeps only what is good.

    Attributes:
        full: Whether it keeps nothing at all.
        uncertain: Whether it does not know what it has kept.
        changes: What it has kept, change by change.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.uncertain = False
        self.attempts = 0
        self.changes: list[Change] = []

    def append(self, change: Change) -> None:
        self.attempts += 1
        if self.uncertain:
            raise TimeoutError("the other machine does not answer")
        if self.full or is_bad(change):
            raise JournalError("the disk is full")
        super().append(change)
        self.changes.append(change)

    @property
    def content(self) -> dict[str, tuple[object, ...]]:
        return {
            kept.uuid: (kept.device, kept.lease, kept.request)
            for kept in self._registrations.values()
        }

    @property
    def names(self) -> set[str]:
        return {kept.device.name for kept in self._registrations.values()}


def is_bad(change: Change) -> bool:
    return any(event.device.device_type == BAD for event in change.events) or any(
        registration.lease == BAD_LEASE for registration in change.registrations
    )


def registrations_of(past: Past) -> list[tuple[object, ...]]:
    """Registrations are not compared by value; this can be."""
    return [(r.device, r.uuid, r.lease, r.request) for r in past.registrations]


def same(one: Past, other: Past) -> bool:
    return (
        (one.epoch, one.seq) == (other.epoch, other.seq)
        and registrations_of(one) == registrations_of(other)
        and list(one.events) == list(other.events)
    )


def numbers(events: Sequence[Event]) -> list[int]:
    return [event.seq for event in events]


def tamper(path: Path, *statements: str) -> None:
    """Change a journal that is not in use behind everybody's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def meta_of(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        (record,) = connection.execute("SELECT record FROM meta").fetchone()
    meta: dict[str, Any] = json.loads(record)
    return meta


_KEEPER = """
import sys
from pathlib import Path
from devicewatch.events.durability import Durability
from devicewatch.registry.sqlite import SqliteJournal
from tests.support.journals import EPOCH, Changes
path, number, durability = sys.argv[1:]
journal = SqliteJournal(path, durability=Durability(durability))
changes = Changes(journal.load(EPOCH, 1_000))
for _ in range(int(number)):
    journal.append(changes.register())
print(changes.seq, flush=True)
sys.stdin.readline()
journal.close()
"""


@contextmanager
def kept_by_another(
    path: Path, number: int = 3, durability: str = "process"
) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a journal, and has kept so many devices in it.

    Kill it, or it closes the journal in order in the end.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _KEEPER, str(path), str(number), durability],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate("\n")


def leave_a_killed_one(path: Path, number: int = 3, durability: str = "process") -> None:
    """A journal whose registry was killed."""
    with kept_by_another(path, number, durability) as process:
        process.kill()
        process.wait()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of one megabyte; where none can be had, the test is skipped."""
    mount = shutil.which("mount")
    if os.geteuid() or mount is None:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
