"""No secret in any event, snapshot, log line, error, `repr` or process title.

Only three places may have one: the journal, the file of a key, and what a device is told when it
registers.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from zmq.utils import z85

from .parties import Context
from .play import Play
from .session import Session

pytestmark = pytest.mark.interpreted

KEY_LENGTH = 40


@pytest.fixture(scope="module")
def session(home: Path, wires: Context) -> Iterator[Session]:
    with ExitStack() as stack:
        yield Play(home, wires, stack).play()


def test_a_busy_and_failing_session_tells_no_secret(session: Session) -> None:
    assert session.leaks() == []


HAPPENED = {
    "stdout of watch": ['"reason": "revoked"', '"reason": "replaced"'],
    "stderr of watch": ["does not know the key", "the view is live again"],
    "stderr of announce": ['"registered"', "displaced"],
    "stdout of announce": ["XDG_CONFIG_HOME="],
    "serve, killed": [
        "a key is not let in", "bad request", "refused", "changes cannot be kept",
        "changes are kept again", "the list of keys has changed",
    ],
    "stderr of serve": ["journal loaded"],
    "replies": ["FORBIDDEN", "MALFORMED", "INVALID", "UNAVAILABLE", "UNSUPPORTED", "EVENTS"],
    "the stream": ['"added"', '"removed"', '"tick"'],
    "cmdline of serve": ["--curve"],
    "environ of announce": ["XDG_CONFIG_HOME="],
    "comm of announce": ["python"],
    "list --json": ["cam-1"],
    "info --json": ["refused"],
    "list, strange": ["does not know the key"],
    "announce, forbidden": ["is not allowed the name"],
    "list, a key for its name": ["is a key itself"],
    "keys show": ["let in by", "damaged.key is no key"],
    "keys show NAME": ["fingerprint"],
    "keys show FILE": ["is no key"],
    "journal show": ["cam-1"],
    "journal check": ["problems"],
    "stdout of guest": ["Key(public=", "Holder(device=", "<DeviceRegistry("],
    "stderr of guest": ["a callback failed", "a guest that fails", "Traceback", "does not know"],
}  # fmt: skip


def test_it_was_busy_and_it_failed(session: Session) -> None:
    missing = [
        f"{source}: {words}"
        for source, all_words in HAPPENED.items()
        for words in all_words
        if words.encode() not in session.said[source]
    ]
    assert missing == []


FORMS: dict[str, Callable[[str], bytes]] = {
    "in a sentence": lambda secret: f"why={secret}, you see".encode(),
    "in JSON": lambda secret: json.dumps({"why": secret}).encode(),
    "in a repr": lambda secret: repr([secret]).encode(),
    "in capitals": lambda secret: secret.upper().encode(),
    "as the bytes of its text": lambda secret: secret.encode().hex().encode(),
}
KEY_FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": z85.decode,
    "in hexadecimal": lambda secret: z85.decode(secret).hex().encode(),
    "raw, in a repr": lambda secret: repr(z85.decode(secret)).encode(),
}


def test_a_secret_is_found_wherever_it_is_told_and_in_whatever_form(session: Session) -> None:
    assert len(session.secrets) > 20
    for secret in session.secrets:
        is_key = len(secret) == KEY_LENGTH
        for form in (FORMS | KEY_FORMS if is_key else FORMS).values():
            assert planted(session, form(secret)) == [f"stderr of serve: {secret[:4]}…"]
        if not is_key:
            assert planted(session, secret.replace("-", "").encode())


def planted(session: Session, leak: bytes) -> list[str]:
    other = Session()
    other.secrets = session.secrets
    other.said = {"stderr of serve": b"so far so good " + leak + b"\n", "replies": b"{}"}
    return other.leaks()
