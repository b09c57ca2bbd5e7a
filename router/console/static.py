"""The files of this folder as replies: read once, known again by their tag, with headers that let nothing else in."""

import hashlib
import mimetypes
from importlib.resources import files

from aiohttp import web

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


SHARED = ("dom.js", "words.js", "words-en.js", "words-zh.js")
"""Files of `shared/`, which the pages of every listener use."""


class StaticFile:
    """One file. Raises FileNotFoundError when the package lacks it.

    Args:
        name: its path below `router/console/`.
    """

    def __init__(self, name: str) -> None:
        self._data = files("router.console").joinpath(name).read_bytes()
        self._kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.tag = hashlib.sha256(self._data).hexdigest()[:16]

    def reply(self, request: web.Request) -> web.Response:
        """The file, or 304 for a client that has it."""
        response = web.Response(headers=HEADERS)
        response.etag = self.tag
        if any(known.value == self.tag for known in request.if_none_match or ()):
            response.set_status(304)
            return response
        response.body = self._data
        response.content_type = self._kind
        if self._kind.startswith("text/"):
            response.charset = "utf-8"
        return response
