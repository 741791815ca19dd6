"""Replies that are not what was asked for, as errors with words for people."""

from ..events.errors import MessageError, RequestRefused
from ..events.messages import ErrorReply, Reply, Unsupported
from ..events.protocol import ErrorCode
from ..events.text import printable


def refusal(reply: Reply, url: str) -> MessageError | RequestRefused:
    """What a reply amounts to that is not of the kind asked for.

    Args:
        reply: Anything but the reply that was hoped for.
        url: Where it came from.
    """
    if isinstance(reply, ErrorReply):
        return RequestRefused(reply.code, f"the registry at {url} refused: {reply.message}")
    if isinstance(reply, Unsupported):
        asked = printable(reply.req_event, 100)
        return RequestRefused(
            "UNSUPPORTED", f"the registry at {url} knows no {asked}: is it an older one?"
        )
    return MessageError(
        ErrorCode.INVALID, f"{url} answered with a {type(reply).__name__}: is it a registry?"
    )
