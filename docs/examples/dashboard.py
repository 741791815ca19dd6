"""Say what is there, and whether that can be relied on.

python dashboard.py [REGISTRY]
"""

import sys

from devicewatch.events import Added, Live, Removed, Stale, printable
from devicewatch.subscribers import watch

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"

for record in watch(registry, status=True):
    match record:
        case Live():
            print("live: this is what is there", flush=True)
        case Stale(why=why):
            print(f"stale: {why}", flush=True)
        case Added(device=device):
            print(f"+ {printable(device.name)}", flush=True)
        case Removed(device=device, reason=reason):
            print(f"- {printable(device.name)} ({reason})", flush=True)
