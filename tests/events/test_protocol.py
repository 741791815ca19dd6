"""The constants: what is fixed to the letter, and limits that fit each other."""

import pytest

from devicewatch.events import protocol
from devicewatch.events.protocol import ErrorCode, Origin, Reason, ReplyName, RequestName, Topic
from devicewatch.events.sockets import check_address


@pytest.mark.parametrize(
    ("names", "fixed"),
    [
        (RequestName, "REGISTER UNREGISTER CHECK_ALIVE INFO SNAPSHOT REPLAY"),
        (ReplyName, "REGISTER_ACK ACK UNSUPPORTED INFO SNAPSHOT EVENTS COMPACTED ERROR"),
        (Topic, "added removed tick bye"),
        (Reason, "unregistered expired replaced revoked unknown"),
        (Origin, "snapshot live resync"),
        (
            ErrorCode,
            "MALFORMED INVALID TOO_LARGE OCCUPIED UNAVAILABLE FORBIDDEN TOO_MANY TOO_FAST INTERNAL",
        ),
    ],
)
def test_names_are_fixed_to_the_letter(names: type[RequestName], fixed: str) -> None:
    assert " ".join(names) == fixed


def test_no_topic_is_the_beginning_of_another() -> None:
    """So that a plain SUB socket can subscribe to one of them."""
    for topic in Topic:
        assert [other for other in Topic if other.startswith(topic)] == [topic]


def test_a_device_that_never_chose_has_twenty_seconds() -> None:
    assert protocol.DEFAULT_LEASE == 20
    assert protocol.MIN_LEASE < protocol.DEFAULT_LEASE < protocol.MAX_LEASE


def test_the_default_page_is_one_that_a_registry_sends() -> None:
    assert 1 <= protocol.MAX_PAGE <= protocol.DEFAULT_HISTORY


def test_the_default_address_is_one() -> None:
    check_address(protocol.DEFAULT_REGISTRY)
    assert protocol.DEFAULT_REGISTRY.endswith(f":{protocol.DEFAULT_PORT}")
    check_address(f"tcp://127.0.0.1:{protocol.DEFAULT_EVENTS_PORT}")


def test_the_largest_integer_is_the_last_that_a_double_tells_from_its_neighbour() -> None:
    largest = protocol.MAX_INTEGER
    assert float(largest) != float(largest - 1)
    assert float(largest) != float(largest + 1)
    assert float(largest + 1) == float(largest + 2)


def test_a_request_is_refused_with_an_answer_before_zeromq_refuses_it_without() -> None:
    assert protocol.MAX_REQUEST_BYTES < protocol.MAX_FRAME_BYTES
