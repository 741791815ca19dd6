"""What the beginnings of connections say of keys: is this program let in, and to whom?

ZeroMQ connects in the background, again and again, and says nothing of why it comes to nothing. Its
monitor tells how each attempt has ended, but not always why:

* A registry that does not know the key says so. One that has keys, where none was given, or has
  none, where one was given, shows that in its greeting, unless it has hung up before that was read.
* A registry with another key than this one is for cannot read the first word it is sent, and hangs
  up. So does a tunnel whose other end is not there, and a registry that is just being stopped.

What it is shows when somebody else knocks: a second connection, which says nothing but that it is
there, and waits for the greeting, so that nobody has a reason to hang up before that is read. If it
asks for a key where none was given, or for none where one was, that is why. If it asks for a key,
and the next attempt with the key is hung up on all the same, the registry's key is another.

This is the pure part; `link` has the sockets.
"""

import enum
from typing import Final

from .errors import AuthenticationError
from .keys import Key, fingerprint

HANG_UPS: Final = 2
"""How often in a row a registry may hang up before it is knocked at."""


class Outcome(enum.Enum):
    """How an attempt to connect has ended."""

    AGREED = "agreed"
    REFUSED = "refused"
    """The other side does not know the key."""
    MISMATCH = "mismatch"
    """One side wants keys, and the other has none."""
    UNPROVEN = "unproven"
    """The other side cannot prove that it has the key that it should have."""
    HUNG_UP = "hung up"
    """There is nothing to tell why."""


class Handshake:
    """Draws conclusions from the outcomes of one link's attempts to connect.

    Args:
        url: The registry's address, for words.
        key: What this program shows; None if it has no key.

    Attributes:
        refusal: Why the two do not come together; None while they may.
        in_doubt: Whether somebody should knock.
    """

    def __init__(self, url: str, key: Key | None) -> None:
        self.refusal: AuthenticationError | None = None
        self.in_doubt = False
        self._url = url
        self._key = key
        self._hang_ups = 0
        self._wants_keys = False  # as the one who knocked was shown

    def saw(self, outcome: Outcome) -> None:
        """An attempt has ended."""
        match outcome:
            case Outcome.AGREED:
                self._hang_ups = 0
                self._wants_keys = self.in_doubt = False
            case Outcome.REFUSED:
                self.refusal = self._unknown()
            case Outcome.MISMATCH:
                self.refusal = self._keyless() if self._key else self._wanted()
            case Outcome.UNPROVEN:
                self.refusal = self._another()
            case _:  # it hung up
                self._hang_ups += 1
                if self._wants_keys:
                    self.refusal = self._another()
                self.in_doubt = self._hang_ups >= HANG_UPS

    def saw_knock(self, outcome: Outcome) -> None:
        """The one who knocked was greeted: as one who needs a key, or as one who needs none."""
        wants_keys = outcome is Outcome.MISMATCH
        if wants_keys and self._key is not None:
            self._wants_keys = True
        elif wants_keys:
            self.refusal = self._wanted()
        elif self._key is not None:
            self.refusal = self._keyless()
        else:  # then it was something else
            self._hang_ups, self.in_doubt = 0, False

    # --- in words -----------------------------------------------------------------------------

    def _wanted(self) -> AuthenticationError:
        return AuthenticationError(
            f"the registry at {self._url} lets in nobody without a key, and none was given: make "
            "one with `devicewatch keys new`, and have it authorized there"
        )

    def _unknown(self) -> AuthenticationError:
        if self._key is None:
            return AuthenticationError(f"the registry at {self._url} does not let this program in")
        return AuthenticationError(
            f"the registry at {self._url} does not know the key {fingerprint(self._key.public)}: "
            f"where it runs, `devicewatch keys authorize {self._key.public} --role ROLE` lets it in"
        )

    def _keyless(self) -> AuthenticationError:
        return AuthenticationError(
            f"what answers at {self._url} has no key, so it is not the registry that this key is "
            "for, or that was started without --curve. Nothing was said to it"
        )

    def _another(self) -> AuthenticationError:
        registry = (self._key and self._key.registry) or ""
        return AuthenticationError(
            f"what answers at {self._url} does not have the registry's key {registry}: it is "
            "another registry, or it was given a new key. Nothing was said to it"
        )
