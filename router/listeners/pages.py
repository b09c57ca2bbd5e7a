"""The pages that the router serves: the files of `router/console/`, read once; their headers let nothing else in."""

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


def add_page(app: web.Application, path: str, name: str) -> None:
    """Serves the file `name` of `router/console/` at `path`. Raises FileNotFoundError when the package lacks it."""
    data = files("router.console").joinpath(name).read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    tag = hashlib.sha256(data).hexdigest()[:16]

    async def page(request: web.Request) -> web.Response:
        response = web.Response(headers=HEADERS)
        response.etag = tag
        if any(known.value == tag for known in request.if_none_match or ()):
            response.set_status(304)
            return response
        response.body = data
        response.content_type = kind
        if kind.startswith("text/"):
            response.charset = "utf-8"
        return response

    app.router.add_get(path, page)
