"""A device in a `Simulation`: it registers, and renews its lease until it dies."""

from typing import TYPE_CHECKING

from devicewatch.events.codec import decode_reply, encode_request
from devicewatch.events.messages import Ack, CheckAlive, Register, RegisterAck

from .follower import Link

if TYPE_CHECKING:
    from .simulation import Simulation


class SimulatedDevice:
    """Registers at once, and renews at a third of its lease.

    Attributes:
        registration: (epoch, revision) of its registration.
        alive: Whether it goes on renewing.
        lease: Seconds.
        reached: When its latest renewal reached the registry's socket, read or not.
        granted: When its latest renewal was answered.
        link: Its network.
    """

    def __init__(
        self,
        simulation: "Simulation",
        name: str,
        addr: str,
        lease: float,
        *,
        device_type: str = "camera",
        overwrite: bool = False,
    ) -> None:
        self.lease = lease
        self.alive = True
        self.link = Link()
        self._simulation = simulation
        reply = simulation.request(Register(device_type, addr, name, overwrite, lease))
        assert isinstance(reply, RegisterAck)
        assert reply.epoch is not None
        assert reply.seq is not None
        self._uuid = reply.uuid
        self.registration = (reply.epoch, reply.seq)
        self.reached = self.granted = simulation.now
        self._sleep()

    def die(self) -> None:
        self.alive = False

    def _sleep(self) -> None:
        self._simulation.at(self._simulation.now + self.lease / 3, self._renew)

    def _renew(self) -> None:
        if self.alive:
            self._simulation.send(self.link, self._arrive)
            self._sleep()

    def _arrive(self) -> None:
        if self._simulation.up:
            self.reached = self._simulation.now
            self._simulation.receive(encode_request(CheckAlive(self._uuid, self.lease)), self._told)

    def _told(self, frame: bytes) -> None:
        reply = decode_reply([frame])
        if isinstance(reply, Ack) and reply.success:
            self.granted = self._simulation.now
        else:
            self.die()  # its registration is over
