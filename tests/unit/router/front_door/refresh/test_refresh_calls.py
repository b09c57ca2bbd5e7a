"""The job call: answered as Immich answers, done by then unless it takes long, and never lost with its client."""

import asyncio
import gc
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from structlog.testing import capture_logs

from mesh.core.errors import InvalidInputError, OverloadedError, UnavailableError
from router.front_door.recognition import ImmichModels, OcrModel
from sql.refresh import MissingReason
from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleUser, ImmichDouble
from tests.waiting import PATIENCE_SECONDS

KEY = {"x-api-key": "alice-key"}


async def call(http: aiohttp.ClientSession, door: OpenDoor, *ids: Any, **more: Any) -> tuple[int, dict[str, str], Any]:
    body = {"assetIds": [str(each) for each in ids], "name": "refresh-ocr"}
    async with http.post(f"{door.url}/api/assets/jobs", json=body, headers=KEY, **more) as reply:
        told = await reply.json() if reply.status != 204 else None
        return reply.status, dict(reply.headers), told


async def test_a_long_job_is_answered_and_goes_on(
    immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photo = immich.photo(alice)
    async with open_door(immich, refresh_patience_seconds=0.05) as door:
        assert door.mesh is not None
        assert door.refresh is not None
        door.mesh.wait_for = asyncio.Event()
        assert (await call(http, door, photo.id))[0] == 204
        assert door.refresh.texts == {}
        door.mesh.wait_for.set()
    # Closing the door waits for the work behind it.
    assert door.refresh.texts.keys() == {photo.id}


async def test_a_failure_after_the_answer_is_told_and_no_exception_is_lost(
    immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    photo = immich.photo(alice)
    with capture_logs() as logs:
        async with open_door(immich, refresh_patience_seconds=0.05) as door:
            assert door.mesh is not None
            door.mesh.wait_for, door.mesh.error = asyncio.Event(), UnavailableError("starting")
            assert (await call(http, door, photo.id))[0] == 204
            door.mesh.wait_for.set()
        gc.collect()  # an exception that nobody took would be told by the loop now
    [line] = [line for line in logs if line["event"] == "refresh failed after its answer"]
    assert (line["asset_id"], line["reason"]) == (str(photo.id), "starting")
    assert "reprocess" in line["remedy"]
    late = {"outcome": "failed_late"}
    assert door.registry.get_sample_value("immich_mesh_photos_refreshes_total", late) == 1
    assert "never retrieved" not in caplog.text


async def test_a_client_that_leaves_does_not_stop_its_job(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photo = door.immich.photo(alice)
    assert door.mesh is not None
    assert door.refresh is not None
    door.mesh.wait_for = asyncio.Event()
    with pytest.raises(asyncio.TimeoutError):
        await call(http, door, photo.id, timeout=aiohttp.ClientTimeout(total=0.2))
    door.mesh.wait_for.set()
    await asyncio.wait_for(door.refresh.written.wait(), PATIENCE_SECONDS)
    assert door.refresh.texts.keys() == {photo.id}


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (OverloadedError("full", 3), 503, "3"),
        (UnavailableError("starting"), 503, "5"),
        (InvalidInputError("no image"), 400, None),
    ],
)
async def test_a_failure_in_time_is_told(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession, error: Any, status: int, retry_after: str | None
) -> None:
    assert door.mesh is not None
    door.mesh.error = error
    got, headers, told = await call(http, door, door.immich.photo(alice).id)
    assert (got, headers.get("Retry-After"), told["message"]) == (status, retry_after, error.message)


async def test_no_photos_is_a_job_well_done(door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession) -> None:
    assert (await call(http, door))[0] == 204


async def test_without_a_database_it_says_what_to_set(
    immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    async with open_door(immich, database=False) as door:
        status, _, told = await call(http, door, immich.photo(alice).id)
    assert status == 503
    assert "DB_URL" in told["message"]


async def state(http: aiohttp.ClientSession, door: OpenDoor, asset_id: Any, key: str = "alice-key") -> tuple[int, Any]:
    async with http.get(f"{door.url}/mesh/refresh/state?assetId={asset_id}", headers={"x-api-key": key}) as reply:
        return reply.status, await reply.json()


async def test_the_state_of_ones_own_and_of_a_partners_photo(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    bob = door.immich.user("bob", "bob-key")
    bob.partners[alice.id] = True
    photo = door.immich.photo(alice)
    assert door.refresh is not None
    door.refresh.settings = {"clip": {"modelName": "ViT-B-16__openai"}}
    there = {"vector_length": 512, "clip_model": "ViT-B-16__openai", "faces_at": "2024-05-06T07:08:09+00:00"}
    assert await state(http, door, photo.id) == (200, {"mine": True, **there})
    assert await state(http, door, photo.id, "bob-key") == (200, {"mine": False, **there})
    door.refresh.lost["clip"] = [photo.id]
    assert (await state(http, door, photo.id, "bob-key"))[1]["vector_length"] is None


async def test_what_is_missing_is_told_by_kind_and_by_what_can_be_done(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    assert door.refresh is not None
    never, empty, unreadable = (door.immich.photo(alice).id for _ in range(3))
    door.refresh.lost = {"ocr": [never, empty, unreadable], "clip": [unreadable]}
    door.refresh.faceless = {never}
    door.refresh.reasons = {empty: MissingReason.NOTHING_FOUND, unreadable: MissingReason.NO_PREVIEW}
    everything = "?ocr=true&clip=true&faces=true"
    told = {"ocr": [str(never), str(empty)], "clip": [], "faces": [str(never)]}
    by_reason = {"noPreview": [str(unreadable)], "nothingFound": [str(empty)]}
    assert await missing(http, door, everything) == told | by_reason
    assert await missing(http, door, "?clip=true") == {"clip": [], "noPreview": [str(unreadable)], "nothingFound": []}
    door.refresh.settings = {"facialRecognition": {"enabled": False}}
    assert (await missing(http, door, everything))["faces"] == []


async def missing(http: aiohttp.ClientSession, door: OpenDoor, query: str) -> dict[str, list[str]]:
    async with http.get(f"{door.url}/mesh/refresh/missing{query}", headers={"x-api-key": "alice-key"}) as reply:
        assert reply.status == 200
        found: dict[str, list[str]] = await reply.json()
        return found


async def test_of_a_photo_that_immich_does_not_show_nothing_is_told(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    door.immich.user("eve", "eve-key")
    status, told = await state(http, door, door.immich.photo(alice).id, "eve-key")
    assert status == 400
    assert "vector_length" not in told
    assert (await state(http, door, "../x"))[0] == 400


@pytest.mark.parametrize(
    "path", ["/mesh/refresh", "/mesh/refresh/missing?ocr=true", f"/mesh/refresh/state?assetId={UUID(int=1)}"]
)
async def test_the_meshs_own_calls_ask_for_credentials(
    door: OpenDoor, alice: DoubleUser, http: aiohttp.ClientSession, path: str
) -> None:
    photo = door.immich.photo(alice)
    method = "GET" if "?" in path else "POST"
    body = {"assetId": str(photo.id), "ocr": True}
    async with http.request(method, door.url + path, json=body if method == "POST" else None) as reply:
        assert reply.status == 401
    assert door.refresh is not None
    assert door.refresh.texts == {}


def test_immichs_models_and_their_defaults() -> None:
    assert ImmichModels.of({}) == ImmichModels("ViT-B-32__openai", OcrModel("PP-OCRv5_mobile", 0.5, 0.8, 736))
    stored = {"clip": {"enabled": True}, "ocr": {"maxResolution": 1440, "minDetectionScore": 0.3}}
    assert ImmichModels.of(stored).ocr == OcrModel("PP-OCRv5_mobile", 0.3, 0.8, 1440)
    assert ImmichModels.of(stored, clip="RN50__openai", ocr="x").clip == "RN50__openai"
