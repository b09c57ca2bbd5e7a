"""A router on services that are well."""

from collections.abc import AsyncIterator

import pytest

from tests.doubles.router import Front, front
from tests.doubles.services import Services, running_services


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with running_services() as running:
        yield running


@pytest.fixture
async def stage(services: Services) -> AsyncIterator[Front]:
    """Everything well, default settings."""
    async with front(services) as made:
        yield made
