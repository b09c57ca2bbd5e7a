"""Every test has an Immich double with two users who share, a front door before it, and an HTTP client."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleUser, ImmichDouble

ALICE = {"x-api-key": "alice-key"}


@pytest.fixture
async def immich() -> AsyncIterator[ImmichDouble]:
    double = ImmichDouble()
    async with double.running():
        yield double


@pytest.fixture
def alice(immich: ImmichDouble) -> DoubleUser:
    return immich.user("alice", "alice-key")


@pytest.fixture
async def door(immich: ImmichDouble) -> AsyncIterator[OpenDoor]:
    async with open_door(immich) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
