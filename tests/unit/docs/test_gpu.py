"""docs/gpu.md: limits and batches for a shared card follow from measured sizes; compose and chart have the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.serving.runtimes.session import GRAPHS_OF_A_MODEL

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "helm" / "immich-mesh"
TEXT = (ROOT / "docs" / "gpu.md").read_text()
SERVICES = {"ocr": "OCR", "clip": "CLIP", "face": "faces"}
GIB = 1 << 30
LEFT_FREE = 2 * GIB
CONVOLUTIONS = 1.25
BATCHES = (1, 8, 32)

Row = dict[str, tuple[int, int]]
"""Bytes and batch of each service."""


@dataclass(frozen=True)
class Graph:
    """One row of measured sizes, in bytes; a graph that was measured with one item alone has no batches."""

    weights: int
    item: float
    batched: bool

    def takes(self, batch: int) -> float:
        return self.weights + self.item * (batch if self.batched else 1) * CONVOLUTIONS


def graphs(family: str) -> list[Graph]:
    rows = re.findall(rf"^\| {family} [^|]*\| (\d+) \| (\d+) \| (\d*) ?\| (\d*) ?\|$", TEXT, re.M)
    found = []
    for weights, *runs in rows:
        items = [int(run) * 1e6 / batch for run, batch in zip(runs, BATCHES, strict=True) if run]
        found.append(Graph(int(weights) * 10**6, max(items), len(items) > 1))
    return found


def cards() -> dict[int, Row]:
    """What the page gives each service, by the card's GiB."""
    rows = re.findall(
        r"^\| (\d+) GiB \| ([\d.]+) GiB, (\d+) \| ([\d.]+) GiB, (\d+) \| ([\d.]+) GiB, (\d+) \|", TEXT, re.M
    )
    return {
        int(card): {
            name: (int(float(numbers[2 * at]) * GIB), int(numbers[2 * at + 1])) for at, name in enumerate(SERVICES)
        }
        for card, *numbers in rows
    }


def in_chart(*files: str) -> Row:
    """What values give each service, the later file over the earlier."""
    row: Row = {}
    for file in files:
        values = yaml.safe_load((CHART / file).read_text())
        for name in SERVICES:
            amount, unit = re.fullmatch(r"(\d+)(Mi|Gi)", values[name]["gpu"]["memoryLimit"]).groups()  # type: ignore[union-attr]
            size = int(amount) * {"Mi": 1 << 20, "Gi": GIB}[unit]
            row[name] = (size, values[name]["config"]["batching"]["max_batch_size"])
    return row


def in_environment(environment: Mapping[str, Any]) -> Row:
    """What a compose file's environment gives each service where nothing is set."""

    def default(name: str) -> int:
        found = re.fullmatch(rf"\$\{{{name}:-(\d+)\}}", environment[name])
        assert found, environment[name]
        return int(found[1])

    return {
        name: (default(f"{name.upper()}_GPU_MEMORY_LIMIT_BYTES"), default(f"{name.upper()}_BATCHING__MAX_BATCH_SIZE"))
        for name in SERVICES
    }


@pytest.mark.parametrize("card", [8, 12, 24])
def test_a_batch_fits_each_graphs_part_of_the_limit_and_all_limits_fit_the_card(card: int) -> None:
    row = cards()[card]
    assert sum(limit for limit, _ in row.values()) + LEFT_FREE <= card * GIB
    for name, (limit, batch) in row.items():
        measured = graphs(SERVICES[name])
        assert len(measured) >= GRAPHS_OF_A_MODEL
        for graph in measured:
            assert graph.takes(batch) <= limit / GRAPHS_OF_A_MODEL, (name, graph)


def test_the_chart_has_the_same_numbers() -> None:
    preset = "values-single-gpu.yaml"
    assert cards() == {
        8: in_chart(preset),
        12: in_chart(preset, "cards/12gib.yaml"),
        24: in_chart(preset, "cards/24gib.yaml"),
    }
    assert {path.name for path in (CHART / "cards").iterdir()} == {"12gib.yaml", "24gib.yaml"}


def test_compose_has_those_of_the_smallest_card() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    override = yaml.safe_load((ROOT / "docker" / "gpu.nvidia.yaml").read_text())
    assert in_environment(compose["x-gpu-service"]["environment"]) == cards()[8]
    assert in_environment(override["x-gpu"]["environment"]) == cards()[8]
