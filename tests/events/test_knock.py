"""Whoever is hung up on finds out why, also from a registry that hangs up before it has spoken."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import zmq

from devicewatch.events.errors import AuthenticationError, RegistryUnreachable
from devicewatch.events.keys import Key
from devicewatch.registry.requester import query_info

Context = zmq.Context[zmq.Socket[bytes]]

BEGUN = b"\xff" + bytes(8) + b"\x7f\x03"
"""A greeting of ZMTP, up to the version."""

CURVE, NULL, PLAIN = (name.ljust(20, b"\0") for name in (b"CURVE", b"NULL", b"PLAIN"))
REST = {mechanism: b"\0" + mechanism + bytes(32) for mechanism in (CURVE, NULL, PLAIN)}

WORDS = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def hasty(answer: bytes) -> Iterator[str]:
    """The address of one who hangs up on all who show a mechanism, and answers the others so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def start(target: Callable[..., None], *arguments: object) -> None:
            threads.append(threading.Thread(target=target, args=arguments))
            threads[-1].start()

        def serve() -> None:
            with suppress(OSError):  # all is over
                while True:
                    start(greet, listener.accept()[0], answer)

        start(serve)
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:  # there may be more by the time that one has ended
                thread.join()


def greet(client: socket.socket, answer: bytes) -> None:
    with client, suppress(OSError):
        client.settimeout(0.05)
        client.sendall(BEGUN)
        said = b""
        while len(said) <= len(BEGUN):
            try:
                more = client.recv(64)
            except TimeoutError:
                client.sendall(answer)
                client.settimeout(10)
                more = client.recv(64)
            if not more:
                return
            said += more


@pytest.mark.parametrize(
    ("answer", "keyed", "words"),
    [(REST[CURVE], False, "lets in nobody without a key"), (REST[NULL], True, "has no key, so it"),
     (REST[CURVE], True, "does not have the registry's key")],
    ids=["it has keys", "it has none", "it has another"],
)  # fmt: skip
def test_it_shows_to_one_who_knocks(
    context: Context, answer: bytes, keyed: bool, words: str
) -> None:
    with hasty(answer) as url, pytest.raises(AuthenticationError, match=words):
        query_info(context, url, key=Key.new(Key.new().public) if keyed else None)


@pytest.mark.parametrize(
    ("answer", "keyed"), [(REST[PLAIN], True), (WORDS, False), (REST[NULL], False)],
    ids=["another mechanism", "no greeting", "nothing that speaks against it"],
)  # fmt: skip
def test_of_anything_else_nothing_is_concluded(
    context: Context, answer: bytes, keyed: bool
) -> None:
    with hasty(answer) as url, pytest.raises(RegistryUnreachable):
        query_info(context, url, 0.4, key=Key.new(Key.new().public) if keyed else None)
