"""The API of MT Photos' AI service: OCR, CLIP and faces for the MT Photos app, by the same mesh that serves Immich.

Answers are worded as that app reads them (numbers as strings in places). Failures are HTTP errors: an empty result with
status 200, as older servers gave, would be stored as `this photo has no text`.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from mesh.core.context import request_id
from mesh.core.errors import InvalidInputError, MeshError, UnauthenticatedError, UnavailableError
from router.config import MtPhotosListener
from router.domain.requests import Content, Predict, PredictRequest
from router.domain.results import ClipImageResult, ClipTextResult, FaceResult, OcrResult, Result
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, Task, TextRecognition
from router.errors import InvalidEntriesError, MissingKeyError
from router.listeners.mt_photos_openapi import document
from router.listeners.pages import add_page, add_shared
from router.listeners.server.bodies import read_form, read_small_body
from router.listeners.server.messages import PREDICT, json_response
from router.listeners.status import RouterStatus
from router.upstream.models import EndpointModelStatus

log = structlog.get_logger()

HELP = "https://mtmt.tech/docs/advanced/ocr_api"
DETECTOR = "insightface"
MAX_DISTANCE = 0.5
"""What the app is told of how far two embeddings of one person may be apart (1 - cosine)."""

Expected = TypeVar("Expected", bound=Result)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MtPhotosModels(Protocol):
    """What `restart_v2` needs of a cluster's models."""

    async def unload(self, name: str) -> list[EndpointModelStatus]:
        """Unloads a model, or all with an empty name. Raises MeshError."""


class MtPhotosTextQuery(BaseModel):
    """The body of `POST /clip/txt`."""

    text: str = Field(min_length=1)


class MtPhotos:
    """The handlers.

    Args:
        predict: answers the tasks.
        models: gives the models of every cluster, by its name.
        status: the router's state.
        settings: key, and what is asked of the face service. Without a key nothing is answered.
    """

    def __init__(
        self,
        predict: Predict,
        models: Callable[[], Mapping[str, MtPhotosModels]],
        status: RouterStatus,
        settings: MtPhotosListener,
    ) -> None:
        self._predict = predict
        self._models = models
        self._status = status
        self._settings = settings
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else b""

    def application(self) -> web.Application:
        """The routes of this API."""
        app = web.Application()
        app.router.add_get("/", self.root)
        app.router.add_get("/ping", self.ping)
        app.router.add_get("/openapi.json", self.openapi)
        add_page(app, "/docs", "mt_photos/docs.html")
        add_page(app, "/docs.js", "mt_photos/docs.js")
        add_page(app, "/style.css", "admin/style.css")
        add_shared(app)
        for method, path, handler in (
            ("POST", "/check", self.check),
            ("GET", "/face/check", self.check),
            ("POST", "/ocr", self.ocr),
            ("POST", "/clip/img", self.clip_image),
            ("POST", "/clip/txt", self.clip_text),
            ("POST", "/represent", self.represent),
            ("POST", "/restart", self.restart),
            ("POST", "/restart_v2", self.restart_v2),
        ):
            app.router.add_route(method, path, self._with_key(handler))
        return app

    def _with_key(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            self._check_key(request.headers.get("api-key"))
            return await handler(request)

        return checked

    def _check_key(self, given: str | None) -> None:
        """Raises MissingKeyError or UnauthenticatedError. The comparison takes the same time wherever the keys
        differ."""
        if given is None:
            raise MissingKeyError("send the key in the header `api-key`")
        if not self._key or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key):
            raise UnauthenticatedError("the header `api-key` is not the key of this server (MT_PHOTOS_API_KEY)")

    # Open to everyone: nothing here tells more than that a server is running.

    async def root(self, _: web.Request) -> web.Response:
        """Where to read on."""
        return json_response(orjson.dumps({"title": "Immich Mesh, MT Photos API", "docs": "/docs", "help": HELP}))

    async def ping(self, _: web.Request) -> web.Response:
        """`pong`, or 503 while draining."""
        if self._status.draining:
            raise UnavailableError("this router is draining: use another one")
        return web.Response(text="pong")

    async def openapi(self, _: web.Request) -> web.Response:
        """The OpenAPI document."""
        return json_response(orjson.dumps(document()))

    # Behind the key.

    async def check(self, _: web.Request) -> web.Response:
        """That the key is right, and what the app needs to know of the face recognition."""
        return json_response(
            orjson.dumps(
                {
                    "result": "pass",
                    "title": "Immich Mesh",
                    "help": HELP,
                    "device": "mesh",
                    "detector_backend": DETECTOR,
                    "recognition_model": self._settings.face_model,
                    "facial_min_score": self._settings.face_min_score,
                    "facial_max_distance": MAX_DISTANCE,
                }
            )
        )

    async def ocr(self, http: web.Request) -> web.Response:
        """The text of a photo."""
        result = await self._answer(http, TextRecognition(model_name=""), await self._file(http), OcrResult)
        boxes = [_upright(line.corners) for line in result.lines]
        texts = [line.text for line in result.lines]
        scores = [f"{line.recognition_score:.2f}" for line in result.lines]
        return json_response(orjson.dumps({"result": {"texts": texts, "scores": scores, "boxes": boxes}}))

    async def clip_image(self, http: web.Request) -> web.Response:
        """The vector of a photo."""
        task = ClipVisual(self._status.settings.clip_model)
        result = await self._answer(http, task, await self._file(http), ClipImageResult)
        return json_response(orjson.dumps({"result": _numbers(result.embedding)}))

    async def clip_text(self, http: web.Request) -> web.Response:
        """The vector of a search query."""
        body = await read_small_body(http, self._settings)
        try:
            query = MtPhotosTextQuery.model_validate_json(body)
        except ValidationError as error:
            raise InvalidEntriesError(f'send JSON such as {{"text": "一只狗"}}: {error.errors()[0]["msg"]}') from None
        task = ClipTextual(self._status.settings.clip_model)
        result = await self._answer(http, task, Content(query.text.encode()), ClipTextResult)
        return json_response(orjson.dumps({"result": _numbers(result.embedding)}))

    async def represent(self, http: web.Request) -> web.Response:
        """The faces of a photo."""
        task = FaceRecognition(self._settings.face_model, self._settings.face_min_score)
        result = await self._answer(http, task, await self._file(http), FaceResult)
        faces = [
            {
                "embedding": face.embedding,
                "facial_area": {"x": face.x1, "y": face.y1, "w": face.x2 - face.x1, "h": face.y2 - face.y1},
                "face_confidence": face.score,
            }
            for face in result.faces
        ]
        named = {"detector_backend": DETECTOR, "recognition_model": self._settings.face_model, "result": faces}
        return json_response(orjson.dumps(named))

    async def restart(self, _: web.Request) -> web.Response:
        """Nothing: the app sends this while it reads photos, and memory needs no restart to be given back."""
        return json_response(b'{"result":"unsupported"}')

    async def restart_v2(self, _: web.Request) -> web.Response:
        """Unloads all models; the next request loads what it needs. Raises MeshError when no service could be told."""
        failures: list[MeshError] = []
        unloaded = 0
        for cluster, models in self._models().items():
            try:
                unloaded += len(await models.unload(""))
            except MeshError as error:
                log.warning("models not unloaded", cluster=cluster, error=error.message)
                failures.append(error)
        if failures and not unloaded:
            raise failures[0]
        return json_response(b'{"result":"pass"}')

    async def _file(self, http: web.Request) -> Content:
        """The photo in the field `file`. Raises InvalidEntriesError when there is none."""
        form = await read_form(http, self._settings)
        file = form.parts.get("file")
        if file is None:
            raise InvalidEntriesError(
                f"send the photo in the field 'file'; the form has {', '.join(form.parts) or 'no fields'}"
            )
        return Content(file.data)

    async def _answer(self, http: web.Request, task: Task, content: Content, kind: type[Expected]) -> Expected:
        """One task's result, of the kind that it has. Raises MeshError."""
        text, image = (content, None) if isinstance(task, ClipTextual) else (None, content)
        request = PredictRequest([task], image, text, request_id.get(), size=len(content.data))
        http[PREDICT] = request
        (result,) = await self._predict(request)
        if not isinstance(result, kind):
            raise InvalidInputError(f"the route of {task.task} leads to a server that cannot answer MT Photos")
        return result


def _upright(corners: tuple[float, ...]) -> dict[str, str]:
    """The upright box around four corners, in pixels, as strings with two decimals."""
    xs, ys = corners[::2], corners[1::2]
    box = {"x": min(xs), "y": min(ys), "width": max(xs) - min(xs), "height": max(ys) - min(ys)}
    return {name: f"{value:.2f}" for name, value in box.items()}


def _numbers(embedding: list[float]) -> list[str]:
    """A vector as the app stores it: strings with sixteen decimals."""
    return [f"{value:.16f}" for value in embedding]
