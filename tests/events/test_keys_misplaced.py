"""A key where a name was expected: it may be the secret half, so no error repeats it."""

import traceback
from pathlib import Path

import pytest

from devicewatch.events.errors import KeyFileError
from devicewatch.events.keys import Key, check_key, key_path

# With a slash, it looks like a path.
MISPLACED = ["0" * 40, f"{'0' * 20}/{'0' * 19}"]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("secret", MISPLACED)
def test_a_key_in_the_place_of_its_name_is_not_repeated(secret: str) -> None:
    for name in (secret, key_path(secret)):
        with pytest.raises(KeyFileError, match="is a key itself") as raised:
            Key.load(name)
        assert secret not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(TypeError, match=r"made by Key\.load") as wrong:
        check_key(secret)  # type: ignore[arg-type]
    assert secret not in str(wrong.value)


@pytest.mark.parametrize("name", MISPLACED)
def test_a_file_with_such_a_name_is_read_all_the_same(name: str) -> None:
    key = Key.new()
    key.save(key_path(name))
    assert Key.load(name) == key


def test_any_other_name_is_repeated() -> None:
    with pytest.raises(KeyFileError, match=r"there is no key .*arm\.key"):
        Key.load("arm")
    with pytest.raises(TypeError, match=r"Key\.load\('arm'\)"):
        check_key("arm")  # type: ignore[arg-type]
