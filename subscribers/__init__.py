"""Those who follow a registry."""

from .callbacks import CallbackAdapter
from .watch import Watcher, watch

__all__ = ["CallbackAdapter", "Watcher", "watch"]
