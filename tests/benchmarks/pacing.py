"""What a registry takes of a processor: at rest, and for renewals that come at a steady pace.

Each renewal is sent when it is due, so the server has to wake up for nearly every one, as it has
to in practice: that costs more than what it is asked, and the registry's second thread, ZeroMQ's,
has as much of it. The registry and the bare loop are asked in turns, a moment apart.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import attrs
import zmq

from devicewatch.events.sockets import Context, Socket

from . import zmtp
from .bare import serving
from .figures import Figure, Of, alone, at_most, beside
from .machine import cpu
from .profile import FULL, Profile
from .servers import Server, register, registry, renew, uuids
from .trickle import Trickle

_IDLE_DEVICES: Final = 1_000
_RATES: Final = (200, 5_000)
"""Renewals per second."""

_LEASE: Final = 1.5
"""How much longer a lease is than the time between two renewals."""

_STRAGGLERS: Final = 0.2
"""Seconds after which the last replies, and events, are there."""


@attrs.frozen
class Scale:
    """How long everything takes, in seconds.

    Attributes:
        idle: Of rest.
        paced: Of each of the paces.
        interval: Between two renewals of a device.
        slices: In how many parts each time is cut, which are figures by themselves.
    """

    idle: float
    paced: tuple[float, ...]
    interval: float
    slices: int


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    if profile is FULL:
        scale = Scale(20.0, (20.0, 60.0), interval=20.0, slices=10)
    else:
        seconds = 10 * profile.seconds
        scale = Scale(seconds, (seconds, seconds), interval=seconds, slices=profile.rounds)
    yield from measure_idle(min(_IDLE_DEVICES, profile.devices[-1]), scale)
    for rate, seconds in zip(_RATES, scale.paced, strict=True):
        yield measure_paced(rate, seconds, scale)


def measure_idle(devices: int, scale: Scale) -> Iterator[Figure]:
    """Nobody wants anything."""
    with registry() as server:
        register_all(server, devices)
        found = []
        for _ in range(scale.slices):
            before, since = cpu(server.pid), time.monotonic()
            time.sleep(scale.idle / scale.slices)
            found.append(100 * (cpu(server.pid) - before) / (time.monotonic() - since))
    row = f"at rest, processors' time, {devices:,} devices"
    yield alone(row, "%", found, at_most(0.3, Of.VALUE), "of one core")


def register_all(server: Server, devices: int, lease: float = 3600.0) -> list[str]:
    """Have so many devices register; gives their uuids."""
    with zmtp.Client(server.url) as client:
        requests = [zmtp.request(register(number, lease)) for number in range(devices)]
        return uuids(client.all(requests).replies)


def measure_paced(rate: int, seconds: float, scale: Scale) -> Figure:
    """So many renewals per second, each of a device whose lease would end soon."""
    devices, lease = round(rate * scale.interval), _LEASE * scale.interval
    with ExitStack() as stack:
        servers = [stack.enter_context(serving()), stack.enter_context(registry())]
        clients = [stack.enter_context(Trickle(server.url)) for server in servers]
        lost = _listen(servers[1].events_url, stack)
        requests = [zmtp.request(renew(u, lease)) for u in register_all(servers[1], devices, lease)]
        started = time.monotonic()
        bare, ours = pace(servers, clients, requests, rate, (seconds, scale.slices))
        actual = clients[1].succeeded / (time.monotonic() - started)
        time.sleep(_STRAGGLERS)
        clients[1].look()
        failed, expired = clients[1].failed, _count(lost)
    return beside(
        f"renewal, processors' time, {rate:,}/s of {devices:,} devices", "µs", ours, bare,
        at_most(1.3),
        f"{clients[1].succeeded:,} renewals in time, {actual:,.0f} per second; {failed or 'none'} "
        f"failed, {expired or 'no'} leases were lost",
    )  # fmt: skip


def pace(
    servers: Sequence[Server],
    clients: Sequence[Trickle],
    requests: Sequence[bytes],
    rate: int,
    duration: tuple[float, int],
) -> list[list[float]]:
    """Send to each server so many requests per second; microseconds of processor for each.

    Args:
        servers: Whose processor time counts.
        clients: One for each of them.
        requests: What to send, from the first again after the last.
        rate: Requests per second to each.
        duration: Seconds, and in how many slices.
    """
    seconds, slices = duration
    number = max(1, round(rate * seconds / slices))
    step = 1 / rate / len(servers)
    found: list[list[float]] = [[] for _ in servers]
    due, position = time.monotonic(), 0
    for _ in range(slices):
        before = [cpu(server.pid) for server in servers]
        for _ in range(number):
            request = requests[position]
            position = (position + 1) % len(requests)
            for client in clients:
                _sleep_until(due)
                client.send(request)
                due += step
        for server, start, costs in zip(servers, before, found, strict=True):
            costs.append(1e6 * (cpu(server.pid) - start) / number)
    return found


def _sleep_until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


def _listen(events_url: str, stack: ExitStack) -> Socket:
    """A socket to which each lease comes that has ended."""
    context: Context = stack.enter_context(zmq.Context())
    socket = context.socket(zmq.SUB)
    stack.callback(socket.close, 0)
    socket.set(zmq.RCVHWM, 0)
    socket.subscribe(b"removed")
    socket.connect(events_url)
    return socket


def _count(socket: Socket) -> int:
    number = 0
    while socket.poll(0):
        socket.recv_multipart()
        number += 1
    return number
