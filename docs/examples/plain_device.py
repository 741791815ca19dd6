"""A device without this library: ZeroMQ and JSON, as in any other language.

python plain_device.py [REGISTRY]
"""

import json
import sys
import uuid

import zmq

registry = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"

context = zmq.Context()
socket = context.socket(zmq.REQ)
socket.linger = 0
socket.connect(registry)


def ask(event: str, payload: dict[str, object]) -> dict[str, object]:
    """Send a request and wait for its reply."""
    socket.send_string(json.dumps({"event": event, "payload": payload}))
    answer: dict[str, object] = json.loads(socket.recv())["payload"]
    return answer


ack = ask(
    "REGISTER",
    {
        "device_type": "pump",
        "addr": "tcp://127.0.0.1:7001",
        "name": "",
        "instance": str(uuid.uuid4()),  # makes it harmless to ask again
    },
)
print("present as", ack["name"], flush=True)
print("renewed:", ask("CHECK_ALIVE", {"uuid": ack["uuid"], "alive_timeout": 20})["success"])
sys.stdin.readline()
print("left:", ask("UNREGISTER", {"uuid": ack["uuid"]})["success"])
