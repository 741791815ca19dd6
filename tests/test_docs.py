"""The docs' programs run, their links lead somewhere, their figures are the code's."""

import contextlib
import csv
import io
import itertools
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from devicewatch.events import Device, protocol
from devicewatch.registry import DeviceRegistry
from devicewatch.subscribers import Watcher
from tests.support.hostile import HOSTILE, lying_registry, registry_of_old
from tests.support.live import PATIENCE, raw_client, wait_until

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

Context = zmq.Context[zmq.Socket[bytes]]


class Program:
    """An example at work."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, EXAMPLES / name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> str:
        """Press Ctrl-C, as often as it takes, and give the next line.

        Python ignores what is raised while it destroys an object, so that in one of a thousand
        cases a Ctrl-C is lost; whoever sits there would press it again.
        """
        assert self.process.stdout is not None
        for _ in range(3):
            self.process.send_signal(signal.SIGINT)
            if select.select([self.process.stdout], [], [], PATIENCE)[0]:
                break
        return self.line()

    def enter(self) -> str:
        """Press Enter, and return the rest of what it prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin as enter:
            enter.write("\n")
        rest = self.process.stdout.read().strip()
        assert self.process.wait(PATIENCE) == 0
        return rest


@contextmanager
def program(name: str, *arguments: str) -> Iterator[Program]:
    running = Program(name, *arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        for pipe in (running.process.stdin, running.process.stdout):
            if pipe is not None:
                pipe.close()


def test_the_device(registry: DeviceRegistry) -> None:
    with program("device.py", registry.url) as device:
        assert device.line() == "present as cam"
        assert registry.devices == {"cam": ("camera", "tcp://127.0.0.1:7000")}
        device.enter()
        assert registry.devices == {}


def test_the_plain_device(registry: DeviceRegistry) -> None:
    with program("plain_device.py", registry.url) as device:
        assert device.line() == 'present as "pump-0"'
        assert registry.devices == {"pump-0": ("pump", "tcp://127.0.0.1:7001")}
        assert device.enter() == "left: True"


def test_the_async_device(registry: DeviceRegistry) -> None:
    with program("async_device.py", registry.url) as device:
        assert device.line() == "present arm"
        assert registry.devices == {"arm": ("arm", "tcp://127.0.0.1:7002")}
        assert device.enter() == "left arm"
        assert registry.devices == {}


def test_the_follower(registry: DeviceRegistry, context: Context) -> None:
    with (
        program("follow.py", registry.url) as follower,
        raw_client(context, registry.url) as client,
    ):
        uuid = client.register("tcp://a:1", "cam")["uuid"]
        assert follower.line() == "cam came; now there: ['cam']"
        client.ask("UNREGISTER", {"uuid": uuid})
        assert follower.line() == "cam left (unregistered); now there: []"


def test_the_dashboard(context: Context) -> None:
    with DeviceRegistry(addr="127.0.0.1", port="0", events_port="0") as registry:
        with raw_client(context, registry.url) as client:
            client.register("tcp://a:1", "cam")
        with program("dashboard.py", registry.url) as dashboard:
            assert dashboard.line() == "+ cam"
            assert dashboard.line() == "live: this is what is there"
            registry.stop()
            assert dashboard.line() == "stale: the registry has stopped"


def test_the_logger_goes_on_where_it_stopped(
    registry: DeviceRegistry, context: Context, tmp_path: Path
) -> None:
    file = tmp_path / "cursor"
    with raw_client(context, registry.url) as client:
        client.register("tcp://a:1", "one")
        with program("logger.py", str(file), registry.url) as logger:
            assert logger.line() == "added one"
            wait_until(lambda: file.exists() and file.read_text())
        uuid = client.register("tcp://a:2", "two")["uuid"]
        client.ask("UNREGISTER", {"uuid": uuid})
        with program("logger.py", str(file), registry.url) as logger:
            assert [logger.line(), logger.line()] == ["added two", "removed two"]
    file.write_text("1/of another registry")
    with program("logger.py", str(file), registry.url) as logger:
        assert logger.line() == "too much has happened since; what is there comes anew"
        assert logger.line() == "added one"


def test_the_async_follower(registry: DeviceRegistry, context: Context) -> None:
    with (
        program("async_follow.py", registry.url) as follower,
        raw_client(context, registry.url) as client,
    ):
        client.register("tcp://a:1", "cam")
        assert follower.line() == "cam came"


def test_the_plain_subscriber(registry: DeviceRegistry, context: Context) -> None:
    with (
        program("plain_subscriber.py", registry.events_url) as subscriber,
        raw_client(context, registry.url) as client,
    ):
        seen: list[str] = []
        while not seen:  # it may not be listening yet, and does not make up for it
            client.register("tcp://a:1", "cam")
            wait_until(lambda: registry.devices)
            poller = zmq.Poller()
            poller.register(subscriber.process.stdout, zmq.POLLIN)
            if poller.poll(50):
                seen.append(subscriber.line())
        assert seen[0] in ('added "cam" null', 'removed "cam" "replaced"')


def test_the_controller(context: Context) -> None:
    with program("controller.py", "0", "0") as controller:
        url = controller.line().removeprefix("registry at ")
        with raw_client(context, url) as client:
            uuid = client.register("tcp://a:1", "cam")["uuid"]
            assert controller.line() == "hello cam, camera at tcp://a:1"
            client.ask("UNREGISTER", {"uuid": uuid})
            assert controller.line() == "goodbye cam, camera at tcp://a:1"
        assert controller.enter() == ""


def test_the_lab_comes_and_goes(context: Context) -> None:
    with program("lab.py", "0", "0", "4") as lab:
        url = lab.line().removeprefix("registry at ")
        with Watcher(url, context=context) as watcher:
            seen = {event.device.name for event in itertools.islice(watcher, 4)}
        assert seen == {"camera-0", "arm-0", "pump-0", "scale-0"}
        assert lab.interrupt() == "the lab is closed"
        assert lab.process.wait(PATIENCE) == 0


def test_the_examples_show_a_hostile_device_harmlessly(context: Context, tmp_path: Path) -> None:
    """All at once, as it takes a while to start them."""
    with (
        contextlib.ExitStack() as stack,
        registry_of_old(dict.fromkeys(("name", "device_type", "addr"), HOSTILE)) as registry,
        lying_registry(context) as liar,
    ):
        running = [
            stack.enter_context(program(name, *arguments))
            for name, *arguments in (
                ("follow.py", registry.url),
                ("async_follow.py", registry.url),
                ("dashboard.py", registry.url),
                ("logger.py", str(tmp_path / "cursor"), registry.url),
                ("plain_device.py", liar),
            )
        ]
        for example in running:
            line = example.line()
            assert "gone" in line
            assert line.isprintable()


def test_how_text_is_shown_elsewhere() -> None:
    page = (ROOT / "docs" / "getting-started.md").read_text()
    (block,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "csv_text" in block
    )
    device = Device("=1+1\n", "<script>", "a,b\u202e", 1, 0.0)
    file = io.StringIO()
    known: dict[str, Any] = {"device": device, "file": file}
    exec(block, known)
    assert next(csv.reader([file.getvalue()])) == [r"'=1+1\u000a", "<script>", r"a,b\u202e"]
    assert known["row"] == r"<tr><td>=1+1\u000a</td><td>&lt;script&gt;</td></tr>"


def test_the_readme_s_two_programs_are_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "README.md", "exec")


def test_the_readme_s_programs_run(registry: DeviceRegistry) -> None:
    device, follower = (
        block.replace("tcp://controller:5555", registry.url)
        for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    )
    with (
        subprocess.Popen(
            [sys.executable, "-u", "-c", follower], stdout=subprocess.PIPE, text=True
        ) as watching,
        subprocess.Popen(
            [sys.executable, "-c", device], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as present,
    ):
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline().split() == ["added", "cam", "tcp://10.0.0.5:7000"]
            present.communicate(b"\n", timeout=PATIENCE)
            assert present.returncode == 0
            assert watching.stdout.readline().split()[:2] == ["removed", "cam"]
        finally:
            watching.kill()
            present.kill()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_promises_name_tests_that_exist() -> None:
    named = re.findall(r"`(\w+/(?:test_\w+\.py)?)`", (ROOT / "docs" / "promises.md").read_text())
    assert named
    for path in named:
        assert (ROOT / "tests" / path).exists(), path


def test_the_protocol_s_limits_are_the_code_s() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    for limit in (
        f"{protocol.MAX_REQUEST_BYTES:,} bytes",
        f"{protocol.MAX_FRAME_BYTES // 2**20} MiB",
        f"1 to {protocol.MAX_NAME} characters",
        f"1 to {protocol.MAX_ADDR:,} characters",
        f"up to {protocol.MAX_ID} characters",
        f"{protocol.MIN_LEASE:g} s to {protocol.MAX_LEASE:,.0f} s",
        f"up to {protocol.MAX_METADATA} entries",
        f"names up to {protocol.MAX_METADATA_KEY}, strings up to {protocol.MAX_METADATA_VALUE:,}",
        f"never more than {protocol.MAX_PAGE:,}",
        f"`limit`={protocol.MAX_PAGE}",
    ):
        assert limit in page, limit
    for code in protocol.ErrorCode:
        assert f"`{code}`" in page
