"""A controller that runs the registry itself, and is called back.

python controller.py [PORT EVENTS_PORT]
"""

import sys

from devicewatch.events import printable
from devicewatch.registry import DeviceRegistry

port, events_port = sys.argv[1:] or ("5555", "5556")


def welcome(device_type: str, addr: str, name: str) -> None:
    """Called in a thread of its own for every device that registers."""
    print(printable(f"hello {name}, {device_type} at {addr}"), flush=True)


def farewell(device_type: str, addr: str, name: str) -> None:
    """Called for every device that leaves, whatever the reason."""
    print(printable(f"goodbye {name}, {device_type} at {addr}"), flush=True)


with DeviceRegistry(addr="127.0.0.1", port=port, events_port=events_port) as registry:
    registry.add_new_device_callback(welcome)
    registry.add_device_removed_callback(farewell)
    print("registry at", registry.url, flush=True)
    sys.stdin.readline()
