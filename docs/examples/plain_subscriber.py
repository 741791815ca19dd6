"""Read the event stream without this library. Shows what was missed, but does not make up for it.

python plain_subscriber.py [EVENT_STREAM]
"""

import json
import sys

import zmq

stream = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556"

context = zmq.Context()
socket = context.socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(stream)

epoch, last = None, 0
while True:
    topic, body = socket.recv_multipart()
    event = json.loads(body)
    if epoch is not None and event["epoch"] != epoch:
        print("the registry started anew", flush=True)
    elif epoch is not None and event["seq"] > last + (topic in (b"added", b"removed")):
        print("something was missed", flush=True)
    epoch, last = event["epoch"], event["seq"]
    if topic in (b"added", b"removed"):
        # Shown as JSON in ASCII, text from wherever is harmless.
        name, reason = json.dumps(event["device"]["name"]), json.dumps(event.get("reason"))
        print(topic.decode(), name, reason, flush=True)
