"""Routers of `immich-mesh up` die under load: Immich, which tries each of its URLs once, loses nothing.

A double of the CLIP service answers, so that every job can be held where it is to be when a router dies.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bench.chaos.answers import is_right
from tests.doubles.services import Services, running_services
from tests.integration.cli.conftest import ONLY_FACES, Up, running
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

JOBS = 80
ENTRIES = json.dumps({"clip": {"textual": {"modelName": "ViT-B-32__openai"}}})


@dataclass
class TwoRouters:
    """Two routers in front of a double of the CLIP service."""

    up: Up
    services: Services
    http: aiohttp.ClientSession
    urls: tuple[str, ...]

    async def job(self, urls: Sequence[str], text: str) -> bool:
        """One job as Immich does it: each URL once, in order. Whether the answer is the right one.

        Raises when all have failed, which drops the job.
        """
        for url in urls:
            form = aiohttp.FormData({"entries": ENTRIES, "text": text})
            try:
                async with self.http.post(f"{url}/predict", data=form, raise_for_status=True) as reply:
                    return is_right("clip", text.encode(), await reply.read())
            except aiohttp.ClientError:
                if url == urls[-1]:
                    raise
        raise AssertionError("no URL")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[TwoRouters]:
    async with running_services() as services, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as http:
        settings = {"ROUTER_CLIP_ENDPOINTS": services.address, "FACE_LAZY": "true"}
        with running(tmp_path, *ONLY_FACES, settings=settings) as up:
            for name in ("router", "router-2"):
                await asyncio.to_thread(up.wait_for, rf"mesh +\| {name}: ready")
            yield TwoRouters(up, services, http, await asyncio.to_thread(lambda: up.urls))


async def test_a_router_killed_with_eighty_jobs_loses_none(stage: TwoRouters) -> None:
    assert len(stage.urls) == 2
    first, second = stage.up.routers()
    release = asyncio.Event()

    async def hold(*_: object) -> None:
        await release.wait()

    stage.services.behave = hold
    jobs = [asyncio.create_task(stage.job(stage.urls, f"photo {number}")) for number in range(JOBS)]
    # Some are at the service, the others are held by the router.
    await until(lambda: waiting(stage.up) == JOBS, f"{JOBS} jobs at the first router")
    os.kill(first, signal.SIGKILL)
    release.set()
    assert await asyncio.gather(*jobs) == [True] * JOBS
    assert second in stage.up.routers()
    await asyncio.to_thread(
        stage.up.wait_for, r"mesh +\| router: not ready: ended \(SIGKILL from outside\), is started again"
    )


async def test_connections_wait_while_a_router_is_away(stage: TwoRouters) -> None:
    first = stage.up.routers()[0]
    os.kill(first, signal.SIGKILL)
    await until(lambda: first not in stage.up.routers(), "the end of the router")
    assert await stage.job(stage.urls[:1], "while it is away")


async def test_an_order_to_read_the_file_again_reaches_both(stage: TwoRouters) -> None:
    stage.up.process.send_signal(signal.SIGHUP)
    for name in ("router", "router-2"):
        await asyncio.to_thread(stage.up.wait_for, rf"{name} +\| .*configuration reloaded")


def waiting(up: Up) -> int:
    """How many requests the first router has at the CLIP service, or holds for it."""
    (cluster,) = (one for one in up.admin("/clusters")["clusters"] if one["name"] == "clip")
    lanes: list[dict[str, int]] = [cluster["active"], cluster["held"]]
    return sum(sum(lane.values()) for lane in lanes)
