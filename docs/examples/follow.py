"""Follow a registry: print every event, and who is there after it.

python follow.py [REGISTRY]
"""

import sys

from devicewatch.events import Added, printable
from devicewatch.subscribers import Watcher

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"

with Watcher(registry) as watcher:
    for event in watcher:
        what = "came" if isinstance(event, Added) else f"left ({event.reason})"
        names = printable(sorted(watcher.devices))
        print(f"{printable(event.device.name)} {what}; now there: {names}", flush=True)
