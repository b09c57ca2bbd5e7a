"""Fixtures of the chart's tests. They need an environment of their own (requirements.txt; `make test-helm`)."""

import json
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "helm" / "immich-mesh"
VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))
PRESETS = ("values-cpu.yaml", "values-intel-gpu.yaml", "values-multi-gpu.yaml", "values-single-gpu.yaml")

if find_spec("helm_sdkpy") is None:
    # In the project's own environment, which has Python 3.11, these tests do not exist.
    collect_ignore_glob = ["test_*.py", "*/test_*.py"]
elif os.environ.get("HELM_DRIVER") != "memory":
    # The engine reads its environment before Python can change it.
    pytest.exit("tests/helm need HELM_DRIVER=memory in the environment: run make test-helm", returncode=4)
else:
    from tests.helm.cluster import api
    from tests.helm.cluster.engine import Helm, Release

    Render = Callable[..., Release]

    @pytest.fixture(scope="session")
    def renderer() -> Iterator[Render]:
        """Renders by installing into an empty cluster of the newest version, which admits all; equal values once."""
        with api.running(VERSIONS[-1]) as server:
            rendered: dict[str, Release] = {}

            def render(values: object = None, name: str = "mesh") -> Release:
                key = json.dumps([values, name], sort_keys=True)
                if key not in rendered:
                    server.clear()
                    rendered[key] = Helm(server).install(values, name)
                return rendered[key]

            yield render

    @pytest.fixture
    def render(renderer: Render) -> Render:
        """See `renderer`."""
        return renderer
