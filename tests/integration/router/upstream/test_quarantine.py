"""Payloads that kill, and replicas that are killed from outside: real processes, a real router, real connections."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.chaos.fleet import Fleet, fleet
from bench.chaos.replica import CRASHING_PAYLOAD
from tests.waiting import PATIENCE_SECONDS

SETTINGS = {
    "health_check": {"interval_seconds": 0.3, "unhealthy_interval_seconds": 0.1, "timeout_seconds": 5},
    "quarantine": {"quiet_seconds": 1.0},
}
OCR = (
    '{"ocr":{"detection":{"modelName":"m","options":{"minScore":0.5,"maxResolution":736}},'
    '"recognition":{"modelName":"m","options":{"minScore":0.8}}}}'
)


@asynccontextmanager
async def ocr_fleet(folder: Path, replicas: int, work_ms: float) -> AsyncIterator[tuple[Fleet, aiohttp.ClientSession]]:
    """OCR replicas, one router, and a client."""
    async with (
        fleet(folder, families=("ocr",), replicas=replicas, work_ms=work_ms, routers=1, settings=SETTINGS) as made,
        aiohttp.ClientSession(made.urls[0]) as client,
    ):
        yield made, client


async def predict(client: aiohttp.ClientSession, photo: bytes) -> tuple[int, Any]:
    form = aiohttp.FormData({"entries": OCR})
    form.add_field("image", photo, filename="blob")
    async with client.post("/predict", data=form) as reply:
        return reply.status, await reply.json()


class Clients:
    """Immich's workers, each with photos that no other sends, until they are told to stop."""

    def __init__(self, client: aiohttp.ClientSession, count: int = 4) -> None:
        self._client = client
        self._stop = asyncio.Event()
        self.statuses: list[int] = []
        self._tasks = [asyncio.create_task(self._run(name)) for name in range(count)]

    async def _run(self, name: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self.statuses.append((await predict(self._client, f"photo {name} {number}".encode()))[0])

    async def end(self) -> set[int]:
        """The statuses of all answers."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return set(self.statuses)


@pytest.mark.timeout(4 * PATIENCE_SECONDS)
@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_a_photo_that_kills_is_quarantined_and_all_others_are_answered(tmp_path: Path, replicas: int) -> None:
    async with ocr_fleet(tmp_path, replicas, work_ms=20) as (made, client):
        clients, keeping = Clients(client), asyncio.create_task(made.keep())
        status, body = await predict(client, CRASHING_PAYLOAD)
        assert (status, body["error"]["code"]) == (422, "quarantined_payload")
        # Those that are held wait for the replica that went down last.
        assert await clients.end() == {200}
        keeping.cancel()
        assert await made.metric(0, "immich_mesh_upstream_quarantined_total") == 1
        again = asyncio.get_running_loop().time()
        assert (await predict(client, CRASHING_PAYLOAD))[0] == 422
        assert asyncio.get_running_loop().time() - again < 5


@pytest.mark.timeout(4 * PATIENCE_SECONDS)
@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_replicas_killed_from_outside_quarantine_no_photo(tmp_path: Path, replicas: int) -> None:
    async with ocr_fleet(tmp_path, replicas, work_ms=200) as (made, client):
        clients = Clients(client)
        for number in range(6):
            await asyncio.sleep(1)
            await made.all_replicas()[number % replicas].restart(signal.SIGKILL)
            await made.ready()
        assert await clients.end() == {200}
        assert await made.metric(0, "immich_mesh_upstream_quarantined_total") == 0


@pytest.mark.timeout(4 * PATIENCE_SECONDS)
async def test_a_slow_photo_whose_replicas_are_all_killed_is_answered(tmp_path: Path) -> None:
    """A node drain, or the kernel when memory is short: nobody else is there, and both die of it."""
    async with ocr_fleet(tmp_path, replicas=2, work_ms=3000) as (made, client):
        task = asyncio.create_task(predict(client, b"slow"))
        for _ in range(2):
            await asyncio.sleep(1.5)
            await asyncio.gather(*(replica.restart(signal.SIGKILL) for replica in made.all_replicas()))
            await made.ready()
        assert (await task)[0] == 200
        assert (await predict(client, b"slow"))[0] == 200
