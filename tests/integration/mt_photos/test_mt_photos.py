"""The MT Photos API over HTTP, as the app calls it, in front of a router that knows its answers."""

import hmac
import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import FormData
from pydantic import SecretStr

from mesh.core.errors import InvalidInputError, MeshError, ModelNotFoundError, OverloadedError, UnavailableError
from mesh.core.settings import LogFormat
from router.config import ListenersSettings, MtPhotosListener, RouterSettings
from router.domain.requests import PredictRequest
from router.domain.results import (
    ClipImageResult,
    ClipTextResult,
    Face,
    FaceResult,
    NativeResult,
    OcrResult,
    Result,
    TextLine,
)
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, TextRecognition
from router.listeners.mt_photos import MtPhotos
from router.listeners.server.access import AccessLog
from router.listeners.server.listener import HttpListener, ListenerContext
from router.listeners.server.recent import RecentRequests
from router.listeners.status import RouterStatus
from router.metrics import RouterMetrics
from router.runtime import Router
from router.upstream.models import EndpointModelStatus

KEY = {"api-key": "secret"}
PHOTO = b"\xff\xd8 a photo"


class FakeModels:
    """A cluster's models; `error` is what happens when they are to be unloaded."""

    def __init__(self, error: MeshError | None = None) -> None:
        self.error = error
        self.unloaded: list[str] = []

    async def unload(self, name: str) -> list[EndpointModelStatus]:
        if self.error is not None:
            raise self.error
        self.unloaded.append(name)
        return [EndpointModelStatus("ocr", "e", "m", "p", "cached", 0, 0, 0, "", None, 0, False, 0.0, "")]


class FakeRouter:
    """Answers each kind of task with one fixed result, or raises `error`."""

    def __init__(self) -> None:
        self.ocr, self.clip = FakeModels(), FakeModels()
        self.error: Exception | None = None
        self.native = False
        self.requests: list[PredictRequest] = []

    can_serve, passes_on = True, False

    def models(self) -> Mapping[str, FakeModels]:
        return {"ocr": self.ocr, "clip": self.clip}

    async def predict(self, request: PredictRequest) -> list[Result]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return [NativeResult(b"{}", "application/json", {}) if self.native else answer(request)]


def answer(request: PredictRequest) -> Result:
    corners = (10.0, 20.0, 110.5, 22.0, 110.0, 52.0, 9.5, 50.0)
    match request.tasks[0]:
        case TextRecognition():
            return OcrResult([TextLine("发票", corners, 0.9, 0.987)], 400, 300, "m")
        case FaceRecognition():
            return FaceResult([Face(1, 2, 31, 42, 0.75, [0.6, 0.8])], 400, 300, "buffalo_l")
        case ClipVisual():
            return ClipImageResult([0.3305919170379639, -1.0], 400, 300, "m")
        case ClipTextual():
            return ClipTextResult([0.25, 0.5], "m")
    raise AssertionError(request.tasks)


class MtPhotosStage:
    """The listener on a free port, its router, and a client."""

    def __init__(
        self, router: FakeRouter, status: RouterStatus, listener: HttpListener, client: aiohttp.ClientSession
    ) -> None:
        self.router, self.status, self.listener, self.client = router, status, listener, client
        self.recent = listener.context.recent

    async def post(self, path: str, status: int = 200, **arguments: object) -> dict[str, object]:
        async with self.client.post(path, **arguments) as response:  # type: ignore[arg-type]
            assert response.status == status, await response.text()
            answered: dict[str, object] = await response.json()
            return answered


@pytest.fixture
async def stage() -> AsyncIterator[MtPhotosStage]:
    settings = MtPhotosListener(host="127.0.0.1", port=0, api_key=SecretStr("secret"), max_body_bytes=100_000)
    router = FakeRouter()
    whole = RouterSettings(listeners=ListenersSettings(mt_photos=settings))
    status = RouterStatus(whole, None, router)
    context = ListenerContext(
        name="mt_photos",
        settings=settings,
        metrics=RouterMetrics(),
        drain_seconds=1.0,
        draining=lambda: False,
        access_log=AccessLog(LogFormat.JSON),
        recent=RecentRequests(),
    )
    listener = HttpListener(context, MtPhotos(router.predict, router.models, status, settings).application())
    await listener.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}") as client:
        yield MtPhotosStage(router, status, listener, client)
    await listener.stop()


def file(data: bytes = PHOTO, field: str = "file") -> FormData:
    """A form as the app sends it."""
    form = FormData()
    form.add_field(field, data, filename="photo.jpg", content_type="image/jpeg")
    return form


PROTECTED = [
    ("POST", "/check"),
    ("GET", "/face/check"),
    ("POST", "/ocr"),
    ("POST", "/clip/img"),
    ("POST", "/clip/txt"),
    ("POST", "/represent"),
    ("POST", "/restart"),
    ("POST", "/restart_v2"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_the_key_nothing_is_done(stage: MtPhotosStage, method: str, path: str) -> None:
    for headers, status, code in (({}, 422, "missing_key"), ({"api-key": "wrong"}, 401, "unauthenticated")):
        async with stage.client.request(method, path, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["error"]["code"] == code
    assert stage.router.requests == []
    assert stage.router.ocr.unloaded == []


async def test_the_key_is_compared_in_constant_time(stage: MtPhotosStage, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return original(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    await stage.post("/check", 401, headers={"api-key": "sécret"})
    assert len(compared) == 1
    assert compared[0][1] == b"secret"


async def test_check_tells_what_faces_are_recognised_with(stage: MtPhotosStage) -> None:
    for checked in (await stage.post("/check", headers=KEY), await get(stage, "/face/check")):
        assert checked["result"] == "pass"
        assert checked["recognition_model"] == "buffalo_l"
        assert checked["facial_min_score"] == 0.65


async def get(stage: MtPhotosStage, path: str) -> dict[str, object]:
    async with stage.client.get(path, headers=KEY) as response:
        assert response.status == 200
        answered: dict[str, object] = await response.json()
        return answered


async def test_ocr_answers_in_strings_with_upright_boxes(stage: MtPhotosStage) -> None:
    answered = await stage.post("/ocr", data=file(), headers=KEY)
    box = {"x": "9.50", "y": "20.00", "width": "101.00", "height": "32.00"}
    assert answered == {"result": {"texts": ["发票"], "scores": ["0.99"], "boxes": [box]}}
    (request,) = stage.router.requests
    assert request.image is not None
    assert request.image.data == PHOTO


async def test_vectors_are_strings_with_sixteen_decimals(stage: MtPhotosStage) -> None:
    answered = await stage.post("/clip/img", data=file(), headers=KEY)
    assert answered == {"result": ["0.3305919170379639", "-1.0000000000000000"]}
    answered = await stage.post("/clip/txt", json={"text": "一只狗"}, headers=KEY)
    assert answered == {"result": ["0.2500000000000000", "0.5000000000000000"]}
    image, text = stage.router.requests
    assert [task.model_name for task in (*image.tasks, *text.tasks)] == ["ViT-B-16__cn-clip"] * 2
    assert text.text is not None
    assert text.text.data.decode() == "一只狗"


async def test_faces_have_area_and_embedding(stage: MtPhotosStage) -> None:
    answered = await stage.post("/represent", data=file(), headers=KEY)
    area = {"x": 1, "y": 2, "w": 30, "h": 40}
    assert answered == {
        "detector_backend": "insightface",
        "recognition_model": "buffalo_l",
        "result": [{"embedding": [0.6, 0.8], "facial_area": area, "face_confidence": 0.75}],
    }
    (task,) = stage.router.requests[0].tasks
    assert task == FaceRecognition("buffalo_l", 0.65)


async def test_restart_does_nothing_and_restart_v2_unloads_all_models(stage: MtPhotosStage) -> None:
    assert await stage.post("/restart", headers=KEY) == {"result": "unsupported"}
    assert stage.router.ocr.unloaded == []
    assert await stage.post("/restart_v2", headers=KEY) == {"result": "pass"}
    assert stage.router.ocr.unloaded == [""]
    assert stage.router.clip.unloaded == [""]


async def test_restart_v2_unloads_what_it_can_and_fails_when_it_can_nothing(stage: MtPhotosStage) -> None:
    stage.router.clip.error = UnavailableError("clip is away")
    assert await stage.post("/restart_v2", headers=KEY) == {"result": "pass"}
    stage.router.ocr.error = UnavailableError("ocr is away")
    assert "ocr is away" in json.dumps(await stage.post("/restart_v2", 503, headers=KEY))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInputError("not an image"), 400),
        (ModelNotFoundError("no such model"), 404),
        (OverloadedError("full"), 503),
        (UnavailableError("loading"), 503),
        (RuntimeError("password=1234"), 500),
    ],
)
@pytest.mark.parametrize("path", ["/ocr", "/clip/img", "/represent"])
async def test_failures_are_http_errors_never_empty_results(
    stage: MtPhotosStage, path: str, error: Exception, status: int
) -> None:
    stage.router.error = error
    answered = json.dumps(await stage.post(path, status, data=file(), headers=KEY))
    assert "result" not in answered
    assert "1234" not in answered


@pytest.mark.parametrize("path", ["/ocr", "/clip/img", "/represent"])
async def test_a_form_without_the_file_is_told(stage: MtPhotosStage, path: str) -> None:
    answered = await stage.post(path, 422, data=file(field="photo"), headers=KEY)
    assert "the form has photo" in json.dumps(answered)
    await stage.post(path, 400, data=b"raw", headers=KEY)
    await stage.post(path, 413, data=file(b"x" * 200_000), headers=KEY)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"text": 7}', b'{"text": ""}', b'{"txt": "x"}'])
async def test_a_query_of_the_wrong_shape_is_told(stage: MtPhotosStage, body: bytes) -> None:
    await stage.post("/clip/txt", 422, data=body, headers={**KEY, "content-type": "application/json"})
    assert stage.router.requests == []


async def test_a_route_to_a_native_server_is_no_answer_for_this_app(stage: MtPhotosStage) -> None:
    stage.router.native = True
    await stage.post("/ocr", 400, data=file(), headers=KEY)


async def test_ping_and_root_need_no_key(stage: MtPhotosStage) -> None:
    async with stage.client.get("/ping") as response:
        assert await response.text() == "pong"
    async with stage.client.get("/") as response:
        assert (await response.json())["docs"] == "/docs"
    stage.status.draining = True
    async with stage.client.get("/ping") as response:
        assert response.status == 503


async def test_the_openapi_document_names_every_path_and_the_page_needs_nobody_else(stage: MtPhotosStage) -> None:
    async with stage.client.get("/openapi.json") as response:
        document = await response.json()
    for method, path in PROTECTED:
        operation = document["paths"][path][method.lower()]
        assert operation["security"] == [{"key": []}]
        for reference in operation["responses"].values():
            if "$ref" in reference:
                assert reference["$ref"].rsplit("/", 1)[1] in document["components"]["responses"]
    for path in ("/docs", "/docs.js", "/style.css"):
        async with stage.client.get(path) as response:
            assert response.status == 200
            text = await response.text()
            assert "http://" not in text
            assert "https://" not in text
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            tag = response.headers["ETag"]
        async with stage.client.get(path, headers={"If-None-Match": tag}) as response:
            assert response.status == 304


async def test_requests_are_remembered_without_their_payload(stage: MtPhotosStage) -> None:
    await stage.post("/ocr", data=file(), headers={**KEY, "x-request-id": "mine"})
    (seen,) = stage.recent.newest_first()
    assert (seen.request_id, seen.listener, seen.task, seen.code) == ("mine", "mt_photos", "ocr", 200)


def test_without_a_key_the_listener_stays_closed() -> None:
    listeners = ListenersSettings(mt_photos=MtPhotosListener(port=0))
    names = [name for name, _, _ in Router(RouterSettings(listeners=listeners)).applications()]
    assert "mt_photos" not in names
    listeners = ListenersSettings(mt_photos=MtPhotosListener(port=0, api_key=SecretStr("key")))
    names = [name for name, _, _ in Router(RouterSettings(listeners=listeners)).applications()]
    assert "mt_photos" in names


def test_the_seeds_names_set_this_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_AUTH_KEY", "k")
    monkeypatch.setenv("HTTP_PORT", "8061")
    monkeypatch.setenv("RECOGNITION_MODEL", "antelopev2")
    monkeypatch.setenv("DETECTION_THRESH", "0.5")
    settings = RouterSettings().listeners.mt_photos
    assert settings.api_key == SecretStr("k")
    assert (settings.port, settings.face_model, settings.face_min_score) == (8061, "antelopev2", 0.5)
