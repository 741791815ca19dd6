"""A device: present for as long as it runs.

python device.py [REGISTRY]
"""

import sys

from devicewatch.events import printable
from devicewatch.registry import announce

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"

with announce("camera", "tcp://127.0.0.1:7000", "cam", registry, metadata={"lens": 50}) as camera:
    print("present as", printable(camera.name), flush=True)
    sys.stdin.readline()  # a real camera would take pictures here
