"""A program that embeds a registry with keys and all that uses one, and in which things fail.

A process of its own. It says all that a program can say of what it has: the `repr` of everything,
the text of every error, and its log. What it knows and must not say, it writes to a file.
"""

import json
import logging
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from devicewatch.events import codec
from devicewatch.events.errors import DevicewatchError
from devicewatch.events.keys import Key, check_key
from devicewatch.events.link import RequestSocket
from devicewatch.events.messages import CheckAlive, Register, RegisterAck, Unregister
from devicewatch.registry import DeviceRegistry, announce, register_device
from devicewatch.registry.commands import display
from devicewatch.registry.journal import Change
from devicewatch.registry.requester import Requester
from devicewatch.registry.sqlite import SqliteJournal
from devicewatch.subscribers import Watcher
from tests.support.live import wait_until


def fail(*anything: object) -> None:
    raise ValueError(f"a guest that fails, and was given {anything}")


def say(*objects: object) -> None:
    for one in objects:
        words = (repr(one), str(one), vars(one) if isinstance(one, Exception) else "")
        sys.stdout.write(" ".join(map(str, words)) + "\n")


def attempt(action: Any, *arguments: object) -> None:
    """Do something that fails, and show all that a traceback shows."""
    try:
        action(*arguments)
    except Exception as error:
        say(error, error.args, error.__cause__)
        logging.getLogger("devicewatch").exception("it failed")
        traceback.print_exc()


def main(folder: Path) -> None:
    display.configure_logs(logging.DEBUG)
    own = Key.new()
    mine, strange = Key.new(own.public), Key.new(own.public)
    folder.joinpath("authorized").write_text(f"device {mine.public} cam*\n")
    with (
        DeviceRegistry(
            addr="127.0.0.1", port="0", events_port="0",
            journal=SqliteJournal(folder / "guest.journal"),
            key=own, authorized=folder / "authorized",
        ) as registry,
        announce("camera", "tcp://g:1", "cam-1", registry.url, key=mine, on_change=fail) as camera,
        Watcher(registry.url, key=mine) as watcher,
    ):  # fmt: skip
        registry.add_new_device_callback(fail)
        watcher.connect(5)
        register = partial(register_device, None, "camera", registry_url=registry.url, key=mine)
        _, uuid = register("tcp://g:2", "cam-2")
        core = registry._core
        assert core is not None
        wait_until(lambda: len(core.devices) == 2)
        kept = list(core._registrations.by_uuid.values())
        secrets = [own.secret, mine.secret, strange.secret, uuid]
        secrets += [holder.uuid for holder in kept]
        secrets += [str(holder.request.instance) for holder in kept if holder.request is not None]
        folder.joinpath("guest.secrets").write_text(json.dumps(secrets))

        damaged = f'public = "{mine.public}"\nsecret = "{mine.secret}\n'
        folder.joinpath("broken.key").write_text(damaged)
        folder.joinpath("broken.key").chmod(0o600)

        say(own, mine, [mine], {"key": mine}, camera, camera.status, watcher, registry)
        say(watcher.status, watcher.cursor, watcher.get(5), registry.devices)
        say(
            *kept,
            Change((), [holder.registration for holder in kept]),
            core,
            core._registrations,
            core._ledger,
            registry.journal,
        )
        say(Register("a", "b", "c", instance=uuid), CheckAlive(uuid), Unregister(uuid))
        say(RegisterAck("cam", uuid), camera._presence, registry._gate, *threading.enumerate())
        say(RequestSocket(zmq.Context.instance(), registry.url, mine), camera._presence._next)

        attempt(Key, mine.secret, mine.secret[1:])
        attempt(Key, mine.secret, own.secret)
        attempt(Key, mine.public, own.secret)
        attempt(Key.load, mine.secret)
        attempt(check_key, mine.secret)
        attempt(Key.load, folder / "broken.key")
        attempt(register, "tcp://g:3", "valve")
        attempt(Requester(None, registry.url, key=strange).ask, Unregister(uuid), 5)
        attempt(Requester(None, registry.url, key=None).ask, Unregister(uuid), 5)
        attempt(codec.decode_request, [codec.encode_request(Unregister(uuid))[:-1]])
        attempt(codec.decode_request, [codec.encode_request(Unregister(9 * uuid))])
        attempt(codec.decode_reply, [b"[]" + codec.encode_reply(RegisterAck("cam", uuid))])
        core.handle = fail  # type: ignore[method-assign, assignment]
        attempt(register, "tcp://g:4", "cam-4")
    raise DevicewatchError("the end, which is not caught")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
