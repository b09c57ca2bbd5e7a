"""`python -m bench.faces`: the face service's pipeline beside InsightFace's own code, on the same graphs.

python -m bench.faces                       photos per second, CPU and memory of each; the steps between the graphs
python -m bench.faces --rounds 0            the steps alone, a few seconds
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

import cv2

from bench import report
from bench.faces import parts
from bench.faces.peers import PEERS
from bench.models import benchmark_cache

HERE = "mesh"
"""The peer that the others are compared with."""


class Peer:
    """A peer's process."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        command = [sys.executable, "-P", "-m", "bench.faces.peers", name]
        pipe = subprocess.PIPE
        self._process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        stack.callback(self._process.terminate)
        self.started = self._answer()
        self.rounds: list[dict[str, float]] = []

    def work(self, photos: int, at_once: int) -> None:
        """Lets it find the faces of so many photos, and notes what it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{photos} {at_once}\n")
        self._process.stdin.flush()
        self.rounds.append(self._answer())

    def _answer(self) -> dict[str, float]:
        """The next line that is an answer: InsightFace prints lines of its own."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")


def compare(names: Sequence[str], rounds: int, photos: int, at_once: int) -> list[dict[str, Any]]:
    """A row for each peer; the peers work in turn, each round a pair with the mesh's."""
    with ExitStack() as stack:
        peers = {name: Peer(name, stack) for name in names}
        for peer in peers.values():
            peer.work(at_once, at_once)
            peer.rounds.clear()  # the first photos warm up
        for _ in range(rounds):
            for peer in peers.values():
                peer.work(photos, at_once)
        found = {peer.rounds[0]["faces"] for peer in peers.values()}
        if len(found) != 1:
            raise RuntimeError(f"the peers found {found} faces: they do not do the same work")
        base = peers[HERE].rounds
        return [
            {"peer": name, "at_once": at_once, **summary(peer.rounds, base, photos), **peer.started}
            for name, peer in peers.items()
        ]


def summary(
    rounds: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]], photos: int
) -> dict[str, float]:
    """Photos per second and CPU time of a peer, and each as the median ratio to the round of `base` beside it."""
    pairs = list(zip(rounds, base, strict=True))
    return {
        "per_second": photos / median(one["seconds"] for one in rounds),
        "rate_ratio": median(ours["seconds"] / one["seconds"] for one, ours in pairs),
        "cpu_ms": 1000 * median(one["cpu"] for one in rounds) / photos,
        "cpu_ratio": median(one["cpu"] / ours["cpu"] for one, ours in pairs),
        "peak_mb": rounds[-1]["peak_mb"],
    }


PEER_COLUMNS = {
    "peer": "",
    "at_once": "photos at once",
    "per_second": "photos/s",
    "rate_ratio": "of the mesh's",
    "cpu_ms": "CPU ms/photo",
    "cpu_ratio": "of the mesh's",
    "memory_mb": "MB, loaded",
    "peak_mb": "MB, peak",
}
STEP_COLUMNS = {
    "step": "CPU time",
    "mesh_ms": "mesh ms",
    "insightface_ms": "InsightFace ms",
    "ratio": "InsightFace / mesh",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    benchmark_cache()
    machine = report.machine()
    rows = []
    if options.rounds:
        for at_once in options.at_once:
            rows += compare(list(PEERS), options.rounds, options.photos, at_once)
            print(report.table(rows, PEER_COLUMNS), flush=True)
    cv2.setNumThreads(1)
    steps = parts.measure(options.step_rounds)
    print(report.table(steps, STEP_COLUMNS))
    cost = parts.import_cost()
    print("importing InsightFace's classes: {seconds:.1f} s, {memory_mb:.0f} MB, {modules} modules".format(**cost))
    report.save("faces", {"machine": machine, "peers": rows, "steps": steps, "imports": cost})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.faces", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of all peers in turn (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=4, help="of a round (default: %(default)s)")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4], help="photos in flight (default: 1 4)")
    parser.add_argument("--step-rounds", type=int, default=25, help="of each step (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
