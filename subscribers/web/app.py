"""The routes of the web page, as an ASGI application; and what holds for every answer."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...events.hosts import names_one_of, names_this_machine
from ...events.logs import get_logger
from ...events.records import State
from .feed import MAX_BROWSERS, Feed
from .frames import json_members, to_json
from .page import File, read_page
from .snapshots import Piece, TooSlow, in_time

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""On every answer: a browser takes nothing from elsewhere, and gives nothing to others."""

_NOT_KEPT: Final = {"cache-control": "no-store"}
_STREAM: Final = {**_NOT_KEPT, "x-accel-buffering": "no"}  # or nginx would collect it first
_SITE: Final = b"sec-fetch-site"  # by which a browser says whose page asks
_LONGEST_ID: Final = 2_000

log = get_logger(__name__)


def create_app(feed: Feed, *, hosts: Collection[str] | None = None) -> ASGIApp:
    """The page, the events and the rest.

    Args:
        feed: Where everything comes from; somebody has to run it.
        hosts: The names, in lower case, under which it is served to those who ask for it, beside
            `localhost` and any address; None serves this machine alone.
    """
    app = Starlette(routes=_routes(feed, read_page()))
    app.router.redirect_slashes = False
    return _Guard(app, hosts)


def _routes(feed: Feed, files: dict[str, File]) -> Sequence[BaseRoute]:
    async def index(request: Request) -> Response:
        return _file(request, files["index.html"])

    async def static(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        return PlainTextResponse("Not Found", 404) if file is None else _file(request, file)

    async def devices(_request: Request) -> Response:
        pieces = feed.devices_json()
        headers = {**_NOT_KEPT, "content-length": str(sum(map(len, pieces)))}
        return StreamingResponse(_in_turns(pieces), 200, headers, "application/json")

    async def events(request: Request) -> Response:
        if feed.full:
            return PlainTextResponse(
                f"{MAX_BROWSERS} browsers are connected, which is as many as are served\n",
                503,
                {**_NOT_KEPT, "retry-after": "10"},
            )
        after = request.headers.get("last-event-id") or request.query_params.get("after") or None
        if after is not None and len(after) > _LONGEST_ID:
            return PlainTextResponse("that is too long for a cursor\n", 400)
        if request.method == "HEAD":
            return Response(None, 200, _STREAM, "text/event-stream")
        return _Events(feed, after)

    async def health(_request: Request) -> Response:
        well = feed.status.state is State.LIVE
        body = json_members(feed.overview(), browsers=to_json(feed.browsers))
        return Response(body, 200 if well else 503, _NOT_KEPT, "application/json")

    return [
        Route("/", index),
        Route("/static/{name}", static),
        Route("/api/devices", devices, middleware=[Middleware(GZipMiddleware, compresslevel=5)]),
        Route("/api/events", events),
        Route("/healthz", health),
    ]


def _file(request: Request, file: File) -> Response:
    """A file, unless the browser has it."""
    headers = {"cache-control": "no-cache", "etag": file.etag}
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if file.etag in (tag.removeprefix("W/") for tag in known):
        return Response(None, 304, headers)
    return Response(file.content, 200, headers, file.media_type)


async def _in_turns(pieces: Sequence[Piece]) -> AsyncIterator[Piece]:
    """One piece at a time, as quickly as the peer takes them: nobody has a copy of its own."""
    for piece in in_time(pieces):
        yield piece
        await asyncio.sleep(0)  # others want to run as well


class _Events(StreamingResponse):
    """A stream to one browser, which counts while it lasts."""

    def __init__(self, feed: Feed, after: str | None) -> None:
        super().__init__(feed.stream(after), 200, _STREAM, "text/event-stream")
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.browser():
            await super().__call__(scope, receive, send)


class _Guard:
    """Around everything: who is served, and the headers of every answer, errors included."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
            await send(message)

        app = self._app
        if (refusal := self._refusal(_header(scope, b"host"))) is not None:
            app = PlainTextResponse(refusal, 421, _NOT_KEPT)
        elif scope["path"].startswith("/api/") and _header(scope, _SITE) == "cross-site":
            app = PlainTextResponse("this is not for other sites' pages\n", 403, _NOT_KEPT)
        try:
            await app(scope, receive, send_guarded)
        except TooSlow:  # uvicorn cuts what is left unfinished
            log.debug("somebody was too slow", path=scope["path"])
        except Exception:
            log.exception("a request could not be answered", path=scope["path"])
            if not started:
                failed = PlainTextResponse("Internal Server Error", 500, _NOT_KEPT)
                await failed(scope, receive, send_guarded)

    def _refusal(self, host: str) -> str | None:
        """Why nothing is served under a name; None if it is."""
        if self._hosts is None:
            if names_this_machine(host):
                return None
            return "there is no page of this name here: it is served to this machine only\n"
        if names_one_of(host, self._hosts):
            return None
        return (
            "there is no page of this name here; if it is to be served under this name as well, "
            "start it with --allow-host NAME\n"
        )


def _header(scope: Scope, wanted: bytes) -> str:
    """The value of a header; nothing if there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value).decode("latin-1")
    return ""
