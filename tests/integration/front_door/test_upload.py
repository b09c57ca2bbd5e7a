"""A large upload through the front door's own process: its memory stays where it was."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest

from tests.doubles.immich import ImmichDouble

MIB = 1 << 20
SIZE_MIB = 512
ALLOWED_GROWTH_MIB = 32


@pytest.fixture
async def front_door(immich: ImmichDouble) -> AsyncIterator[tuple[str, psutil.Process]]:
    """`python -m router` with nothing but the front door: its URL and process."""
    listeners = {
        "PHOTOS__HOST": "127.0.0.1",
        "PHOTOS__PORT": "0",
        "IMMICH_ML__ENABLED": "false",
        "MT_PHOTOS__ENABLED": "false",
        "ADMIN__ENABLED": "false",
    }
    own = {f"ROUTER_LISTENERS__{name}": value for name, value in listeners.items()}
    environment = {**os.environ, **own, "IMMICH_URL": immich.url, "MESH_LOG_FORMAT": "json"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            if b'"address"' in line and b"photos" in line:
                address = line.decode().split('"address": "')[1].split('"')[0]
                break
        drain = asyncio.create_task(process.stderr.read())
        yield f"http://{address}", psutil.Process(process.pid)
        process.terminate()
        await drain
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_upload_needs_no_memory(immich: ImmichDouble, front_door: tuple[str, psutil.Process]) -> None:
    immich.user("alice", "alice-key")
    url, process = front_door
    before = process.memory_info().rss
    peak = before
    piece = bytes(MIB)

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for _ in range(SIZE_MIB):
            yield piece
            peak = max(peak, process.memory_info().rss)

    headers = {"x-api-key": "alice-key", "Content-Length": str(SIZE_MIB * MIB)}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/assets", data=body(), headers=headers) as reply,
    ):
        assert reply.status == 201
    assert immich.uploads[0][0] == SIZE_MIB * MIB
    assert (peak - before) / MIB < ALLOWED_GROWTH_MIB
