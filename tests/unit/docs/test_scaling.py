"""docs/scaling.md says what follows from the tables that benchmarks left on the other pages."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
SECONDS_OF_A_DAY = 86_400
ROW = r"^\| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"


def cpu_seconds(family: str) -> float:
    """CPU seconds of one photo with four at once, as benchmarks.md has them."""
    rows = re.findall(rf"^\| {family}[^|]*\| 4 \|.*\| (\d+) \(\d+\) \|$", (DOCS / "benchmarks.md").read_text(), re.M)
    assert len(rows) == 1, rows
    return int(rows[0]) / 1000


def router_seconds() -> float:
    """CPU seconds of the router for the three requests of a photo."""
    text = (DOCS / "benchmarks.md").read_text()
    found = dict(re.findall(r"^\| (CLIP|faces|OCR) \| \d+ \| (0\.\d+) \| 0\.\d+ \| \d+ \|$", text, re.M))
    assert found.keys() == {"CLIP", "faces", "OCR"}
    return sum(map(float, found.values())) / 1000


def test_cores_for_a_day_are_the_measured_cost_times_the_photos() -> None:
    seconds = [cpu_seconds(name) for name in ("CLIP ViT-B/16", "faces", "OCR, PP-OCRv6 small")]
    rows = re.findall(ROW, (DOCS / "scaling.md").read_text(), re.M)
    assert len(rows) == 3
    for photos, *cells in rows:
        number = int(photos.replace(",", ""))
        for cell, cost in zip(cells, [*seconds, sum(seconds), router_seconds()], strict=True):
            assert float(cell) == pytest.approx(number * cost / SECONDS_OF_A_DAY, abs=0.051)


def test_growth_of_the_text_side_is_as_measured() -> None:
    scaling, search = ((DOCS / name).read_text() for name in ("scaling.md", "search.md"))
    rows = re.findall(
        r"^\| ([\d,]+) photos \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \| ([\d.]+) \| (\d+ MiB) \|", search, re.M
    )
    assert len(rows) == 3
    for row in rows:
        assert f"| {' | '.join(row)} |" in scaling
