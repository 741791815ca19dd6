"""What a browser does with the web page: requests, and a stream of server-sent events."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from tests.support.live import PATIENCE


@attrs.frozen
class Answer:
    """To one request. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Sent:
    """A server-sent event."""

    kind: str
    id: str | None
    data: Any

    @property
    def seq(self) -> int:
        """Of an event."""
        seq: int = self.data["seq"]
        return seq


def get(url: str, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """Ask once. In the names of headers `_` stands for `-`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


class Browser:
    """An `EventSource`.

    Attributes:
        last_id: What it would send when it reconnects.
        status: Of the answer.
        headers: Of the answer; their names are in lower case.
    """

    def __init__(self, url: str, last_id: str | None = None, *, in_url: bool = False) -> None:
        self.last_id = last_id
        self._received = bytearray()
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        path, headers = "/api/events", {"Accept": "text/event-stream"}
        if last_id is not None and in_url:
            path += f"?after={quote(last_id, safe='')}"
        elif last_id is not None:
            headers["Last-Event-ID"] = last_id
        self._connection.request("GET", path, headers=headers)
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def sent(self) -> Iterator[Sent]:
        """Everything, until the stream ends."""
        fields: dict[str, str] = {}
        for line in self._lines():
            name, _, value = line.decode("ascii").partition(": ")
            if name:
                assert name in ("event", "id", "data", "retry"), line
                assert name not in fields, line
                fields[name] = value
            elif "event" in fields:
                self.last_id = fields.get("id", self.last_id)
                yield Sent(fields["event"], fields.get("id"), json.loads(fields["data"]))
                fields = {}
            else:
                fields = {}

    def _lines(self) -> Iterator[bytes]:
        while True:
            while (end := self._received.find(b"\n")) >= 0:
                line = bytes(self._received[:end])
                del self._received[: end + 1]
                yield line
            more = self._response.read1()
            if not more:
                return
            self._received += more

    def next(self, *kinds: str) -> Sent:
        """The next one of some kind; of any but a pulse, unless told otherwise."""
        for sent in self.sent():
            if sent.kind in kinds or (not kinds and sent.kind != "pulse"):
                return sent
        raise AssertionError("the stream has ended")

    def events(self, number: int) -> list[Sent]:
        """So many of what happens."""
        return [self.next("added", "removed", "snapshot") for _ in range(number)]

    def seqs(self, number: int) -> list[int]:
        """Of so many of what happens."""
        return [sent.seq for sent in self.events(number)]


@contextmanager
def browser(url: str, last_id: str | None = None, *, in_url: bool = False) -> Iterator[Browser]:
    """An `EventSource` for as long as a `with` block."""
    running = Browser(url, last_id, in_url=in_url)
    try:
        yield running
    finally:
        running.close()


def names(snapshot: Sent) -> set[str]:
    """The devices in a snapshot."""
    assert snapshot.kind == "snapshot"
    return {device["name"] for device in snapshot.data["devices"]}
