"""Follow a registry from asyncio, and do something else at the same time.

python async_follow.py [REGISTRY]
"""

import asyncio
import sys

from devicewatch.events import Added, printable
from devicewatch.subscribers import AsyncWatcher

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"


async def follow(watcher: AsyncWatcher) -> None:
    async for event in watcher:
        what = "came" if isinstance(event, Added) else "left"
        print(f"{printable(event.device.name)} {what}", flush=True)


async def report(watcher: AsyncWatcher) -> None:
    while True:
        await asyncio.sleep(10)
        print(f"{len(watcher.devices)} devices, {watcher.status.state}", flush=True)


async def main() -> None:
    async with AsyncWatcher(registry) as watcher, asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(watcher))
        tasks.create_task(report(watcher))


asyncio.run(main())
