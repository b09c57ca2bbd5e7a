"""`python -m bench.mesh`: closed-loop load through the router's `/predict`, as ratios to raw of the same run.

python -m bench.mesh                                      the whole table, and search under a backlog
python -m bench.mesh --family clip --concurrency 4 --seconds 30
python -m bench.mesh --url stock=http://127.0.0.1:3004    another Immich-ML-compatible server beside the mesh
python -m bench.mesh --only stock=http://127.0.0.1:3004   without starting the mesh

Starts router and services as processes of their own on models of true size with random weights. The targets that the
table names hold for two cores: at concurrency 4 and above 0.95 of raw for CLIP, 0.9 for faces and OCR.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from bench import photos, raw, report
from bench.load import ImmichClient, closed_loop
from bench.models import benchmark_cache
from bench.processes import SERVICES, Processes, Quiet, Usage, mesh
from mesh.core.settings import Device

TARGETS = {"clip": 0.95, "face": 0.9, "ocr": 0.9}
COLUMNS = {
    "server": "server",
    "family": "family",
    "clients": "clients",
    "per_second": "photos/s",
    "raw_per_second": "raw",
    "of_raw": "of raw",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "raw_alone_ms": "raw alone ms",
    "cpu_ms": "CPU ms/photo",
    "raw_cpu_ms": "raw CPU ms",
    "router_cpu_ms": "router CPU ms",
    "peak_mb": "peak MB",
    "errors": "errors",
    "others": "others",
}
SEARCH_COLUMNS = {
    "server": "server",
    "backlog": "photos in flight",
    "per_second": "queries/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "errors": "errors",
    "photos_per_second": "photos/s meanwhile",
    "photo_errors": "photo errors",
}
WARM_UP = 3
MAX_DISTURBANCE = 0.05
"""Share of the machine that other processes may take before the numbers are called into question."""
BACKLOG = 8


async def drive(
    server: str, url: str, family: str, clients: int, seconds: float, processes: Processes | None
) -> dict[str, Any]:
    """One row of the table: a closed loop of `clients` on one family."""
    async with ImmichClient(url) as client:
        send = client.sender(family, photos.stream())
        for _ in range(WARM_UP):
            if not await send():
                raise RuntimeError(f"{server} did not answer a {family} request rightly")
        quiet = Quiet(lambda: time.process_time() + processes.cpu_seconds()) if processes else None
        before = processes.usage() if processes else None
        seen = await closed_loop(send, clients=clients, seconds=seconds)
        after = processes.usage() if processes else None
    row: dict[str, Any] = {"server": server, "family": family, "clients": clients, **seen.summary()}
    row["others"] = quiet.others_share() if quiet else None
    if before and after:
        row |= _cost(before, after, len(seen.latencies))
    return row


def _cost(before: Usage, after: Usage, answers: int) -> dict[str, float]:
    used = {name: after.cpu_seconds[name] - before.cpu_seconds[name] for name in after.cpu_seconds}
    return {
        "cpu_ms": sum(used.values()) * 1000 / max(1, answers),
        "router_cpu_ms": used.get("router", 0.0) * 1000 / max(1, answers),
        "peak_mb": sum(after.peak_bytes.values()) / 1e6,
    }


async def search(server: str, url: str, seconds: float) -> list[dict[str, Any]]:
    """Latency of search queries: alone, and while every worker has photos to do."""
    async with ImmichClient(url) as client:
        queries = photos.queries()
        send = client.sender("text", queries)
        for _ in range(WARM_UP):
            await send()
        idle = await closed_loop(send, clients=1, seconds=seconds)
        stream = photos.stream()
        backlog = [
            asyncio.create_task(closed_loop(client.sender(family, stream), clients=clients, seconds=seconds + 3))
            for family, clients in (("clip", BACKLOG // 2), ("face", BACKLOG // 4), ("ocr", BACKLOG // 4))
        ]
        await asyncio.sleep(2)
        busy = await closed_loop(send, clients=1, seconds=seconds)
        photos_seen = await asyncio.gather(*backlog)
    return [
        {"server": server, "backlog": 0, **idle.summary()},
        {
            "server": server,
            "backlog": BACKLOG,
            **busy.summary(),
            "photos_per_second": sum(seen.per_second for seen in photos_seen),
            "photo_errors": sum(seen.errors for seen in photos_seen),
        },
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    others = dict(_named(url) for url in [*options.url, *options.only])
    rows: list[dict[str, Any]] = []
    searches: list[dict[str, Any]] = []
    limits: dict[str, raw.Limit] = {}
    cache_folder = benchmark_cache()
    with ExitStack() as stack:
        servers: dict[str, tuple[str, Processes | None]] = {name: (url, None) for name, url in others.items()}
        if not options.only:
            environment = {"DEVICE": options.device}
            own = stack.enter_context(mesh(cache_folder, report.OUT / "logs", SERVICES, environment))
            servers = {"mesh": (own.url, own), **servers}
        for family in options.family:
            limit = raw.measure(family, cache_folder, options.raw_seconds, Device(options.device), options.raw_batch)
            limits[family] = limit
            print(f"raw {family}: {limit.per_second:.2f} photos/s, {limit.setting}", flush=True)
            for name, (url, processes) in servers.items():
                for clients in options.concurrency:
                    row = asyncio.run(drive(name, url, family, clients, options.seconds, processes))
                    rows.append(_beside(row, limit))
                    print(_line(rows[-1]), flush=True)
        if options.search:
            for name, (url, _) in servers.items():
                searches += asyncio.run(search(name, url, options.seconds))
    _write(rows, searches, limits)
    return 0


def _beside(row: dict[str, Any], limit: raw.Limit) -> dict[str, Any]:
    return row | {
        "raw_per_second": limit.per_second,
        "of_raw": row["per_second"] / limit.per_second,
        "raw_alone_ms": limit.alone_ms,
        "raw_cpu_ms": limit.cpu_ms,
    }


def _line(row: Mapping[str, Any]) -> str:
    cost = f"CPU {row['cpu_ms']:.0f} against {row['raw_cpu_ms']:.0f} ms, " if "cpu_ms" in row else ""
    return (
        f"{row['server']} {row['family']} x{row['clients']}: {row['per_second']:.2f}/s = {row['of_raw']:.3f} of raw, "
        f"{cost}p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms, {row['errors']} errors"
    )


def _write(rows: list[dict[str, Any]], searches: list[dict[str, Any]], limits: Mapping[str, raw.Limit]) -> None:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    text = report.table(rows, COLUMNS)
    if searches:
        text += "\nSearch queries\n\n" + report.table(searches, SEARCH_COLUMNS)
    content = {
        "machine": report.machine(),
        "targets": TARGETS,
        "limits": {family: asdict(limit) for family, limit in limits.items()},
        "rows": rows,
        "search": searches,
    }
    saved = report.save(f"mesh-{stamp}", content)
    plot = saved.with_suffix(".png")
    saved.with_suffix(".md").write_text(text, "utf-8")
    report.plot_mesh(rows, plot)
    print(f"\n{text}\n{saved}\n{plot}")
    disturbed = max(
        [*(row["others"] or 0.0 for row in rows), *(limit.others_share for limit in limits.values())], default=0.0
    )
    if disturbed > MAX_DISTURBANCE:
        print(f"Other processes took up to {disturbed:.0%} of the machine meanwhile: measure again when it is quiet.")


def _named(argument: str) -> tuple[str, str]:
    name, _, url = argument.rpartition("=") if "=http" in argument else ("other", "", argument)
    return name, url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.mesh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", nargs="+", choices=list(SERVICES), default=["clip", "face", "ocr"])
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=20.0, help="of load per row (default: %(default)s)")
    parser.add_argument("--raw-seconds", type=float, default=10.0, help="per thread setting (default: %(default)s)")
    parser.add_argument("--raw-batch", nargs="+", type=int, default=[1], help="photos per run of raw on a GPU")
    parser.add_argument("--device", choices=[device.value for device in Device], default="auto")
    parser.add_argument("--url", nargs="+", default=[], metavar="NAME=URL", help="other servers beside the mesh")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME=URL", help="other servers, without the mesh")
    parser.add_argument("--no-search", dest="search", action="store_false", help="leave out search under a backlog")
    return parser


if __name__ == "__main__":
    sys.exit(main())
