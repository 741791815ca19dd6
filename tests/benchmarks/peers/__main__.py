"""The registry beside Redis and NATS, doing the same work in the same run.

Run it with `make bench-peers`, or `python -m tests.benchmarks.peers [--quick]`. It starts each
server itself, on this machine, and ends it; one that is not installed is left out, which is said.

All keep what they know in memory alone, and each is used through the client that Python programs
have for it. What is the same work:

* A device registers. Redis: SET with an expiry and XADD, in one transaction. NATS: a put into a
  bucket of JetStream's key-value store. One watcher is told, in a process of its own.
* It renews. Redis: EXPIRE. NATS: a put, since a key that is not put is dropped.
* A watcher is told: `watch()`, XREAD BLOCK, a watch of the bucket. Many share a few processes, and
  are `awatch()` and the other clients' like.
* A device falls silent, and a watcher is told: Redis's notification of an expired key; NATS can do
  it from server 2.11 on.

A process of devices has one connection, and asks for one device after the other, as it is with
devices that are programs of their own; "16 at a time", it does not wait for one answer before it
asks for the next device. "A socket each" is `register_device()`, and the function beside it that
renews, which open a connection for each request; the others are used as usual in that row.

All of it shares one machine, so that what a client takes of the processors the server cannot have:
"CPU" is what one device costs of them. The watchers of NATS are told of renewals, too.

Neither of the others checks names and addresses, or brings a watcher that lost its connection back
to where it was without the program's doing. All take turns at each thing in every round, and ratios
are taken within a round: only those mean anything. To be ahead is the goal, and not asserted.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.benchmarks.report import Results, save, show

from .measure import FULL, QUICK, Contest
from .ours import Devicewatch
from .peer import Peer
from .with_nats import Nats
from .with_redis import Redis

OTHERS: Final[Sequence[type[Peer]]] = (Redis, Nats)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    parser.add_argument("--quick", action="store_true", help="fewer of everything, and one round")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all processes end, too
    console = Console(highlight=False)
    others = [peer for peer in OTHERS if _present(peer, console)]
    if not others:
        sys.exit("there is nothing to compare with")
    scale = QUICK if options.quick else FULL
    results = Results.begin("quick" if options.quick else "full")
    contest = Contest([Devicewatch, *others], scale)
    console.print(
        f"{scale.devices:,} devices in {scale.processes} processes; {scale.rounds} rounds; this is "
        + ("short" if options.quick else "a matter of minutes")
    )
    try:
        contest.run()
    except KeyboardInterrupt:
        sys.exit(130)
    for peer in others:
        figures = contest.figures(Devicewatch.name, peer.name)
        results.figures[f"beside {peer.name}"] = figures
    show(results, console, beside="THEIRS")
    for name, about in contest.about.items():
        console.print(f"{name}: {about}", markup=False)
    if options.json:
        save(results, options.json)


def _present(peer: type[Peer], console: Console) -> bool:
    if (lack := peer.lacks()) is not None:
        console.print(f"{peer.name} is left out: there is no {lack}", markup=False)
    return lack is None


if __name__ == "__main__":
    main()
