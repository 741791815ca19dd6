"""A man in the middle, who lets everything through and writes it down."""

import contextlib
import socket
import threading
from typing import Final, Self

HOST: Final = "127.0.0.2"
"""Where he listens: at the ports of the one whose place he takes, on another address of this
machine. So clients find him at the event stream's port, too, which the registry itself names."""

_CHUNK: Final = 65_536


class Tape:
    """Listens at the ports of a registry, and forwards what comes to that, or to another one.

    Args:
        ports: Of its requests, and of its event stream.

    Attributes:
        url: Where he is found, as a registry's address.
        accepted: How many connections there have been, at each of the two ports.
        sent: What clients have sent, over connections made since it forwards to where it does.
        received: What they were sent over these.
    """

    def __init__(self, ports: tuple[int, int]) -> None:
        self.url = f"tcp://{HOST}:{ports[0]}"
        self.accepted = [0, 0]
        self._targets = ports
        self.sent, self.received = bytearray(), bytearray()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listeners = [socket.create_server((HOST, port)) for port in ports]
        self._threads = [self._start(self._accept, number) for number in (0, 1)]

    def forward_to(self, ports: tuple[int, int]) -> None:
        """Cut everybody off, and take those who come back to another registry."""
        with self._lock:
            self._targets = ports
            self.sent, self.received = bytearray(), bytearray()
            for end in self._open:
                _shut(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closed = True
        for listener in self._listeners:
            _shut(listener)
            listener.close()
        self.forward_to(self._targets)
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self, number: int) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                client, _ = self._listeners[number].accept()
                self._threads.append(self._start(self._serve, client, number))

    def _serve(self, client: socket.socket, number: int) -> None:
        with client, socket.socket() as server:
            with self._lock:
                self.accepted[number] += 1
                self._open |= {client, server}
                target, sent, received = self._targets[number], self.sent, self.received
            with contextlib.suppress(OSError):
                server.connect(("127.0.0.1", target))
                back = self._start(_pump, server, client, received)
                _pump(client, server, sent)
                back.join()
            with self._lock:
                self._open -= {client, server}


def _pump(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            record += data
            sink.sendall(data)
    _shut(source)
    _shut(sink)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
