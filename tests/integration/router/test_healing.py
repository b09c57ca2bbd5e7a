"""Routers that stop, die and come back before an Immich whose jobs they serve: what waits, what is queued again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.front_door.healing.queues import Queue
from tests.doubles.immich import ImmichDouble
from tests.doubles.services import Services
from tests.waiting import until

KEY = "admin-key"


@pytest.fixture
async def immich() -> AsyncIterator[ImmichDouble]:
    double = ImmichDouble((3, 0, 3))
    double.user("admin", KEY).admin = True
    async with double.running():
        yield double


def paused(immich: ImmichDouble) -> list[bool]:
    return [immich.queues[queue].paused for queue in Queue]


def started(immich: ImmichDouble) -> int:
    return min(immich.queues[queue].started for queue in Queue)


@asynccontextmanager
async def router_process(
    immich: ImmichDouble, services: Services, state: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m router` as `up` runs it, with a healer that looks every moment."""
    listeners = {"IMMICH_ML__HOST": "127.0.0.1", "IMMICH_ML__PORT": "0", "MT_PHOTOS__ENABLED": "false"}
    listeners |= {"ADMIN__ENABLED": "false", "PHOTOS__ENABLED": "false"}
    healing = {"CHECK_SECONDS": "0.05", "SETTLE_SECONDS": "0.1", "STATE_FOLDER": str(state), "API_KEY": KEY}
    environment = {
        **os.environ,
        **{f"ROUTER_LISTENERS__{name}": value for name, value in listeners.items()},
        **{f"ROUTER_HEALING__{name}": value for name, value in healing.items()},
        **{f"ROUTER_{name}_ENDPOINTS": services.address for name in ("OCR", "CLIP", "FACE")},
        "IMMICH_URL": immich.url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_planned_stop_pauses_and_the_next_start_resumes_and_heals(
    immich: ImmichDouble, services: Services, tmp_path: Path
) -> None:
    async with router_process(immich, services, tmp_path) as process:
        await until(lambda: started(immich) == 1)
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert paused(immich) == [True, True, True]
    async with router_process(immich, services, tmp_path):
        await until(lambda: paused(immich) == [False, False, False])
        await until(lambda: started(immich) == 2)


async def test_of_two_routers_the_last_one_pauses(immich: ImmichDouble, services: Services, tmp_path: Path) -> None:
    async with (
        router_process(immich, services, tmp_path) as first,
        router_process(immich, services, tmp_path) as second,
    ):
        await until(lambda: started(immich) >= 2)
        first.send_signal(signal.SIGTERM)
        await first.wait()
        assert paused(immich) == [False, False, False]
        second.send_signal(signal.SIGTERM)
        await second.wait()
    assert paused(immich) == [True, True, True]


async def test_after_a_kill_what_was_dropped_is_queued_again(
    immich: ImmichDouble, services: Services, tmp_path: Path
) -> None:
    async with router_process(immich, services, tmp_path) as process:
        await until(lambda: started(immich) == 1)
        process.kill()
        await process.wait()
    assert paused(immich) == [False, False, False]
    async with router_process(immich, services, tmp_path):
        await until(lambda: started(immich) == 2)
