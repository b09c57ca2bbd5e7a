"""`python -m bench.mesh`: closed-loop load through the router's `/predict`, as ratios to raw of the same run.

python -m bench.mesh                                      the whole table, and search under a backlog
python -m bench.mesh --family clip --concurrency 4 --seconds 30
python -m bench.mesh --device auto cpu                    what was chosen beside onnxruntime in fp32, in turn
python -m bench.mesh --foreign 2                          beside two processes that are always busy
python -m bench.mesh --set THREADS=1                      with these settings of router and services
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
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import photos, raw, report
from bench.load import ImmichClient, closed_loop
from bench.models import benchmark_cache
from bench.processes import SERVICES, Processes, Quiet, Usage, foreign_load, mesh
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
    "pause": "pause s",
    "backlog": "photos in flight",
    "per_second": "queries/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "errors": "errors",
    "photos_per_second": "photos/s meanwhile",
    "photo_errors": "photo errors",
}
MEMORY_COLUMNS = {
    "server": "server",
    "process": "process",
    "proportional_mb": "PSS MB",
    "resident_mb": "RSS MB",
    "peak_mb": "peak RSS MB",
}
WARM_UP = 3
MAX_DISTURBANCE = 0.05
"""Share of the machine that other processes may take before the numbers are called into question."""
BACKLOG = 8
PAUSES = (1.0, 0.0)
"""Seconds between an answer and the next query: as one person searches, and without any, as many people do."""
SEARCH_SECONDS = 3
"""Rows of queries with pauses last so many times as long as others: a percentile wants many."""


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


async def search(server: str, url: str, pause: float, seconds: float) -> list[dict[str, Any]]:
    """Latency of search queries: alone, and while every worker has photos to do."""
    async with ImmichClient(url) as client:
        send = client.sender("text", photos.queries())
        stream = photos.stream()
        next(stream)  # makes the photos
        for _ in range(WARM_UP):
            await send()
        idle = await closed_loop(send, clients=1, seconds=seconds, pause=pause)
        backlog = [
            asyncio.create_task(closed_loop(client.sender(family, stream), clients=clients, seconds=seconds + 3))
            for family, clients in (("clip", BACKLOG // 2), ("face", BACKLOG // 4), ("ocr", BACKLOG // 4))
        ]
        await asyncio.sleep(2)
        busy = await closed_loop(send, clients=1, seconds=seconds, pause=pause)
        photos_seen = await asyncio.gather(*backlog)
    return [
        {"server": server, "pause": pause, "backlog": 0, **idle.summary()},
        {
            "server": server,
            "pause": pause,
            "backlog": BACKLOG,
            **busy.summary(),
            "photos_per_second": sum(seen.per_second for seen in photos_seen),
            "photo_errors": sum(seen.errors for seen in photos_seen),
        },
    ]


def memory(server: str, processes: Processes) -> list[dict[str, Any]]:
    """What each process of a server holds after the load, and all of them together."""
    usage = processes.usage()
    columns = {
        "proportional_mb": usage.proportional_bytes,
        "resident_mb": usage.resident_bytes,
        "peak_mb": usage.peak_bytes,
    }
    rows: list[dict[str, Any]] = [
        {"server": server, "process": name, **{key: values[name] / 1e6 for key, values in columns.items()}}
        for name in usage.cpu_seconds
    ]
    total = {key: sum(values.values()) / 1e6 for key, values in columns.items()}
    return [*rows, {"server": server, "process": "all", **total}]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    report_of = MeshReport()
    with ExitStack() as stack:
        servers = _servers(options, stack)
        stack.enter_context(foreign_load(options.foreign))
        for family in options.family:
            _drive_family(family, servers, options, report_of)
        if options.search:
            for pause in PAUSES:
                seconds = options.seconds * (SEARCH_SECONDS if pause else 1)
                for server in servers:
                    report_of.searches += asyncio.run(search(server.name, server.url, pause, seconds))
        for server in servers:
            if server.processes:
                report_of.memory += memory(server.name, server.processes)
    _write(report_of, options.set)
    return 0


@dataclass(frozen=True)
class MeasuredServer:
    """What is driven: the mesh on a device, or another server, held to raw of the first device; its processes are seen
    where it runs on this machine."""

    name: str
    url: str
    device: Device
    processes: Processes | None = None


@dataclass
class MeshReport:
    """What was measured: rows of the tables, and raw's limits by family and device."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, raw.Limit] = field(default_factory=dict)


def _servers(options: argparse.Namespace, stack: ExitStack) -> list[MeasuredServer]:
    """The mesh on every device, started here, and the servers that run already."""
    devices = [Device(device) for device in options.device]
    own = []
    for device in [] if options.only else devices:
        name = "mesh" if len(devices) == 1 else f"mesh {device.value}"
        logs = report.OUT / "logs" / device.value
        environment = {"DEVICE": device.value, **dict(setting.split("=", 1) for setting in options.set)}
        processes = stack.enter_context(mesh(benchmark_cache(), logs, SERVICES, environment))
        own.append(MeasuredServer(name, processes.url, device, processes))
    others = [_named(url) for url in [*options.url, *options.only]]
    return [*own, *(MeasuredServer(name, url, devices[0], Processes.listening(url)) for name, url in others)]


def _drive_family(
    family: str, servers: Sequence[MeasuredServer], options: argparse.Namespace, found: MeshReport
) -> None:
    for device in dict.fromkeys(server.device for server in servers):
        limit = raw.measure(family, benchmark_cache(), options.raw_seconds, device, options.raw_batch)
        found.limits[f"{family} {device.value}"] = limit
        print(f"raw {family} on {device.value}: {limit.per_second:.2f} photos/s, {limit.setting}", flush=True)
    for clients in options.concurrency:
        for _ in range(options.rounds):
            for server in servers:
                row = asyncio.run(drive(server.name, server.url, family, clients, options.seconds, server.processes))
                found.rows.append(_beside(row, found.limits[f"{family} {server.device.value}"]))
                print(_line(found.rows[-1]), flush=True)


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


def _write(found: MeshReport, settings: Sequence[str]) -> None:
    text = report.table(found.rows, COLUMNS)
    if found.searches:
        text += "\nSearch queries\n\n" + report.table(found.searches, SEARCH_COLUMNS)
    if found.memory:
        text += "\nMemory\n\n" + report.table(found.memory, MEMORY_COLUMNS)
    content = {
        "machine": report.machine(),
        "settings": settings,
        "targets": TARGETS,
        "limits": {name: asdict(limit) for name, limit in found.limits.items()},
        "rows": found.rows,
        "search": found.searches,
        "memory": found.memory,
    }
    saved = report.save(f"mesh-{time.strftime('%Y%m%d-%H%M%S')}", content)
    saved.with_suffix(".md").write_text(text, "utf-8")
    if found.rows:
        report.plot_mesh(found.rows, saved.with_suffix(".png"))
    print(f"\n{text}\n{saved}")
    shares = [row["others"] or 0.0 for row in found.rows] + [limit.others_share for limit in found.limits.values()]
    disturbed = max(shares, default=0.0)
    if disturbed > MAX_DISTURBANCE:
        print(f"Other processes took up to {disturbed:.0%} of the machine meanwhile: measure again when it is quiet.")


def _named(argument: str) -> tuple[str, str]:
    name, _, url = argument.rpartition("=") if "=http" in argument else ("other", "", argument)
    return name, url


def _setting(argument: str) -> str:
    if "=" not in argument:
        raise argparse.ArgumentTypeError("a setting is NAME=VALUE")
    return argument


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.mesh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", nargs="*", choices=list(SERVICES), default=["clip", "face", "ocr"])
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=20.0, help="of load per row (default: %(default)s)")
    parser.add_argument("--raw-seconds", type=float, default=10.0, help="per thread setting (default: %(default)s)")
    parser.add_argument("--raw-batch", nargs="+", type=int, default=[1], help="photos per run of raw on a GPU")
    parser.add_argument("--device", nargs="+", choices=[device.value for device in Device], default=["auto"])
    parser.add_argument("--rounds", type=int, default=1, help="turns of all servers per row (default: %(default)s)")
    parser.add_argument("--foreign", type=int, default=0, help="busy processes of others (default: %(default)s)")
    parser.add_argument(
        "--set", nargs="+", type=_setting, default=[], metavar="NAME=VALUE", help="settings of the mesh"
    )
    parser.add_argument("--url", nargs="+", default=[], metavar="NAME=URL", help="other servers beside the mesh")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME=URL", help="other servers, without the mesh")
    parser.add_argument("--no-search", dest="search", action="store_false", help="leave out search under a backlog")
    return parser


if __name__ == "__main__":
    sys.exit(main())
