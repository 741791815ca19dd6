"""A device without this library: ZeroMQ and JSON, as in any other language.

python plain_device.py [REGISTRY]
"""

import json
import select
import sys
import uuid

import zmq

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"

context = zmq.Context()


def ask(event: str, payload: dict[str, object]) -> dict[str, object]:
    """Send a request and wait for its reply; after 5 s without one, ask again."""
    while True:
        with context.socket(zmq.REQ) as socket:  # one without a reply would be stuck
            socket.linger = 0
            socket.connect(registry)
            socket.send_string(json.dumps({"event": event, "payload": payload}))
            if socket.poll(5_000):
                answer: dict[str, object] = json.loads(socket.recv())["payload"]
                return answer


registration: dict[str, object] = {
    "device_type": "pump",
    "addr": "tcp://127.0.0.1:7001",
    "name": "",
    "instance": str(uuid.uuid4()),  # makes it harmless to ask again
}
ack = ask("REGISTER", registration)
print("present as", json.dumps(ack["name"]), flush=True)  # JSON in ASCII is harmless to show
# From now on it claims the name that it got, and takes nothing from anybody.
registration |= {"name": ack["name"], "overwrite": False, "displace": False}
while not select.select([sys.stdin], [], [], 7)[0]:  # until Enter; a third of the lease
    if "uuid" in ack and ask("CHECK_ALIVE", {"uuid": ack["uuid"], "alive_timeout": 20})["success"]:
        continue
    ack = ask("REGISTER", registration)
    if "uuid" in ack:
        registration["name"] = ack["name"]
    else:
        # OCCUPIED, say: ask again later.
        print("not registered:", json.dumps(ack["message"]), flush=True)
if "uuid" in ack:
    print("left:", ask("UNREGISTER", {"uuid": ack["uuid"]})["success"])
