"""What engines and pools under test share."""

from collections.abc import Iterator

import pytest

from mesh.serving.inference.compute import ComputePool


@pytest.fixture
def compute() -> Iterator[ComputePool]:
    pool = ComputePool(2)
    yield pool
    pool.close()
