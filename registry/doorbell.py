"""A bell whose ringer can wait for somebody to come to the door."""

import contextlib
import threading
from collections import deque

from ..events.sockets import Bell


class Doorbell(Bell):
    """Tells whether a loop still comes round: a ring wakes it up, and after that it answers.

    Whoever asks puts a question down *before* ringing, and the loop hushes the bell *before* it
    answers. So a question is answered in this round, or its ring begins another one: none waits
    for a loop that is asleep. The loop hushes it only between a sleep and the look at what it may
    have rung for, such as the end: before the sleep, the ring would be slept over. That it rang is
    noted *after* it did, or a ring that comes late would never be hushed, and the loop never sleep
    again.
    """

    def __init__(self) -> None:
        self._closed = False
        self._rang = False
        self._questions: deque[threading.Event] = deque()
        super().__init__()

    def ring(self) -> None:
        """Wake the loop. Does nothing on a closed bell."""
        super().ring()
        self._rang = True

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer, which the loop is about to give."""
        return bool(self._questions)

    def is_answered(self, timeout: float) -> bool:
        """Ring, and say whether the loop answers within so many seconds. From any other thread."""
        question = threading.Event()
        self._questions.append(question)
        if self._closed:
            return False
        self.ring()
        answered = question.wait(timeout)
        with contextlib.suppress(ValueError):  # it has been answered, if only just now
            self._questions.remove(question)
        return answered and not self._closed

    def answer(self) -> None:
        """Tell all who wait that the loop has come round."""
        if self._rang:
            self._rang = False
            self.hush()
        while self._questions:
            self._questions.popleft().set()

    def close(self) -> None:
        """Close it: nobody will answer any more. May be repeated."""
        self._closed = True
        super().close()
        self.answer()
