"""What benchmarks leave behind: JSON for comparison, a table and a plot for people, all in `bench/out/`."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mesh.core.cores import usable_cores

OUT = Path(__file__).parent / "out"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": usable_cores(),
        "python": platform.python_version(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": os.getloadavg()[0],
    }


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Writes `bench/out/<name>.json`."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return path


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A Markdown table: one line per row, `columns` from field to heading; numbers to the right."""
    cells = [[_text(row.get(field)) for field in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns.values()), *cells]) for i in range(len(columns))]
    numeric = [all(isinstance(row.get(field), int | float | None) for row in rows) for field in columns]

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}:" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    return "\n".join([line(list(columns.values())), line(rule), *(line(each) for each in cells)]) + "\n"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return str(value)


def plot_mesh(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Throughput as a share of raw, and latencies, over concurrency; one column per family."""
    plt = _pyplot()
    families = list(dict.fromkeys(row["family"] for row in rows))
    figure, axes = plt.subplots(2, len(families), figsize=(4.6 * len(families), 7), squeeze=False)
    for column, family in enumerate(families):
        share, latency = axes[0][column], axes[1][column]
        for server in dict.fromkeys(row["server"] for row in rows):
            mine = [row for row in rows if row["family"] == family and row["server"] == server]
            clients = [row["clients"] for row in mine]
            share.plot(clients, [row["of_raw"] for row in mine], marker="o", label=server)
            for percent, style in (("p50_ms", "-"), ("p95_ms", "--"), ("p99_ms", ":")):
                latency.plot(
                    clients, [row[percent] for row in mine], style, marker=".", label=f"{server} {percent[:3]}"
                )
        share.axhline(1, color="grey", linewidth=1)
        share.set(title=family, ylabel="photos per second, share of raw", ylim=(0, 1.1))
        latency.set(xlabel="concurrency", ylabel="latency, ms", yscale="log")
        for axis in (share, latency):
            axis.set_xscale("log", base=2)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=7)
    _finish(figure, path)


def plot_soak(series: Mapping[str, Any], path: Path) -> None:
    """Memory of each process and the median latency of each family over time, in minutes."""
    plt = _pyplot()
    figure, (memory, latency) = plt.subplots(2, 1, figsize=(9, 7), sharex=True)
    minutes = [second / 60 for second in series["seconds"]]
    for name, values in series["resident_bytes"].items():
        memory.plot(minutes, [value / 1e6 for value in values], label=name)
    memory.set(ylabel="memory in RAM, MB", ylim=(0, None))
    for family, points in series["latency_ms"].items():
        latency.plot([minute for minute, _ in points], [value for _, value in points], marker=".", label=family)
    latency.set(xlabel="minutes", ylabel="median latency, ms", yscale="log")
    for axis in (memory, latency):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    _finish(figure, path)


def _pyplot() -> Any:
    """matplotlib without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _finish(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
