"""Whole messages into and out of sockets, several at a time.

There are two ways to do it. `plain` calls pyzmq, frame by frame. The compiled build (see
`setup.py`) has `speedups` besides, which calls the libzmq that pyzmq brings, and does the same in a
quarter of the time. Whoever imports from here gets that where it is there; nobody has to know.
"""

from .plain import Message, properties_of

try:
    from .speedups import (
        has_message,
        receive_frames,
        receive_routed,
        send_frame,
        send_many,
    )
except ImportError:
    from .plain import has_message, receive_frames, receive_routed, send_frame, send_many

__all__ = [
    "Message",
    "has_message",
    "properties_of",
    "receive_frames",
    "receive_routed",
    "send_frame",
    "send_many",
]
