"""How Immich is: what is seen of it, what is wrong with it, and what the log and the admin API say of that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from mesh.cli.doctor.finding import Verdict
from mesh.cli.doctor.immich import check_immich as doctor_check
from router.config.front_door import FrontDoorSettings
from router.front_door.health.check import Check
from router.front_door.health.fallbacks import Fallbacks
from router.front_door.health.immich import MachineLearning, all_checks, check_clip, probing
from router.front_door.health.monitor import ImmichMonitor
from router.front_door.immich.api import ImmichApi
from router.front_door.metrics import FrontDoorMetrics
from router.listeners.admin.views import check_line
from tests.doubles.immich import ImmichDouble

SERVED = "ViT-B-16__cn-clip"


@asynccontextmanager
async def ml_server(server: str) -> AsyncIterator[str]:
    """Something at a machine-learning URL that names itself so."""

    async def ping(request: web.Request) -> web.Response:
        return web.Response(text="pong", headers={"Server": server})

    app = web.Application()
    app.router.add_get("/ml/ping", ping)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/ml/"
    finally:
        await runner.cleanup()


@pytest.fixture
async def immich() -> AsyncIterator[ImmichDouble]:
    double = ImmichDouble((3, 0, 3))
    double.user("admin", "admin-key").admin = True
    async with double.running():
        yield double


async def looked(immich: ImmichDouble, key: str | None = "admin-key", column: int | None = 512) -> dict[str, Check]:
    async with aiohttp.ClientSession() as session:
        api = ImmichApi(session, immich.url, timeout_seconds=0.5)
        return {check.subject: check for check in await all_checks(api, key, probing(session), SERVED, column)}


async def test_all_is_well(immich: ImmichDouble) -> None:
    async with ml_server("immich-mesh") as first, ml_server("immich-mesh") as second:
        immich.ml["urls"] = [first, second]
        seen = await looked(immich)
    assert {check.ok for check in seen.values()} == {True}
    assert "3.0.3" in seen["Immich"].text
    assert "2 lead here" in seen["ML URLs"].text
    assert "512" in seen["CLIP model"].text


async def test_one_url_is_one_too_few(immich: ImmichDouble) -> None:
    async with ml_server("immich-mesh") as url:
        immich.ml["urls"] = [url]
        seen = await looked(immich)
    assert seen["ML URLs"].ok is False
    assert "second" in seen["ML URLs"].remedy


async def test_urls_that_lead_elsewhere_or_nowhere(immich: ImmichDouble) -> None:
    async with ml_server("uvicorn") as url:
        immich.ml["urls"] = [url]
        assert "no Immich Mesh" in (await looked(immich))["ML URLs"].text
    immich.ml["urls"] = ["http://127.0.0.1:1"]
    assert (await looked(immich))["ML URLs"].ok is None
    immich.ml["urls"] = []
    assert "no machine-learning URL" in (await looked(immich))["ML URLs"].text


async def test_what_is_switched_off_is_told(immich: ImmichDouble) -> None:
    immich.ml["ocr"]["enabled"] = False
    assert "OCR is switched off" in (await looked(immich))["ML tasks"].text


async def test_what_a_key_may_not_see(immich: ImmichDouble) -> None:
    assert (await looked(immich, None))["ML URLs"].ok is None
    wrong = (await looked(immich, "mistyped"))["API key"]
    assert wrong.ok is False
    assert "API keys" in wrong.remedy
    immich.user("someone", "weak-key")
    seen = await looked(immich, "weak-key")
    assert "administrator" in seen["ML URLs"].remedy
    immich.odd["/api/system-config"] = (200, b"[]")
    assert (await looked(immich))["ML URLs"].ok is False


async def test_immich_away_slow_old_or_looping(immich: ImmichDouble) -> None:
    immich.silent.add("/api/server/version")
    assert "slow" in (await looked(immich))["Immich"].text
    immich.silent.clear()
    immich.odd["/api/server/version"] = (200, b'{"major": 2, "minor": 1, "patch": 0}')
    assert "2.2 or later" in (await looked(immich))["Immich"].remedy
    immich.odd["/api/server/version"] = (508, b"")
    assert "leads back" in (await looked(immich))["Immich"].text
    immich.url = "http://127.0.0.1:1"
    assert "cannot be reached" in (await looked(immich))["Immich"].text


@pytest.mark.parametrize(
    ("model", "served", "column", "ok"),
    [
        ("ViT-B-32__openai", SERVED, 512, True),
        ("ViT-B-32__openai", SERVED, None, True),
        ("ViT-L-14__openai", SERVED, 768, None),
        ("ViT-B-32__openai", SERVED, 768, False),
    ],
)
def test_clip_models_and_their_lengths(model: str, served: str, column: int | None, ok: bool | None) -> None:
    ml = MachineLearning.model_validate({"clip": {"modelName": model}})
    assert check_clip(ml, served, column).ok is ok


def test_fallbacks_per_minute_by_reason() -> None:
    registry, time = CollectorRegistry(), [0.0]
    metrics = FrontDoorMetrics(registry)
    fallbacks = Fallbacks(registry, clock=lambda: time[0])
    for _ in range(6):
        metrics.searched("ranked", 0.1)
    metrics.searched("native; reason=filter-not-translatable", 0.1)
    time[0] = 120.0
    check = fallbacks.look()
    assert (check.ok, check.text) == (True, "per minute: 0.5 filter-not-translatable, 3.0 ranked")
    metrics.searched("native; reason=database-unavailable", 0.1)
    time[0] = 180.0
    check = fallbacks.look()
    assert (check.ok, check.remedy) == (False, "immich-mesh db status")
    time[0] = 240.0
    assert fallbacks.look().text == "none since the last look"


async def test_the_monitor_says_what_changes_and_says_it_once(immich: ImmichDouble) -> None:
    rounds: asyncio.Queue[None] = asyncio.Queue()
    go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        rounds.put_nowait(None)
        await go_on.wait()
        go_on.clear()

    photos = FrontDoorSettings(immich_url=immich.url, api_timeout_seconds=5)
    monitor = ImmichMonitor(photos, "admin-key", SERVED, CollectorRegistry(), sleep=sleep)
    immich.odd["/api/server/version"] = (500, b"")
    with capture_logs() as logs:
        await monitor.start()
        await asyncio.wait_for(rounds.get(), 30)
        for _ in range(2):
            go_on.set()
            await asyncio.wait_for(rounds.get(), 30)
        warned = [line["subject"] for line in logs if line["event"] == "check of Immich failed"]
        assert warned == ["ML URLs"]  # no URL is entered
        immich.ml["urls"] = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        go_on.set()
        await asyncio.wait_for(rounds.get(), 30)
        assert [line["subject"] for line in logs if line["event"] == "check of Immich well again"] == ["ML URLs"]
    await monitor.stop()
    subjects = [check.subject for check in monitor.checks]
    assert subjects == ["Immich", "ML URLs", "ML URLs", "CLIP model", "database", "searches"]
    assert monitor.looked_at is not None


def test_a_check_is_a_line() -> None:
    assert check_line(Check("database", False, "is away", "start it")) == "BAD  database: is away -> start it\n"


async def test_the_doctor_sees_the_same(immich: ImmichDouble) -> None:
    findings: dict[str, Any] = {
        found.subject: found for found in await doctor_check(immich.url + "/api", "admin-key", "")
    }
    assert findings["Immich"].verdict is Verdict.GOOD
    assert findings["ML URLs"].verdict is Verdict.BAD
