"""A client of a front door that searches."""

import aiohttp
import pytest

from tests.doubles.front_door import OpenDoor
from tests.doubles.search_client import SearchClient


@pytest.fixture
async def client(door: OpenDoor, http: aiohttp.ClientSession) -> SearchClient:
    return SearchClient(http, door)
