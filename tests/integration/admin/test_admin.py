"""The admin API of a running router."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import FormData
from pydantic import SecretStr

from router.console.static import SHARED
from router.listeners.admin.application import PAGE_FILES
from tests.integration.admin.conftest import AdminStage
from tests.waiting import PATIENCE_SECONDS


async def get(stage: AdminStage, path: str) -> Any:
    async with stage.admin.get(path) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        return await response.json()


async def post(stage: AdminStage, path: str, status: int = 200, **arguments: Any) -> Any:
    async with stage.admin.post(path, **arguments) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def predict(stage: AdminStage, entries: dict[str, object] | None = None, status: int = 200) -> Any:
    form = FormData()
    form.add_field("entries", json.dumps(entries or {"ocr": {"recognition": {"modelName": "m"}}}))
    form.add_field("image", b"photo", filename="blob", content_type="application/octet-stream")
    return await post(stage, "/predict", status, data=form)


async def test_ready_follows_services_and_draining(stage: AdminStage) -> None:
    async with stage.admin.get("/ready") as response:
        assert (response.status, await response.text()) == (200, "LIVE\n")
    assert (await get(stage, "/info"))["ready"] is True
    assert await post(stage, "/drain") == {"draining": True}
    async with stage.admin.get("/ready") as response:
        assert (response.status, await response.text()) == (503, "DRAINING\n")
    address = stage.router.listener("immich_ml").address
    async with aiohttp.ClientSession() as client, client.get(f"http://{address}/ping") as response:
        assert response.status == 503


async def test_the_last_call_from_immich_is_told(stage: AdminStage) -> None:
    assert (await get(stage, "/info"))["last_call"] is None
    await predict(stage)  # by the admin page itself: not Immich's
    assert (await get(stage, "/info"))["last_call"] is None
    address = stage.router.listener("immich_ml").address
    async with aiohttp.ClientSession() as client:
        async with client.get(f"http://{address}/ping"):
            pass
        assert (await get(stage, "/info"))["last_call"] is None, "a probe of `up` is no call of Immich's"
        async with client.get(f"http://{address}/ping", headers={"User-Agent": "immich-server/2.7.5"}):
            pass
    call = (await get(stage, "/info"))["last_call"]
    assert (call["peer"], call["task"]) == ("127.0.0.1", "ping")


async def test_both_routers_addresses_are_told_as_they_were_set(stage: AdminStage) -> None:
    settings = stage.router.status.settings
    urls = ("http://192.0.2.1:3003", "http://192.0.2.1:3004")
    ml = settings.listeners.immich_ml.model_copy(update={"urls": urls, "path": SecretStr("hidden-path")})
    listeners = settings.listeners.model_copy(update={"immich_ml": ml})
    stage.router.status.settings = settings.model_copy(update={"listeners": listeners})
    info = await get(stage, "/info")
    assert info["immich_ml_urls"] == list(urls)
    assert info["immich_ml_path"] is True
    assert "hidden-path" not in json.dumps(info)


async def test_a_tried_photo_tells_where_its_time_went(stage: AdminStage) -> None:
    form = FormData()
    form.add_field("entries", json.dumps({"ocr": {"recognition": {"modelName": "m"}}}))
    form.add_field("image", b"photo", filename="blob")
    async with stage.admin.post("/predict", data=form) as response:
        stages = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    assert {"upload", "wait", "network", "router"} <= set(stages)
    assert [stages[name] for name in ("decode", "detection", "recognition")] == ["12.0", "40.0", "88.0"]


async def test_clusters_show_endpoints_and_counts(stage: AdminStage) -> None:
    await predict(stage)
    ocr, _, _ = (await get(stage, "/clusters"))["clusters"]
    assert ocr["name"] == "ocr"
    assert ocr["held"] == {"text": 0, "image": 0}
    (endpoint,) = ocr["endpoints"]
    assert endpoint["state"] == "healthy"
    assert (endpoint["requests"], endpoint["failures"], endpoint["limit"]) == (1, 0, None)


async def test_listeners_show_addresses_and_connections(stage: AdminStage) -> None:
    listeners = {entry["name"]: entry for entry in (await get(stage, "/listeners"))["listeners"]}
    assert set(listeners) == {"immich_ml", "mt_photos", "admin"}
    assert listeners["admin"]["connections"] == 1
    assert not listeners["admin"]["address"].endswith(":0")


async def test_routes_are_the_configurations(stage: AdminStage) -> None:
    assert [route["task"] for route in (await get(stage, "/routes"))["routes"]] == ["clip", "facial-recognition", "ocr"]


async def test_no_secret_is_shown_anywhere(stage: AdminStage) -> None:
    await predict(stage)
    paths = (
        "/info",
        "/clusters",
        "/listeners",
        "/routes",
        "/config_dump",
        "/stats",
        "/requests",
        "/models",
        "/logging",
    )
    for path in paths:
        shown = json.dumps(await get(stage, path))
        assert "token-secret" not in shown
        assert "mt-secret" not in shown


async def test_stats_count_and_can_be_filtered(stage: AdminStage) -> None:
    await predict(stage)
    found = await get(stage, "/stats?filter=router_requests_total")
    assert found == {'immich_mesh_router_requests_total{listener="admin",task="ocr",code="200"}': 1.0}
    async with stage.admin.get("/stats/prometheus") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        assert "# TYPE immich_mesh_router_requests_total counter" in await response.text()


async def test_recent_requests_are_newest_first_and_without_payload(stage: AdminStage) -> None:
    await predict(stage)
    await predict(stage, {"clip": {"visual": {"modelName": "ViT-B-32__openai"}}})
    await predict(stage, {"nobody": {"knows": {"modelName": "x"}}}, 422)
    shown = (await get(stage, "/requests"))["requests"]
    assert [request["task"] for request in shown] == ["nobody", "clip visual", "ocr"]
    assert [request["code"] for request in shown] == [422, 200, 200]
    assert shown[2]["tries"] == 1
    assert (shown[2]["model"], shown[2]["answered_by"]) == ("m", "double")
    assert shown[0]["answered_by"] == ""
    assert "nobody" in shown[0]["reason"]
    assert shown[1]["reason"] == ""
    assert shown[2]["bytes"] > 0


async def test_models_of_all_clusters_and_of_one_that_fails(stage: AdminStage) -> None:
    clusters = (await get(stage, "/models"))["clusters"]
    assert set(clusters) == {"ocr", "clip", "face"}
    textual = clusters["clip"]["models"][0]
    assert (textual["name"], textual["state"], textual["memory_bytes"]) == ("double", "loaded", 2_000_000)
    stage.service.refusal = grpc.StatusCode.UNAUTHENTICATED
    clusters = (await get(stage, "/models"))["clusters"]
    assert clusters["clip"]["models"] == []
    assert "refused by the double" in clusters["clip"]["error"]


async def test_models_are_loaded_and_unloaded(stage: AdminStage) -> None:
    answered = await post(stage, "/models/unload", json={"cluster": "clip", "name": "double"})
    assert {model["state"] for model in answered["models"]} == {"cached"}
    answered = await post(stage, "/models/load?cluster=clip&name=double")
    assert {model["state"] for model in answered["models"]} == {"loaded"}
    assert stage.service.orders == [("unload", "double"), ("load", "double")]


async def test_models_come_from_a_mirror_of_the_settings_and_from_no_other(stage: AdminStage) -> None:
    stage.service.load_error = "the hub does not answer"
    mirror = (await get(stage, "/info"))["hub_mirrors"][0]
    refused = await post(stage, "/models/load", 400, json={"cluster": "ocr", "hub": "https://evil.example"})
    assert "hub_mirrors" in refused["error"]["message"]
    assert stage.service.orders == []
    await post(stage, "/models/load", json={"cluster": "ocr", "name": "double", "hub": mirror})
    assert stage.service.hub == mirror


async def test_an_order_need_not_be_waited_for(stage: AdminStage) -> None:
    assert await post(stage, "/models/unload", 202, json={"cluster": "ocr", "wait": False}) == {"begun": True}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not stage.service.orders:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert stage.service.orders == [("unload", "")]
    stage.service.refusal = grpc.StatusCode.NOT_FOUND
    assert await post(stage, "/models/load", 202, json={"cluster": "ocr", "wait": False}) == {"begun": True}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/models/load", {"cluster": "nobody"}, 404),
        ("/models/load", {}, 400),
        ("/models/load", {"cluster": "ocr", "nonsense": 1}, 400),
        ("/logging", {"level": "LOUD"}, 400),
    ],
)
async def test_a_wrong_order_says_what_is_wrong(
    stage: AdminStage, path: str, body: dict[str, object], status: int
) -> None:
    answered = await post(stage, path, status, json=body)
    assert answered["error"]["message"]
    assert stage.service.orders == []


async def test_a_service_that_refuses_an_order_is_an_error(stage: AdminStage) -> None:
    stage.service.refusal = grpc.StatusCode.NOT_FOUND
    answered = await post(stage, "/models/load", 404, json={"cluster": "ocr", "name": "x"})
    assert "refused by the double" in answered["error"]["message"]


@pytest.fixture
def level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.mark.usefixtures("level")
async def test_the_log_level_changes_at_once(stage: AdminStage) -> None:
    assert await post(stage, "/logging?level=warning") == {"level": "WARNING"}
    assert logging.getLogger().level == logging.WARNING
    assert await get(stage, "/logging") == {"level": "WARNING"}


async def test_a_reload_reports_what_it_found(stage: AdminStage) -> None:
    report = await post(stage, "/reload")
    assert report["problems"] == []
    assert (await get(stage, "/info"))["last_reload"]["at"] == report["at"]


POSTS = [
    "/jobs/pause?queue=ocr",
    "/jobs/start?queue=ocr",
    "/drain",
    "/reload",
    "/logging?level=INFO",
    "/models/unload?cluster=ocr",
    "/predict",
]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
async def test_other_sites_cannot_change_anything(stage: AdminStage, path: str, headers: dict[str, str]) -> None:
    answered = await post(stage, path, 403, headers=headers)
    assert answered["error"]["code"] == "forbidden"
    assert stage.service.orders == []
    assert not stage.router.status.draining


async def test_a_rebound_name_may_not_read_but_known_names_and_probes_may(stage: AdminStage) -> None:
    rebound = {"Host": "evil.example:9901"}
    for path, headers, status in (
        ("/config_dump", rebound, 403),
        ("/", rebound, 403),
        ("/ready", rebound, 403),
        ("/stats/prometheus", rebound, 403),
        ("/config_dump", {"Host": "mesh.example"}, 200),
        ("/config_dump", {"Host": "localhost:9901"}, 200),
        ("/config_dump", {"Host": "[::1]:9901"}, 200),
    ):
        async with stage.admin.get(path, headers=headers) as response:
            assert response.status == status, path


async def test_its_own_page_may_change_things(stage: AdminStage) -> None:
    own = {"Origin": stage.url, "Sec-Fetch-Site": "same-origin"}
    assert await post(stage, "/models/unload", json={"cluster": "ocr", "name": "double"}, headers=own)
    assert stage.service.orders == [("unload", "double")]


async def test_the_page_needs_nothing_from_elsewhere(stage: AdminStage) -> None:
    for path in ("/", *(f"/{name}" for name in (*PAGE_FILES, *SHARED))):
        async with stage.admin.get(path) as response:
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            text = await response.text()
            assert set(re.findall(r"https?://[\w.-]+", text)) <= {"http://www.w3.org"}, path
