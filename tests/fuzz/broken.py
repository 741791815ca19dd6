"""For each target something that breaks what it looks after: it is to be known that it can fail."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from devicewatch.events import codec, messages
from devicewatch.events.protocol import Reason
from devicewatch.events.records import StreamMessage
from devicewatch.registry.core import RegistryCore
from devicewatch.registry.service import Service
from devicewatch.subscribers.mirror import Mirror
from tests.promises import broken
from tests.promises.machine import Everything

from .core_play import CorePlay
from .mirror_play import MirrorPlay, small_limits
from .targets import TARGETS, Play, machine


class AnswersWithASecret(Service):
    """Whoever cannot be understood is told who is registered."""

    def answer(self, frames: Sequence[bytes], now: float, peer: str | None = None) -> bytes:
        answer = super().answer(frames, now, peer)
        uuids = " ".join(self._core._registrations.by_uuid)
        return answer.replace(b'"metadata":{}', b'"metadata":{"was":"%s"}' % uuids.encode())


class FallsOverGarbage(Mirror):
    """What it cannot read, it does not survive."""

    def stream_received(self, frames: Sequence[bytes], now: float) -> bool:
        codec.decode_event(frames)
        return super().stream_received(frames, now)


class KeepsEverything(Mirror):
    """Its memory knows no limit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heard._kept = deque()


class NeverSleeps(Mirror):
    """It wants to be woken at once, and then again."""

    def next_deadline(self) -> float:
        return min(super().next_deadline(), self.view.state_since)


def _core(core: type[RegistryCore] = RegistryCore, service: type[Service] = Service) -> Play:
    kind = type("Broken", (CorePlay,), {"core": core, "service": service})
    return lambda data: kind(data).run()


def _mirror(mirror: type[Mirror]) -> Play:
    kind = type("Broken", (MirrorPlay,), {"mirror": mirror})

    def play(data: bytes) -> None:
        with small_limits():
            kind(data).run()

    return play


def _patched(target: str, name: str, value: object) -> Play:
    """A target, with a name of the codec that stands for something else."""

    def play(data: bytes) -> None:
        before = getattr(codec, name)
        setattr(codec, name, value)
        try:
            TARGETS[target].play(data)
        finally:
            setattr(codec, name, before)

    return play


_body: Final[Callable[[StreamMessage], msgspec.Struct]] = codec._body


def _a_body_to_the_second(message: StreamMessage) -> msgspec.Struct:
    return msgspec.structs.replace(_body(message), time=round(message.time))


def _decode_without_depth(decoder: Any, data: Any, *_rest: object) -> Any:
    return decoder.decode(data)


_encode: Final = codec.encode_request


def _never_overwrites(request: messages.Request) -> bytes:
    return _encode(request).replace(b'"overwrite":true', b'"overwrite":false')


BROKEN: Final[list[tuple[str, str, Play]]] = [
    ("request", "any bytes are text", _patched("request", "_text", lambda frame: frame.decode())),
    (
        "request",
        "no decoder's error is ours",
        _patched("request", "_decode", _decode_without_depth),
    ),
    ("request", "a field gets lost", _patched("request", "encode_request", _never_overwrites)),
    ("reply", "an unknown reason", _patched("reply", "_reason", Reason)),
    ("reply", "time to the second", _patched("reply", "_body", _a_body_to_the_second)),
    ("event", "an unknown reason", _patched("event", "_reason", Reason)),
    ("event", "time to the second", _patched("event", "_body", _a_body_to_the_second)),
    ("core", "P4: a secret is out", _core(service=AnswersWithASecret)),
    ("core", "P8: the silent stay", _core(broken.NeverLetsGo)),
    ("core", "P9: two at an address", _core(broken.LetsTwoShareAnAddress)),
    ("core", "P10: new secrets", _core(broken.GivesOutNewSecrets)),
    ("core", "P10: old leases", _core(broken.GoesOnWithOldLeases)),
    ("core", "P10: it counts anew", _core(broken.CountsAnew)),
    ("core", "P10: published, not kept", _core(service=broken.PublishesFirst)),
    ("core", "P10: acknowledged, not kept", _core(service=broken.AcknowledgesWhatIsNotKept)),
    ("mirror", "it raises", _mirror(FallsOverGarbage)),
    ("mirror", "it grows", _mirror(KeepsEverything)),
    ("mirror", "it spins", _mirror(NeverSleeps)),
    ("mirror", "P1: backwards", _mirror(broken.ReplaysBackwards)),
    ("mirror", "P2: twice", _mirror(broken.TakesAnythingTwice)),
    ("mirror", "P3: lost", _mirror(broken.NeverReplays)),
    ("mirror", "P6: silence is absence", _mirror(broken.TakesSilenceForAbsence)),
    ("mirror", "P7: only the name", _mirror(broken.NamesOnlyTheName)),
    (
        "promises",
        "P7: only the name",
        machine(type("Broken", (Everything,), {"mirror": broken.NamesOnlyTheName}), 2),
    ),
]
