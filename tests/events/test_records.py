"""Records are plain, frozen values, and none of them gives a secret away."""

from collections.abc import Callable
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict
from rich.pretty import pretty_repr

from devicewatch import events
from devicewatch.events import messages
from devicewatch.events.protocol import Origin, Reason, Topic
from devicewatch.events.records import (
    Added,
    Bye,
    Cursor,
    Device,
    Event,
    Live,
    Removed,
    Stale,
    State,
    Status,
    StreamMessage,
    Tick,
)
from tests.events import strategies

SECRET = "0b0e5a3c-7d3e-4f0a-9a51-2f8c3a1d6e42"
DEVICE = Device("left", "camera", "tcp://10.0.0.7:6001", 7, 1.5, {"gain": 0.5})

# Each made anew at every call.
MAKERS: list[Callable[[], attrs.AttrsInstance]] = [
    lambda: Device("left", "camera", "tcp://10.0.0.7:6001", 7, 1.5, {"gain": 0.5}),
    lambda: Cursor("e", 7),
    lambda: Added("e", 7, 1.5, DEVICE),
    lambda: Removed("e", 8, 2.5, DEVICE, Reason.EXPIRED),
    lambda: Tick("e", 8, 3.5),
    lambda: Bye("e", 8, 4.5),
    lambda: Live(5.5, Cursor("e", 8), True),
    lambda: Stale(6.5, "it burns"),
    lambda: Status(State.STALE, 6.5, "it burns"),
]
records = pytest.mark.parametrize("make", MAKERS, ids=lambda make: type(make()).__name__)


@records
def test_equal_records_are_interchangeable(make: Callable[[], attrs.AttrsInstance]) -> None:
    assert make() == make()
    assert len({make(), make()}) == 1


@records
def test_a_record_cannot_be_changed(make: Callable[[], attrs.AttrsInstance]) -> None:
    record = make()
    for field in attrs.fields(type(record)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)
    assert record == make()


EVENTS: list[Event] = [Added("e", 7, 1.5, DEVICE), Removed("e", 8, 2.5, DEVICE, Reason.EXPIRED)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_by_itself_an_event_leads_to_its_own_place(event: Event) -> None:
    assert event.cursor == Cursor("e", event.seq)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_an_event_may_lead_elsewhere_and_is_still_the_same_event(event: Event) -> None:
    elsewhere = attrs.evolve(event, cursor=Cursor("f", 0, revision=0))
    assert elsewhere.cursor == Cursor("f", 0, revision=0)
    assert elsewhere == event
    assert hash(elsewhere) == hash(event)
    assert repr(elsewhere) == repr(event)


@pytest.mark.parametrize(
    ("cursor", "text"),
    [
        (Cursor("e", 7), "7/e"),
        (Cursor("e", 7, revision=3), "7.3/e"),
        (Cursor("e", 7, revision=0), "7.0/e"),
        (Cursor("", 0), "0/"),
        (Cursor("a/b.c", 7), "7/a/b.c"),
    ],
)
def test_a_cursor_is_a_line_of_text(cursor: Cursor, text: str) -> None:
    assert str(cursor) == text
    assert Cursor.parse(text) == cursor
    assert Cursor.parse(f"  {text}\n") == cursor


_numbers = st.integers(0, 2**53 - 1)
_epochs = st.text(st.characters(codec="utf-8")).filter(lambda epoch: epoch == epoch.strip())


@given(st.builds(Cursor, _epochs, _numbers, st.none() | _numbers))
def test_every_cursor_can_be_read_back(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "e",
        "/e",
        "e/7",
        "7.3",
        "-7/e",
        "+7/e",
        "7./e",
        ".3/e",
        "7.3.1/e",
        "7 /e",
        "7_0/e",
        "0x7/e",
        "7e2/e",
        "\u0667/e",
        "\u00b2/e",
        "None/e",
        "7.None/e",
        "9" * 5000 + "/e",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no cursor; one looks like 42/EPOCH|digits"):
        Cursor.parse(text)


@given(st.text())
def test_whatever_is_not_refused_is_a_cursor(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert cursor.seq >= 0
    assert Cursor.parse(str(cursor)) == cursor


def test_a_state_is_a_word() -> None:
    assert [str(state) for state in State] == ["connecting", "live", "stale", "closed"]


def test_devices_that_differ_in_metadata_alone_are_not_equal() -> None:
    assert attrs.evolve(DEVICE, metadata={"gain": 1.0}) != DEVICE


@given(strategies.stream_messages)
def test_every_message_can_be_a_key_and_so_can_its_copy(message: StreamMessage) -> None:
    assert {message: 1}[attrs.evolve(message)] == 1


def test_devices_do_not_share_their_metadata() -> None:
    first, second = (Device("left", "camera", "a", 1, 0.0) for _ in range(2))
    assert first.metadata == {}
    assert first.metadata is not second.metadata


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (Added("e", 7, 1.5, DEVICE), Topic.ADDED),
        (Removed("e", 8, 1.5, DEVICE, Reason.EXPIRED), Topic.REMOVED),
        (Tick("e", 8, 1.5), Topic.TICK),
        (Bye("e", 8, 1.5), Topic.BYE),
    ],
)
def test_a_message_knows_its_topic(message: StreamMessage, topic: Topic) -> None:
    assert message.topic is topic


def test_an_event_is_live_unless_it_says_otherwise() -> None:
    assert Added("e", 7, 1.5, DEVICE).origin is Origin.LIVE
    assert Removed("e", 8, 1.5, DEVICE, Reason.EXPIRED).origin is Origin.LIVE


@pytest.mark.parametrize(
    "message",
    [
        messages.Register("camera", "tcp://10.0.0.7:6001", "left", instance=SECRET),
        messages.Unregister(SECRET),
        messages.CheckAlive(SECRET),
        messages.RegisterAck("left", SECRET, "e", 7, 20.0),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_secret_is_in_the_message_but_not_in_its_repr(message: Struct) -> None:
    assert SECRET in str(asdict(message))
    assert SECRET not in repr(message)
    assert SECRET not in f"{message} {[message]}"


def test_no_field_that_holds_a_secret_is_in_a_repr() -> None:
    secrets = 0
    for message in get_args(messages.Request) + get_args(messages.Reply):
        fields = set(message.__struct_fields__)
        held = fields & {"uuid", "instance"}
        secrets += len(held)
        made = message(**{field: SECRET if field in held else "shown" for field in fields})
        shown = repr(made)
        assert SECRET not in shown
        assert shown.count("shown") == len(fields - held)
        assert SECRET not in pretty_repr(made)
    assert secrets == 4


@pytest.mark.parametrize(
    "message", get_args(messages.Request) + get_args(messages.Reply), ids=lambda kind: kind.__name__
)
def test_a_message_cannot_be_changed(message: type[Struct]) -> None:
    fields = dict.fromkeys(message.__struct_fields__, "x")
    made = message(**fields)
    for field in fields:
        with pytest.raises(AttributeError):
            setattr(made, field, "y")
    assert made == message(**fields)
    assert len({made, message(**fields)}) == 1


def test_what_everyone_may_know_of_a_device_does_not_include_its_secrets() -> None:
    public = {"name", "device_type", "addr", "revision", "registered_at", "metadata"}
    assert set(attrs.fields_dict(Device)) == public


def test_all_is_exactly_what_the_package_offers_and_sorted() -> None:
    offered = {
        name
        for name, value in vars(events).items()
        if not name.startswith("_") and type(value) is not type(events)
    }
    assert set(events.__all__) == offered
    assert events.__all__ == sorted(events.__all__)
