"""A bell whose ringer can wait for somebody to come to the door."""

import contextlib
import threading
from collections import deque

from ..events.sockets import Bell


class Doorbell(Bell):
    """Tells whether a loop still comes round: it answers once a round, and a ring wakes it up.

    Whoever asks puts a question down *before* ringing, and the loop hushes the bell *before* it
    answers. So a question is answered in this round, or its ring begins another one: none waits
    for a loop that is asleep.
    """

    def __init__(self) -> None:
        self._closed = False
        self._waiting: deque[threading.Event] = deque()
        super().__init__()

    def is_answered(self, timeout: float) -> bool:
        """Ring, and say whether the loop answers within so many seconds. From any other thread."""
        question = threading.Event()
        self._waiting.append(question)
        if self._closed:
            return False
        self.ring()
        answered = question.wait(timeout)
        with contextlib.suppress(ValueError):  # it has been answered, if only just now
            self._waiting.remove(question)
        return answered and not self._closed

    def answer(self) -> None:
        """Tell all who wait that the loop has come round."""
        while self._waiting:
            self._waiting.popleft().set()

    def close(self) -> None:
        """Close it: nobody will answer any more. May be repeated."""
        self._closed = True
        self.answer()
        super().close()
