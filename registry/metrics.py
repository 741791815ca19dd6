"""What a registry does, for Prometheus; and whether it is well, for whoever starts it again.

    with DeviceRegistry() as registry, MetricsServer(registry, 5557):
        ...

Nothing here takes part in the registry's work. It counts in plain numbers (`counts`), which are
read here, in another thread, when somebody asks: once per scrape, however many devices there are.
For a program that has metrics of its own there is the `RegistryCollector`.
"""

import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Final, Self
from wsgiref.types import StartResponse, WSGIEnvironment

import zmq

from ..events.extras import extra
from ..events.hosts import is_loopback, names_this_machine
from ..events.logs import get_logger
from ..events.protocol import PROTOCOL_VERSION, Topic
from ..events.text import printable
from .counts import BOUNDS, Counts, Figures, Kind, Outcome, Times
from .http_endpoint import HttpEndpoint
from .server import DeviceRegistry

with extra("metrics"):
    from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector

HEALTH_TIMEOUT: Final = 0.5
"""Seconds for which the registry's loop may take to come round. A Kubernetes probe gives up after
one, unless it is told otherwise, and is to hear why."""

OTHER: Final = "other"
"""What stands for the types of devices that are not counted by themselves."""

_EXPECTED: Final = {
    Kind.REGISTER: (Outcome.OK, Outcome.INVALID, Outcome.TOO_MANY, Outcome.UNAVAILABLE),
    Kind.UNREGISTER: (Outcome.OK, Outcome.UNKNOWN),
    Kind.CHECK_ALIVE: (Outcome.OK, Outcome.UNKNOWN),
    Kind.INFO: (Outcome.OK,),
    Kind.SNAPSHOT: (Outcome.OK,),
    Kind.REPLAY: (Outcome.OK, Outcome.COMPACTED),
    Kind.UNSUPPORTED: (Outcome.UNSUPPORTED,),
    Kind.MALFORMED: (Outcome.MALFORMED, Outcome.TOO_LARGE),
}
"""What there is a line for before it has happened, so that the first time shows as a rise."""

_BUCKETS: Final = [*(str(float(bound)) for bound in BOUNDS), "+Inf"]

log = get_logger(__name__)


class RegistryCollector(Collector):
    """A registry's figures, for a registry of Prometheus' library.

        prometheus_client.REGISTRY.register(RegistryCollector(registry))

    Args:
        registry: Whose; before or after its `start`. It counts what happens from now on.
    """

    def __init__(self, registry: DeviceRegistry) -> None:
        self._registry = registry
        registry.figures()

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now. Not to be called from the registry's own thread."""
        responds = self._registry.responds(HEALTH_TIMEOUT)  # first: it sees who is connected, too
        return _families(self._registry.figures(), responds=responds)

    def describe(self) -> Iterator[Metric]:
        """Their names."""
        return _families(
            Figures(devices_limit=0, history_limit=0, journal_bytes=0, counts=Counts()),
            responds=False,
        )


class MetricsServer:
    """Serves `/metrics` and `/healthz` over HTTP, for as long as a `with` block.

    `/healthz` is 200 while the registry's loop comes round, else 503 and why. It is answered by
    threads of its own, so that a loop which is stuck does not take it along. A process that is
    stopped as a whole answers nothing: whoever asks has to give up after a while.

    At a loopback address it answers only those who ask for `localhost` or for such an address, so
    that a page from elsewhere, in a browser on this machine, cannot read along. Elsewhere it
    answers to any name, as whoever scrapes it may know it under any.

    Args:
        registry: Whose, before or after its `start`.
        port: TCP port; 0 picks a free one.
        bind: Address of the interface to listen at; "*" is all of them. There is no password:
            whoever can connect can read the figures, and the types of devices.

    Raises:
        BindError: On entry: the port is in use, or the address is none of this machine's.
    """

    def __init__(self, registry: DeviceRegistry, port: int, bind: str = "127.0.0.1") -> None:
        self._registry = registry
        collectors = CollectorRegistry()
        collectors.register(RegistryCollector(registry))
        _Process(registry=collectors)
        self._metrics: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = make_wsgi_app(
            collectors
        )
        self._is_local = bind == "localhost" or is_loopback(bind)
        self._endpoint = HttpEndpoint(self._serve, bind, port)

    @property
    def port(self) -> int:
        """TCP port; once it is served, the real one."""
        return self._endpoint.port

    @property
    def url(self) -> str:
        """Where the metrics are, as seen from this machine if `bind` is "*"."""
        return f"{self._endpoint.url}/metrics"

    def __enter__(self) -> Self:
        self._endpoint.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._endpoint.stop()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        try:
            status, headers, body = self._answer(environ)
        except Exception:
            log.exception("metrics could not be served")
            status, headers, body = _text("500 Internal Server Error", "see the registry's log")
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [] if is_head else [body]

    def _answer(self, environ: WSGIEnvironment) -> "_Answer":
        if self._is_local and not names_this_machine(environ.get("HTTP_HOST", "localhost")):
            return _text("421 Misdirected Request", "this is for this machine only: ask localhost")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, headers, body = _text("405 Method Not Allowed", "GET or HEAD")
            return status, [*headers, ("Allow", "GET, HEAD")], body
        match environ["PATH_INFO"]:
            case "/metrics":
                return self._scrape(environ)
            case "/healthz":
                return self._health()
            case _:
                return _text("404 Not Found", "there are /metrics and /healthz")

    def _scrape(self, environ: WSGIEnvironment) -> "_Answer":
        head: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _error: object = None) -> "_Write":
            head.append((status, headers))
            return lambda _data: None

        body = b"".join(self._metrics(environ | {"REQUEST_METHOD": "GET"}, start))
        ((status, headers),) = head
        return status, headers, body

    def _health(self) -> "_Answer":
        if self._registry.responds(HEALTH_TIMEOUT):
            return _text("200 OK", "ok")
        if self._registry.ident is None:
            why = "the registry has not started yet"
        elif not self._registry.is_alive():
            why = "the registry has stopped"
        else:
            why = f"the registry's loop has not come round for {HEALTH_TIMEOUT} s: it is stuck"
        return _text("503 Service Unavailable", why)


_Answer = tuple[str, list[tuple[str, str]], bytes]
_Write = Callable[[bytes], object]


def _text(status: str, text: str) -> _Answer:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    return status, headers, f"{text}\n".encode()


class _Process(ProcessCollector):
    """What the system says of this process, also where a service sees nothing else in `/proc`."""

    def _boot_time(self) -> float:
        if sys.platform != "linux":
            raise OSError("there is no /proc")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


# --- what is measured -----------------------------------------------------------------------------


def _families(figures: Figures, *, responds: bool) -> Iterator[Metric]:
    yield from _state(figures, responds=responds)
    yield from _work(figures)
    yield from _journal(figures)


def _state(figures: Figures, *, responds: bool) -> Iterator[Metric]:
    build = {
        "version": version("devicewatch"),
        "protocol": str(PROTOCOL_VERSION),
        "python": platform.python_version(),
        "zeromq": zmq.zmq_version(),
    }
    yield InfoMetricFamily("devicewatch_build", "What the registry is made of.", build)
    epoch = InfoMetricFamily("devicewatch_epoch", "The life of the registry's numbering.")
    if figures.epoch is not None:
        epoch.add_metric([], {"epoch": printable(figures.epoch)})
    yield epoch
    yield _gauge(
        "start_time_seconds", "When the registry was started (Unix time).", figures.started
    )
    yield _gauge("loop_responding", "Whether the loop came round for this scrape.", int(responds))
    devices = GaugeMetricFamily(
        "devicewatch_devices", "Devices present, by type.", labels=["device_type"]
    )
    for device_type, number in _by_label(figures).items():
        devices.add_metric([device_type], number)
    yield devices
    yield _gauge("devices_limit", "Devices that the registry takes.", figures.devices_limit)
    yield _gauge("watchers", "Connections that follow the event stream.", figures.watchers)
    yield _gauge("seq", "Number of the latest event.", figures.seq)
    yield _gauge("history_events", "Past events that can be replayed.", figures.history)
    yield _gauge("history_limit", "Past events that are kept at the most.", figures.history_limit)


def _by_label(figures: Figures) -> dict[str, int]:
    """Devices by what their type looks like: one label is one line, or the scrape would fail."""
    labels = {OTHER: figures.other_devices}
    for device_type, number in figures.devices.items():
        label = printable(device_type)
        labels[label] = labels.get(label, 0) + number
    return labels


def _work(figures: Figures) -> Iterator[Metric]:
    counts = figures.counts
    events = CounterMetricFamily(
        "devicewatch_events", "Events published, by reason.", labels=["event", "reason"]
    )
    events.add_metric([Topic.ADDED.value, ""], counts.added)
    for reason, number in counts.removed.items():
        events.add_metric([Topic.REMOVED.value, reason.value], number)
    yield events
    requests = CounterMetricFamily(
        "devicewatch_requests", "Requests answered, by outcome.", labels=["request", "outcome"]
    )
    numbers = {(kind, outcome): 0 for kind, some in _EXPECTED.items() for outcome in some}
    numbers |= {(kind, outcome): number for kind, outcome, number in counts.requests()}
    for (kind, outcome), number in numbers.items():
        requests.add_metric([kind.value, outcome.value], number)
    yield requests
    durations = HistogramMetricFamily(
        "devicewatch_request_duration_seconds",
        "From when a request was read to when its reply was sent.",
        labels=["request"],
    )
    for kind, times in counts.request_times():
        durations.add_metric([kind.value], _buckets(times), times.seconds)
    yield durations
    yield _counter("stalls", "How often the registry was held up.", figures.stalls)
    yield _counter("stall_seconds", "For how long it was held up.", figures.stalled)
    yield _counter("refused", "Who was turned away on account of a key.", figures.refused)


def _journal(figures: Figures) -> Iterator[Metric]:
    counts = figures.counts
    yield _gauge("journal_size_bytes", "Size of the journal's files.", figures.journal_bytes)
    commits = HistogramMetricFamily(
        "devicewatch_journal_commit_duration_seconds", "How long it took to have a change kept."
    )
    commits.add_metric([], _buckets(counts.appends), counts.appends.seconds)
    yield commits
    yield _counter("journal_failures", "Changes that could not be kept.", counts.not_kept)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return GaugeMetricFamily(f"devicewatch_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"devicewatch_{name}", text, value)


def _buckets(times: Times) -> list[tuple[str, float]]:
    return list(zip(_BUCKETS, times.cumulative(), strict=True))
