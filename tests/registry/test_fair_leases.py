"""P8 with real sockets and processes: a registry that is stopped or flooded is fair to devices."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import zmq

from devicewatch.registry import DeviceRegistry, announce
from devicewatch.registry.commands.demo import RunningCommand, running
from devicewatch.registry.fairness import LOOK
from tests.support.live import PATIENCE, RawClient, let_pass, raw_client, raw_subscriber, wait_until

Context = zmq.Context[zmq.Socket[bytes]]


@contextmanager
def serving() -> Iterator[tuple[RunningCommand, str, str]]:
    """A registry in a process of its own, its address and that of its stream."""
    with running("serve", "--port", "0", "--events-port", "0", "--tick", "0.2") as serve:
        words = serve.next_line(3 * PATIENCE).split()  # long, for a machine that is very busy
        yield serve, words[4], words[6].rstrip(")")


@contextmanager
def stopped(serve: RunningCommand) -> Iterator[None]:
    """The registry's process does nothing for as long as a `with` block."""
    serve.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, serve.process.pid, os.WSTOPPED)
    try:
        yield
    finally:
        serve.process.send_signal(signal.SIGCONT)


def next_event(receive: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    while (message := receive())["event"] == "tick":
        pass
    return message


def hold_ups(serve: RunningCommand) -> list[float]:
    """What the log says of hold-ups, in seconds."""
    records = [json.loads(line) for line in serve.errors]
    return [record["seconds"] for record in records if "held up" in record["event"]]


def renew(client: RawClient, uuid: str, lease: float) -> None:
    payload = {"uuid": uuid, "alive_timeout": lease}
    client.socket.send(json.dumps({"event": "CHECK_ALIVE", "payload": payload}).encode())


def renewed(client: RawClient) -> bool:
    success: bool = json.loads(client.socket.recv())["payload"]["success"]
    return success


# --- stopped --------------------------------------------------------------------------------------


def test_a_registry_that_was_stopped_gives_every_lease_that_time(context: Context) -> None:
    lease, stop = 1.0, 2.5
    with serving() as (serve, url, stream), ExitStack() as stack:
        receive = stack.enter_context(raw_subscriber(context, stream))
        names = [f"d{number}" for number in range(5)]
        for name in names:
            device = announce("arm", name, name, url, alive_timeout=lease, context=context)
            stack.enter_context(device)
            assert next_event(receive)["device"]["name"] == name
        client = stack.enter_context(raw_client(context, url))
        client.register("silent", "silent", alive_timeout=lease)
        deadline = time.monotonic() + lease
        assert next_event(receive)["device"]["name"] == "silent"

        since = time.monotonic()
        with stopped(serve):
            let_pass(stop)
        away = time.monotonic() - since

        event = next_event(receive)
        late = time.monotonic() - deadline - away
        assert (event["device"]["name"], event["reason"]) == ("silent", "expired")
        assert -0.1 < late < LOOK + 0.1 + 1.0  # the machine may be busy
        let_pass(lease)
        devices = client.ask("SNAPSHOT", {})["payload"]
        assert devices["seq"] == event["seq"], "nothing else has happened"
        assert [device["name"] for device in devices["devices"]] == names
        wait_until(lambda: hold_ups(serve))
        assert hold_ups(serve)[0] == pytest.approx(stop + LOOK / 2, abs=LOOK / 2 + 0.3)


@pytest.mark.parametrize("stop", [0.25, 0.4, 1.3])
def test_renewals_that_waited_in_the_kernel_count(context: Context, stop: float) -> None:
    """The registry is stopped before their leases end, and runs again after that."""
    lease = 0.3
    with serving() as (serve, url, _), ExitStack() as stack:
        clients = [stack.enter_context(raw_client(context, url)) for _ in range(20)]
        uuids = [
            client.register(f"tcp://{number}", alive_timeout=60.0)["uuid"]
            for number, client in enumerate(clients)
        ]
        for _ in range(3):
            for client, uuid in zip(clients, uuids, strict=True):
                renew(client, uuid, lease)
            assert all(renewed(client) for client in clients)
            with stopped(serve):
                for client, uuid in zip(clients, uuids, strict=True):
                    renew(client, uuid, 60.0)
                let_pass(stop)
            assert all(renewed(client) for client in clients)


# --- flooded --------------------------------------------------------------------------------------


@contextmanager
def flood(context: Context, url: str, connections: int) -> Iterator[None]:
    """Keep the registry's queue from ever running empty."""
    request = [b"", b'{"event":"CHECK_ALIVE","payload":{"uuid":"nobody"}}']
    stop = threading.Event()

    def keep_flooding() -> None:
        sockets = [context.socket(zmq.DEALER) for _ in range(connections)]
        poller = zmq.Poller()
        for socket in sockets:
            socket.linger = 0
            socket.connect(url)
            poller.register(socket, zmq.POLLIN)
            for _ in range(500):
                socket.send_multipart(request)
        while not stop.is_set():
            for socket, _ in poller.poll(100):
                socket.recv_multipart()
                socket.send_multipart(request)
        for socket in sockets:
            socket.close()

    thread = threading.Thread(target=keep_flooding)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_queue_that_never_runs_empty_keeps_nobody_and_costs_nobody(
    registry: DeviceRegistry, context: Context
) -> None:
    lease = 0.5
    with ExitStack() as stack:
        receive = stack.enter_context(raw_subscriber(context, registry.events_url))
        clients = [stack.enter_context(raw_client(context, registry.url)) for _ in range(10)]
        stack.enter_context(flood(context, registry.url, 4))
        uuids = {}
        for number, client in enumerate(clients):
            ack = client.register(f"tcp://{number}", f"d{number}", alive_timeout=lease)
            uuids[client] = ack["uuid"]
        added = [next_event(receive)["time"] for _ in clients]
        over = time.monotonic() + 4 * lease
        while time.monotonic() < over:
            for client in clients[::2]:
                renew(client, uuids[client], lease)
            assert all(renewed(client) for client in clients[::2])
        assert registry.devices.keys() == {"d0", "d2", "d4", "d6", "d8"}
        for number in range(1, 10, 2):
            event = next_event(receive)
            assert (event["device"]["name"], event["reason"]) == (f"d{number}", "expired")
            late = event["time"] - added[number] - lease
            assert 0 < late < 0.5  # 0.1 if nobody else keeps the machine busy
