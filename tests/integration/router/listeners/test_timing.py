"""Where a prediction's time went: asked for by a header, measured inside the service, told as `Server-Timing`."""

import time
from typing import Any

import pytest

from mesh.core import stages
from tests.doubles.router import Front, front
from tests.doubles.services import Services, running_services

CLIP = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
OCR = '{"ocr":{"detection":{"modelName":"m"},"recognition":{"modelName":"m"}}}'
BOTH = f"{CLIP[:-1]},{OCR[1:]}"
ASKED = {stages.ASK: "1"}


def busy(services: Services, **stages_ms: int) -> None:
    """The service's calls say that they took so long, of work that is over."""

    async def behave(_: str, __: bytes, ___: Any) -> None:
        for name, ms in stages_ms.items():
            now = time.time_ns()
            stages.note(name, now - ms * 1_000_000, now)

    services.behave = behave


async def told(stage: Front, entries: str, headers: dict[str, str]) -> dict[str, float]:
    async with stage.client.post("/predict", data={"entries": entries, "image": "photo"}, headers=headers) as reply:
        assert reply.status == 200
        return stages.parsed(reply.headers.get("Server-Timing", ""))


async def test_a_service_tells_its_stages_when_asked(stage: Front) -> None:
    busy(stage.services, visual=30)
    found = await told(stage, CLIP, ASKED)
    assert found["visual"] == pytest.approx(0.03, abs=0.002)
    assert {"upload", "wait", "other", "network", "router"} <= found.keys()
    assert stage.services.metadata[-1][stages.ASK] == "1"


async def test_nobody_is_asked_for_a_request_of_immichs(stage: Front) -> None:
    busy(stage.services, decode=20)
    assert await told(stage, CLIP, {}) == {}
    assert await told(stage, CLIP, {stages.ASK: "yes"}) == {}
    assert all(stages.ASK not in metadata for metadata in stage.services.metadata)


async def test_of_several_tasks_the_slowest_is_told(stage: Front) -> None:
    async def behave(method: str, _: bytes, __: Any) -> None:
        stages.note(method.lower(), time.time_ns() - 5_000_000, time.time_ns())

    stage.services.behave = behave
    found = await told(stage, BOTH, ASKED)
    assert len(found.keys() & {"encodeimage", "recognize"}) == 1


@pytest.mark.parametrize("trailer", ["<script>;dur=1", "x" * 7000, "decode;dur=99999999999999999999", "a;dur=1, " * 50])
async def test_a_trailer_that_is_none_harms_nobody(trailer: str) -> None:
    async def behave(_: str, __: bytes, call: Any) -> None:
        call.set_trailing_metadata(((stages.TOLD, trailer),))

    async with running_services(marks=False) as services, front(services) as stage:
        services.behave = behave
        found = await told(stage, CLIP, ASKED)
    assert found.keys() <= {"upload", "wait", "router", "service", "network", "a"}
    assert {"upload", "wait", "router"} <= found.keys()
