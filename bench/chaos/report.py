"""The scenarios' results as a table and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.chaos.experiment import ExperimentResult
from bench.chaos.real_scenarios import REAL_SCENARIOS
from bench.report import table as table_of

mpl.use("Agg")
import matplotlib.pyplot as plt

_HEAD = (
    "scenario",
    "answered",
    "failed",
    "seconds",
    "p50 ms",
    "p99 ms",
    "longest s",
    "text p99 ms",
    "held",
    "mean held s",
    "retries",
    "memory MB",
    "files",
)


def percentile(values: Sequence[float], percent: float) -> float:
    """Of sorted values, nearest rank; 0 when there are none."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0.0


def table(results: Sequence[ExperimentResult]) -> str:
    """Markdown: one line for each scenario, then what each of them does."""
    lines = [" | ".join(_HEAD), " | ".join("---" for _ in _HEAD), *(" | ".join(_cells(result)) for result in results)]
    meaning = [f"- **{result.scenario}**: {result.description}" for result in results]
    return "\n".join([*(f"| {line} |" for line in lines), "", *meaning, ""])


def services_document(content: Mapping[str, Any]) -> str:
    """The page of the results on real services, from the file that a run leaves behind."""
    machine, rows = content["machine"], content["rows"]
    columns = {
        "replicas": "replicas of each",
        "scenario": "scenario",
        "requests": "requests",
        "answered": "answered right",
        "failed": "failed",
        "wrong": "wrong",
        "quarantined": "quarantined",
        "seconds": "seconds",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "second_url": "by the second URL",
        "load_before": "load before",
    }
    where = (
        f"{machine['processor']}, {machine['cores']} cores. The load average before each scenario tells how busy the "
        "machine was with other work: latencies grow with it."
    )
    meaning = {row["scenario"]: row["description"] for row in rows}
    return "\n".join(
        [
            "# Chaos",
            "",
            "Written by `python -m bench.chaos --real --document docs/chaos.md`; do not edit. Real services (OCR on",
            "its own models, CLIP and faces on small ones with known answers) and two routers, each a process; clients",
            "have both URLs, try each once, and compare every answer with what was drawn into the photo.",
            "",
            where,
            "",
            table_of(rows, columns),
            *(f"- **{name}**: {' '.join(text.split())}" for name, text in meaning.items()),
            "",
            "![Latency of every answer over time](pictures/chaos.webp)",
            "",
        ]
    )


def row(result: ExperimentResult, replicas: int, requests: int, load: float) -> dict[str, Any]:
    """One line of the services' table; `load` is the machine's load average before it."""
    outcome, latencies = result.outcome, result.outcome.latencies()
    return {
        "replicas": replicas,
        "scenario": result.scenario,
        "description": result.description,
        "requests": requests,
        "answered": outcome.answered,
        "failed": len(outcome.failures) - outcome.wrong,
        "wrong": outcome.wrong,
        "quarantined": outcome.quarantined,
        "seconds": round(result.seconds, 1),
        "p50_ms": round(percentile(latencies, 50) * 1000),
        "p99_ms": round(percentile(latencies, 99) * 1000),
        "second_url": outcome.second_url,
        "load_before": round(load, 1),
        "failures": outcome.failures[:20],
        "points": [
            (round(moment - result.started, 2), round(seconds, 3))
            for moment, seconds in zip(outcome.finished_at, outcome.in_order, strict=True)
        ],
    }


def merged(rows: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows with a new one in the place of an older one of the same scenario and replicas, in the table's order."""
    key = _place(new)
    return sorted([*(row for row in rows if _place(row) != key), new], key=_place)


def _place(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["replicas"], list(REAL_SCENARIOS).index(row["scenario"])


def _cells(result: ExperimentResult) -> list[str]:
    latencies = result.outcome.latencies()
    text = sorted(result.outcome.seconds.get("clip-text", []))
    mean_held = result.held_seconds / result.held_requests if result.held_requests else 0.0
    before, after = result.before, result.after
    return [
        result.scenario,
        str(result.outcome.answered),
        str(len(result.outcome.failures)),
        f"{result.seconds:.1f}",
        f"{percentile(latencies, 50) * 1000:.0f}",
        f"{percentile(latencies, 99) * 1000:.0f}",
        f"{latencies[-1] if latencies else 0:.1f}",
        f"{percentile(text, 99) * 1000:.0f}",
        f"{result.held_requests:.0f}",
        f"{mean_held:.2f}",
        f"{result.retries:.0f}",
        f"{before.memory_bytes / 1e6:.0f} → {after.memory_bytes / 1e6:.0f}",
        f"{before.files} → {after.files}",
    ]


@dataclass(frozen=True)
class Panel:
    """One scenario of the plot: when answers came, in s since its start, and after how many s each."""

    title: str
    points: Sequence[tuple[float, float]]
    failed: int


def panel_of(result: ExperimentResult) -> Panel:
    """The panel of a scenario on stubs."""
    outcome, failed = result.outcome, len(result.outcome.failures)
    points = [(moment - result.started, s) for moment, s in zip(outcome.finished_at, outcome.in_order, strict=True)]
    return Panel(f"{result.scenario}: {outcome.answered} answered, {failed} failed", points, failed)


def panel_of_row(row: Mapping[str, Any]) -> Panel:
    """The panel of a scenario on real services."""
    title = f"{row['scenario']}, {row['replicas']} of each: {row['answered']} answered, {row['failed']} failed"
    return Panel(title, row["points"], row["failed"] + row["wrong"])


def plot(panels: Sequence[Panel], path: Path) -> None:
    """Latency over time, one panel for each scenario; one with failures has a red title."""
    rows = (len(panels) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(12, 2.6 * rows), squeeze=False, layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=False):
        ends, seconds = zip(*panel.points, strict=True) if panel.points else ((), ())
        axis.scatter(ends, seconds, s=3, alpha=0.5, color="tab:blue")
        axis.set_yscale("log")
        axis.set_title(panel.title, color="red" if panel.failed else "black")
        axis.set_xlabel("s since the start")
        axis.set_ylabel("latency, s")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
