"""Those who follow a registry."""

from ..events.durability import Durability
from .aio import AsyncWatcher
from .callbacks import CallbackAdapter
from .lines import LogFormat
from .log import LogSubscriber
from .watch import awatch, watch
from .watcher import Watcher

__all__ = [
    "AsyncWatcher",
    "CallbackAdapter",
    "Durability",
    "LogFormat",
    "LogSubscriber",
    "Watcher",
    "awatch",
    "watch",
]
