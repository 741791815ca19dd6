"""A real registry, real clients and a real watcher, against a plain dict.

The model knows who ought to be there; after every step the registry must say the same, and the
watcher must have yielded just the events that lead there. Leases are long: time is the core's
own machine's business.
"""

import itertools

import zmq
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devicewatch.events import Added, Device, Reason, Removed
from devicewatch.registry import (
    AliveCheckState,
    DeviceRegistry,
    register_device,
    send_alive_check,
    unregister_device,
)
from devicewatch.subscribers import Watcher
from tests.support.live import PATIENCE

ADDRS = [f"tcp://10.0.0.{number}:7000" for number in range(4)]
NAMES = ["", "cam", "cam-1", "arm"]
TYPES = ["camera", "cam"]

Change = tuple[str, str, Reason | None]
Expected = list[Change]


class LiveRegistry(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.registry = DeviceRegistry(addr="127.0.0.1", port="0", events_port="0")
        self.registry.start()
        self.watcher = Watcher(self.registry.url, context=self.context)
        self.watcher.connect(PATIENCE)
        self.model: dict[str, tuple[str, str]] = {}
        self.uuids: dict[str, str] = {}
        self.gone = ["made-up"]
        self.seq = 0
        self.seen: dict[str, Device] = {}

    def teardown(self) -> None:
        self.watcher.close()
        self.registry.stop()
        self.context.term()

    @rule(
        device_type=st.sampled_from(TYPES),
        addr=st.sampled_from(ADDRS),
        name=st.sampled_from(NAMES),
        overwrite=st.booleans(),
    )
    def register(self, device_type: str, addr: str, name: str, overwrite: bool) -> None:
        expected: Expected = []
        for holder, (_, held_addr) in list(self.model.items()):
            if held_addr == addr:
                expected.append(self.forget(holder, Reason.REPLACED))
        if overwrite and name in self.model:
            expected.append(self.forget(name, Reason.REPLACED))
        accepted = self.free_name(device_type, name)
        answer, uuid = register_device(
            self.context, device_type, addr, name, self.registry.url, overwrite
        )
        assert answer == accepted
        self.model[accepted] = (device_type, addr)
        self.uuids[accepted] = uuid
        self.see([*expected, ("added", accepted, None)])

    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        uuid = data.draw(self.any_uuid())
        holders = [name for name, held in self.uuids.items() if held == uuid]
        expected = [self.forget(name, Reason.UNREGISTERED) for name in holders]
        assert unregister_device(self.context, uuid, self.registry.url) is bool(holders)
        self.see(expected)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        uuid = data.draw(self.any_uuid())
        known = uuid in self.uuids.values()
        state = send_alive_check(self.context, uuid, self.registry.url)
        assert state is (AliveCheckState.ok if known else AliveCheckState.unknown)

    @rule()
    def join_late(self) -> None:
        """Another watcher, which joins now, comes to the same view."""
        with Watcher(self.registry.url, context=self.context) as late:
            late.connect(PATIENCE)
            for _ in self.model:
                assert isinstance(late.get(PATIENCE), Added)
            assert late.devices == self.watcher.devices
            assert late.cursor == self.watcher.cursor

    @invariant()
    def the_registry_says_what_the_model_says(self) -> None:
        assert self.registry.devices == self.model

    @invariant()
    def the_watcher_sees_what_the_model_says(self) -> None:
        view = {d.name: (d.device_type, d.addr) for d in self.watcher.devices.values()}
        assert view == self.model
        assert dict(self.watcher.devices) == self.seen

    # --- the model --------------------------------------------------------------------------------

    def any_uuid(self) -> st.SearchStrategy[str]:
        return st.sampled_from([*self.uuids.values(), *self.gone])

    def forget(self, name: str, reason: Reason) -> Change:
        del self.model[name]
        self.gone.append(self.uuids.pop(name))
        return "removed", name, reason

    def free_name(self, device_type: str, name: str) -> str:
        if name and name not in self.model:
            return name
        base, first = (name, 1) if name else (device_type, 0)
        numbered = (f"{base}-{number}" for number in itertools.count(first))
        return next(candidate for candidate in numbered if candidate not in self.model)

    def see(self, expected: Expected) -> None:
        for kind, name, reason in expected:
            event = self.watcher.get(PATIENCE)
            assert event is not None
            self.seq += 1
            assert event.seq == self.seq
            assert (event.topic, event.device.name) == (kind, name)
            if isinstance(event, Removed):
                assert event.reason is reason
                assert self.seen.pop(name) == event.device
            else:
                self.seen[name] = event.device
        assert self.watcher.get(0.0) is None


TestLiveRegistry = LiveRegistry.TestCase
TestLiveRegistry.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
