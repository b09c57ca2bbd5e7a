"""Measures search: `python -m bench.search [--photos 100000] [--hard 60000] [--growth 10000,100000,1000000]`.

Ranking quality and latency per class of query against stock Immich's trigram filter and a full scan, index build and
size, one photo's update, and growth of the text side. Writes `search.json`, `search.md` and `search.png` into
bench/out; what a run leaves out (`--photos 0`, no `--growth`) stays there as it was measured last. Databases are kept
in the work folder, so that a second run starts at once; delete the folder to begin anew.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from bench.search.measure import measure
from bench.search.report import write_report

OUT = Path(__file__).parents[1] / "out"


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--photos", type=int, default=100_000, help="photos of the compared library; 0 leaves it as measured last"
    )
    parser.add_argument("--hard", type=int, default=0, help="photos of a text-only library with the hard classes")
    parser.add_argument("--growth", default="", help="sizes of text-only libraries, comma separated")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "immich-mesh-bench-search")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--mesh-only", action="store_true", help="leave stock and full scan out")
    arguments = parser.parse_args()
    growth = [int(size) for size in arguments.growth.split(",") if size]
    results = asyncio.run(
        measure(arguments.work, arguments.photos, arguments.hard, growth, mesh_only=arguments.mesh_only)
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    if (arguments.out / "search.json").exists():
        results = json.loads((arguments.out / "search.json").read_text()) | results
    (arguments.out / "search.json").write_text(json.dumps(results, indent=1, ensure_ascii=False))
    print(write_report(results, arguments.out))


if __name__ == "__main__":
    main()
