"""Who was present when, from what a watcher yields."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events import Added, Cursor, Device, Live, Origin, Reason, Removed, Stale
from devicewatch.subscribers.timeline import MAX_GAPS, Gap, Span, Timeline


def device(name: str = "cam", at: float = 10.0, revision: int = 1) -> Device:
    return Device(name, "camera", f"tcp://a:{revision}", revision, at)


def came(who: Device) -> Added:
    return Added("e", who.revision, who.registered_at, who)


def left(
    who: Device, at: float, reason: Reason = Reason.EXPIRED, origin: Origin = Origin.LIVE
) -> Removed:
    return Removed("e", who.revision + 1, at, who, reason, origin)


def spans(timeline: Timeline, name: str = "cam") -> list[Span]:
    return list(timeline.lanes[name])


def test_a_device_that_is_there_goes_on() -> None:
    timeline = Timeline()
    timeline.add(came(device()))
    assert spans(timeline) == [Span(device(), 10.0)]


def test_a_device_that_left_has_an_end_and_a_reason() -> None:
    timeline = Timeline()
    timeline.add(came(device()))
    timeline.add(left(device(), 30.0))
    assert spans(timeline) == [Span(device(), 10.0, 30.0, Reason.EXPIRED)]


def test_whoever_has_the_name_next_is_in_the_same_lane() -> None:
    timeline = Timeline()
    first, second = device(), device(at=30.0, revision=3)
    for record in (came(first), left(first, 30.0, Reason.REPLACED), came(second)):
        timeline.add(record)
    assert [span.device for span in spans(timeline)] == [first, second]
    assert timeline.departures("cam", after=29.0) == 1
    assert timeline.departures("cam", after=30.0) == 0
    assert timeline.departures("nobody", after=0.0) == 0


def test_a_watcher_that_resumes_says_who_is_there() -> None:
    timeline = Timeline([device()])
    timeline.add(left(device(), 30.0))
    assert spans(timeline) == [Span(device(), 10.0, 30.0, Reason.EXPIRED)]


def test_one_that_was_not_told_of_was_there_all_the_same() -> None:
    timeline = Timeline()
    timeline.add(left(device(), 30.0))
    assert spans(timeline) == [Span(device(), 10.0, 30.0, Reason.EXPIRED)]


def test_an_end_that_was_missed_is_not_exact() -> None:
    timeline = Timeline([device()])
    timeline.add(left(device(), 30.0, Reason.UNKNOWN, Origin.RESYNC))
    assert [span.exact for span in spans(timeline)] == [False]


def test_none_ends_before_it_began() -> None:
    timeline = Timeline([device(at=10.0)])
    timeline.add(left(device(at=10.0), 5.0))
    assert spans(timeline)[0].end == 10.0


def test_the_times_without_a_live_view() -> None:
    timeline = Timeline()
    timeline.add(Live(1.0, Cursor("e", 0)))  # it has not been stale before
    timeline.add(Stale(5.0, "silence"))
    timeline.add(Stale(6.0, "still"))
    assert list(timeline.gaps) == [Gap(5.0, "silence")]
    timeline.add(Live(9.0, Cursor("e", 0)))
    timeline.add(Stale(12.0, "again"))
    assert list(timeline.gaps) == [Gap(5.0, "silence", 9.0), Gap(12.0, "again")]


def test_what_ended_long_ago_is_forgotten() -> None:
    timeline = Timeline(keep=100.0)
    old, kept, there = device("old"), device("kept"), device("there")
    for record in (
        came(old),
        came(kept),
        came(there),
        Stale(20.0, "x"),
        Live(30.0, Cursor("e", 0)),
    ):
        timeline.add(record)
    timeline.add(Stale(40.0, "y"))
    timeline.add(left(old, 50.0))
    timeline.add(left(kept, 60.0))
    timeline.forget(now=155.0)
    assert set(timeline.lanes) == {"kept", "there"}
    assert list(timeline.gaps) == [Gap(40.0, "y")]
    timeline.add(Live(60.0, Cursor("e", 0)))
    timeline.forget(now=1_159.0, ahead=-1_000.0)  # gaps are on our clock, spans on the registry's
    assert set(timeline.lanes) == {"kept", "there"}
    assert not timeline.gaps
    timeline.forget(now=160.0, ahead=1.0)
    assert set(timeline.lanes) == {"there"}


def test_too_much_to_keep_is_the_oldest() -> None:
    timeline = Timeline(max_ended=2)
    for number in range(1, 4):
        who = device(at=number, revision=number)
        timeline.add(came(who))
        timeline.add(left(who, number + 0.5))
    assert [span.start for span in spans(timeline)] == [2.0, 3.0]
    for number in range(2 * MAX_GAPS):
        timeline.add(Stale(number, "x"))
        timeline.add(Live(number, Cursor("e", 0)))
    assert len(timeline.gaps) == MAX_GAPS


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 50.0)), max_size=60), st.booleans()
)
def test_lanes_are_what_has_happened(steps: list[tuple[str, float]], forgets: bool) -> None:
    timeline = Timeline(keep=100.0, max_ended=5)
    present: dict[str, Device] = {}
    ended: list[tuple[str, float, float]] = []
    now = 0.0
    for revision, (name, pause) in enumerate(steps, 1):
        now += pause
        if name in present:
            gone = present.pop(name)
            timeline.add(left(gone, now))
            ended.append((name, gone.registered_at, now))
        else:
            present[name] = device(name, now, revision)
            timeline.add(came(present[name]))
        if forgets:
            timeline.forget(now)
    kept = ended[-5:]
    if forgets:
        kept = [span for span in kept if span[2] >= now - 100.0]
    found = [(name, span.start, span.end) for name, lane in timeline.lanes.items() for span in lane]
    there = [(name, who.registered_at, None) for name, who in present.items()]
    assert sorted(found, key=str) == sorted([*kept, *there], key=str)
    for lane in timeline.lanes.values():
        assert all(span.end is not None for span in list(lane)[:-1])


def test_records_are_values() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Span(device(), 0.0).start = 1.0  # type: ignore[misc]
