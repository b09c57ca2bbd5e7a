"""The chart in Helm 3 and Helm 4 as they are released: both lint it clean, and render the same objects."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.cluster.binaries import HELM_3, HELM_4, binaries
from tests.helm.conftest import CHART, PRESETS
from tests.helm.odd_values import EVERYTHING

VERSIONS = {HELM_3: "v3.", HELM_4: "v4."}


def helm(package: str, *words: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "HELM_DRIVER"}  # the engine's alone
    done = subprocess.run(
        [binaries(package) / "helm", *words], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def rendered(package: str, values: Path | None) -> list[Any]:
    files = ["-f", values] if values else []
    text = helm(package, "template", "mesh", CHART, "--namespace", "immich", "--kube-version", "1.37.0", *files)
    return [found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found]


@pytest.mark.parametrize("package", VERSIONS)
def test_the_packages_have_what_they_are_taken_for(package: str) -> None:
    assert helm(package, "version", "--short").startswith(VERSIONS[package])


@pytest.mark.parametrize("package", VERSIONS)
@pytest.mark.parametrize("name", ["", *PRESETS])
def test_a_preset_is_linted_clean(name: str, package: str) -> None:
    files = ["-f", CHART / name] if name else []
    said = helm(package, "lint", "--strict", CHART, "--kube-version", "1.37.0", *files)
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("name", ["", *PRESETS])
def test_both_render_the_same(name: str) -> None:
    values = CHART / name if name else None
    assert rendered(HELM_3, values) == rendered(HELM_4, values)


def test_both_render_everything_that_the_chart_can_write_the_same(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(EVERYTHING))
    assert rendered(HELM_3, values) == rendered(HELM_4, values)
