"""Immich's machine-learning API: `GET /`, `GET /ping` and `POST /predict`, as recorded from Immich 2.7.5."""

from aiohttp import web

from mesh.core.context import request_id
from mesh.core.errors import InvalidInputError, UnavailableError
from mesh.core.tracing import span
from router.config import ImmichMlListener
from router.dispatch.assemble import assemble
from router.dispatch.entries import parse_entries
from router.dispatch.multipart import Part, parse_form
from router.domain.requests import HOP_HEADER, Content, HttpMessage, Predict, PredictRequest
from router.errors import InvalidEntriesError
from router.listeners.http import PREDICT, json_response, read_body
from router.listeners.status import RouterStatus


class ImmichMl:
    """The handlers."""

    def __init__(self, predict: Predict, status: RouterStatus, settings: ImmichMlListener) -> None:
        self._predict = predict
        self._status = status
        self._settings = settings

    def application(self) -> web.Application:
        """The routes of this API."""
        app = web.Application()
        app.router.add_get("/", self.root)
        app.router.add_get("/ping", self.ping)
        app.router.add_post("/predict", self.predict)
        return app

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
        body = await read_body(http, self._settings)
        content_type = http.headers.get("content-type", "")
        with span("parse", bytes=len(body)):
            request = parse_predict(body, content_type)
        request.passed_on = HOP_HEADER in http.headers
        http[PREDICT] = request
        results = await self._predict(request)
        return json_response(assemble(request.tasks, results))


def parse_predict(body: bytes, content_type: str) -> PredictRequest:
    """A prediction request from its bytes.

    Raises:
        InvalidEntriesError: `entries` is missing or wrong.
        InvalidInputError: the body is no form, or has neither image nor text.
    """
    form = parse_form(body, content_type)
    entries = form.get("entries")
    if entries is None:
        raise InvalidEntriesError(
            f"the part 'entries' is missing; the request has {', '.join(sorted(form)) or 'no parts'}"
        )
    tasks = parse_entries(entries.data)
    image, text = form.get("image"), form.get("text")
    if image is None and text is None:
        raise InvalidInputError("send the part 'image' or 'text' beside 'entries'")
    return PredictRequest(
        tasks=tasks,
        image=Content(image.data) if image is not None else None,
        text=_text(text) if text is not None else None,
        request_id=request_id.get(),
        original=HttpMessage(body, content_type),
    )


def _text(part: Part) -> Content:
    part.text("text")  # refuses what is not UTF-8
    return Content(part.data)
