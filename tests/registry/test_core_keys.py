"""The core of a registry with keys: who may do what, and what becomes of who no longer may."""

import pytest

from devicewatch.events.keys import fingerprint
from devicewatch.events.messages import (
    Ack,
    CheckAlive,
    ErrorReply,
    Info,
    InfoReply,
    Register,
    RegisterAck,
    Replay,
    Reply,
    Request,
    Snapshot,
    UnknownRequest,
    Unregister,
)
from devicewatch.events.protocol import Reason, Role
from devicewatch.events.records import Event
from devicewatch.registry.core import RETRY, RegistryCore
from devicewatch.registry.journal import Past
from devicewatch.registry.security import Grant
from tests.support.cores import EPOCH, new_core, numbered_uuids, summary, whole_state, wish

ROLES = {
    "viewer": Role.VIEWER,
    "device": Role.DEVICE,
    "other": Role.DEVICE,
    "admin": Role.ADMIN,
}
CAM = wish("cam", "tcp://a", instance="i")


def grants(**names: str) -> dict[str, Grant]:
    """Everybody is let in; those who are named here only for such names of devices."""
    return {who: Grant(who, role, names.get(who, "*")) for who, role in ROLES.items()}


class Keyed:
    """A core with keys that is asked by one peer after the other."""

    def __init__(self, core: RegistryCore | None = None) -> None:
        self.core = core or new_core()
        self.now = 0.0
        self.let_in()

    def let_in(self, *without: str, **names: str) -> None:
        everybody = grants(**names)
        self.core.authorize({w: g for w, g in everybody.items() if w not in without}, self.now)

    def ask(self, peer: str | None, request: Request) -> tuple[Reply, list[Event]]:
        return self.core.handle(request, self.now, peer)

    def register(self, peer: str, request: Register = CAM) -> RegisterAck:
        reply, _ = self.ask(peer, request)
        assert isinstance(reply, RegisterAck)
        return reply

    def changed(self, peer: str, request: Request) -> list[tuple[str, str, str | None]]:
        reply, events = self.ask(peer, request)
        assert not isinstance(reply, ErrorReply), reply
        return summary(events)

    def refuses(self, peer: str, request: Request, code: str = "FORBIDDEN") -> str:
        """That a request is refused and changes nothing; why."""
        self.core._ledger.settle()
        before, refused = whole_state(self.core), self.core.refused
        reply, events = self.ask(peer, request)
        assert isinstance(reply, ErrorReply)
        assert (reply.code, events) == (code, [])
        assert whole_state(self.core) == before
        assert self.core.refused == refused + (code == "FORBIDDEN")
        return reply.message

    def renews(self, peer: str, uuid: str) -> bool:
        reply, events = self.ask(peer, CheckAlive(uuid))
        assert isinstance(reply, Ack)
        assert events == []
        return reply.success

    def expire(self) -> list[tuple[str, str, str | None]]:
        return summary(self.core.expire(self.now))

    @property
    def names(self) -> list[str]:
        return sorted(self.core.devices)


@pytest.fixture
def keyed() -> Keyed:
    return Keyed()


# --- roles ---------------------------------------------------------------------------------------

LOOKING: list[Request] = [Info(), Snapshot(), Replay(EPOCH, 0), UnknownRequest("COFFEE")]
ACTING: list[Request] = [CAM, CheckAlive("uuid-1"), Unregister("uuid-1")]


@pytest.mark.parametrize("peer", ROLES)
def test_whoever_is_let_in_may_look(keyed: Keyed, peer: str) -> None:
    for request in LOOKING:
        assert not isinstance(keyed.ask(peer, request)[0], ErrorReply)
    assert keyed.core.refused == 0


def test_a_viewer_may_do_no_more_than_look(keyed: Keyed) -> None:
    keyed.register("device")
    for request, name in zip(ACTING, ("REGISTER", "CHECK_ALIVE", "UNREGISTER"), strict=True):
        why = keyed.refuses("viewer", request)
        assert why.endswith(f"viewer's, is not allowed to {name}")
        assert fingerprint("viewer") in why
    assert keyed.names == ["cam"]


@pytest.mark.parametrize("request_", [*LOOKING, *ACTING], ids=lambda r: type(r).__name__)
def test_who_is_not_let_in_may_do_nothing(keyed: Keyed, request_: Request) -> None:
    keyed.register("device")
    assert "was revoked" in keyed.refuses("stranger", request_)
    assert keyed.names == ["cam"]


def test_the_registry_itself_may_look(keyed: Keyed) -> None:
    assert isinstance(keyed.ask(None, Info())[0], InfoReply)


def test_how_often_it_has_refused_is_said(keyed: Keyed) -> None:
    keyed.refuses("viewer", CAM)
    keyed.refuses("stranger", Info())
    keyed.core.refused += 5  # handshakes
    reply, _ = keyed.ask("viewer", Info())
    assert isinstance(reply, InfoReply)
    assert reply.refused == 7


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "request_", "name"),
    [
        ("arm*", wish("cam"), "cam"),
        ("cam", wish(""), "camera-0"),
        ("arm*", wish("", device_type="cam"), "cam-0"),
        ("cam", wish("cam", "tcp://b"), "cam-1"),  # as the name is taken
        ("other", wish("other", "tcp://b", overwrite=True, device_type="x"), None),
    ],
)
def test_a_name_has_to_be_allowed_also_where_the_registry_chooses_it(
    keyed: Keyed, pattern: str, request_: Register, name: str | None
) -> None:
    keyed.register("admin", wish("cam", "tcp://admin"))
    keyed.let_in(device=pattern)
    if name is None:
        keyed.register("device", request_)
    else:
        chosen = name if name != "cam" else "cam-1"
        assert f"is not allowed the name {chosen!r}" in keyed.refuses("device", request_)


def test_a_name_that_is_not_allowed_displaces_nobody(keyed: Keyed) -> None:
    """Room was made for it, and was taken back: whoever was at the address is there still."""
    keyed.register("other", wish("cam", "tcp://o"))
    mine = keyed.register("device", wish("arm", "tcp://a", instance="i"))
    keyed.let_in(device="arm")
    keyed.now = 5.0
    for request in (
        wish("gone", "tcp://a"),
        wish("", "tcp://a"),
        wish("arm", "tcp://b"),  # it would be arm-1
        wish("cam", "tcp://a", instance="i"),  # it would be cam-1
    ):
        assert "is not allowed the name" in keyed.refuses("device", request)
    assert keyed.names == ["arm", "cam"]
    assert keyed.renews("device", mine.uuid)
    assert keyed.changed("device", wish("arm", "tcp://b", overwrite=True)) == [
        ("removed", "arm", "replaced"),
        ("added", "arm", None),
    ]


def test_an_admin_may_have_any_name(keyed: Keyed) -> None:
    keyed.let_in(admin="nothing")
    assert keyed.register("admin").name == "cam"


# --- what belongs to whom ------------------------------------------------------------------------


def test_a_stolen_uuid_is_of_no_use(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    for request in (CheckAlive(uuid), CheckAlive(uuid, 60.0), Unregister(uuid)):
        assert keyed.refuses("other", request) == "this uuid was given to another key"
    assert keyed.renews("device", uuid)
    assert keyed.changed("device", Unregister(uuid)) == [("removed", "cam", "unregistered")]


@pytest.mark.parametrize("displace", [True, False])
def test_a_stolen_instance_gets_no_uuid(keyed: Keyed, displace: bool) -> None:
    keyed.register("device")
    again = wish("cam", "tcp://a", instance="i", displace=displace)
    if displace:
        assert "belongs to another key" in keyed.refuses("other", again)
    else:
        keyed.refuses("other", again, "OCCUPIED")
    assert keyed.register("device").uuid == "uuid-1", "its owner does"


def test_not_even_an_admin_is_given_the_uuid_of_another(keyed: Keyed) -> None:
    keyed.register("device")
    assert keyed.register("admin").uuid == "uuid-2"
    keyed.refuses("device", CAM)


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_address_of_another_key_cannot_be_had(keyed: Keyed, overwrite: bool) -> None:
    keyed.register("device")
    request = wish("mine", "tcp://a", overwrite=overwrite)
    why = keyed.refuses("other", request)
    assert why.startswith("the camera 'cam' at tcp://a belongs to another key")
    keyed.refuses("other", wish("mine", "tcp://a", displace=False), "OCCUPIED")


def test_a_name_of_another_key_cannot_be_had_with_overwrite(keyed: Keyed) -> None:
    keyed.register("device")
    keyed.register("other", wish("mine", "tcp://b"))
    for addr in ("tcp://b", "tcp://c"):
        assert "belongs to another key" in keyed.refuses("other", wish("cam", addr, overwrite=True))
    assert keyed.register("other", wish("cam", "tcp://c")).name == "cam-1", "it was only a wish"
    assert keyed.names == ["cam", "cam-1", "mine"]


def test_an_admin_may_end_renew_and_displace_what_belongs_to_others(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    assert keyed.renews("admin", uuid)
    assert keyed.changed("admin", wish("cam", "tcp://b", overwrite=True)) == [
        ("removed", "cam", "replaced"),
        ("added", "cam", None),
    ]
    uuid = keyed.register("device", wish("arm", "tcp://c")).uuid
    assert keyed.changed("admin", wish("arm-2", "tcp://c"))[0] == ("removed", "arm", "replaced")
    uuid = keyed.register("device", wish("arm", "tcp://d")).uuid
    assert keyed.changed("admin", Unregister(uuid)) == [("removed", "arm", "unregistered")]


def test_a_device_may_displace_what_is_of_its_own_key(keyed: Keyed) -> None:
    keyed.register("device")
    assert keyed.changed("device", wish("cam", "tcp://a", instance="j")) == [
        ("removed", "cam", "replaced"),
        ("added", "cam", None),
    ]
    keyed.register("device", wish("cam", "tcp://b", overwrite=True))
    assert keyed.names == ["cam"]


# --- losing rights -------------------------------------------------------------------------------

LOSSES = {"revoked": "", "no viewer's": "viewer", "not its name": "arm*"}


def lose(keyed: Keyed, how: str) -> None:
    """The key "device" loses the right to be there as "cam"."""
    if how == "revoked":
        keyed.let_in("device")
    elif how == "not its name":
        keyed.let_in(device="arm*")
    else:
        now_a_viewer = grants() | {"device": Grant("device", Role.VIEWER)}
        keyed.core.authorize(now_a_viewer, keyed.now)


@pytest.mark.parametrize("how", LOSSES)
def test_who_may_not_be_there_any_more_is_removed(keyed: Keyed, how: str) -> None:
    uuid = keyed.register("device").uuid
    keyed.register("other", wish("arm", "tcp://b"))
    lose(keyed, how)
    assert keyed.core.next_deadline() <= keyed.now
    if how == "not its name":
        assert not keyed.renews("device", uuid)
    else:
        keyed.refuses("device", CheckAlive(uuid))
    assert keyed.expire() == [("removed", "cam", "revoked")]
    assert keyed.expire() == []
    assert keyed.names == ["arm"]


@pytest.mark.parametrize("how", LOSSES)
def test_what_is_not_allowed_any_more_protects_nothing(keyed: Keyed, how: str) -> None:
    uuid = keyed.register("device").uuid
    lose(keyed, how)
    assert keyed.changed("other", wish("cam", "tcp://a", instance="i", overwrite=True)) == [
        ("removed", "cam", "replaced"),
        ("added", "cam", None),
    ]
    assert keyed.expire() == []
    keyed.let_in()
    assert not keyed.renews("device", uuid)


def test_whose_name_is_not_allowed_any_more_may_leave_or_come_again(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    keyed.let_in(device="arm*")
    keyed.refuses("device", CAM)
    assert keyed.changed("device", wish("arm", "tcp://a", instance="i")) == [
        ("removed", "cam", "replaced"),
        ("added", "arm", None),
    ]
    uuid = keyed.register("device", wish("arm", "tcp://a", instance="i")).uuid
    keyed.let_in(device="cam*")
    assert keyed.changed("device", Unregister(uuid)) == [("removed", "arm", "unregistered")]


def test_a_change_that_leaves_the_right_to_be_there_changes_nothing(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    keyed.now = 5.0
    before = whole_state(keyed.core)
    keyed.let_in(device="c*")
    keyed.core.authorize(grants() | {"device": Grant("device", Role.ADMIN)}, keyed.now)
    keyed.let_in("other", "viewer")
    assert whole_state(keyed.core) == before
    assert keyed.expire() == []
    assert keyed.renews("device", uuid)


def test_what_is_given_back_at_once_was_never_taken(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    keyed.now = 15.0
    keyed.let_in("device")
    keyed.let_in()
    assert keyed.expire() == []
    assert keyed.renews("device", uuid)
    keyed.now = 35.0
    assert keyed.expire() == [("removed", "cam", "expired")]


def test_what_is_given_back_in_time_has_its_whole_lease_again(keyed: Keyed) -> None:
    keyed.register("device", wish("cam", alive_timeout=60.0))
    keyed.now = 50.0
    keyed.let_in("device")
    keyed.let_in()
    keyed.now = 109.0
    assert keyed.expire() == []
    keyed.now = 110.0
    assert keyed.expire() == [("removed", "cam", "expired")]


def test_a_removal_that_cannot_be_kept_is_tried_again(keyed: Keyed) -> None:
    keyed.register("device")
    keyed.let_in("device")
    before = keyed.core.seq
    assert keyed.expire() == [("removed", "cam", "revoked")]
    keyed.core.revert()
    assert (keyed.names, keyed.core.seq) == (["cam"], before)
    assert keyed.expire() == []
    keyed.now += RETRY
    assert keyed.expire() == [("removed", "cam", "revoked")]
    assert keyed.core.change is not None


def test_what_is_given_back_before_its_removal_could_be_kept_stays(keyed: Keyed) -> None:
    keyed.register("device")
    keyed.let_in("device")
    keyed.expire()
    keyed.core.revert()
    keyed.let_in()
    keyed.now += RETRY
    assert keyed.expire() == []
    assert keyed.names == ["cam"]


# --- with a past ---------------------------------------------------------------------------------


def restarted(core: RegistryCore) -> RegistryCore:
    """The next run of a registry."""
    registrations = [holder.registration for holder in core._registrations._in_order.values]
    new = RegistryCore(EPOCH, 0.0, None, numbered_uuids())
    new.restore(Past(EPOCH, core.seq, registrations), 0.0)
    return new


def test_who_registered_without_a_key_has_to_go_when_there_are_keys() -> None:
    core = new_core()
    core.handle(CAM, 0.0, "127.0.0.1")
    core.handle(wish("arm", "tcp://b"), 0.0, None)
    core.handle(Info(), 0.0)
    keyed = Keyed(restarted(core))
    assert keyed.names == ["arm", "cam"]
    assert not keyed.renews("device", "uuid-1"), "a uuid of then does not help"
    assert sorted(keyed.expire()) == [("removed", "arm", "revoked"), ("removed", "cam", "revoked")]


def test_before_they_have_gone_a_key_may_take_their_place() -> None:
    core = new_core()
    core.handle(CAM, 0.0, "127.0.0.1")
    core.handle(Info(), 0.0)
    keyed = Keyed(restarted(core))
    assert keyed.changed("device", CAM) == [("removed", "cam", "replaced"), ("added", "cam", None)]
    assert keyed.expire() == []


def test_who_belongs_to_whom_is_kept(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    again = Keyed(restarted(keyed.core))
    again.refuses("other", Unregister(uuid))
    assert again.renews("device", uuid)
    assert again.expire() == []


def test_where_keys_are_given_up_everybody_may_do_everything(keyed: Keyed) -> None:
    uuid = keyed.register("device").uuid
    keyed.let_in("device")
    keyed.core.authorize(None, keyed.now)
    assert keyed.expire() == []
    assert keyed.renews("10.0.0.5", uuid)
    assert keyed.changed("10.0.0.5", CAM) == [], "an instance is proof enough where there are none"
    assert keyed.changed("10.0.0.6", wish("x", "tcp://a"))[0][2] is Reason.REPLACED


def test_what_the_process_itself_registers_belongs_to_no_key(keyed: Keyed) -> None:
    """There is nothing that does; it may, and is not renewed."""
    reply, _ = keyed.ask(None, CAM)
    assert isinstance(reply, RegisterAck)
    assert keyed.ask(None, CheckAlive(reply.uuid))[0] == Ack("CHECK_ALIVE", False)
    keyed.now = 20.0
    assert keyed.expire() == [("removed", "cam", "revoked")]
