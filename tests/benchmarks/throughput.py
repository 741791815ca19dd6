"""Requests per second, with a client that always has a hundred under way."""

from collections.abc import Iterator
from contextlib import ExitStack

from . import zmtp
from .bare import serving
from .figures import Figure, at_least, beside
from .profile import Profile
from .servers import fill, registry, renew, succeeded


def measure(profile: Profile) -> Iterator[Figure]:
    """Give the figures."""
    few = profile.devices[0]
    with ExitStack() as stack:
        bare, ours = stack.enter_context(serving()), stack.enter_context(registry())
        requests = [zmtp.request(renew(uuid)) for uuid in fill(ours, few)]
        clients = [stack.enter_context(zmtp.Client(server.url)) for server in (bare, ours)]
        rates: list[list[float]] = [[], []]
        for _ in range(profile.rounds):
            for client, found in zip(clients, rates, strict=True):
                burst = client.some(requests, profile.seconds)
                assert succeeded(burst.replies)
                found.append(burst.rate)
    yield beside(f"CHECK_ALIVE/s, {few:,} devices", "/s", rates[1], rates[0], at_least(0.75))
