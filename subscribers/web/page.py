"""The page's files, read once: what is not among them cannot be asked for."""

import hashlib
from importlib import resources
from pathlib import PurePath
from typing import Final

import attrs

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


@attrs.frozen
class File:
    """A file of the page.

    Attributes:
        content: All of it.
        media_type: What it is.
        etag: Another one for other content.
    """

    content: bytes
    media_type: str
    etag: str


def read_page() -> dict[str, File]:
    """The files in `static`, by name."""
    files = {}
    for entry in resources.files(__package__).joinpath("static").iterdir():
        media_type = _TYPES.get(PurePath(entry.name).suffix)
        if media_type is not None and entry.is_file():
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:32]
            files[entry.name] = File(content, media_type, f'"{digest}"')
    return files
