"""The event log."""

from devicewatch.events import Origin, Reason
from devicewatch.subscribers.top.chronicle import MAX_LINES, Chronicle
from devicewatch.subscribers.top.lines import plain
from tests.support.hostile import HOSTILE, TRICKS
from tests.top.records import NOW, came, device, left, live, stale


def texts(chronicle: Chronicle) -> list[str]:
    """Its lines, without the time of day."""
    return [plain(line)[9:] for line in chronicle.lines]


def test_the_beginning_is_one_line() -> None:
    chronicle = Chronicle()
    for number in range(1_000):
        chronicle.add(came(device(f"d-{number}"), Origin.SNAPSHOT))
    assert chronicle.count == 0
    chronicle.add(live())
    assert texts(chronicle) == ["● live; 1000 devices there already"]
    other = Chronicle()
    other.add(came(device(), Origin.SNAPSHOT))
    other.add(live())
    assert texts(other) == ["● live; 1 device there already"]


def test_who_comes_and_who_leaves_and_why() -> None:
    chronicle = Chronicle()
    chronicle.add(came(device()))
    chronicle.add(left(device()))
    chronicle.add(left(device(at=NOW), reason=Reason.REPLACED))
    chronicle.add(came(device("a-name-that-is-long")))
    assert texts(chronicle) == [
        "+ cam            camera tcp://cam:1",
        "- cam            expired after 1 min; camera tcp://cam:1",
        "- cam            replaced at once; camera tcp://cam:1",
        "+ a-name-that-is-long camera tcp://a-name-that-is-long:1",
    ]


def test_what_was_missed_is_marked() -> None:
    chronicle = Chronicle()
    chronicle.add(live())
    chronicle.add(stale())
    chronicle.add(left(device(), reason=Reason.UNKNOWN, origin=Origin.RESYNC))
    chronicle.add(came(device("new"), Origin.RESYNC))
    chronicle.add(live(resynced=True))
    chronicle.add(stale(why="again"))
    chronicle.add(live())
    assert texts(chronicle) == [
        "● live; 0 devices there already",
        "○ stale: a cut cable",
        "- cam            found gone on resync: reason unknown; camera tcp://cam:1",
        "+ new            found on resync: camera tcp://new:1",
        "● live again; some events were missed: what they come to stands above",
        "○ stale: again",
        "● live again; nothing was missed",
    ]


def test_it_is_bounded() -> None:
    chronicle = Chronicle()
    for number in range(MAX_LINES + 10):
        chronicle.add(came(device(f"d-{number}")))
    assert len(chronicle.lines) == MAX_LINES
    assert chronicle.count == MAX_LINES + 10


def test_text_from_strangers_is_harmless() -> None:
    chronicle = Chronicle()
    chronicle.add(came(device(HOSTILE, kind=HOSTILE, addr=HOSTILE)))
    chronicle.add(left(device(HOSTILE, at=1e300, addr=HOSTILE), at=-1e300))
    chronicle.add(stale(1e300, HOSTILE))
    assert not TRICKS & set("".join(texts(chronicle)))
    assert all(line.isprintable() for line in texts(chronicle))
