"""Everything that can happen to a registry, its devices, its watchers and the network between them.

Hypothesis makes it happen, under a virtual clock (`tests.support.simulation`); the promises are
looked after all the while: P1 to P4, P7 and P9 by the validators, which judge what each watcher
yields, and P5, P6 and P8 here, where the clock is.
"""

import math
import sys
from collections.abc import Container
from typing import Any, Final
from unittest.mock import patch

import hypothesis
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from devicewatch.events import (
    Added,
    Cursor,
    Event,
    Live,
    Reason,
    Record,
    Removed,
    State,
    StreamMessage,
)
from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import (
    ErrorReply,
    Register,
    RegisterAck,
    Reply,
    Request,
    Unregister,
)
from devicewatch.events.protocol import STALE_AFTER_TICKS
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.service import Service
from devicewatch.subscribers.mirror import Mirror
from tests.support.devices import SimulatedDevice
from tests.support.follower import Follower
from tests.support.mortal import Step
from tests.support.simulation import LONG, Simulation

from .validators import Judge, Truth, promise

TICK: Final = 1.0
DELAY: Final = 0.2
"""Seconds that anything takes to arrive: long, so that much can happen between two pages."""

HISTORY: Final = 8
"""Events that the registry keeps: few, so that a gap may be longer."""

RECOVERY: Final = 25.0
"""Seconds after which every view is right again: the longest pause, and a few ticks."""

STALL: Final = 2.0
"""The registry has to make good for standing still this long (in seconds), at the latest."""

EXPIRY: Final = 0.1
"""Seconds after its deadline by which a silent device is gone (P8)."""

ROUNDING: Final = 1e-6
"""Seconds that sums of times may be off by."""

NAMES = st.sampled_from(["", "arm", "cam", "pump"])
ADDRS = st.sampled_from([f"tcp://host:{port}" for port in range(1, 7)])
TYPES = st.sampled_from(["camera", "arm"])
LEASES = st.sampled_from([1.0, 5.0, 20.0, 600.0])
PAUSES = st.sampled_from([0.0, DELAY / 2, DELAY, 2 * DELAY, 1.0, 2.0])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "device_type": TYPES,
        "existing": st.just(False),
        "max_waiting": st.sampled_from([1, 3]),
    },
)


ALL: Final = tuple(f"P{number}" for number in range(1, 11))


class Observer:
    """A subscriber, whose process may start anew: it reads, judges, and keeps its cursor."""

    def __init__(
        self,
        simulation: Simulation,
        truth: Truth,
        mirror: type[Mirror],
        options: dict[str, Any],
        promises: Container[str],
    ) -> None:
        self.follower: Follower
        self._promises = promises
        self._simulation = simulation
        self._truth = truth
        self._mirror = mirror
        self._options = options
        self._whole = options.get("existing", True)  # whether it is told of every device
        self._resuming = False
        self._judge = self._new_judge()
        self.cut_at: float | None = None
        self.sound_since = simulation.now
        """Since when nothing has been done to its link, or to the registry."""
        self._follow(None)

    def _new_judge(self) -> Judge:
        return Judge(self._truth, self._options.get("device_type"), self._promises)

    def _follow(self, since: Cursor | None) -> None:
        self.follower = self._simulation.follow(self._mirror, since=since, **self._options)

    def restart(self) -> None:
        """Its process ends, and another takes up where it stopped reading."""
        self._simulation.followers.remove(self.follower)
        self.follower.pause()  # so that nothing reaches it any more
        self._resuming = self._judge.story.place is not None
        self._follow(self._judge.story.place)
        self.cut_at = None
        self.disturb()

    def disturb(self) -> None:
        self.sound_since = self._simulation.now

    def read(self, limit: int | None = None) -> list[Event]:
        """Read and judge all that is there, or the first `limit` records."""
        events: list[Event] = []
        left = -1 if limit is None else limit
        while left:
            record = self.follower.next_record()
            if record is None:
                break
            left -= 1
            self._take(record)
            if isinstance(record, Added | Removed):
                events.append(record)
        return events

    def _take(self, record: Record) -> None:
        mirror = self.follower.mirror
        if self._resuming and not isinstance(record, Live | Added | Removed):
            return  # it has not got through yet
        if self._resuming:
            self._resuming = False
            promise(
                "P3", mirror.view.resumed is not None, "it does not know whether it has resumed"
            )
            if not mirror.view.resumed:  # what was known is void
                self._judge = self._new_judge()
        if self._whole:
            self._judge.see(record)
            self._judge.sees(mirror.view.devices, mirror.view.cursor)
        elif isinstance(record, Live):
            self._judge.story.place = mirror.view.cursor

    def is_right(self) -> None:
        """Nothing is left to read, and the view is the registry's."""
        core = self._simulation.core
        mirror = self.follower.mirror
        wanted = self._options.get("device_type")
        devices = {n: d for n, d in core.devices.items() if wanted in (None, d.device_type)}
        promise("P6", mirror.view.status.state is State.LIVE, mirror.view.trouble)
        promise("P4", mirror.view.cursor == Cursor(core.epoch, core.seq), mirror.view.cursor)
        promise("P4", mirror.view.devices == devices, f"{mirror.view.devices} and not {devices}")

    def notices_a_lost_tail(self, older: dict[str, int]) -> None:
        """P5: one that is live knows of all that the stream has told of, and within a tick.

        Args:
            older: The seq of the latest event that is older than that, by epoch.
        """
        mirror, core = self.follower.mirror, self._simulation.core
        if mirror.view.status.state is not State.LIVE or self.follower.paused:
            return
        at = mirror.view.at
        assert at is not None
        promise("P5", at.seq >= self.follower.heard.get(at.epoch, 0), f"{at} is behind the stream")
        sound_for = self._simulation.now - self.sound_since
        if sound_for > TICK + 2 * DELAY and self.follower.hears and self.cut_at is None:
            known = at.epoch == core.epoch and at.seq >= older.get(core.epoch, 0)
            promise("P5", known, f"live at {at}, when {older} was published a tick ago")

    def keeps_its_devices_while_cut_off(self) -> None:
        """P6: a lost link removes no device, and makes the view stale within three ticks."""
        if self.cut_at is None or self.follower.paused:
            return
        promise("P6", self.read() == [], "news from a link that is cut")
        if self._simulation.now > self.cut_at + STALE_AFTER_TICKS * TICK:
            state = self.follower.mirror.view.status.state
            promise("P6", state is not State.LIVE, "live, with a link that was cut three ticks ago")


class Everything(RuleBasedStateMachine):
    """One registry, devices, and up to three watchers."""

    observers = Bundle[Observer]("observers")
    devices = Bundle[SimulatedDevice]("devices")
    core: type[RegistryCore] = RegistryCore
    service: type[Service] = Service
    mirror: type[Mirror] = Mirror
    promises: Container[str] = ALL
    """Which to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation(TICK, DELAY, HISTORY, self.core, self.service)
        self.truth = Truth(HISTORY)
        self.simulation.on_event += [self._happened, self._nobody_expires_early]
        self.simulation.on_publish.append(self._is_kept)
        self.simulation.on_answer.append(self._acknowledged)
        self.published: list[tuple[float, Event]] = []
        self.followed: list[Observer] = []
        self.registered: dict[tuple[str, int], SimulatedDevice] = {}
        self.acknowledged: dict[str, str] = {}  # the uuid that went with each name

    # --- who follows --------------------------------------------------------------------------

    @initialize(target=observers, number=st.integers(0, 5))
    def the_first_watcher(self, number: int) -> Observer:
        self._register_some(number)
        return self._follow({})

    @precondition(lambda self: len(self.followed) < 3)
    @rule(target=observers, options=OPTIONS)
    def another_watcher(self, options: dict[str, Any]) -> Observer:
        return self._follow(options)

    def _follow(self, options: dict[str, Any]) -> Observer:
        observer = Observer(self.simulation, self.truth, self.mirror, options, self.promises)
        self.followed.append(observer)
        return observer

    @rule(observer=observers, limit=st.sampled_from([1, 2, None]))
    def read(self, observer: Observer, limit: int | None) -> None:
        observer.read(limit)

    # --- devices ------------------------------------------------------------------------------

    @precondition(lambda self: self.simulation.running)
    @rule(
        target=devices,
        name=NAMES,
        addr=ADDRS,
        device_type=TYPES,
        overwrite=st.booleans(),
        lease=LEASES,
        pause=PAUSES,
    )
    def register(
        self, name: str, addr: str, device_type: str, overwrite: bool, lease: float, pause: float
    ) -> SimulatedDevice:
        device = SimulatedDevice(
            self.simulation, name, addr, lease, device_type=device_type, overwrite=overwrite
        )
        self.registered[device.registration] = device
        self.simulation.run(pause)
        return device

    @rule(device=devices)
    def a_device_dies(self, device: SimulatedDevice) -> None:
        device.die()

    @precondition(lambda self: self.simulation.running)
    @rule(number=st.integers(1, 2 * HISTORY), leave=st.booleans(), pause=PAUSES)
    def a_crowd(self, number: int, leave: bool, pause: float) -> None:
        uuids = self._register_some(number)
        for uuid in uuids if leave else ():
            self.simulation.unregister(uuid)
        self.simulation.run(pause)

    def _register_some(self, number: int) -> list[str]:
        return [
            self.simulation.register("", f"tcp://host:{1 + n % 8}", device_type="arm")
            for n in range(number)
        ]

    # --- time ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 3.5, 8.0]))
    def wait(self, seconds: float) -> None:
        self.simulation.run(seconds)

    @rule(seconds=st.sampled_from([-86_400.0, -5.0, 5.0, 86_400.0]))
    def the_clocks_are_set(self, seconds: float) -> None:
        self.simulation.set_wall_clock(seconds)
        self._disturb()

    # --- faults of the network ------------------------------------------------------------------

    @precondition(lambda self: self.simulation.running)
    @rule(
        observer=observers,
        fault=st.sampled_from(["drops", "twice", "late"]),
        number=st.integers(1, 3),
        lateness=st.sampled_from([DELAY / 4, DELAY, 5 * DELAY]),
        pause=PAUSES,
    )
    def disturb_messages(
        self, observer: Observer, fault: str, number: int, lateness: float, pause: float
    ) -> None:
        """Some of the next messages are lost, doubled or overtaken: most likely these devices'."""
        setattr(observer.follower.link, fault, number)
        observer.follower.link.lateness = lateness
        observer.disturb()
        self._register_some(number)
        self.simulation.run(pause)
        setattr(
            observer.follower.link, fault, 0
        )  # or one that hears nothing now would suffer later
        observer.disturb()

    @rule(observer=observers, number=st.integers(1, 3), pause=PAUSES)
    def lose_replies(self, observer: Observer, number: int, pause: float) -> None:
        observer.follower.link.lost_replies = number
        self.simulation.run(pause)

    @rule(observer=observers, pause=PAUSES)
    def cut(self, observer: Observer, pause: float) -> None:
        if observer.cut_at is None and not observer.follower.paused:
            observer.read()
            observer.follower.link.cut = True
            observer.cut_at = self.simulation.now
        self.simulation.run(pause)

    @rule(observer=observers, pause=PAUSES)
    def heal(self, observer: Observer, pause: float) -> None:
        observer.follower.link.heal()
        observer.cut_at = None
        observer.disturb()
        self.simulation.run(pause)

    # --- faults of the processes ----------------------------------------------------------------

    @rule(observer=observers, seconds=st.sampled_from([0.5, 4.0, 30.0]))
    def a_watcher_stands_still(self, observer: Observer, seconds: float) -> None:
        observer.follower.pause()
        self.simulation.run(seconds)
        observer.follower.resume()
        observer.disturb()

    @rule(observer=observers, pause=PAUSES)
    def a_watcher_starts_anew(self, observer: Observer, pause: float) -> None:
        observer.restart()
        self.simulation.run(pause)

    @rule(seconds=st.sampled_from([0.05, 0.5, STALL, 30.0]))
    def the_registry_stands_still(self, seconds: float) -> None:
        self.simulation.pause()
        self.simulation.run(seconds)
        self.simulation.resume()
        self._disturb()

    @rule(
        orderly=st.booleans(),
        keep=st.booleans(),
        port=st.sampled_from([5556, 5556, 7000]),
        down=st.sampled_from([0.0, 0.0, DELAY, 5.0]),
        number=st.integers(0, 3),
        pause=PAUSES,
    )
    def the_registry_starts_anew(
        self, orderly: bool, keep: bool, port: int, down: float, number: int, pause: float
    ) -> None:
        """With its state it goes on where it was; without, some devices are back at once."""
        self.simulation.stop(orderly=orderly)
        self.simulation.run(down)
        self._start(port, keep=keep)
        self._register_some(number)
        self.simulation.run(pause)

    def _start(self, port: int, *, keep: bool) -> None:
        epoch, at = self.simulation.core.epoch, self.simulation.published[-1:]
        self.simulation.start(port, keep=keep)
        self._disturb()
        if keep:
            self._all_is_as_it_was(epoch, at)
            for device in self.registered.values():  # its lease starts anew
                device.reached = device.granted = self.simulation.now
        else:
            self.acknowledged.clear()

    @precondition(lambda self: self.simulation.running)
    @rule(
        step=st.sampled_from(Step),
        addr=ADDRS,
        name=NAMES,
        leave=st.booleans(),
        down=st.sampled_from([0.0, 0.0, DELAY, 5.0]),
        pause=PAUSES,
    )
    def the_registry_is_killed(
        self, step: Step, addr: str, name: str, leave: bool, down: float, pause: float
    ) -> None:
        """Between two steps of what it does for a request; then it starts with its journal."""
        simulation = self.simulation
        simulation.journal.die_after = step
        if leave and self.acknowledged:
            leaves = min(self.acknowledged)
            request = encode_request(Unregister(self.acknowledged[leaves]))
        else:
            request = encode_request(Register("arm", addr, name, alive_timeout=LONG))
        assert simulation.answer(request) is None
        simulation.run(down)
        self._start(5556, keep=True)
        simulation.run(pause)

    @precondition(lambda self: self.simulation.running)
    @rule(addr=ADDRS, name=NAMES, pause=PAUSES)
    def the_disk_is_full(self, addr: str, name: str, pause: float) -> None:
        """What cannot be kept is refused, and has not happened; even leases do not end."""
        simulation = self.simulation
        before = simulation.core.seq, simulation.core.devices
        simulation.journal.full = True
        reply = simulation.request(Register("arm", addr, name, alive_timeout=LONG))
        simulation.run(pause)
        refused = isinstance(reply, ErrorReply) and reply.code == "UNAVAILABLE"
        promise("P10", refused, f"acknowledged and not kept: {reply}")
        after = simulation.core.seq, simulation.core.devices
        promise("P10", before == after, f"not kept, and yet {after}")
        simulation.journal.full = False
        simulation.run(STALL)  # leases that should have ended do now

    @precondition(lambda self: self.simulation.running)
    @rule(
        step=st.none() | st.sampled_from(Step),
        full=st.booleans(),
        wishes=st.lists(st.tuples(ADDRS, NAMES), min_size=1, max_size=4),
        leave=st.booleans(),
        pause=PAUSES,
    )
    def several_are_kept_together(
        self,
        step: Step | None,
        full: bool,
        wishes: list[tuple[str, str]],
        leave: bool,
        pause: float,
    ) -> None:
        """They have come while the registry stood still; it may be killed, or have no room."""
        simulation = self.simulation
        before = simulation.core.seq, simulation.core.devices
        requests: list[Request] = [
            Register("arm", addr, name, alive_timeout=LONG) for addr, name in wishes
        ]
        if leave and self.acknowledged:
            requests.insert(1, Unregister(self.acknowledged[min(self.acknowledged)]))
        replies: list[Reply] = []
        simulation.pause()
        for request in requests:
            frame = encode_request(request)
            simulation.receive(frame, lambda reply: replies.append(decode_reply([reply])))
        simulation.journal.die_after = step
        simulation.journal.full = full and step is None
        simulation.resume()
        if step is not None:
            promise("P10", not replies, f"dead, and yet it answered {replies}")
            self._start(5556, keep=True)
        elif full:
            after = simulation.core.seq, simulation.core.devices
            promise("P10", before == after, f"not kept, and yet {after}")
            refused = [isinstance(r, ErrorReply) and r.code == "UNAVAILABLE" for r in replies[:1]]
            promise("P10", refused == [True], f"acknowledged and not kept: {replies}")
            simulation.journal.full = False
        simulation.run(pause)

    def _disturb(self) -> None:
        for observer in self.followed:
            observer.disturb()

    # --- the promises ---------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        self.truth.publish(event)
        self.published.append((self.simulation.now, event))
        if isinstance(event, Removed):
            self.acknowledged.pop(event.device.name, None)

    def _acknowledged(self, reply: Reply) -> None:
        # Who came in the same moment may have displaced it before it was told.
        if isinstance(reply, RegisterAck) and self._knows(reply.uuid):
            self.acknowledged[reply.name] = reply.uuid

    def _knows(self, uuid: str) -> bool:
        return uuid in self.simulation.core._registrations.by_uuid

    def _nobody_expires_early(self, event: Event) -> None:
        """P8: whoever's renewal reached the registry in time stays."""
        if not isinstance(event, Removed) or event.reason is not Reason.EXPIRED:
            return
        if "P8" not in self.promises:
            return
        device = self.registered[event.epoch, event.device.revision]
        deadline = device.reached + device.lease + self._away_since(device.reached)
        early = f"{event.device.name} was ended {deadline - self.simulation.now} s early"
        promise("P8", self.simulation.now >= deadline - ROUNDING, early)

    def _away_since(self, time: float, at_least: float = STALL) -> float:
        """For how long the registry has stood still since, in stretches that have to count."""
        spans = [
            end - max(begin, time) for begin, end in self.simulation.away if end - begin >= at_least
        ]
        return sum(max(0.0, span) for span in spans)

    def _all_is_as_it_was(self, epoch: str, published: list[Event]) -> None:
        """P10: a registry with its journal goes on as if it had paused."""
        if "P10" not in self.promises:
            return
        core = self.simulation.core
        promise("P10", core.epoch == epoch, "another epoch")
        seq = published[0].seq if published and published[0].epoch == epoch else 0
        promise("P10", core.seq == seq, f"it goes on at {core.seq}, not {seq}")
        devices = self.truth.devices(Cursor(epoch, seq))
        promise("P10", core.devices == devices, f"{core.devices} and not {devices}")
        for name, uuid in self.acknowledged.items():
            known = core._registrations.by_uuid.get(uuid)
            kept = known is not None and known.device.name == name
            promise("P10", kept, f"{name} was acknowledged with {uuid}; now that is {known}")
            assert known is not None
            left = core._leases.left(known, self.simulation.now)
            whole = math.isclose(left, known.lease)
            promise("P10", whole, f"{name} has {left} s left of {known.lease} s")

    def _is_kept(self, message: StreamMessage) -> None:
        """P10: nobody hears of what a restart could undo."""
        if isinstance(message, Added | Removed) and "P10" in self.promises:
            kept = self.truth.event(message.epoch, message.seq) == message
            promise("P10", kept, f"published, and not kept: {message}")

    @invariant()
    def p8_the_silent_are_gone(self) -> None:
        if not self.simulation.running or "P8" not in self.promises:
            return
        for device in self.simulation.core.devices.values():
            known = self.registered.get((self.simulation.core.epoch, device.revision))
            if known is None:
                continue  # it has no end to speak of
            # Standing still may have counted for more than it took, by a look at the clock each.
            stalls = [end for _, end in self.simulation.away if end >= known.granted]
            grace = self._away_since(known.granted, 0.0) + len(stalls)
            late = self.simulation.now - (known.granted + known.lease + grace)
            promise("P8", late <= EXPIRY, f"{device.name} fell silent, and is there {late} s later")

    @invariant()
    def p5_a_lost_tail_is_noticed(self) -> None:
        before = self.simulation.now - TICK - 2 * DELAY
        older = {e.epoch: e.seq for at, e in self.published if at <= before}
        for observer in self.followed if "P5" in self.promises else ():
            observer.notices_a_lost_tail(older)

    @invariant()
    def p6_a_lost_link_removes_nobody(self) -> None:
        for observer in self.followed if "P6" in self.promises else ():
            observer.keeps_its_devices_while_cut_off()

    def teardown(self) -> None:
        """All is well again: so is every view, and it goes on live."""
        if sys.exc_info()[0] is not None or self.promises is not ALL:
            return  # a promise is broken already, or it is about one of them
        for observer in self.followed:
            observer.follower.link.heal()
        for _ in range(int(RECOVERY / TICK)):  # who reads little has to be given time
            self.simulation.run(TICK)
            for observer in self.followed:
                observer.read()
        for observer in self.followed:
            observer.is_right()
        asked = [len(observer.follower.asked) for observer in self.followed]
        self.simulation.register("last", "tcp://last:1")
        self.simulation.run(2 * DELAY)
        for observer in self.followed:
            observer.read()
            observer.is_right()
        promise("P5", asked == [len(o.follower.asked) for o in self.followed], "it keeps asking")


def play(
    machine: type[Everything],
    *,
    examples: int,
    steps: int,
    find: bool = False,
    seed: int | None = None,
) -> None:
    """Let everything happen.

    Args:
        machine: What to play.
        examples: How often to play.
        steps: How many things happen each time, at the most.
        find: Whether a failure is expected: then the first one will do.
        seed: Makes the same things happen at every run.

    Raises:
        BrokenPromise: A promise was not kept; the message says which.
    """
    if seed is not None:
        machine = hypothesis.seed(seed)(type(machine.__name__, (machine,), {}))
    with patch("devicewatch.registry.core.MAX_PAGE", 2):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=(Phase.generate,) if find else tuple(Phase)[:4],
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
