"""What becomes of those whose key is taken away, and of those whose is not."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import zmq

from devicewatch.events.protocol import DEFAULT_TICK_INTERVAL
from devicewatch.registry.commands.demo import running
from tests.faults.processes import WatchProcess
from tests.support.live import wait_until

from .parties import CUT, NOT_LET_IN, Context, KeyedRegistry, Pair, Wire, connections, keys, wire

TICK: Final = DEFAULT_TICK_INTERVAL

MANY: Final = 100_000
"""Requests: more than a registry answers in the time that it takes to notice a change."""

LEASE: Final = 1.0
"""Seconds, of a device that is to notice soon that it is let in again."""


class Site:
    """A registry with keys, and bystanders: an admin, a watcher and a device, the latter two in
    processes of their own, which nothing may happen to.

    Attributes:
        admin: Asks.
        stream: The event stream, as the admin hears it.
    """

    def __init__(self, home: Path, context: Context, stack: ExitStack) -> None:
        self.registry = KeyedRegistry(home)
        self._home = home
        self._context = context
        self._admin, viewer, device = Pair.new(), Pair.new(), Pair.new()
        self.registry.let_in(
            f"admin {self._admin.public} *",
            f"viewer {viewer.public} *  the watcher",
            f"device {device.public} by*  the bystander",
        )
        stack.enter_context(self.registry)
        self.admin = stack.enter_context(self.wire(zmq.REQ, self._admin))
        self.stream = stack.enter_context(self.wire(zmq.SUB, self._admin))
        self._device = stack.enter_context(
            running("announce", "arm", "tcp://by:1", "--name", "bystander", *self.as_(device))
        )
        self._device.next_line()
        self._watch = WatchProcess(
            stack.enter_context(running("watch", "--json", *self.as_(viewer)))
        )
        self._watch.read_until(1)
        self._connections = self._of_bystanders()

    def wire(self, kind: int, pair: Pair) -> AbstractContextManager[Wire]:
        requests = kind in (zmq.REQ, zmq.DEALER)
        url = self.registry.url if requests else self.registry.events_url
        return wire(self._context, kind, url, pair, self.registry.key)

    def as_(self, pair: Pair) -> tuple[str, ...]:
        """The options of a command that uses a key."""
        file = pair.file(self._home, self.registry.key)
        return "--registry", self.registry.url, "--key", file

    def new_device(self) -> Pair:
        """Let one more key in, and wait until that counts."""
        pair, changes = Pair.new(), self._changes
        self.registry.let_in(f"device {pair.public} cam*")
        wait_until(lambda: self._changes > changes)
        return pair

    @property
    def _changes(self) -> int:
        return self.registry.log.count("the list of keys has changed")

    def assert_bystanders_unharmed(self) -> None:
        """They have missed nothing, heard nothing twice, and were not even cut off."""
        self._watch.read_until(self.admin.ask("INFO", {})["payload"]["seq"])
        seqs = [event.seq for event in self._watch.events]
        assert seqs == list(range(1, len(seqs) + 1))
        assert self._watch.log == ""
        own = [event for event in self._watch.events if event.device.name == "bystander"]
        assert [event.topic for event in own] == ["added"]
        assert "bystander" in {device["name"] for device in self.devices()}
        assert self._of_bystanders() == self._connections

    def devices(self) -> list[dict[str, Any]]:
        devices: list[dict[str, Any]] = self.admin.ask("SNAPSHOT", {})["payload"]["devices"]
        return devices

    def _of_bystanders(self) -> set[str]:
        return connections(self._device) | connections(self._watch.command)


@pytest.fixture(scope="module")
def all_of_it(home: Path, wires: Context) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(home, wires, stack)


@pytest.fixture
def site(all_of_it: Site) -> Iterator[Site]:
    """What every test ends with: nobody else has noticed anything."""
    yield all_of_it
    all_of_it.assert_bystanders_unharmed()


def test_within_a_tick_a_revoked_key_is_cut_off_and_its_devices_are_removed(site: Site) -> None:
    pair = site.new_device()
    with ExitStack() as stack:
        # XSUB: a subscriber that has not subscribed yet.
        kinds = {"asks": zmq.REQ, "hears": zmq.SUB, "idle": zmq.REQ, "deaf": zmq.XSUB}
        party = {name: stack.enter_context(site.wire(kind, pair)) for name, kind in kinds.items()}
        assert all(one.is_let_in for one in party.values())
        party["hears"].event(event="tick")
        revisions = {party["asks"].register(f"tcp://s:{n}", f"cam-{n}")["seq"] for n in (1, 2)}
        party["hears"].event(event="added", seq=max(revisions))

        keys("revoke", "--", pair.public)
        cut = 0.0
        for one in party.values():
            one.until(CUT)
            cut = max(cut, site.registry.seconds_since_change)
        removed = [site.stream.event(event="removed", reason="revoked") for _ in revisions]
        took = removed[-1]["time"] - site.registry.authorized.stat().st_mtime
        assert {event["device"]["revision"] for event in removed} == revisions
        assert {"cut": cut <= TICK, "removed": took <= TICK} == {"cut": True, "removed": True}

        after = site.admin.register("tcp://s:3", "after")
        site.stream.event(event="added", name="after")
        for one in party.values():
            one.until(NOT_LET_IN)
        assert not [message for message in unread(party["hears"]) if message["event"] != "tick"]
        site.admin.ask("UNREGISTER", {"uuid": after["uuid"]})


def unread(stream: Wire) -> list[dict[str, Any]]:
    messages = []
    while stream.socket.poll(0):
        messages.append(stream.message())
    return messages


def test_what_a_revoked_key_asked_before_it_was_cut_off_is_refused(site: Site) -> None:
    pair = site.new_device()
    with site.wire(zmq.REQ, pair) as client, site.wire(zmq.DEALER, pair) as many:
        uuid = client.register("tcp://s:1", "cam-hasty")["uuid"]
        renewal = json.dumps({"event": "CHECK_ALIVE", "payload": {"uuid": uuid}}).encode()
        assert many.is_let_in
        site.registry.strike_out(pair.public)
        with suppress(zmq.Again):  # once it is not let in any more, there is nowhere to send it
            for _ in range(MANY):
                many.socket.send_multipart([b"", renewal], zmq.NOBLOCK)
        many.until(CUT)
        site.stream.event(event="removed", name="cam-hasty", reason="revoked")
        codes = [reply["payload"].get("code") for reply in replies(many)]
        assert codes[0] is None
        assert codes == sorted(codes, key=bool)  # once it is refused, it stays refused
        assert set(codes) <= {None, "FORBIDDEN"}
        wait_until(lambda: "was revoked" in site.registry.log)


def replies(many: Wire) -> list[dict[str, Any]]:
    """What has arrived of them."""
    found = []
    while many.socket.poll(0):
        found.append(json.loads(many.socket.recv_multipart()[-1]))
    return found


def test_a_device_s_key_that_becomes_a_viewer_s_still_sees(site: Site) -> None:
    pair = site.new_device()
    with site.wire(zmq.REQ, pair) as client, site.wire(zmq.SUB, pair) as stream:
        stream.event(event="tick")
        uuid = client.register("tcp://s:1", "cam-narrow")["uuid"]
        stream.event(event="added", name="cam-narrow")
        site.registry.rewrite(
            site.registry.authorized.read_text().replace(
                f"device {pair.public}", f"viewer {pair.public}"
            )
        )
        removed = stream.event(event="removed", name="cam-narrow")
        assert removed["reason"] == "revoked"
        assert removed["time"] - site.registry.authorized.stat().st_mtime < TICK
        for event, payload in (
            ("REGISTER", {"device_type": "camera", "addr": "tcp://s:1", "name": "cam-narrow"}),
            ("CHECK_ALIVE", {"uuid": uuid}),
            ("UNREGISTER", {"uuid": uuid}),
        ):
            assert client.ask(event, payload)["payload"]["code"] == "FORBIDDEN"
        assert client.ask("INFO", {})["event"] == "INFO"
        assert not client.has_met(CUT)
        assert not stream.has_met(CUT)


def test_a_list_with_a_slip_of_the_pen_changes_nothing_until_it_is_mended(site: Site) -> None:
    pair, newcomer = site.new_device(), Pair.new()
    with site.wire(zmq.REQ, pair) as client, site.wire(zmq.SUB, pair) as stream:
        stream.event(event="tick")
        uuid = client.register("tcp://s:1", "cam-typo")["uuid"]
        stream.event(event="added", name="cam-typo")
        site.registry.strike_out(pair.public)
        site.registry.let_in(f"viewer {newcomer.public} *", "viever oops")
        wait_until(lambda: "the list of keys cannot be used" in site.registry.log)
        assert "expected a role, a public key and the names" in site.registry.log
        assert client.ask("CHECK_ALIVE", {"uuid": uuid})["payload"]["success"]
        with site.wire(zmq.REQ, newcomer) as other:
            assert not other.is_let_in
        assert not client.has_met(CUT)
        assert not stream.has_met(CUT)
        site.registry.strike_out("oops")
        client.until(CUT)
        stream.until(CUT)
        site.stream.event(event="removed", name="cam-typo", reason="revoked")
    with site.wire(zmq.REQ, newcomer) as other:
        assert other.ask("INFO", {})["event"] == "INFO"


def test_a_key_that_is_let_in_again_is_back_without_a_restart(site: Site) -> None:
    pair = site.new_device()
    options = ("--name", "cam-again", "--lease", str(LEASE))
    with (
        running("announce", "camera", "tcp://s:1", *options, *site.as_(pair)) as announce,
        running("watch", "--json", *site.as_(pair)) as follower,
    ):
        announce.next_line()
        watch = WatchProcess(follower)
        watch.read_until(site.stream.event(event="added", name="cam-again")["seq"])
        site.registry.strike_out(pair.public)
        removed = site.stream.event(event="removed", name="cam-again", reason="revoked")["seq"]
        wait_until(lambda: "the view is stale" in watch.log)
        wait_until(lambda: "the registry refuses the device" in "".join(announce.errors))
        assert "does not know the key" in watch.log
        assert follower.process.poll() is announce.process.poll() is None

        keys("authorize", "--role", "device", "--names", "cam*", "--", pair.public)
        back = site.stream.event(event="added", name="cam-again")["seq"]
        watch.read_until(back)
        # What it was not to hear while it was shut out, it may ask for now: nothing is missing.
        assert [event.seq for event in watch.events][-2:] == [removed, back]
    site.stream.event(event="removed", name="cam-again", reason="unregistered")
