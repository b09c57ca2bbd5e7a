"""What each image holds: only what its process imports, one onnxruntime, within a budget of packages and megabytes.

The dependencies are those that the Dockerfile's own `uv sync` would install, asked from the lock file.
"""

import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from uv import find_uv_bin

from tests.containers.dockerfile import ROOT, SERVICES, TARGETS, Dockerfile

DOCKERFILE = Dockerfile()
IMAGES = [(target, variant) for target in TARGETS for variant in DOCKERFILE.variants(target)]


@dataclass(frozen=True)
class Budget:
    """Most packages, and most megabytes of wheels as downloaded."""

    packages: int
    megabytes: int


BUDGETS = {
    ("router", "cpu"): Budget(50, 26),
    ("ocr", "cpu"): Budget(52, 250),
    ("ocr", "cuda"): Budget(59, 1960),
    ("clip", "cpu"): Budget(56, 220),
    ("clip", "cuda"): Budget(64, 1960),
    ("face", "cpu"): Budget(46, 200),
    ("face", "cuda"): Budget(54, 1960),
    ("cli", "cpu"): Budget(42, 26),
    ("export", "cpu"): Budget(96, 3500),
}

NEVER = {
    "opencv-python",
    "opencv-contrib-python",
    "pytest",
    "mypy",
    "ruff",
    "grpcio-tools",
    "pip",
    "setuptools-scm",
    "hypothesis",
}
TORCH = {"torch", "torchvision", "cn-clip"}


@cache
def dependencies(target: str, variant: str) -> dict[str, str]:
    """Name and version of every package in an image, our own aside."""
    extras = [word for extra in DOCKERFILE.extras(target, variant) for word in ("--extra", extra)]
    listed = subprocess.run(
        [
            find_uv_bin(),
            "export",
            "--quiet",
            "--locked",
            "--no-dev",
            "--no-emit-project",
            "--no-hashes",
            "--no-annotate",
            "--no-header",
            *extras,
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        requirement, _, marker = line.partition(" ; ")
        if not _holds_on_linux(marker):
            continue
        name, _, version = requirement.partition("==")
        found[name.strip()] = version.strip()
    return found


def _holds_on_linux(marker: str) -> bool:
    from packaging.markers import Marker

    environment = {
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "python_full_version": "3.12.0",
    }
    return not marker.strip() or Marker(marker).evaluate(environment)


@cache
def wheel_bytes() -> dict[tuple[str, str], int]:
    """Size of the wheel that Linux on x86-64 with Python 3.12 takes, by name and version."""
    lock: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
    sizes: dict[tuple[str, str], int] = {}
    for package in lock["package"]:
        fitting = [wheel["size"] for wheel in package.get("wheels", ()) if _fits(wheel["url"].rsplit("/", 1)[1])]
        if fitting:
            sizes[package["name"], package["version"]] = min(fitting)
    return sizes


def _fits(wheel: str) -> bool:
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    right_python = python in {"py3", "py2.py3", "cp312"} or (abi == "abi3" and python.startswith("cp3"))
    right_platform = platform == "any" or ("manylinux" in platform and "x86_64" in platform)
    return right_python and right_platform and not abi.endswith("t")


@pytest.mark.parametrize(("target", "variant"), IMAGES)
def test_an_image_stays_within_its_budget(target: str, variant: str) -> None:
    found = dependencies(target, variant)
    budget = BUDGETS[target, variant]
    sizes = wheel_bytes()
    without_size = [name for name, version in found.items() if (name, version) not in sizes]
    # This one is built from source, in the exporter's image alone.
    assert set(without_size) <= {"lmdb"}
    megabytes = sum(sizes.get(item, 0) for item in found.items()) / 1e6
    assert len(found) <= budget.packages, sorted(found)
    assert megabytes <= budget.megabytes
    # A budget far above what is needed would be none.
    assert len(found) > budget.packages * 0.8
    assert megabytes > budget.megabytes * 0.8


@pytest.mark.parametrize(("target", "variant"), IMAGES)
def test_an_image_has_exactly_the_onnxruntime_that_it_needs(target: str, variant: str) -> None:
    runtimes = [name for name in dependencies(target, variant) if name.startswith("onnxruntime")]
    if target in {"router", "cli"}:
        assert runtimes == []
    else:
        assert runtimes == ["onnxruntime" if variant == "cpu" else "onnxruntime-gpu"]


@pytest.mark.parametrize(("target", "variant"), IMAGES)
def test_what_serves_has_openvino_beside_it_without_its_telemetry(target: str, variant: str) -> None:
    found = {name for name in dependencies(target, variant) if name.startswith("openvino")}
    assert found == ({"openvino"} if target in SERVICES else set())


@pytest.mark.parametrize("target", SERVICES)
def test_cuda_comes_from_the_runtimes_own_extras(target: str) -> None:
    added = dependencies(target, "cuda").keys() - dependencies(target, "cpu").keys()
    assert "onnxruntime-gpu" in added
    assert {name for name in added if not name.startswith("nvidia-")} == {"onnxruntime-gpu"}
    assert any("cudnn" in name for name in added)
    assert not [name for name in dependencies(target, "cpu") if name.startswith("nvidia-")]


@pytest.mark.parametrize(("target", "variant"), IMAGES)
def test_an_image_has_nothing_that_it_does_not_run(target: str, variant: str) -> None:
    found = set(dependencies(target, variant))
    assert not found & NEVER
    if target != "export":
        assert not found & TORCH
    assert "typer" in found  # `immich-mesh doctor` says what is wrong, wherever it is
    if target in SERVICES:
        assert not found & {"aiohttp", "asyncpg"}
    if target in {"router", "cli"}:
        assert not found & {"numpy", "pillow", "opencv-python-headless", "onnx"}
