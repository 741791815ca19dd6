"""Who may do what: roles, and the list of keys that are let in. Pure; the sockets are in `gate`.

The list is a text that people edit, a line for each key, in the manner of OpenSSH's
`authorized_keys`:

    # role    public key                                  names    who
    device    KBi.:qEN3zfeeqcX.X+Erz901Iz17ImNl1ol/z0g    cam*     the cameras over bed 3
    viewer    …

`names` says which names devices of the key may have, with the wildcards of a shell: `*`, `?`,
`[a-f]`. Where a name with a space is meant, `?` stands for it. A key stands on one line only, so
that striking the line out is enough to revoke it.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cached_property
from typing import Final, TypeAlias

import attrs

from ..events.keys import check_public_key, fingerprint, is_public_key
from ..events.messages import CheckAlive, Register, Request, Unregister
from ..events.protocol import Role

HEADER: Final = """\
# Who is let in to this devicewatch registry. A change counts from within a second on; striking out
# a line revokes that key. See docs/security.md.
#
# role    public key                                names         who
"""

_FIELDS: Final = 3


@attrs.frozen(slots=False)
class Grant:
    """What a key allows whoever has it.

    Attributes:
        public: The key.
        role: What it allows.
        names: The names that its devices may have, with the wildcards `*`, `?` and `[…]`.
        comment: Whose it is, for people.
    """

    public: str
    role: Role
    names: str = "*"
    comment: str = attrs.field(default="", eq=False)

    def allows(self, request: Request) -> bool:
        """Whether a request is for its role at all."""
        return self.role is not Role.VIEWER or not isinstance(
            request, Register | Unregister | CheckAlive
        )

    def allows_name(self, name: str) -> bool:
        """Whether a device of this key may have that name."""
        return self.role is Role.ADMIN or (
            self.role is Role.DEVICE and self._pattern.match(name) is not None
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(translate(self.names))

    def __str__(self) -> str:
        return f"{self.role:<9} {self.public}  {self.names:<12}  {self.comment}".rstrip()


Grants: TypeAlias = Mapping[str, Grant]
"""By public key."""


def parse_grants(text: str) -> dict[str, Grant]:
    """Read the list of keys that are let in.

    Raises:
        ValueError: A line makes no sense; the message has its number. Nothing of the rest counts
            then either: half a list could be one that an editor has not finished writing.
    """
    grants: dict[str, Grant] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if is_comment(line):
            continue
        try:
            grant = parse_grant(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if grant.public in grants:
            raise ValueError(f"line {number}: the key {fingerprint(grant.public)} is there already")
        grants[grant.public] = grant
    return grants


def is_comment(line: str) -> bool:
    """Whether a line stands for no key."""
    return not line.strip() or line.lstrip().startswith("#")


def parse_grant(line: str) -> Grant:
    """Read the line of a key.

    Raises:
        ValueError: It makes no sense.
    """
    fields = line.split(maxsplit=_FIELDS)
    if len(fields) < _FIELDS:
        raise ValueError("expected a role, a public key and the names that it may have (* for all)")
    role, public, names, *comment = fields
    if role not in list(Role):
        raise ValueError(f"{role!r} is no role; there are {', '.join(Role)}")
    return Grant(check_public_key(public), Role(role), names, "".join(comment).strip())


def peer_name(peer: str) -> str:
    """What a peer is called in a log: the fingerprint of its key, or its address."""
    return fingerprint(peer) if is_public_key(peer) else peer
