"""The exception tree, and what an error has to say."""

import pickle
import re

import pytest

from devicewatch.events import errors
from devicewatch.events.errors import (
    AddressError,
    BindError,
    DevicewatchError,
    MessageError,
    RegistryUnreachable,
    RequestRefused,
)
from devicewatch.events.protocol import ErrorCode


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"[├└]── (\w+) +(?:\((\w+)\))?", errors.__doc__)
    tree = [
        (error.__name__, *(base.__name__ for base in error.__bases__))
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, DevicewatchError)
    ]
    assert tree[0] == ("DevicewatchError", "Exception")
    assert sorted(tree[1:]) == sorted(
        (name, "DevicewatchError", *filter(None, [builtin])) for name, builtin in drawn
    )


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (AddressError("no port"), ValueError),
        (BindError("port 5555 is taken"), OSError),
        (MessageError(ErrorCode.MALFORMED, "no JSON"), ValueError),
        (RegistryUnreachable("no answer"), TimeoutError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_can_be_caught_as_the_builtin_that_it_is(
    error: DevicewatchError, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match=str(error)):
        raise error


def test_a_message_error_carries_what_the_reply_has_to_say() -> None:
    error = MessageError(ErrorCode.INVALID, "no uuid", "UNREGISTER")
    assert (error.code, str(error), error.req_event) == ("INVALID", "no uuid", "UNREGISTER")


def test_a_message_error_may_not_know_the_request() -> None:
    assert MessageError(ErrorCode.MALFORMED, "no JSON").req_event is None


def test_a_refusal_shows_its_code() -> None:
    error = RequestRefused("INVALID", "no uuid")
    assert error.code == "INVALID"
    assert str(error) == "no uuid (INVALID)"


def test_errors_survive_a_trip_to_another_process() -> None:
    for error in (MessageError(ErrorCode.INVALID, "why", "INFO"), RequestRefused("INVALID", "why")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
