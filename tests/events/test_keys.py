"""Keys, and the files in which they are kept."""

import errno
import os
import pickle
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from devicewatch.events.errors import AuthenticationError, KeyFileError
from devicewatch.events.keys import (
    Key,
    check_key,
    check_public_key,
    fingerprint,
    is_public_key,
    key_path,
    keys_folder,
)
from tests.support.keys import client_key, key_of, public_of

CLIENT = client_key("client")
OTHER = key_of("other")


@pytest.fixture
def umask() -> Iterator[None]:
    """Whatever a test sets it to, it is as before in the end."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(path: Path, text: str | bytes, bits: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(bits)
    return path


def lines(**fields: str) -> str:
    return "".join(f'{name} = "{value}"\n' for name, value in fields.items())


def refused(path: Path) -> str:
    """What is said of a file that holds no key; none of the secrets that these tests know."""
    with pytest.raises(KeyFileError) as info:
        Key.load(path)
    assert info.value.__context__ is None or info.value.__suppress_context__
    said = str(info.value)
    assert str(path) in said
    assert CLIENT.secret not in said
    assert OTHER.secret not in said
    return said


# --- drawing them --------------------------------------------------------------------------------


def test_a_public_key_of_ours_needs_no_quotes_in_a_shell() -> None:
    for _ in range(5):
        public = Key.new().public
        assert shlex.quote(public) == public
        assert public[0].isalnum(), "no option, and no home directory"
        assert is_public_key(public)


def test_a_key_says_which_registry_it_is_for() -> None:
    assert Key.new(OTHER.public).registry == OTHER.public
    assert OTHER.registry is None
    with pytest.raises(ValueError, match="'registry' is no key"):
        Key.new("nonsense")


def test_two_keys_are_not_the_same() -> None:
    assert Key.new() != Key.new()


def test_a_fingerprint_is_short_and_always_the_same() -> None:
    assert fingerprint(OTHER.public) == fingerprint(OTHER.public)
    assert len(fingerprint(OTHER.public)) == 16
    assert fingerprint(OTHER.public) != fingerprint(CLIENT.public)


# --- what is a key -------------------------------------------------------------------------------


@given(st.text(max_size=45) | st.text(st.characters(codec="ascii"), min_size=40, max_size=40))
def test_any_text_is_a_key_or_not(text: str) -> None:
    if is_public_key(text):
        assert len(text) == 40
        assert check_public_key(text) == text
    else:
        with pytest.raises(ValueError, match="is no key: one has 40 characters"):
            check_public_key(text)


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "é" * 40, " " * 40, "#" * 40, "a" * 400])
def test_what_is_no_key(text: str) -> None:
    assert not is_public_key(text)
    with pytest.raises(ValueError, match="'public' is no key"):
        Key(text, OTHER.secret)
    with pytest.raises(ValueError, match="the secret is no key"):
        Key(OTHER.public, text)


def test_halves_that_do_not_belong_together_are_no_pair() -> None:
    for public, secret in (
        (CLIENT.public, OTHER.secret),
        (OTHER.secret, OTHER.public),
        (OTHER.public, OTHER.public),
    ):
        with pytest.raises(ValueError, match="do not belong together") as info:
            Key(public, secret)
        assert secret not in str(info.value)
        assert info.value.__context__ is None


def test_a_secret_in_the_wrong_place_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="no key") as info:
        Key(OTHER.public, OTHER.secret, OTHER.secret + "x")
    assert OTHER.secret not in str(info.value)


def test_the_secret_shows_in_nothing_that_is_printed() -> None:
    for text in (repr(CLIENT), str(CLIENT), f"{CLIENT}", repr([CLIENT]), f"{CLIENT!r}"):
        assert CLIENT.secret not in text
        assert CLIENT.public in text


def test_a_key_may_be_given_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(CLIENT)) == CLIENT


# --- whether it can be used ----------------------------------------------------------------------


def test_a_key_can_be_used_if_it_is_for_a_registry_and_none_at_all_can() -> None:
    check_key(CLIENT)
    check_key(None)
    with pytest.raises(AuthenticationError, match="does not say which registry it is for"):
        check_key(OTHER)
    with pytest.raises(TypeError, match=r"Key\.load\('camera'\) may give one"):
        check_key("camera")  # type: ignore[arg-type]


# --- files ---------------------------------------------------------------------------------------


def test_a_key_has_a_name_or_a_path() -> None:
    assert key_path("camera") == keys_folder() / "camera.key"
    assert key_path("./camera") == Path("camera")
    assert key_path("camera.key") == Path("camera.key")
    assert key_path(Path("camera")) == Path("camera")


@pytest.mark.parametrize("key", [CLIENT, OTHER], ids=["a client's", "a registry's"])
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, key: Key) -> None:
    path = tmp_path / "new" / "folder" / "camera.key"
    key.save(path)
    assert Key.load(path) == key
    assert Key.load(str(path)) == key
    assert mode(path.parent) == 0o700


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("bits", [0o000, 0o022, 0o077, 0o277])
def test_a_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path, bits: int) -> None:
    os.umask(bits)
    CLIENT.save(tmp_path / "camera.key")
    assert mode(tmp_path / "camera.key") == 0o600


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "camera.key", "precious")
    with pytest.raises(KeyFileError, match="already, and it is not replaced"):
        CLIENT.save(path)
    assert path.read_text() == "precious"
    nowhere = tmp_path / "link.key"
    nowhere.symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="already"):
        CLIENT.save(nowhere)
    assert not (tmp_path / "nowhere").exists()


def test_of_two_that_save_at_once_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "camera.key"
    written(path, "precious")
    seen = iter([False, True])
    monkeypatch.setattr(os.path, "lexists", lambda _path: next(seen))
    with pytest.raises(KeyFileError, match="already"):
        CLIENT.save(path)
    assert path.read_text() == "precious"


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(KeyFileError, match="cannot be written: No space left"):
            CLIENT.save(tmp_path / "camera.key")
    CLIENT.save(tmp_path / "camera.key")


@pytest.mark.parametrize("below", ["camera.key", "deeper/camera.key"])
def test_a_file_is_no_folder_for_keys(tmp_path: Path, below: str) -> None:
    written(tmp_path / "file", "")
    with pytest.raises(KeyFileError, match=r"cannot be written: [Nn]ot"):
        CLIENT.save(tmp_path / "file" / below)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    assert "`devicewatch keys new` makes one" in refused(tmp_path / "camera.key")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o610, 0o601, 0o777])
def test_a_file_that_others_may_use_is_refused_even_to_root(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "camera.key"
    CLIENT.save(path)
    path.chmod(bits)
    assert f"`chmod 600 {path}`" in refused(path)
    path.chmod(0o600)
    assert Key.load(path) == CLIENT


def test_only_its_owner_may_be_unable_to_write_it(tmp_path: Path) -> None:
    path = tmp_path / "camera.key"
    CLIENT.save(path)
    path.chmod(0o400)
    assert Key.load(path) == CLIENT


def test_what_counts_is_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    CLIENT.save(tmp_path / "camera.key")
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / "camera.key")
    assert Key.load(link) == CLIENT
    (tmp_path / "camera.key").chmod(0o644)
    refused(link)
    (tmp_path / "camera.key").unlink()
    assert "there is no key" in refused(link)


def test_a_key_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, lines(public=CLIENT.public, secret=CLIENT.secret).encode())
    os.close(writer)
    try:
        assert Key.load(f"/dev/fd/{reader}").public == CLIENT.public
    finally:
        os.close(reader)


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refused(tmp_path)


WHOLE = {"public": CLIENT.public, "secret": CLIENT.secret}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'public' is missing"),
        (lines(public=CLIENT.public), "'secret' is missing"),
        (lines(**WHOLE, registry="me"), "what stands for 'registry' is no key"),
        (lines(public="me", secret=CLIENT.secret), "what stands for 'public' is no key"),
        (lines(public=CLIENT.public, secret="x"), "the secret is no key"),
        (lines(public=CLIENT.secret, secret=CLIENT.public), "do not belong together"),
        (lines(public=OTHER.public, secret=CLIENT.secret), "do not belong together"),
        (lines(**WHOLE) + "registry = 7\n", "Expected `str`, got `int`"),
        (CLIENT.secret, "is no key of devicewatch"),
        (lines(**WHOLE) + lines(secret=CLIENT.secret), "overwrite"),
        (b"\xff\xfe\x00" + bytes(range(256)) * 10, "is no key of devicewatch"),
        ("a = " + "[" * 60_000, "nested"),
        ("# " + "x" * 1_000_000 + "\n" + lines(**WHOLE), "'public' is missing"),
        ("x" * 10_000_000, "is no key of devicewatch"),
    ],
    ids=[
        "nothing",
        "no secret",
        "no registry's key",
        "no public key",
        "no secret key",
        "swapped",
        "of two pairs",
        "a number",
        "a bare secret",
        "twice",
        "binary",
        "nested",
        "long",
        "huge",
    ],  # which quote no key, and are the same in every process
)
def test_what_is_in_the_file_has_to_be_a_key(tmp_path: Path, text: str | bytes, words: str) -> None:
    said = refused(written(tmp_path / "camera.key", text))
    assert words in said
    assert len(said) < 500


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    refused(written(tmp_path_factory.getbasetemp() / "any.key", text))


def test_a_file_made_by_hand_may_have_more_in_it(tmp_path: Path) -> None:
    text = "# mine\r\n" + lines(**WHOLE, registry=OTHER.public, comment="é").replace("\n", "\r\n")
    key = Key.load(written(tmp_path / "camera.key", text))
    assert key == attrs.evolve(CLIENT, registry=OTHER.public)


def test_zeromq_takes_the_keys(tmp_path: Path) -> None:
    public = zmq.curve_public(CLIENT.secret.encode()).decode()
    assert public == public_of("client")
