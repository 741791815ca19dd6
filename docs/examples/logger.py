"""Log every event once, however often this program is started.

python logger.py CURSOR_FILE [REGISTRY]
"""

import sys
from pathlib import Path

from devicewatch.events import Cursor, printable
from devicewatch.subscribers import Watcher

file = Path(sys.argv[1])
registry = sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5555"

since = Cursor.parse(file.read_text()) if file.exists() else None
with Watcher(registry, since=since) as watcher:
    watcher.connect()
    if watcher.resumed is False:
        print("too much has happened since; what is there comes anew", flush=True)
    for event in watcher:
        print(event.topic, printable(event.device.name), flush=True)
        file.write_text(str(event.cursor))
