"""`python -m bench.raw`: the limit. The mesh's own graphs and inputs, driven flat out by the runtime alone.

python -m bench.raw                            all families, ten seconds per thread setting
python -m bench.raw --family clip --seconds 30
python -m bench.raw --device cpu               in onnxruntime, whatever the mesh would choose
python -m bench.raw --device cuda --batch 1 8 32

A photo is every run that the mesh makes for it: one for CLIP, detector and faces, detector and lines. Nothing is
decoded, resized or sent. The best thread setting counts.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import report
from bench.models import benchmark_cache
from bench.photos import preview
from bench.processes import Quiet
from bench.recording import FAMILIES, RecordedRun, record
from mesh.core.cores import usable_cores
from mesh.core.settings import Device
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.selection import choose
from mesh.serving.runtimes.session import ModelSession, RuntimeSettings
from ocr_service.models import INT8_FOLDER

PHOTOS = 4
"""Different photos whose runs are replayed in turn: lines of text differ in number and width."""
LATENCY_RUNS = 9


@dataclass(frozen=True)
class Setting:
    """One way to drive the graphs: `workers` photos at a time, `threads` for each run, `batch` photos per run."""

    workers: int
    threads: int
    spin: bool = False
    batch: int = 1

    def __str__(self) -> str:
        batch = f", batches of {self.batch}" if self.batch > 1 else ""
        return f"{self.workers} x {self.threads} threads{', spinning' if self.spin else ''}{batch}"


@dataclass(frozen=True)
class Limit:
    """What the runtime alone reaches for one family.

    Attributes:
        per_second: photos per second of the best setting.
        setting: that setting.
        alone_ms: the soonest answer to a single photo in milliseconds: the best setting for each of its stages.
        cpu_ms: CPU time of one photo in that setting, in milliseconds: less disturbed by other work on the machine.
        others_share: share of the machine that other processes took meanwhile, 0 to 1.
        settings: photos per second of every setting tried.
        providers: what ran its graphs.
    """

    per_second: float
    setting: str
    alone_ms: float
    cpu_ms: float
    others_share: float
    settings: dict[str, float]
    providers: list[str]


def settings_for(device: Device, batches: Sequence[int]) -> list[Setting]:
    """What is worth trying: on a CPU every split of the cores, on a GPU every batch, and single photos."""
    if not device.is_processor:
        return [Setting(workers, 1, batch=batch) for batch in sorted({1, *batches}) for workers in (1, 2)]
    cores = usable_cores()
    splits = [workers for workers in range(1, cores + 1) if cores % workers == 0]
    narrow = [Setting(workers, cores // workers) for workers in splits]
    spinning = device is Device.CPU and cores > 1  # a setting of onnxruntime
    return [*narrow, Setting(1, cores, spin=True)] if spinning else narrow


def measure(
    family: str, cache_folder: Path, seconds: float, device: Device = Device.AUTO, batches: Sequence[int] = (1,)
) -> Limit:
    """The limit of one family, each setting driven for `seconds`."""
    jobs = record(family, cache_folder, [preview(seed) for seed in range(PHOTOS)], device)
    rates: dict[Setting, float] = {}
    costs: dict[Setting, float] = {}
    stages: list[list[float]] = []
    providers: set[str] = set()
    quiet = Quiet(time.process_time)
    for setting in settings_for(device, batches):
        with ThreadPoolExecutor(setting.workers) as threads:
            driver = Driver(setting, device, cache_folder, threads)
            rates[setting], costs[setting] = driver.drive(jobs, seconds)
            providers |= driver.providers
            if setting.batch == 1:
                stages.append(driver.stage_seconds(jobs[0]))
    alone = sum(min(seconds) for seconds in zip(*stages, strict=True))
    best = max(rates, key=lambda setting: rates[setting])
    tried = {str(setting): rate for setting, rate in rates.items()}
    return Limit(
        rates[best], str(best), alone * 1000, costs[best] * 1000, quiet.others_share(), tried, sorted(providers)
    )


class Driver:
    """Replays the runs of photos in one setting."""

    def __init__(self, setting: Setting, device: Device, cache_folder: Path, threads: ThreadPoolExecutor) -> None:
        self._setting = setting
        self._runtime = RuntimeSettings(device=device, cache_folder=cache_folder, int8_folder=INT8_FOLDER)
        self._threads = threads
        self._sessions: dict[Path, ModelSession] = {}

    @property
    def providers(self) -> set[str]:
        """What runs the graphs that were driven."""
        return {session.provider for session in self._sessions.values()}

    def drive(self, jobs: list[list[RecordedRun]], seconds: float) -> tuple[float, float]:
        """Photos per second with all workers busy for that long, and CPU seconds per photo."""
        batched = [list(self.batched(job)) for job in jobs]
        self.replay(batched[0])
        started, started_cpu = time.perf_counter(), time.process_time()

        def work(worker: int) -> int:
            done = 0
            while time.perf_counter() - started < seconds:
                self.replay(batched[(worker + done) % len(batched)])
                done += 1
            return done

        finished = sum(self._threads.map(work, range(self._setting.workers))) * self._setting.batch
        return finished / (time.perf_counter() - started), (time.process_time() - started_cpu) / finished

    def replay(self, job: Iterable[RecordedRun]) -> None:
        """All runs of one photo, one after the other."""
        for run in job:
            self._session(run.graph).run(run.feeds)

    def stage_seconds(self, job: Iterable[RecordedRun]) -> list[float]:
        """Median seconds of each stage of one photo with nothing else going on.

        A stage is the runs of one graph that follow each other (faces, lines), in a row or side by side: what is
        sooner.
        """
        medians = []
        for graph, runs in groupby(job, key=lambda run: run.graph):
            feeds = [run.feeds for run in runs]
            one = self._session(graph).run
            in_a_row = _median_seconds(partial(_exhaust, map, one, feeds))
            side_by_side = _median_seconds(partial(_exhaust, self._threads.map, one, feeds))
            medians.append(min(in_a_row, side_by_side))
        return medians

    def batched(self, job: Iterable[RecordedRun]) -> Iterator[RecordedRun]:
        """The runs of as many equal photos as the setting's batch: stacked where the graph takes it, else repeated."""
        for run in job:
            if self._session(run.graph).inputs[0].shape[0] is not None:
                yield from [run] * self._setting.batch
            else:
                yield RecordedRun(
                    run.graph, {name: np.concatenate([a] * self._setting.batch) for name, a in run.feeds.items()}
                )

    def _session(self, graph: Path) -> ModelSession:
        if graph not in self._sessions:
            self._sessions[graph] = self._open(graph)
        return self._sessions[graph]

    def _open(self, graph: Path) -> ModelSession:
        """As the mesh opens it, by the verdict of the service that was recorded; onnxruntime also without spinning."""
        if self._runtime.device is Device.CPU:
            return OnnxSession(graph, self._runtime, self._setting.threads, spin=self._setting.spin)
        return choose(graph, self._runtime, lambda inputs: None).open(self._setting.threads)


def _exhaust(mapping: Callable[..., Iterable[object]], work: Callable[..., object], items: Sequence[object]) -> None:
    """Does all of the work, in whichever way `mapping` maps."""
    for _ in mapping(work, items):
        pass


def _median_seconds(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    cache_folder = benchmark_cache()
    limits: dict[str, Any] = {}
    for family in options.family:
        limit = measure(family, cache_folder, options.seconds, Device(options.device), options.batch)
        limits[family] = asdict(limit)
        print(f"{family}: {limit.per_second:.2f} photos/s ({limit.setting}), alone {limit.alone_ms:.0f} ms", flush=True)
    report.save("raw", {"machine": report.machine(), "limits": limits})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.raw", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--seconds", type=float, default=10.0, help="per thread setting (default: %(default)s)")
    parser.add_argument("--device", choices=[device.value for device in Device], default="auto")
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="photos per run on a GPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
