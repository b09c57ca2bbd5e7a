"""mesh/serving/runtimes/session.py: what sessions need of a service's settings."""

import pytest

from mesh.core.settings import ServiceSettings
from mesh.hub.catalogue import Family
from mesh.serving.runtimes.session import GRAPHS_OF_A_MODEL, RuntimeSettings


@pytest.mark.parametrize(
    ("models", "sessions"),
    [
        ({"model_name": "a"}, 2),
        ({"model_name": "a", "preload": ["a"]}, 2),
        ({"model_name": "a", "preload": ["b", "c"]}, 6),
        ({}, 2),
    ],
)
def test_sessions_together_take_no_more_of_a_card_than_the_process_may(models: dict, sessions: int) -> None:  # type: ignore[type-arg]
    runtime = RuntimeSettings.of(ServiceSettings(gpu_memory_limit_bytes=6_000_000, **models))
    assert runtime.gpu_memory_limit_bytes * sessions == 6_000_000


def test_without_a_limit_there_is_none() -> None:
    assert RuntimeSettings.of(ServiceSettings(model_name="a")).gpu_memory_limit_bytes == 0


def test_every_familys_models_have_that_many_graphs() -> None:
    assert {len(family.parts) for family in Family} == {GRAPHS_OF_A_MODEL}
