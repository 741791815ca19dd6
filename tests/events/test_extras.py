"""A library that is missing is one clear line."""

import pytest

from devicewatch.events import DevicewatchError, MissingExtra
from devicewatch.events.extras import extra


def test_the_message_names_the_library_and_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtra) as caught, extra("web"):
        import no_such_library.inside  # type: ignore[import-not-found]  # noqa: F401
    message = str(caught.value)
    assert "'no_such_library'" in message
    assert "pip install 'devicewatch[web]'" in message
    assert len(message.splitlines()) == 1
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, DevicewatchError)


def test_a_fault_of_our_own_is_not_taken_for_it() -> None:
    with pytest.raises(ModuleNotFoundError), extra("web"):
        import devicewatch.no_such_module  # type: ignore[import-untyped]  # noqa: F401
    with pytest.raises(ImportError) as caught, extra("web"):
        from json import no_such_name  # type: ignore[attr-defined]  # noqa: F401
    assert not isinstance(caught.value, MissingExtra)


def test_what_is_there_is_no_concern() -> None:
    with extra("web"):
        from json import loads
    assert loads("1") == 1
