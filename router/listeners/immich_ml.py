"""Immich's machine-learning API: `GET /`, `GET /ping` and `POST /predict`, as recorded from Immich 2.7.5.

Immich 3 keeps the path of the URL that it is given, so each is served under any path too: `/ml/predict`.
"""

import hmac
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from mesh.core import stages
from mesh.core.context import request_id
from mesh.core.errors import InvalidInputError, UnavailableError
from mesh.core.tracing import span
from router.config import ImmichMlListener
from router.dispatch.wire.assemble import assemble
from router.dispatch.wire.entries import parse_entries
from router.dispatch.wire.multipart import Part
from router.domain.requests import HOP_HEADER, Content, HttpMessage, Predict, PredictRequest
from router.errors import BodyTooLargeError, InvalidEntriesError, NoSuchPathError
from router.listeners.server.bodies import Form, read_form
from router.listeners.server.messages import PREDICT, json_response
from router.listeners.server.timing import HEADER, stages_of
from router.listeners.status import RouterStatus

MAX_TEXT_BYTES = 16 * 1024
"""Far above what a CLIP model reads of a search query."""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ImmichMl:
    """The handlers.

    Args:
        predict: answers a request's tasks.
        status: of the router.
        settings: of the listener.
        timed: every prediction is answered with `Server-Timing`; else those whose header asks for it.
    """

    def __init__(
        self, predict: Predict, status: RouterStatus, settings: ImmichMlListener, *, timed: bool = False
    ) -> None:
        self._predict = predict
        self._timed = timed
        self._status = status
        self._settings = settings
        self._path = settings.path.get_secret_value().encode() if settings.path else None

    def application(self) -> web.Application:
        """The routes of this API."""
        app = web.Application()
        for method, name, handler in (
            ("GET", "", self._under_path(self.root)),
            ("GET", "ping", self.ping),
            ("POST", "predict", self._under_path(self.predict)),
        ):
            app.router.add_route(method, f"/{name}", handler)
            app.router.add_route(method, f"/{{prefix:.+}}/{name}", handler)
        return app

    def _under_path(self, handler: Handler) -> Handler:
        """The handler, for the secret path alone when one is set. `/ping` tells nothing, and probes know no secret."""
        if self._path is None:
            return handler
        path = self._path

        async def checked(http: web.Request) -> web.StreamResponse:
            given = http.match_info.get("prefix", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, path):
                raise NoSuchPathError("no such path here")
            return await handler(http)

        return checked

    async def root(self, _: web.Request) -> web.Response:
        """What Immich ML says of itself."""
        return json_response(b'{"message":"Immich ML"}')

    async def ping(self, _: web.Request) -> web.Response:
        """`pong`, or 503 when Immich had better use another URL. Raises UnavailableError."""
        if self._status.draining:
            raise UnavailableError("this router is draining: use another one")
        if not self._status.can_serve:
            raise UnavailableError("no service is ready yet")
        return web.Response(text="pong")

    async def predict(self, http: web.Request) -> web.Response:
        """The tasks of `entries` on `image` or `text`. Raises MeshError."""
        began = time.monotonic()
        form = await read_form(http, self._settings, keep_body=self._status.passes_on)
        with span("parse", bytes=form.size):
            request = predict_request(form, http.headers.get("content-type", ""))
        request.passed_on = HOP_HEADER in http.headers
        http[PREDICT] = request
        timed = self._timed or http.headers.get(stages.ASK) == "1"
        if timed:
            request.ask_for_stages()
        response = json_response(assemble(request.tasks, await self._predict(request)))
        if timed:
            response.headers[HEADER] = stages.header_value(stages_of(request, began, time.monotonic()))
        return response


def predict_request(form: Form, content_type: str) -> PredictRequest:
    """A prediction request from its form.

    Raises:
        InvalidEntriesError: `entries` is missing or wrong.
        InvalidInputError: it has neither image nor text.
        BodyTooLargeError: the text is longer than anybody searches for.
    """
    entries = form.parts.get("entries")
    if entries is None:
        raise InvalidEntriesError(
            f"the part 'entries' is missing; the request has {', '.join(sorted(form.parts)) or 'no parts'}"
        )
    tasks = parse_entries(entries.data)
    image, text = form.parts.get("image"), form.parts.get("text")
    if image is None and text is None:
        raise InvalidInputError("send the part 'image' or 'text' beside 'entries'")
    return PredictRequest(
        tasks=tasks,
        image=Content(image.data) if image is not None else None,
        text=_text(text) if text is not None else None,
        request_id=request_id.get(),
        original=HttpMessage(form.body, content_type) if form.body is not None else None,
        size=form.size,
    )


def _text(part: Part) -> Content:
    if len(part.data) > MAX_TEXT_BYTES:
        raise BodyTooLargeError(f"the part 'text' is longer than {MAX_TEXT_BYTES} bytes")
    part.text("text")  # refuses what is not UTF-8
    return Content(part.data)
