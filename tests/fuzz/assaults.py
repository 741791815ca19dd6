"""What to send to the ports of a registry: a plan of attacks, the same for the same seed."""

import enum
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from random import Random
from typing import Final, TypeAlias

import attrs

from devicewatch.events.codec import encode_request
from devicewatch.events.messages import Info

from . import zmtp

INFO: Final = encode_request(Info())
SPOOFED: Final = (b"Peer-Address", b"User-Id", b"Socket-Type", b"Identity", b"Resource")
HUGE: Final = (2**31 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


class End(enum.Enum):
    """What becomes of a connection after the last word."""

    CLOSE = "closed"
    RESET = "reset"
    HOLD = "left open"


@attrs.frozen
class Attack:
    """One connection.

    Attributes:
        kind: What sort of attack it is.
        on_stream: Whether it is for the event stream's port, rather than that of the requests.
        parts: What to send; between two of them, it waits a moment for an answer.
        end: What comes after that.
    """

    kind: str
    on_stream: bool
    parts: Sequence[bytes] = attrs.field(repr=False)
    end: End


Parts: TypeAlias = list[bytes]


def cut_greeting(random: Random) -> Parts:
    """A half handshake, cut anywhere."""
    whole = zmtp.handshake(random.choice([b"REQ", b"SUB"]))
    return [whole[: random.randrange(len(whole))]]


def random_bytes(random: Random) -> Parts:
    return [random.randbytes(random.choice([1, 10, 64, 1000, 70_000]))]


def another_protocol(random: Random) -> Parts:
    words = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\n",
    ]
    return [random.choice(words)]


def bent_greeting(random: Random) -> Parts:
    bent = bytearray(zmtp.greeting())
    for _ in range(random.randint(1, 6)):
        bent[random.randrange(len(bent))] = random.randrange(256)
    return [bytes(bent) + zmtp.ready() + zmtp.request(INFO)]


def wrong_greeting(random: Random) -> Parts:
    """Well-formed, and of another version or security."""
    mechanism = random.choice([b"PLAIN", b"CURVE", b"GSSAPI", b"", b"null", b"N" * 20])
    greeting = zmtp.greeting(
        random.choice([mechanism, b"NULL"]),
        major=random.choice([0, 1, 2, 3, 4, 255]),
        minor=random.choice([0, 1, 2, 255]),
        server=random.randrange(2),
    )
    return [greeting, zmtp.ready(), zmtp.request(INFO)]


def bent_ready(random: Random) -> Parts:
    """A READY whose lengths are lies, or with bytes exchanged, or another command in its place."""
    huge = random.choice(HUGE)
    bent = bytearray(zmtp.ready())
    bent[random.randrange(len(bent))] = random.randrange(256)
    readies = [
        bytes(bent),
        zmtp.frame(b"\x05READY" + zmtp.prop(b"Socket-Type", b"REQ", size=min(huge, 2**32 - 1)), 4),
        zmtp.command(b"READY", zmtp.prop(b"Socket-Type", b"REQ"), size=huge),
        zmtp.command(b"READY", b"\xffshort"),
        zmtp.command(b"READY", zmtp.prop(b"", b"")),
        zmtp.command(b"READY"),
        zmtp.command(b"ERROR", b"\x03why"),
        zmtp.command(b"HELLO", bytes(194)),
        zmtp.command(b""),
        zmtp.frame(b"", zmtp.COMMAND),
        zmtp.frame(INFO),
        zmtp.ready(random.choice([b"XPUB", b"PUB", b"nonsense", b"", b"REP", b"R" * 255])),
    ]
    return [zmtp.greeting(), random.choice(readies), zmtp.request(INFO)]


def many_properties(random: Random) -> Parts:
    properties = [
        zmtp.prop(b"X-%d" % number, random.randbytes(random.choice([0, 10, 1000])))
        for number in range(random.choice([1, 100, 2000]))
    ]
    return [zmtp.handshake(b"REQ", properties), zmtp.request(INFO)]


def spoofed_properties(random: Random) -> Parts:
    values = (b"", b"10.6.6.6", b"root", b"x" * 300, random.randbytes(8))
    properties = [zmtp.prop(name, random.choice(values)) for name in SPOOFED]
    return [zmtp.handshake(random.choice([b"REQ", b"SUB"]), properties), zmtp.request(INFO)]


def garbage_frames(random: Random) -> Parts:
    """What no request looks like, from someone who is connected in good order."""
    frames = [
        zmtp.frame(random.randbytes(random.choice([0, 1, 100, 70_000])), random.randrange(256))
        for _ in range(random.randint(1, 20))
    ]
    return [zmtp.handshake(random.choice([b"REQ", b"DEALER", b"SUB"])), b"".join(frames)]


def huge_frame(random: Random) -> Parts:
    """A frame that says it is far larger than anything, and a bit of it."""
    lie = zmtp.frame(random.randbytes(100), random.choice([0, 1, 4]), size=random.choice(HUGE))
    return [zmtp.handshake(random.choice([b"REQ", b"SUB"])), lie]


def odd_envelopes(random: Random) -> Parts:
    """Requests without the empty frame before them, with many, or without an end."""
    messages = [
        zmtp.message(INFO),
        zmtp.message(b"", b"", b"", INFO),
        zmtp.message(*[b"route"] * 20, b"", INFO),
        zmtp.message(b"", INFO, INFO),
        zmtp.frame(b"", zmtp.MORE) * 1000,
        zmtp.frame(b"", zmtp.MORE) + zmtp.frame(bytes(100_000), zmtp.MORE),
    ]
    return [zmtp.handshake(random.choice([b"REQ", b"DEALER"])), random.choice(messages)]


def commands(random: Random) -> Parts:
    """Commands, once the handshake is over."""
    choices = [
        zmtp.command(b"PING", random.randbytes(random.choice([0, 1, 2, 18, 200]))),
        zmtp.command(b"PONG", random.randbytes(20)),
        zmtp.command(b"SUBSCRIBE", random.randbytes(random.choice([0, 5, 3000]))),
        zmtp.command(b"CANCEL", random.randbytes(5)),
        zmtp.command(b"ERROR", b"\x02no"),
        zmtp.ready(),
        zmtp.command(random.randbytes(8)),
    ]
    sent = [random.choice(choices) for _ in range(random.randint(1, 10))]
    return [zmtp.handshake(random.choice([b"REQ", b"SUB"])), b"".join(sent)]


def subscriptions(random: Random) -> Parts:
    """More than anybody needs, and longer."""
    topics = [random.randbytes(random.choice([0, 5, 200])) for _ in range(random.choice([1, 300]))]
    topics.append(random.randbytes(random.choice([10, 5000, 100_000])))
    frames = [zmtp.frame(random.choice([b"\1", b"\1", b"\0", b"\2"]) + topic) for topic in topics]
    return [zmtp.handshake(b"SUB"), b"".join(frames)]


def asks_and_leaves(random: Random) -> Parts:
    """Requests in good order; nobody waits for the answers."""
    return [zmtp.handshake(b"DEALER"), zmtp.request(INFO) * random.randint(1, 50)]


KINDS: Final[Sequence[Callable[[Random], Parts]]] = (
    cut_greeting,
    random_bytes,
    another_protocol,
    bent_greeting,
    wrong_greeting,
    bent_ready,
    many_properties,
    spoofed_properties,
    garbage_frames,
    huge_frame,
    odd_envelopes,
    commands,
    subscriptions,
    asks_and_leaves,
)


def plan(seed: int) -> Iterator[Attack]:
    """Attacks without an end: first a greeting cut at each byte, then all kinds in turn."""
    random = Random(seed)
    for length in range(zmtp.GREETING + 1):
        parts = [zmtp.greeting()[:length]]
        yield Attack("greeting cut at each byte", bool(length % 2), parts, End.CLOSE)
    for kind in cycle(KINDS):
        name = kind.__name__.replace("_", " ")
        end = random.choice([End.CLOSE, End.RESET, End.HOLD])
        yield Attack(name, random.random() < 0.5, kind(random), end)
