"""A device in an asyncio program, which is told when its name changes or is taken.

python async_device.py [REGISTRY]
"""

import asyncio
import sys

from devicewatch.events import printable
from devicewatch.registry import PresenceStatus, aannounce

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"


def show(status: PresenceStatus) -> None:
    """Called in the event loop, for every change of the state or the name."""
    print(status.state, printable(status.name), status.why, flush=True)


async def main() -> None:
    async with aannounce("arm", "tcp://127.0.0.1:7002", "arm", registry, on_change=show):
        await asyncio.to_thread(sys.stdin.readline)  # a real arm would move here


asyncio.run(main())
