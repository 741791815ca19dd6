"""What a session has put out, and the secrets that were at work in it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from zmq.utils import z85

from devicewatch.registry.commands.demo import RunningCommand


class Session:
    """What was said, and what should not have been.

    Attributes:
        said: By source.
        secrets: All uuids, instances and private keys that were at work.
    """

    def __init__(self) -> None:
        self.said: dict[str, bytes] = {}
        self.secrets: set[str] = set()

    def say(self, source: str, *what: object) -> None:
        text = "".join(json.dumps(one) if isinstance(one, dict) else str(one) for one in what)
        self.said[source] = self.said.get(source, b"") + text.encode()

    def say_all_of(self, name: str, command: RunningCommand) -> None:
        """What a command that has ended had to say, and nobody has read."""
        self.say(f"stderr of {name}", *command.errors)
        self.say(f"stdout of {name}", *iter(command._lines.get, None))

    def leaks(self) -> list[str]:
        """Where a secret was said, in whatever form, and its beginning."""
        forms = {form: secret for secret in self.secrets for form in _forms(secret)}
        return sorted(
            {
                f"{source}: {secret[:4]}…"
                for source, text in self.said.items()
                for form, secret in forms.items()
                if form in text
            }
        )


def _forms(secret: str) -> set[bytes]:
    """What a secret may look like, as text, bytes and numbers."""
    forms = {secret, secret.upper(), secret.lower(), secret.replace("-", ""), repr(secret)[1:-1]}
    forms |= {json.dumps(secret)[1:-1], secret.encode().hex()}
    found = {form.encode() for form in forms}
    if len(secret) == 40:
        raw = z85.decode(secret)
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode(), repr(raw)[2:-1].encode()}
    return found


def may_hold_secrets(file: Path) -> bool:
    """Whether secrets are kept in a file: a key, or a journal. Nobody but its owner may read it."""
    holds = file.suffix == ".key" or "journal" in file.name or file.name == "guest.secrets"
    assert not holds or file.stat().st_mode & 0o77 == 0 or file.name == "guest.secrets", file
    return holds


def secrets_in(journal: Path) -> set[str]:
    """The uuids of those who are registered, and their instances: only a journal tells."""
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT record FROM registrations").fetchall()
    records = [json.loads(record) for (record,) in rows]
    secrets = {record["uuid"] for record in records}
    return secrets | {record["request"].get("instance") or record["uuid"] for record in records}
