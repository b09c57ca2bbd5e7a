"""Every scenario, as a table and a plot. Ends with status 1 when a single request failed.

python -m bench.chaos                                   stub replicas, whose faults can be chosen
python -m bench.chaos --real --document docs/chaos.md   real services with 1, 2 and 3 replicas each, and the page
python -m bench.chaos --real --replicas 2 --only killed --document docs/chaos.md   measures one row of it again
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import report
from bench.chaos.experiment import ExperimentResult, experiment
from bench.chaos.fleet import fleet
from bench.chaos.real_scenarios import REAL_SCENARIOS
from bench.chaos.report import merged, panel_of, panel_of_row, plot, row, services_document, table
from bench.chaos.scenarios import SCENARIOS, Pace
from bench.chaos.services import ServiceProcesses

REAL_REQUESTS = {"killed": 2000}
_WORDY = {"description", "failures", "points"}


async def run(arguments: argparse.Namespace) -> list[ExperimentResult]:
    """All scenarios asked for, one after the other on one fleet."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        async with fleet(Path(folder), replicas=(arguments.replicas or [3])[0], work_ms=arguments.work_ms) as made:
            for name in arguments.only or SCENARIOS:
                result = await experiment(made, name, arguments.requests or 2000, arguments.concurrency)
                failed = len(result.outcome.failures)
                print(
                    f"{name}: {result.outcome.answered} answered, {failed} failed, {result.seconds:.1f} s", flush=True
                )
                for failure in result.outcome.failures[:5]:
                    print(f"  {failure}", flush=True)
                results.append(result)
    return results


async def run_real(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All scenarios asked for on real services, with each number of replicas. Each row is saved when it is there."""
    rows = []
    for replicas in arguments.replicas or (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            async with fleet(Path(folder), replicas=replicas, make=ServiceProcesses(Path(folder))) as made:
                for name in arguments.only or REAL_SCENARIOS:
                    requests, load = arguments.requests or REAL_REQUESTS.get(name, 500), os.getloadavg()[0]
                    pace = Pace(between=5.0)
                    result = await experiment(made, name, requests, arguments.concurrency, pace=pace, real=True)
                    rows.append(row(result, replicas, requests, load))
                    print({key: value for key, value in rows[-1].items() if key not in _WORDY}, flush=True)
                    for failure in rows[-1]["failures"][:3]:
                        print(f"  {failure}", flush=True)
                    _keep(rows[-1], arguments.document)
    return rows


def _keep(new: dict[str, Any], document: Path | None) -> None:
    """Puts a row into the result file, and writes the page from all that the file holds."""
    file = report.OUT / "chaos_services.json"
    earlier = json.loads(file.read_text("utf-8"))["rows"] if file.exists() else []
    rows = merged(earlier, new)
    content = {"machine": report.machine(), "rows": rows}
    report.save(file.stem, content)
    if document:
        document.write_text(services_document(content), "utf-8")
        plot([panel_of_row(each) for each in rows], document.parent / "pictures" / "chaos.webp")


def measure_real(arguments: argparse.Namespace) -> int:
    """Runs on real services; 1 when a request failed."""
    rows = asyncio.run(run_real(arguments))
    return 1 if any(line["failed"] or line["wrong"] or line["quarantined"] for line in rows) else 0


def main() -> int:
    """Runs, writes, judges."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--requests", type=int, help="2,000; on real services that many when killed, else 500")
    parser.add_argument("--concurrency", type=int, default=None, help="24; 8 on real services")
    parser.add_argument("--replicas", type=int, action="append", help="of each service: 3; 1, 2 and 3 for real ones")
    parser.add_argument("--real", action="store_true", help="real services on small models")
    parser.add_argument("--document", type=Path, help="the page to write from the results on real services")
    parser.add_argument("--work-ms", type=float, default=150, help="time a replica works on a request")
    parser.add_argument("--only", action="append", choices=sorted({*SCENARIOS, *REAL_SCENARIOS}))
    parser.add_argument("--out", type=Path, default=Path("bench/out/chaos"))
    arguments = parser.parse_args()
    arguments.concurrency = arguments.concurrency or (8 if arguments.real else 24)
    if arguments.real:
        return measure_real(arguments)
    results = asyncio.run(run(arguments))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "chaos.md").write_text(table(results), "utf-8")
    plot([panel_of(result) for result in results], arguments.out / "chaos.png")
    print(table(results))
    return 1 if any(result.outcome.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
