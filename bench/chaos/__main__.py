"""`python -m bench.chaos`: every scenario, as a table and a plot. Ends with status 1 when a single request failed."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.chaos.experiment import Result, experiment
from bench.chaos.fleet import fleet
from bench.chaos.report import plot, table
from bench.chaos.scenarios import SCENARIOS


async def run(arguments: argparse.Namespace) -> list[Result]:
    """All scenarios asked for, one after the other on one fleet."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        async with fleet(Path(folder), replicas=arguments.replicas, work_ms=arguments.work_ms) as made:
            for name in arguments.only or SCENARIOS:
                result = await experiment(made, name, arguments.requests, arguments.concurrency)
                failed = len(result.outcome.failures)
                print(
                    f"{name}: {result.outcome.answered} answered, {failed} failed, {result.seconds:.1f} s", flush=True
                )
                for failure in result.outcome.failures[:5]:
                    print(f"  {failure}", flush=True)
                results.append(result)
    return results


def main() -> int:
    """Runs, writes, judges."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=24)
    parser.add_argument("--replicas", type=int, default=3, help="of each service")
    parser.add_argument("--work-ms", type=float, default=150, help="time a replica works on a request")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--out", type=Path, default=Path("bench/out/chaos"))
    arguments = parser.parse_args()
    results = asyncio.run(run(arguments))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "chaos.md").write_text(table(results), "utf-8")
    plot(results, arguments.out / "chaos.png")
    print(table(results))
    return 1 if any(result.outcome.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
