"""A lab to try dashboards on: a registry, and devices that are none but come and go like some.

python lab.py [PORT [EVENTS_PORT [DEVICES]]]
"""

import random
import sys
import time

from devicewatch.events import BindError
from devicewatch.registry import DeviceRegistry, register_device, unregister_device

PORT, EVENTS_PORT, COUNT = (*sys.argv[1:4], *("5555", "5556", "24")[len(sys.argv) - 1 :])
KINDS = ("camera", "arm", "pump", "scale", "incubator")
FOR_GOOD = 86_400.0  # seconds: a lease that nobody has to renew


def come_and_go(registry: DeviceRegistry, count: int) -> None:
    chance = random.Random(1)  # noqa: S311
    leaving: dict[str, str] = {}  # whoever will say so when leaving: the uuid, by address
    numbers = chance.sample(range(count), count)
    while True:
        number = numbers.pop() if numbers else chance.randrange(count)
        kind = KINDS[number % len(KINDS)]
        name, addr = f"{kind}-{number // len(KINDS)}", f"tcp://10.0.0.{number}:7000"
        if addr in leaving:
            unregister_device(None, leaving.pop(addr), registry.url)
        elif name not in registry.devices:
            # One in three falls silent after a while, as if its cable had been pulled.
            silent = chance.random() < 1 / 3
            lease = chance.uniform(5, 40) if silent else FOR_GOOD
            metadata = {"room": "AB"[number % 2], "firmware": f"1.{number}"}
            _name, uuid = register_device(
                None, kind, addr, name, registry.url, alive_timeout=lease, metadata=metadata
            )
            if not silent:
                leaving[addr] = uuid
        time.sleep(chance.uniform(0.05, 0.1) if numbers else chance.expovariate(1.0))


try:
    with DeviceRegistry(addr="127.0.0.1", port=PORT, events_port=EVENTS_PORT) as registry:
        print("registry at", registry.url, flush=True)
        come_and_go(registry, int(COUNT))
except BindError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    print("the lab is closed")
