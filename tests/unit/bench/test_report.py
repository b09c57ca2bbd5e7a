"""Tables line up, and plots are written."""

from pathlib import Path

from bench import report


def test_table() -> None:
    rows = [{"family": "clip", "rate": 4.8123}, {"family": "ocr", "rate": 123.4, "note": "x"}]
    assert report.table(rows, {"family": "family", "rate": "per s", "note": "note"}) == (
        "| family | per s | note |\n| ------ | ----: | ---- |\n| clip   |  4.81 |      |\n| ocr    |   123 | x    |\n"
    )


def test_plots(tmp_path: Path) -> None:
    row = {
        "server": "mesh",
        "family": "clip",
        "clients": 4,
        "of_raw": 0.96,
        "p50_ms": 8.0,
        "p95_ms": 9.0,
        "p99_ms": 9.5,
    }
    report.plot_mesh([row, row | {"clients": 8}], tmp_path / "mesh.png")
    series = {"seconds": [0, 5], "resident_bytes": {"clip": [1e8, 1e8]}, "latency_ms": {"clip": [(0.5, 10.0)]}}
    report.plot_soak(series, tmp_path / "soak.png")
    for name in ("mesh.png", "soak.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
