"""The mirror and publishers and registries that are broken, or mean it ill.

Nothing that they send may raise anything, make the mirror grow, or make it ask without a pause.

The bound on requests: a request that comes to nothing is followed by a pause that grows to 2.5
seconds at least, whatever the jitter. One such round is INFO, REPLAY and SNAPSHOT at the most, so
that after the first minute there are no more than 3 * 60 / 2.5 = 72 of them per minute. Requests
that bring something are not paced; there are no more of them than devices and events.
"""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Final

import pytest

from devicewatch.events.messages import (
    CompactedReply,
    ErrorReply,
    EventsReply,
    Replay,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
)
from devicewatch.events.records import Bye, Cursor, State, Tick
from devicewatch.subscribers import fetching as fetching_module
from devicewatch.subscribers import hearsay as hearsay_module
from devicewatch.subscribers import mirror as mirror_module
from devicewatch.subscribers import snapshot as snapshot_module
from devicewatch.subscribers import view as view_module
from tests.support.attack import (
    Answer,
    Attack,
    Frames,
    forever,
    honest,
    instead,
    new_epoch_each_time,
    says,
)
from tests.support.driver import Driver, added, device, live, tick

MOST_PER_MINUTE: Final = 72
MOST_DEVICES: Final = 200
MOST_KEPT: Final = 100


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (view_module, snapshot_module, fetching_module, mirror_module):
        monkeypatch.setattr(module, "MAX_DEVICES", MOST_DEVICES)
    monkeypatch.setattr(hearsay_module, "MAX_KEPT", MOST_KEPT)


def no_way_on(request: Request) -> Reply:
    assert isinstance(request, Snapshot)
    return SnapshotReply("e", 5, [device(1), device(2)], 2)


def no_progress(request: Request) -> Reply:
    assert isinstance(request, Replay)
    return EventsReply(request.epoch, request.after + 10, [])


def wrong_progress(request: Request) -> Reply:
    assert isinstance(request, Replay)
    return EventsReply(request.epoch, request.after + 9, [added(request.after + 2)])


LIVE_OR_STALE: Final = (State.LIVE, State.STALE)
CONNECTING: Final = (State.CONNECTING,)
STALE: Final = (State.STALE,)

ATTACKS: Final = [
    pytest.param(lambda: repeat([b"tick", b"{}"]), honest(), CONNECTING, "silent", id="garbage"),
    pytest.param(lambda: repeat([]), honest(), CONNECTING, "silent", id="no frames"),
    pytest.param(forever(lambda n: tick(2000 - n)), honest(), None, "", id="seq backwards"),
    pytest.param(
        forever(lambda n: tick(0, f"e{n}")), honest(), CONNECTING, "", id="an epoch at each tick"
    ),
    pytest.param(
        forever(lambda n: tick(5, "ef"[n % 2])),
        honest(),
        None,
        "",
        id="two epochs in turn",
    ),
    pytest.param(
        forever(lambda n: tick(0, f"e{n}")),
        new_epoch_each_time(),
        CONNECTING,
        "",
        id="an epoch at each tick and another at each reply",
    ),
    pytest.param(says(Bye("e", 5, 0.0)), honest(), CONNECTING, "has stopped", id="nothing but bye"),
    pytest.param(says(tick(5), Bye("e", 5, 0.0)), honest(), LIVE_OR_STALE, "", id="bye and tick"),
    pytest.param(
        forever(lambda n: Bye(f"e{n}", 5, 0.0)),
        honest(),
        CONNECTING,
        "has stopped",
        id="bye of any epoch",
    ),
    pytest.param(
        forever(lambda n: tick(5 + n * 10**6)), honest(), STALE, "missed", id="ticks far ahead"
    ),
    pytest.param(
        says(tick(5, "f")), honest(), CONNECTING, "is not that of the registry", id="two registries"
    ),
    pytest.param(
        says(tick(5)),
        instead(Snapshot, no_way_on),
        CONNECTING,
        "do not fit",
        id="pages that do not advance",
    ),
    pytest.param(
        says(tick(9)),
        instead(Replay, no_progress),
        STALE,
        "do not fit",
        id="replays that do not advance",
    ),
    pytest.param(
        says(tick(9)),
        instead(Replay, wrong_progress),
        STALE,
        "do not fit",
        id="replays of something else",
    ),
    pytest.param(
        says(tick(9)),
        lambda _request: ErrorReply(None, "INTERNAL", "it burns"),
        CONNECTING,
        "it burns",
        id="nothing but errors",
    ),
    pytest.param(
        says(tick(9)),
        instead(Snapshot, lambda _request: CompactedReply("e", 5, 1)),
        CONNECTING,
        "older registry",
        id="wrong replies",
    ),
    pytest.param(says(tick(5)), lambda _request: None, CONNECTING, "no answer", id="no replies"),
]


@pytest.mark.no_cover
@pytest.mark.parametrize("every", [0.05, 1.0])
@pytest.mark.parametrize(("stream", "answer", "states", "why"), ATTACKS)
def test_it_asks_with_pauses_stays_small_and_says_what_is_wrong(
    stream: Callable[[], Iterator[Frames]],
    answer: Answer,
    states: tuple[State, ...] | None,
    why: str,
    every: float,
) -> None:
    begin = live(5, driver=Driver(jitter=0.0)) if states == STALE else None
    attack = Attack(stream, answer, driver=begin, every=every)
    asked = attack.run(10)
    assert max(asked[1:]) <= MOST_PER_MINUTE
    assert asked[0] <= 2 * MOST_PER_MINUTE
    assert attack.largest <= MOST_DEVICES + MOST_KEPT
    status = attack.driver.mirror.view.status
    if states is not None:
        assert status.state in states
    assert bool(status.why) is (status.state is not State.LIVE)
    seen = set()
    for _ in range(100):  # over a while, since the trouble is not the same all the time
        attack.step(attack.driver.now + 0.3)
        seen.add(attack.driver.mirror.view.status.why)
    assert any(why in each for each in seen), seen


@pytest.mark.parametrize(("stream", "answer", "states", "why"), ATTACKS)
def test_a_registry_that_comes_to_its_senses_is_followed(
    stream: Callable[[], Iterator[Frames]],
    answer: Answer,
    states: tuple[State, ...] | None,
    why: str,
) -> None:
    attack = Attack(stream, answer)
    attack.run(10)
    attack.stream, attack.answer = says(tick(0, "good"))(), honest(0, "good")
    attack.run(1)
    assert attack.driver.mirror.view.status.state is State.LIVE
    assert attack.driver.mirror.view.cursor == Cursor("good", 0)


# --- without an end -----------------------------------------------------------------------------


@pytest.mark.no_cover
def test_a_snapshot_without_an_end_ends() -> None:
    def next_page(request: Request) -> Reply:
        assert isinstance(request, Snapshot)
        revision = (request.after or 0) + 1
        return SnapshotReply("e", 10**6, [device(revision)], revision)

    attack = Attack(says(tick(10**6)), instead(Snapshot, next_page))
    asked = attack.run(10)
    assert attack.largest <= MOST_DEVICES + MOST_KEPT
    assert attack.driver.mirror.view.status.state is State.CONNECTING
    assert max(asked[1:]) <= (MOST_DEVICES + 2) * 60 / 2.5, "a whole snapshot between two pauses"


def next_events(number: int) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        assert isinstance(request, Replay)
        first = request.after + 1
        events = [added(seq) for seq in range(first, first + number)]
        return EventsReply(request.epoch, 10**6, events)

    return answer


@pytest.mark.no_cover
def test_a_replay_without_an_end_brings_news_with_every_request_or_pauses() -> None:
    attack = Attack(
        says(tick(10**6)),
        instead(Replay, next_events(1)),
        driver=live(5, driver=Driver(jitter=0.0)),
    )
    asked = attack.run(1)
    assert asked[0] <= attack.driver.mirror.view.seq + 2 * MOST_PER_MINUTE
    assert attack.driver.mirror.view.status.state is State.STALE


@pytest.mark.no_cover
def test_a_replay_of_ever_more_devices_ends() -> None:
    attack = Attack(
        says(tick(10**6)),
        instead(Replay, next_events(10)),
        driver=live(5, driver=Driver(jitter=0.0)),
    )
    asked = attack.run(5)
    assert attack.largest <= 2 * MOST_DEVICES
    assert max(asked[1:]) <= MOST_PER_MINUTE
    assert f"replays more than {MOST_DEVICES} devices" in attack.driver.mirror.view.status.why


@pytest.mark.no_cover
def test_a_resume_without_an_end_is_given_up() -> None:
    attack = Attack(
        says(tick(10**6)),
        instead(Replay, next_events(10)),
        driver=Driver(since=Cursor("e", 5), jitter=0.0),
    )
    while attack.driver.mirror.view.resumed is None:
        attack.step(attack.driver.now + 1.0)
    assert attack.largest <= MOST_DEVICES + 10
    assert attack.driver.asks <= MOST_DEVICES / 10 + 5
    assert f"replays more than {MOST_DEVICES} devices" in attack.driver.mirror.view.status.why


def test_more_devices_on_the_stream_than_any_registry_has_are_not_taken() -> None:
    attack = Attack(forever(lambda n: added(5 + n)), honest(), every=0.01)
    attack.driver = live(5, driver=attack.driver)
    attack.run(3)
    assert attack.largest <= 2 * MOST_DEVICES + MOST_KEPT


# --- in the end -------------------------------------------------------------------------------


def test_a_message_far_ahead_does_no_lasting_harm() -> None:
    driver = live(5, driver=Driver(jitter=0.0))
    driver.stream(tick(10**15))
    attack = Attack(says(tick(5)), honest(), driver=driver)
    attack.run(1)
    assert driver.mirror.view.status.state is State.LIVE


@pytest.mark.parametrize(
    "hostile", [tick(10**15), tick(5, "f"), Bye("e", 5, 0.0), tick(0)], ids=str
)
def test_now_and_then_a_wrong_message_costs_a_moment_only(hostile: Tick | Bye) -> None:
    messages = [tick(5)] * 29 + [hostile]
    attack = Attack(says(*messages), honest(), driver=live(5, driver=Driver(jitter=0.0)))
    attack.run(1)
    live_for = 0.0
    for _ in range(600):
        before = attack.driver.now
        attack.step(before + 0.2)
        if attack.driver.mirror.view.status.state is State.LIVE:
            live_for += attack.driver.now - before
    assert live_for > 0.75 * (attack.driver.now - 160.0)
