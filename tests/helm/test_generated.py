"""What is generated is current, what is written twice agrees, and each template has its test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helm.cluster.sandbox import VENV
from tests.helm.conftest import CHART, PRESETS

ROOT = CHART.parents[1]
TESTS = {
    "checks.yaml": "tests/helm/test_refusals.py",
    "httproute.yaml": "tests/helm/templates/test_ingress.py",
    "prometheusrule.yaml": "tests/helm/templates/test_monitoring.py",
    "servicemonitors.yaml": "tests/helm/templates/test_monitoring.py",
    "dashboard.yaml": "tests/helm/templates/test_monitoring.py",
    "NOTES.txt": "tests/helm/templates/test_notes.py",
}
"""Templates whose tests have another name than their own."""


@pytest.mark.parametrize("script", ["readme", "schema", "dashboard"])
def test_generated_files_are_current(script: str) -> None:
    done = subprocess.run(
        [VENV / "bin/python", "-m", f"helm.generate.{script}", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_template_has_its_test() -> None:
    for template in sorted((CHART / "templates").rglob("*")):
        if template.is_dir() or template.name.startswith("_"):
            continue
        default = f"tests/helm/templates/test_{template.stem.replace('-', '_')}.py"
        test = ROOT / TESTS.get(template.name, default)
        assert test.exists(), template.name
        if template.name != "checks.yaml":
            assert template.name in test.read_text().splitlines()[0], (
                f"{test.name} does not say that it tests {template.name}"
            )


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert chart["appVersion"] == project[1]
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    assert f"| {chart['version']} |" in (CHART / "README.md").read_text()


def test_the_icon_lies_where_its_address_says() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    host, path = chart["icon"].split("/main/")
    assert chart["home"].endswith(host.removeprefix("https://raw.githubusercontent.com"))
    assert (ROOT / path).is_file()


def test_default_models_are_those_of_the_code() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    code = "; ".join(
        f"from {name}_service.config import {name.capitalize()}Settings as S; print('{name}', S().model_name)"
        for name in ("ocr", "clip", "face")
    )
    done = subprocess.run(
        [VENV / "bin/python", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={}
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {name: values[name]["config"]["model_name"] for name in ("ocr", "clip", "face")}


def test_presets_are_in_the_readme() -> None:
    assert {path.name for path in CHART.glob("values-*.yaml")} == set(PRESETS)
    readme = (CHART / "README.md").read_text()
    assert all(name in readme for name in PRESETS)
    assert all(f"cards/{path.name}" in readme for path in (CHART / "cards").iterdir())


def test_the_dockerfile_has_no_lint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lint_would_be_found(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN sudo apt-get install curl\n")
    hadolint = Path(sys.executable).parent / "hadolint"
    assert subprocess.run([hadolint, bad], capture_output=True).returncode == 1
