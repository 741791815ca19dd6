"""What really happened, from the registry's own mouth: its history, asked for often enough."""

from collections.abc import Mapping
from typing import Any

from devicewatch.events import Added, Cursor, Device, Event, Origin, Reason, Removed
from tests.promises.validators import Truth
from tests.support.live import RawClient


def event_of(body: Mapping[str, Any]) -> Event:
    """An event from its JSON, on the wire or printed by `devicewatch watch --json`.

    What is printed lacks the cursor, so that of an event of the stream is assumed.
    """
    epoch, seq, time = body["epoch"], body["seq"], body["time"]
    device, origin = Device(**body["device"]), Origin(body.get("origin", Origin.LIVE))
    if body["event"] == "added":
        return Added(epoch, seq, time, device, origin)
    return Removed(epoch, seq, time, device, Reason(body["reason"]), origin)


def fetch_devices(client: RawClient) -> dict[str, Device]:
    """The devices present, by name. Nothing may change meanwhile."""
    devices: dict[str, Device] = {}
    after: int | None = None
    while True:
        page = client.ask("SNAPSHOT", {"after": after, "limit": 250})["payload"]
        devices |= {device["name"]: Device(**device) for device in page["devices"]}
        after = page["next"]
        if after is None:
            return devices


class Historian:
    """Writes down everything that a registry publishes, through all of its lives.

    Args:
        history: How many events the registry keeps. `update` has to be called before as many
            have come.

    Attributes:
        truth: What it has written down.
        events: All events, in order.
    """

    def __init__(self, history: int) -> None:
        self.truth = Truth(history)
        self.events: list[Event] = []
        self._at = Cursor("", 0)

    def update(self, client: RawClient) -> Cursor:
        """Write down what has happened since, and say where the registry is."""
        while True:
            asked = {"epoch": self._at.epoch, "after": self._at.seq, "limit": 250}
            reply = client.ask("REPLAY", asked)
            payload = reply["payload"]
            if reply["event"] == "COMPACTED":
                # Only a registry that has begun anew may have no memory of where it was.
                assert payload["epoch"] != self._at.epoch, "it was not asked often enough"
                self._at = Cursor(payload["epoch"], 0)
                continue
            for body in payload["events"]:
                event = event_of(body)
                self.truth.publish(event)
                self.events.append(event)
                self._at = Cursor(event.epoch, event.seq)
            if self._at.seq == payload["seq"]:
                return self._at
