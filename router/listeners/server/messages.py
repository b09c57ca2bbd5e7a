"""What handlers and the middleware share: the request's key, and answers of JSON."""

from aiohttp import web

from router.domain.requests import PredictRequest

PREDICT = web.RequestKey("predict", PredictRequest)
"""Where a handler leaves what it made of its request, for metrics and the access line."""

REASON = web.RequestKey("reason", str)
"""Why a request was refused or failed, as its answer says it; for the admin page."""


def json_response(body: bytes, status: int = 200) -> web.Response:
    """An answer of serialised JSON."""
    return web.Response(body=body, status=status, content_type="application/json")
