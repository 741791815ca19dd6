"""`LogSubscriber`: the event stream as lines of a log, each event once and none missing.

Theory of operation
===================

It is a watcher's owner like any other, and works in one thread: it waits for a record, takes what
has arrived besides, and puts a line of each into the file, with the cursor that it leads to.
`logfile` sees to it that either both are there or neither is, whenever the process is killed. When
it starts again it goes on at that cursor: what has happened meanwhile is told by the registry, from
its history, once.

Those who left in a difference (what is told where the history does not reach) are put in one piece,
since nobody could go on in the middle of them.

While the file cannot be written nothing more is read: ZeroMQ's queues fill up, the watcher loses
its place, and finds it again in the registry's history once there is room.

A line says why the log is silent: `stale` when the registry is, once, until the view is `live`
again; `stop` and `start` when the logger is; `start` without a `stop` before it when it was killed.
An exception that may strike anywhere, as Ctrl-C in a program that calls `run`, is a kill, too: what
is under way is left to the next start.
"""

import os
import sys
import threading
from typing import Final, Protocol, Self, TextIO

from ..events.durability import Durability
from ..events.errors import MessageError
from ..events.keys import Key
from ..events.logs import get_logger
from ..events.protocol import DEFAULT_REGISTRY, Origin
from ..events.records import Cursor, Live, Record, Removed, Stale
from ..events.sockets import Context
from .lines import Lines, LogFormat
from .logfile import LogFile
from .watcher import Watcher

BATCH: Final = 1_000
"""Lines after which they are written, where more have come; a difference may have more."""

NOTE_AFTER: Final = 5.0
"""Seconds after which it is noted how far the stream has got where none of it is to be logged."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds from one attempt to write to the next."""

log = get_logger(__name__)


class _Output(Protocol):
    """Where the lines go."""

    cursor: Cursor | None
    remarks: list[str]

    def open(self) -> None: ...
    def put(self, lines: str, cursor: Cursor | None) -> None: ...
    def flush(self) -> None: ...
    def settle(self) -> None: ...
    def reopen(self) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class LogSubscriber:
    """Logs every event of a registry, one line each, to a file or a stream.

        with LogSubscriber("tcp://controller:5555", "devices.log"):
            ...  # logged in a thread of its own, until the block ends

    or `LogSubscriber(…).run()`, in the caller's thread, for a program that does nothing else. In a
    file each event is there once, in order, and none is missing, whatever is killed when: how far
    it has got is kept beside the file (`devices.log.cursor`). The first time it begins with the
    devices that are there. A stream begins with them each time.

    It waits for a registry that is not there (yet), and for a disk that is full. All methods may be
    used from any thread.

    Args:
        url: The registry's address.
        output: A file, to which lines are appended, or a text stream; None is stdout.
        format: What a line looks like.
        device_type: Log devices of this type only.
        durability: What the lines in a file are to survive.
        context: ZeroMQ context to open sockets in; None is pyzmq's global one.
        events_url: The event stream's address, if it cannot be reached where the registry says.
        key: This program's, and the registry's; None for a registry without keys.
    """

    def __init__(
        self,
        url: str = DEFAULT_REGISTRY,
        output: str | os.PathLike[str] | TextIO | None = None,
        *,
        format: LogFormat = LogFormat.JSON,  # noqa: A002
        device_type: str | None = None,
        durability: Durability = Durability.PROCESS,
        context: Context | None = None,
        events_url: str | None = None,
        key: Key | None = None,
    ) -> None:
        self._url = url
        self._device_type = device_type
        self._context, self._events_url, self._key = context, events_url, key
        self._colors = False
        self._output: _Output
        if isinstance(output, str | os.PathLike):
            self._output = LogFile(output, durability)
        else:
            stream = output or sys.stdout
            self._output = _Stream(stream)
            self._colors = stream.isatty()
        self._lines = Lines(format, colors=self._colors)
        self._may_retry = isinstance(self._output, LogFile)
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._changed = threading.Event()  # there may be another reason to write, or to end
        self._lock = threading.Lock()
        self._is_stale = False  # as the log says
        self._was_live = False

    # --- for its owner ------------------------------------------------------------------------

    def run(self) -> None:
        """Log in this thread, until `stop` is called from another one, or the context terminated.

        Raises:
            AddressError: An address makes no sense.
            AuthenticationError: The key does not say which registry it is for; or the registry does
                not let this program in, or is another one.
            LogError: The file cannot be written to, or another logger does.
            OSError: The stream cannot be written to.
            RuntimeError: It was started before.
        """
        watcher = self._begin()
        if watcher is not None:
            self._work(watcher)

    def start(self) -> None:
        """Log in a thread of its own, until `stop`. What is wrong from then on, `join` raises.

        Raises:
            AddressError: An address makes no sense.
            AuthenticationError: The key does not say which registry it is for.
            LogError: The file cannot be written to, or another logger does.
            RuntimeError: It was started before.
        """
        watcher = self._begin()
        if watcher is not None:
            self._thread = threading.Thread(
                target=self._run_thread, args=(watcher,), name="devicewatch-log", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End it. What the watcher has yielded is written, unless it cannot be. May be repeated."""
        with self._lock:
            self._stopping = True
            watcher, thread = self._watcher, self._thread
        self._changed.set()
        if watcher is not None:
            watcher.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait until its own thread has ended.

        Args:
            timeout: Seconds to wait at the most; None is as long as it takes.

        Raises:
            AuthenticationError: It ended as the registry does not let this program in.
            OSError: It ended as the stream could not be written to.
        """
        if self._thread is not None:
            self._thread.join(timeout)
        if self._error is not None:
            raise self._error

    @property
    def is_alive(self) -> bool:
        """Whether its own thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def reopen(self) -> None:
        """Go on in the file that has the name now, after the one that had it was moved away.

        Not from a signal handler, which may have interrupted whoever is writing: have that tell
        another thread, as `devicewatch log` does.
        """
        self._output.reopen()
        self._changed.set()  # there may be room for what could not be written

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- at work ------------------------------------------------------------------------------

    def _begin(self) -> Watcher | None:
        """Open everything; None if it was told to stop before."""
        with self._lock:
            if self._stopping:
                return None
            if self._watcher is not None:
                raise RuntimeError("a logger starts once; make a new one to start again")
            self._output.open()
            try:
                self._watcher = self._watch()
            except BaseException:
                self._output.close()
                raise
            return self._watcher

    def _watch(self) -> Watcher:
        try:
            return self._watch_since(self._output.cursor)
        except MessageError as error:
            if not isinstance(self._output, LogFile):
                raise
            self._output.forget(str(error))
            return self._watch_since(None)

    def _watch_since(self, cursor: Cursor | None) -> Watcher:
        return Watcher(
            self._url,
            since=cursor,
            device_type=self._device_type,
            context=self._context,
            events_url=self._events_url,
            key=self._key,
        )

    def _run_thread(self, watcher: Watcher) -> None:
        try:
            self._work(watcher)
        except BaseException as error:  # noqa: BLE001 - for whoever joins
            self._error = error
            log.error("the log has ended", registry=self._url, why=str(error))

    def _work(self, watcher: Watcher) -> None:
        output = self._output
        with watcher:
            try:
                self._log(watcher)
            except Exception:
                self._write(self._lines.stop(output.cursor), output.cursor, last=True)
                output.close()
                raise
            except BaseException:  # Ctrl-C, say: between any two steps that belong together
                output.abandon()
                raise
            output.close()

    def _log(self, watcher: Watcher) -> None:
        output = self._output
        if not self._flush():  # what the logger before this one was writing
            return
        why = "; ".join(output.remarks)
        if why:
            log.warning("the log goes on, but", why=why)
        self._write(self._lines.start(output.cursor, why or None), output.cursor)
        self._follow(watcher)
        cursor = watcher.cursor or output.cursor
        self._write(self._lines.stop(cursor), cursor, last=True)

    def _follow(self, watcher: Watcher) -> None:
        pause = None if self._device_type is None else NOTE_AFTER
        while not self._stopping:
            record = watcher.get_record(pause)
            if record is not None:
                self._write_batch(watcher, record)
            elif watcher.closed:
                return
            elif watcher.cursor is not None:
                self._output.put("", watcher.cursor)
                self._output.settle()

    def _write_batch(self, watcher: Watcher, first: Record) -> None:
        """Write a record, and what has come besides."""
        record: Record | None = first
        count = 0
        together = ""
        while record is not None:
            together += self._line(record, watcher)
            if not _may_be_amid_a_difference(record):
                self._output.put(together, watcher.cursor or self._output.cursor)
                together = ""
                if count >= BATCH:
                    break
            count += 1
            record = watcher.get_record(0)
        if together:
            self._output.put(together, watcher.cursor or self._output.cursor)
        if self._flush() and record is None:
            self._output.settle()

    def _line(self, record: Record, watcher: Watcher) -> str:
        if isinstance(record, Live | Stale):
            was_stale, self._is_stale = self._is_stale, isinstance(record, Stale)
            if was_stale and self._is_stale:
                return ""
            if isinstance(record, Stale) and isinstance(self._output, LogFile):
                # Whoever has mistyped an address looks here, and not yet into the file.
                log.warning("the registry cannot be heard", registry=self._url, why=record.why)
        resumed = None
        if isinstance(record, Live) and not self._was_live:
            self._was_live, resumed = True, watcher.resumed
        return self._lines.record(record, resumed)

    def _write(self, lines: str, cursor: Cursor | None, *, last: bool = False) -> bool:
        self._output.put(lines, cursor)
        return self._flush(last=last)

    def _flush(self, *, last: bool = False) -> bool:
        """Write all that was put, as soon as that is possible; False if it was not.

        Args:
            last: Whether to try once only.
        """
        pause, failed = FIRST_PAUSE, False
        while True:
            self._changed.clear()
            try:
                self._output.flush()
            except OSError as error:
                if not self._may_retry:
                    raise
                if not failed and not last:
                    log.error("cannot write the log, and tries on", why=str(error))
                failed = True
            else:
                if failed:
                    log.warning("the log is written again, and nothing is missing")
                return True
            if last or self._stopping:
                return False
            self._changed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _may_be_amid_a_difference(record: Record | None) -> bool:
    """Whether it is told who has left while nobody knows when: from here nobody could go on."""
    return isinstance(record, Removed) and record.origin is Origin.RESYNC


class _Stream:
    """A text stream as an output: it keeps nothing, and cannot be opened anew."""

    def __init__(self, stream: TextIO) -> None:
        self.cursor: Cursor | None = None
        self.remarks: list[str] = []
        self._stream = stream
        self._lines = ""

    def open(self) -> None:
        """It is open."""

    def put(self, lines: str, cursor: Cursor | None) -> None:
        """Say what to write next."""
        self._lines += lines
        self.cursor = cursor

    def flush(self) -> None:
        """Write it; what its encoding lacks is shown by its number."""
        lines, self._lines = self._lines, ""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(lines.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()

    def settle(self) -> None:
        """There is nothing to note."""

    def reopen(self) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """It is its owner's."""

    def abandon(self) -> None:
        """It is its owner's."""
