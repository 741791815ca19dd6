"""A watcher of either kind behind one face, so that what both promise is tested on both."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Self

from devicewatch.events import Cursor, Device, Event, Record, Status
from devicewatch.subscribers import AsyncWatcher, Watcher


class BlockingAsyncWatcher:
    """An `AsyncWatcher` in an event loop of its own, which runs while somebody waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self.inner = AsyncWatcher(*arguments, **options)
        except BaseException:
            self._loop.close()
            raise

    @property
    def devices(self) -> Mapping[str, Device]:
        return self.inner.devices

    @property
    def cursor(self) -> Cursor | None:
        return self.inner.cursor

    @property
    def status(self) -> Status:
        return self.inner.status

    @property
    def resumed(self) -> bool | None:
        return self.inner.resumed

    @property
    def closed(self) -> bool:
        return self.inner.closed

    def connect(self, timeout: float | None = None) -> None:
        self._loop.run_until_complete(self.inner.connect(timeout))

    def get(self, timeout: float | None = None) -> Event | None:
        return self._loop.run_until_complete(self.inner.get(timeout))

    def get_record(self, timeout: float | None = None) -> Record | None:
        return self._loop.run_until_complete(self.inner.get_record(timeout))

    def records(self) -> Iterator[Record]:
        records = self.inner.records()
        while True:
            try:
                yield self._loop.run_until_complete(anext(records))
            except StopAsyncIteration:
                return

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.run_until_complete(self.inner.close())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


AnyWatcher = Watcher | BlockingAsyncWatcher
KINDS = (Watcher, BlockingAsyncWatcher)
