"""The list of keys that are let in, as a text; and what a line of it allows."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from devicewatch.events.keys import fingerprint
from devicewatch.events.messages import (
    CheckAlive,
    Info,
    Register,
    Replay,
    Request,
    Snapshot,
    UnknownRequest,
    Unregister,
)
from devicewatch.events.protocol import Role
from devicewatch.registry.security import (
    HEADER,
    Grant,
    is_comment,
    parse_grant,
    parse_grants,
    peer_name,
)
from tests.support.keys import public_of

PUBLIC = public_of("camera")
OTHER = public_of("other")

KEYS = st.binary(min_size=32, max_size=32).map(lambda raw: z85.encode(raw).decode())
WORDS = st.text(st.sampled_from(string.ascii_letters + string.digits + "*?[]!-_.#é"), min_size=1)
COMMENTS = st.lists(WORDS, max_size=4).map(" ".join)
GRANTS = st.builds(Grant, KEYS, st.sampled_from(Role), WORDS, COMMENTS)

LOOKING: list[Request] = [Info(), Snapshot(), Replay("e", 0), UnknownRequest("COFFEE")]
ACTING: list[Request] = [Register("camera", "tcp://a", "cam"), Unregister("u"), CheckAlive("u")]


def same(one: Grant, other: Grant) -> bool:
    return one == other and one.comment == other.comment


# --- what a key allows ---------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_everybody_who_is_let_in_may_look(role: Role) -> None:
    assert all(Grant(PUBLIC, role).allows(request) for request in LOOKING)


@pytest.mark.parametrize("role", Role)
def test_a_viewer_may_do_no_more_than_look(role: Role) -> None:
    allowed = [Grant(PUBLIC, role).allows(request) for request in ACTING]
    assert allowed == [role is not Role.VIEWER] * 3


@pytest.mark.parametrize(
    ("names", "allowed", "not_allowed"),
    [
        ("*", ["", "cam", "any thing\nat all"], []),
        ("cam*", ["cam", "cam-1", "camera"], ["Cam", " cam", "acam", ""]),
        ("cam-?", ["cam-1", "cam- "], ["cam-", "cam-10", "cam-1\n"]),
        ("bed[1-3]", ["bed1", "bed3"], ["bed4", "bed", "bed1x"]),
        ("bed[!1-3]", ["bed4"], ["bed1"]),
        ("cam", ["cam"], ["cam-1", "cam\n", "CAM"]),
        ("a.c+(", ["a.c+("], ["abc+(", "a.cc("]),
        ("[", ["["], ["", "[["]),
    ],
)
def test_a_device_may_have_the_names_that_match(
    names: str, allowed: list[str], not_allowed: list[str]
) -> None:
    device, admin = Grant(PUBLIC, Role.DEVICE, names), Grant(PUBLIC, Role.ADMIN, names)
    for name in allowed:
        assert device.allows_name(name)
    for name in not_allowed:
        assert not device.allows_name(name)
        assert admin.allows_name(name), "a pattern says nothing to an admin"
    assert not any(Grant(PUBLIC, Role.VIEWER, names).allows_name(name) for name in allowed)


def test_what_is_said_of_its_owner_makes_no_difference() -> None:
    assert Grant(PUBLIC, Role.DEVICE, "*", "mine") == Grant(PUBLIC, Role.DEVICE, "*", "yours")
    assert Grant(PUBLIC, Role.DEVICE, "*") != Grant(PUBLIC, Role.DEVICE, "c*")


# --- the text ------------------------------------------------------------------------------------


@given(st.lists(GRANTS, unique_by=lambda grant: grant.public, max_size=5))
def test_what_is_written_is_what_is_read(grants: list[Grant]) -> None:
    text = HEADER + "".join(f"{grant}\n" for grant in grants)
    read = parse_grants(text)
    assert list(read) == [grant.public for grant in grants]
    assert all(same(read[grant.public], grant) for grant in grants)
    assert all(same(parse_grant(str(grant)), grant) for grant in grants)


@given(st.text())
def test_any_text_is_a_list_or_not(text: str) -> None:
    try:
        grants = parse_grants(text)
    except ValueError as error:
        grants, why = {}, str(error)
    else:
        why = "line "
    assert why.startswith("line ")
    assert all(public == grant.public for public, grant in grants.items())


@pytest.mark.parametrize(
    "text",
    [
        f"device {PUBLIC} cam* the camera over bed 3",
        f"\n\n  # a comment\n\t# another\ndevice {PUBLIC} cam* the camera over bed 3\n\n",
        f"\tdevice\t{PUBLIC}\t \tcam*\tthe camera over bed 3  \t",
        f"# one\r\ndevice {PUBLIC} cam* the camera over bed 3\r\n\r\n",
    ],
    ids=["bare", "comments", "tabs", "CRLF"],
)
def test_a_line_may_look_as_people_write_it(text: str) -> None:
    [grant] = parse_grants(text).values()
    assert same(grant, Grant(PUBLIC, Role.DEVICE, "cam*", "the camera over bed 3"))


@pytest.mark.parametrize("text", ["", "\n", "# nobody", HEADER, " \t \r\n#"])
def test_nobody_is_let_in_by_an_empty_list(text: str) -> None:
    assert parse_grants(text) == {}
    assert all(is_comment(line) for line in text.splitlines())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("device", "expected a role, a public key and the names"),
        (f"device {PUBLIC}", "expected a role, a public key and the names"),
        (f"root {PUBLIC} *", "'root' is no role; there are viewer, device, admin"),
        (f"Device {PUBLIC} *", "'Device' is no role"),
        (f"{PUBLIC} device *", "is no role"),
        ("device * cam", "is no key: one has 40 characters"),
        (f"device {PUBLIC[:-1]} *", "is no key"),
        (f"device {PUBLIC} * # me\nviewer {PUBLIC} *", "is there already"),
    ],
    ids=[
        "a role alone",
        "no names",
        "no such role",
        "another case",
        "the wrong way round",
        "names for a key",
        "too short",
        "twice",
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^line [45]: ") as info:
        parse_grants(f"# a list\n\nviewer {OTHER} *\n{line}\n")
    assert words in str(info.value)


# --- what a peer is called -----------------------------------------------------------------------


def test_a_log_has_a_fingerprint_or_an_address() -> None:
    assert peer_name(PUBLIC) == fingerprint(PUBLIC)
    assert peer_name("10.0.0.5") == "10.0.0.5"
