"""A client that sends each renewal when it is due, and looks at the replies in passing."""

from . import zmtp


class Trickle(zmtp.Client):
    """A connection whose renewals are sent one by one, without waiting for the replies."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._socket.setblocking(False)
        self._arrived = bytearray()

    def send(self, request: bytes) -> None:
        """Send a renewal, and take in what has arrived meanwhile."""
        self._socket.sendall(request)
        self.look()

    def look(self) -> None:
        """Take in what has arrived."""
        try:
            self._arrived += self._socket.recv(1 << 20)
        except BlockingIOError:
            return

    @property
    def succeeded(self) -> int:
        """How many renewals have succeeded."""
        return self._arrived.count(b'"success":true')

    @property
    def failed(self) -> int:
        """How many have not, as their leases had ended."""
        return self._arrived.count(b'"success":false')
