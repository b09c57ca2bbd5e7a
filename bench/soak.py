"""`python -m bench.soak`: mixed load for twenty minutes. Memory must stay flat, latency steady, and no request fail.

python -m bench.soak                  twenty minutes, the mesh started by the benchmark
python -m bench.soak --minutes 5

Four loops run side by side: photos for CLIP, faces and OCR, and search queries. Memory is sampled every few seconds;
its slope is that of a straight line through the second half, when caches and arenas have grown to their size.
"""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from bench import photos, report
from bench.load import ImmichClient, Measurement, closed_loop
from bench.models import benchmark_cache
from bench.processes import Processes, mesh

CLIENTS = {"clip": 2, "face": 2, "ocr": 1, "text": 1}
"""Immich's own concurrency at default settings, and one person who searches."""
PAUSE_SECONDS = {"text": 1.0}
"""Who searches reads what was found before the next query; back to back, queries would leave the photos little time."""
SAMPLE_SECONDS = 5.0
MAX_GROWTH = 0.01
"""Growth of memory through the second half, as a share of itself, that is noise; more is called a leak."""
MAX_DRIFT = 1.25
"""Median latency of the last quarter over that of the second."""
COLUMNS = {
    "process": "process",
    "start_mb": "start MB",
    "end_mb": "end MB",
    "peak_mb": "peak MB",
    "slope_mb_per_hour": "slope MB/h",
}
LOAD_COLUMNS = {
    "family": "family",
    "answers": "answers",
    "errors": "errors",
    "per_second": "per second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "drift": "drift",
}


@dataclass
class Soaked:
    """What twenty minutes showed: seconds and bytes per sample, and one measurement per family."""

    seconds: list[float]
    resident: dict[str, list[int]]
    loads: dict[str, Measurement]


async def soak(processes: Processes, seconds: float) -> Soaked:
    """Drives all loops for that long and samples memory meanwhile."""
    result = Soaked([], {name: [] for name in processes.usage().resident_bytes}, {})
    started = time.perf_counter()

    async def sample() -> None:
        while time.perf_counter() - started < seconds:
            usage = processes.usage()
            result.seconds.append(time.perf_counter() - started)
            for name, value in usage.resident_bytes.items():
                result.resident[name].append(value)
            await asyncio.sleep(SAMPLE_SECONDS)

    async with ImmichClient(processes.url) as client:
        pictures, queries = photos.stream(), photos.queries()
        sampling = asyncio.create_task(sample())
        loops = []
        for family, count in CLIENTS.items():
            send = client.sender(family, queries if family == "text" else pictures)
            pause = PAUSE_SECONDS.get(family, 0.0)
            loops.append(closed_loop(send, clients=count, seconds=seconds, pause=pause))
        result.loads = dict(zip(CLIENTS, await asyncio.gather(*loops), strict=True))
        await sampling
    return result


def slope_per_hour(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line through the second half of the samples, per hour."""
    half = len(seconds) // 2
    return float(np.polyfit(seconds[half:], values[half:], 1)[0]) * 3600


def drift(seen: Measurement) -> float:
    """Median latency of the last quarter of the time over that of the second quarter; NaN without answers there."""
    quarters: dict[int, list[float]] = {}
    for ended, latency in zip(seen.ended_at, seen.latencies, strict=True):
        quarters.setdefault(min(3, int(4 * ended / seen.seconds)), []).append(latency)
    if 1 not in quarters or 3 not in quarters:
        return float("nan")
    return median(quarters[3]) / median(quarters[1])


def verdict(memory: Sequence[Mapping[str, Any]], loads: Sequence[Mapping[str, Any]], hours: float) -> list[str]:
    """What is wrong after so many hours, in words; nothing when all is well."""
    faults = [
        f"memory of {row['process']} grows by {row['slope_mb_per_hour']:.0f} MB per hour"
        for row in memory
        if row["slope_mb_per_hour"] * hours / 2 > MAX_GROWTH * row["end_mb"]
    ]
    for row in loads:
        if row["errors"]:
            faults.append(f"{row['errors']:.0f} {row['family']} requests failed")
        if math.isnan(row["drift"]):
            faults.append(f"{row['family']} had too few answers to tell")
        elif row["drift"] > MAX_DRIFT:
            faults.append(f"{row['family']} became {row['drift']:.2f} times as slow")
    return faults


def minutes_of(seen: Measurement) -> list[tuple[float, float]]:
    """(minute, median latency in ms) for every minute with answers."""
    by_minute: dict[int, list[float]] = {}
    for ended, latency in zip(seen.ended_at, seen.latencies, strict=True):
        by_minute.setdefault(int(ended // 60), []).append(latency)
    return [(minute + 0.5, median(values) * 1000) for minute, values in sorted(by_minute.items())]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 when memory grows, latency drifts or a request fails."""
    parser = argparse.ArgumentParser("bench.soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="of load (default: %(default)s)")
    options = parser.parse_args(arguments)
    with mesh(benchmark_cache(), report.OUT / "logs") as processes:
        soaked = asyncio.run(soak(processes, options.minutes * 60))
        peaks = processes.usage().peak_bytes
    memory = [
        {
            "process": name,
            "start_mb": values[0] / 1e6,
            "end_mb": values[-1] / 1e6,
            "peak_mb": peaks[name] / 1e6,
            "slope_mb_per_hour": slope_per_hour(soaked.seconds, values) / 1e6,
        }
        for name, values in soaked.resident.items()
    ]
    loads = [{"family": family, **seen.summary(), "drift": drift(seen)} for family, seen in soaked.loads.items()]
    faults = verdict(memory, loads, options.minutes / 60)
    latency = {family: minutes_of(seen) for family, seen in soaked.loads.items()}
    series = {"seconds": soaked.seconds, "resident_bytes": soaked.resident, "latency_ms": latency}
    content = {"machine": report.machine(), "memory": memory, "loads": loads, "faults": faults, "series": series}
    saved = report.save("soak", content)
    text = (
        f"{report.table(memory, COLUMNS)}\n{report.table(loads, LOAD_COLUMNS)}\n{'; '.join(faults) or 'all is well'}\n"
    )
    saved.with_suffix(".md").write_text(text, "utf-8")
    report.plot_soak(series, saved.with_suffix(".png"))
    print(f"{text}\n{saved}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
