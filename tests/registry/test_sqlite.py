"""The journal in a file: what is kept comes back, and what goes wrong harms nothing."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicewatch.events.durability import Durability
from devicewatch.events.errors import JournalError
from devicewatch.events.messages import Register
from devicewatch.events.protocol import MAX_NAME
from devicewatch.events.records import Added, Device
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.journal import (
    Change,
    Journal,
    MemoryJournal,
    Past,
    Registration,
)
from devicewatch.registry.sqlite.journal import TRIMMED_PER_APPEND, SqliteJournal
from tests.events.strategies import devices, old_registers, registers
from tests.support.journals import (
    EPOCH,
    Changes,
    kept_by_another,
    leave_a_killed_one,
    meta_of,
    numbers,
    registrations_of,
    same,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(path)
    yield journal
    journal.close()


def reopened(path: Path, history: int = 1_000) -> Past:
    journal = SqliteJournal(path)
    try:
        return journal.load("another epoch", history)
    finally:
        journal.close()


# --- what comes back -----------------------------------------------------------------------------


def test_a_new_journal_begins_with_the_epoch_given(path: Path) -> None:
    journal: Journal = SqliteJournal(path)
    assert same(journal.load(EPOCH, 10), Past(EPOCH))
    journal.close()
    assert same(reopened(path), Past(EPOCH))


def test_names_that_the_registry_has_made_longer_than_may_be_asked_for_come_back(
    path: Path,
) -> None:
    wishes = [
        Register("camera", "tcp://1", "n" * MAX_NAME),
        Register("camera", "tcp://2", "n" * MAX_NAME),
        Register("t" * MAX_NAME, "tcp://3", ""),
    ]
    journal = SqliteJournal(path)
    core = RegistryCore(journal.load(EPOCH, 10).epoch, 0.0)
    for wish in wishes:
        core.handle(wish, 0.0)
        assert core.change is not None
        journal.append(core.change)
    journal.close()
    after = RegistryCore(EPOCH, 0.0)
    after.restore(reopened(path), 0.0)
    assert after.devices == core.devices
    assert max(map(len, after.devices)) > MAX_NAME


class Play:
    """The same changes for a journal in a file and one in memory, with restarts in between."""

    def __init__(self, path: Path, data: st.DataObject) -> None:
        self.data = data
        self.both: tuple[Journal, Journal] = (SqliteJournal(path), MemoryJournal())
        self.changes = Changes(self.restart())

    def restart(self) -> Past:
        for journal in self.both:
            journal.close()
        history = self.data.draw(st.sampled_from([0, 1, 5, 1_000]), "history")
        in_file, in_memory = (journal.load(EPOCH, history) for journal in self.both)
        assert in_file.seq == in_memory.seq
        assert registrations_of(in_file) == registrations_of(in_memory)
        # The journal in memory forgets at once what is beyond its history; the other one later.
        if in_memory.events:
            assert list(in_file.events[-len(in_memory.events) :]) == list(in_memory.events)
        assert len(in_file.events) <= history
        return in_file

    def step(self) -> None:
        match self.data.draw(st.sampled_from(["one", "one", "together", "restart"]), "step"):
            case "one":
                self._keep(self._change())
            case "together":
                number = self.data.draw(st.integers(2, 6), "number")
                self._keep(self.changes.together([self._change() for _ in range(number)]))
            case _:
                self.restart()

    def _keep(self, change: Change) -> None:
        for journal in self.both:
            journal.append(change)

    def _change(self) -> Change:
        changes, kinds = self.changes, ["register", "register", "many"]
        revision = 0
        if changes.present:
            kinds += ["remove", "replace", "lengthen", "remove all"]
            revision = self.data.draw(st.sampled_from(sorted(changes.present)), "revision")
        match self.data.draw(st.sampled_from(kinds), "kind"):
            case "register":
                return changes.register()
            case "many":
                return changes.register_many(self.data.draw(st.integers(2, 30), "number"))
            case "remove":
                return changes.remove(revision)
            case "replace":
                return changes.replace(revision)
            case "lengthen":
                return changes.lengthen(revision, self.data.draw(st.floats(0.1, 1e6), "lease"))
            case _:
                return changes.remove_all()


@settings(max_examples=25)
@given(data=st.data())
def test_whatever_is_kept_comes_back_as_from_memory(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        play = Play(Path(folder, "journal"), data)
        try:
            for _ in range(data.draw(st.integers(1, 25), "steps")):
                play.step()
            play.restart()
        finally:
            play.both[0].close()


@settings(max_examples=40)
@given(
    device=devices,
    request=registers | old_registers,
    lease=st.floats(0.1, 1e7),
)
def test_every_device_and_every_request_comes_back_as_it_was(
    device: Device, request: Register, lease: float
) -> None:
    device = attrs.evolve(device, revision=1)
    event = Added(EPOCH, 1, 1.5, device)
    with TemporaryDirectory() as folder:
        journal = SqliteJournal(Path(folder, "journal"))
        journal.load(EPOCH, 10)
        journal.append(Change([event], [Registration(device, "secret", lease, request)]))
        journal.close()
        past = reopened(Path(folder, "journal"))
    assert registrations_of(past) == [(device, "secret", lease, request)]
    assert list(past.events) == [event]


def test_what_was_kept_survives_a_kill(path: Path) -> None:
    leave_a_killed_one(path, 50)
    changes = Changes()
    change = changes.register_many(50)
    assert same(
        reopened(path), Past(EPOCH, 50, tuple(changes.present.values()), tuple(change.events))
    )


def test_a_journal_may_go_from_thread_to_thread(path: Path) -> None:
    journal = SqliteJournal(path)
    changes = Changes()
    journal.load(EPOCH, 10)
    thread = threading.Thread(target=lambda: journal.append(changes.register()))
    thread.start()
    thread.join()
    journal.close()
    assert reopened(path).seq == 1


def test_closing_may_be_repeated_and_loading_too(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.close()
    journal.load(EPOCH, 10)
    journal.append(Changes().register())
    journal.close()
    journal.close()
    assert journal.load(EPOCH, 10).seq == 1
    journal.close()


# --- the file ------------------------------------------------------------------------------------


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "journal"
    before = os.umask(0)
    try:
        journal = SqliteJournal(path)
        journal.load(EPOCH, 10)
        journal.append(Changes().register())
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert modes.keys() == {"journal", "journal-lock", "journal-wal", "journal-shm"}
    assert set(modes.values()) == {0o600}
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_closed_one_is_one_file_beside_its_lock(path: Path) -> None:
    leave_a_killed_one(path)
    reopened(path)
    assert {p.name for p in path.parent.iterdir()} == {"journal", "journal-lock"}


@pytest.mark.parametrize("name", ["with space", "what?mode=ro", "100%25", "#1", "größe"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    reopened(path)
    assert path.exists()
    assert {p.name for p in tmp_path.iterdir()} == {name, f"{name}-lock"}


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reopened(Path("journal")).seq == 0
    assert (tmp_path / "journal").exists()


# --- in use --------------------------------------------------------------------------------------


def test_two_registries_cannot_share_one(path: Path, journal: SqliteJournal) -> None:
    journal.load(EPOCH, 10)
    for other in (journal, SqliteJournal(path)):
        with pytest.raises(JournalError, match=r"in use by another|registry that is running"):
            other.load(EPOCH, 10)
    journal.append(Changes().register())
    journal.close()
    assert reopened(path).seq == 1


def test_a_registry_in_another_process_is_named_as_the_cause(
    path: Path, journal: SqliteJournal
) -> None:
    with (
        kept_by_another(path),
        pytest.raises(JournalError, match="in use by another registry: stop that one, or"),
    ):
        journal.load(EPOCH, 10)
    assert journal.load(EPOCH, 10).seq == 3


# --- history -------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [0, 1, 5])
def test_no_more_than_the_history_is_kept(path: Path, history: int) -> None:
    journal, changes = SqliteJournal(path), Changes()
    journal.load(EPOCH, history)
    for _ in range(20):
        journal.append(changes.register())
    rows = journal._connection.execute("SELECT count(*) FROM events").fetchone()
    journal.close()
    assert rows == (max(history, 1),)  # the newest says where numbering is
    past = reopened(path, history)
    assert past.seq == 20
    assert numbers(past.events) == list(range(21 - history, 21))


def test_a_shorter_history_is_reached_in_steps(path: Path, journal: SqliteJournal) -> None:
    changes = Changes()
    journal.load(EPOCH, 10_000)
    journal.append(changes.register_many(1_000))
    journal.close()
    assert len(journal.load(EPOCH, 10).events) == 10
    left = 1_000
    for _ in range(20):
        journal.append(changes.register())
        (now,) = journal._connection.execute("SELECT count(*) FROM events").fetchone()
        assert now >= left - TRIMMED_PER_APPEND
        left = now
    assert left == 10


def test_a_change_without_events_is_kept_as_well(path: Path, journal: SqliteJournal) -> None:
    changes = Changes()
    journal.load(EPOCH, 10)
    journal.append(changes.register())
    journal.append(changes.lengthen(1, 99.5))
    journal.close()
    past = reopened(path)
    assert [registration.lease for registration in past.registrations] == [99.5]
    assert past.seq == 1


def test_it_remembers_how_it_was_used(path: Path) -> None:
    journal = SqliteJournal(path, durability=Durability.POWER, boot_id=lambda: "boot-1")
    journal.load(EPOCH, 10)
    meta = meta_of(path)
    assert (meta["durability"], meta["boot_id"], meta["clean"]) == ("power", "boot-1", False)
    journal.close()
    assert meta_of(path)["clean"] is True
