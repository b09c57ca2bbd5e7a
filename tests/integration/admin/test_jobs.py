"""Immich's queues, seen and steered from the admin API of a running router."""

from typing import Any

import pytest

from tests.doubles.immich import ImmichDouble
from tests.integration.admin.conftest import AdminStage

Connected = tuple[AdminStage, ImmichDouble]


async def jobs(stage: AdminStage) -> dict[str, Any]:
    async with stage.admin.get("/jobs") as reply:
        assert reply.status == 200
        found: dict[str, Any] = await reply.json()
    return found


async def order(stage: AdminStage, what: str, queue: str, status: int = 200) -> dict[str, Any]:
    async with stage.admin.post(f"/jobs/{what}", json={"queue": queue}) as reply:
        assert reply.status == status, await reply.text()
        answered: dict[str, Any] = await reply.json()
    return answered


async def test_immichs_queues_are_told_with_those_that_ask_this_mesh(connected: Connected) -> None:
    stage, immich = connected
    immich.queues["ocr"].jobs = 12_345
    immich.queues["backgroundTask"].paused = True
    told = await jobs(stage)
    assert told["problem"] is None
    queues = {queue["name"]: queue for queue in told["queues"]}
    assert queues["ocr"]["active"] + queues["ocr"]["waiting"] == 12_345
    assert queues["ocr"]["of_mesh"]
    assert (queues["backgroundTask"]["paused"], queues["backgroundTask"]["of_mesh"]) == (True, False)


async def test_a_queue_is_paused_resumed_and_told_to_queue_what_is_missing(connected: Connected) -> None:
    stage, immich = connected
    queue = immich.queues["smartSearch"]
    seen = []
    for what in ("pause", "resume", "start"):
        assert (await order(stage, what, "smartSearch"))["problem"] is None
        seen.append((queue.paused, queue.started))
    assert seen == [(True, 0), (False, 0), (False, 1)]


@pytest.mark.parametrize(
    ("what", "queue", "told"),
    [
        ("pause", "../system-config", "has no queue"),
        ("start", "nothing", "has no queue"),
        ("start", "backgroundTask", "ask this mesh"),
        ("start", "ocr", "works already"),
    ],
)
async def test_a_wrong_order_says_what_is_wrong(connected: Connected, what: str, queue: str, told: str) -> None:
    stage, immich = connected
    immich.queues["ocr"].jobs = 1
    asked = len(immich.calls)
    answered = await order(stage, what, queue, 400)
    assert told in answered["error"]["message"]
    assert not any("system-config" in call.path for call in immich.calls[asked:] if call.method == "PUT")


async def test_without_a_key_it_is_said_what_to_set(stage: AdminStage) -> None:
    told = await jobs(stage)
    assert told["queues"] == []
    assert "ROUTER_HEALING__API_KEY" in told["problem"]
    assert "ROUTER_HEALING__API_KEY" in (await order(stage, "pause", "ocr", 401))["error"]["message"]


async def test_a_key_that_immich_refuses_is_told_and_not_shown(connected: Connected) -> None:
    stage, immich = connected
    immich.keys.clear()
    told = await jobs(stage)
    assert "Immich refuses the API key" in told["problem"]
    assert "admin-key" not in str(told)
    assert "Immich refuses" in (await order(stage, "pause", "ocr", 401))["error"]["message"]
