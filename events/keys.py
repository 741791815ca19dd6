"""Keys: how a program proves who it is, and makes sure which registry it talks to.

They are those of CURVE, ZeroMQ's own encryption (https://rfc.zeromq.org/spec/26/), in its usual
form of 40 characters (Z85, https://rfc.zeromq.org/spec/32/). The public half may be known to all;
the secret half is left out of every `repr`, and goes nowhere but into its file.
"""

import hashlib
import os
import stat
import string
import struct
import tomllib
from pathlib import Path
from typing import Any, Final, Self

import attrs
import msgspec
import zmq
from platformdirs import user_config_path
from zmq.utils import z85

from .errors import AuthenticationError, KeyFileError

SUFFIX: Final = ".key"

_LENGTH: Final = 40
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + ".-:+=/@%")
"""What means nothing to a shell, so that a public key of ours can be pasted without quotes."""

_NAME_WANTED: Final = "give it the name, or the file, that `devicewatch keys new` was told"

_LONGEST_FILE: Final = 65_536
"""Bytes of a key's file that are looked at."""

_FILE: Final = """\
# A devicewatch key. The secret proves who its owner is: show it to nobody.
public = "{public}"
secret = "{secret}"
"""
_REGISTRY: Final = """\
# The public key of the registry that this one is for. No other registry is trusted.
registry = "{registry}"
"""


def is_public_key(text: str) -> bool:
    """Whether a text is a public key."""
    try:
        return len(text) == _LENGTH and bool(z85.decode(text))
    except (ValueError, KeyError, struct.error):
        return False


def check_public_key(text: str) -> str:
    """A public key, if the text is one.

    Raises:
        ValueError: It is not.
    """
    if not is_public_key(text):
        raise ValueError(
            f"{text!r} is no key: one has {_LENGTH} characters, see `devicewatch keys show`"
        )
    return text


def fingerprint(public: str) -> str:
    """A short name for a public key, for logs and for people to compare."""
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def keys_folder() -> Path:
    """Where keys are kept that were given a name, and no folder."""
    return user_config_path("devicewatch") / "keys"


def key_path(name: str | Path) -> Path:
    """The file of a key, given its name, or already its path: one has a slash, or ends in .key."""
    if isinstance(name, Path) or "/" in name or name.endswith(SUFFIX):
        return Path(name)
    return keys_folder() / f"{name}{SUFFIX}"


def _is_public_key(_key: "Key", field: "attrs.Attribute[Any]", text: str | None) -> None:
    if text is not None and not is_public_key(text):
        # Without quoting it: it may be a secret in the wrong place.
        raise ValueError(f"what stands for {field.name!r} is no key")


@attrs.frozen
class Key:
    """A program's key pair, and the registry that it is for.

    Attributes:
        public: Names the program.
        secret: Proves that it is the one.
        registry: The registry's own public key; None in a registry's own pair, which is for nobody
            else. With it the program knows that it talks to that registry, and not to another in
            its place.

    Raises:
        ValueError: These are no keys, or do not belong together.
    """

    public: str = attrs.field(validator=_is_public_key)
    secret: str = attrs.field(repr=False)
    registry: str | None = attrs.field(default=None, validator=_is_public_key)

    @secret.validator
    def _belongs_to_public(self, _field: "attrs.Attribute[str]", secret: str) -> None:
        try:
            public = zmq.curve_public(secret.encode()).decode()
        except (ValueError, zmq.ZMQError):
            raise ValueError("the secret is no key") from None
        if public != self.public:
            raise ValueError("the secret and the public key do not belong together")

    @classmethod
    def new(cls, registry: str | None = None) -> Self:
        """Draw a new pair.

        Its public key can be pasted into a shell without quotes: pairs are drawn until one is like
        that, one in about a thousand, which makes it no easier to guess.

        Args:
            registry: The public key of the registry that it is for.
        """
        while True:
            public, secret = (part.decode() for part in zmq.curve_keypair())
            if public[0].isalnum() and _PLAIN.issuperset(public):
                return cls(public, secret, registry)

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Read a key from its file, which nobody but its owner may be able to read.

        Args:
            name: What was given to `devicewatch keys new`, or the path of a file.

        Raises:
            KeyFileError: There is none, it is something else, or others may read it.
        """
        path = key_path(name)
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(_LONGEST_FILE)
        except FileNotFoundError:
            if is_public_key(str(name)) or is_public_key(path.name.removesuffix(SUFFIX)):
                why = f"what was given is a key itself, it seems: {_NAME_WANTED}"  # not to be shown
            else:
                why = f"there is no key {path}: `devicewatch keys new` makes one"
            raise KeyFileError(why) from None
        except OSError as error:
            raise KeyFileError(f"the key {path} cannot be read: {error.strerror}") from None
        if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"others than its owner may use the key {path}: `chmod 600 {path}`, if nobody has "
                "done so yet; else make a new one"
            )
        try:
            found = msgspec.convert(tomllib.loads(text.decode()), dict[str, str])
            return cls(found["public"], found["secret"], found.get("registry"))
        except KeyError as missing:
            why = f"{missing} is missing"
        except (ValueError, msgspec.ValidationError) as error:
            why = str(error)
        except RecursionError:
            why = "it is nested too deeply"
        raise KeyFileError(f"{path} is no key of devicewatch: {why}")

    def save(self, path: Path) -> None:
        """Write it to a new file, for its owner's eyes only.

        Raises:
            KeyFileError: There is a file already, or it cannot be written.
        """
        text = _FILE.format(public=self.public, secret=self.secret)
        if self.registry is not None:
            text += _REGISTRY.format(registry=self.registry)
        if os.path.lexists(path):
            raise _is_there_already(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, text)
        except FileExistsError:
            if os.path.lexists(path):  # as somebody else was quicker
                raise _is_there_already(path) from None
            raise KeyFileError(f"the key {path} cannot be written: not in a folder") from None
        except OSError as error:
            raise KeyFileError(f"the key {path} cannot be written: {error.strerror}") from None


def _write_new(path: Path, text: str) -> None:
    """Write a new file, for its owner's eyes only, whole or not at all.

    Raises:
        OSError: It cannot be written; FileExistsError: there is one already.
    """
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w") as file:
            os.fchmod(number, 0o600)  # a umask may have taken the owner's own rights away
            file.write(text)
            file.flush()
            os.fsync(number)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _is_there_already(path: Path) -> KeyFileError:
    return KeyFileError(
        f"there is a key {path} already, and it is not replaced: whoever knows it would know the "
        "new one no more. Remove it first, or choose another name"
    )


def check_key(key: Key | None) -> None:
    """See whether a key can be used to talk to a registry; none at all can.

    Raises:
        AuthenticationError: It does not say which registry it is for.
        TypeError: It is no `Key`.
    """
    if key is None:
        return
    if not isinstance(key, Key):
        if isinstance(key, str) and is_public_key(key):
            raise TypeError(f"key is to be a Key, made by Key.load: {_NAME_WANTED}")
        raise TypeError(f"key is to be a Key; Key.load({key!r}) may give one")
    if key.registry is None:
        raise AuthenticationError(
            f"the key {fingerprint(key.public)} does not say which registry it is for: add a line "
            '`registry = "…"` to its file, with the public key that the registry shows at its start'
        )
