"""Those who follow a registry."""

from .aio import AsyncWatcher, awatch
from .callbacks import CallbackAdapter
from .watch import Watcher, watch

__all__ = ["AsyncWatcher", "CallbackAdapter", "Watcher", "awatch", "watch"]
