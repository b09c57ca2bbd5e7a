"""Which runtime and precision a graph runs in, and its sessions.

On a device of onnxruntime there is nothing to choose. Where OpenVINO is asked for, or may be taken (`auto`), the graph
is run in both on the same inputs when it is first loaded: a precision is taken when its outputs agree with fp32's, and
`auto` takes what was the fastest of those. The verdict is kept beside the graph, for this version and processor.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from mesh.core.errors import UnavailableError
from mesh.core.memory import return_memory
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import onnxruntime, openvino
from mesh.serving.runtimes.compiled import CompiledFiles, Records, multiplies_bytes, processor
from mesh.serving.runtimes.devices import OPENVINO_DEVICES
from mesh.serving.runtimes.guarded import GuardedSession
from mesh.serving.runtimes.int8.files import NO_VERSION, Int8Files
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.openvino_files import open_kept, open_source, source_path
from mesh.serving.runtimes.self_check import MakeCheck, SelfCheck
from mesh.serving.runtimes.session import (
    ModelSession,
    RuntimeSettings,
    StaticShapes,
    size_with_external_data,
)

log = structlog.get_logger()

WORTHWHILE_SPEED = 1.05
"""`auto` leaves onnxruntime in fp32 only for what was faster by more than a measurement errs."""
TIMED_RUNS = 3


@dataclass(frozen=True)
class RuntimeVerdict:
    """What a graph runs in.

    Attributes:
        precision: of OpenVINO; None for onnxruntime.
        reason: why, in a few words.
    """

    precision: Precision | None
    reason: str


@dataclass(frozen=True)
class RuntimeChoice:
    """How the sessions of a graph are opened.

    Attributes:
        open: a session whose runs have so many threads. Blocking; raises UnavailableError.
        open_for: a session for inputs of these shapes alone; None where nothing compiles for them.
        reason: why this runtime, in a few words; empty where settings left no choice.
        shares_weights: whether all sessions hold one copy of the weights.
        records: where it is kept what was measured of them; None where nothing is.
    """

    open: Callable[[int], ModelSession]
    open_for: Callable[[StaticShapes], ModelSession] | None = None
    reason: str = ""
    shares_weights: bool = False
    records: Records | None = None


def choose(graph: Path, runtime: RuntimeSettings, make_check: MakeCheck, *, several: bool = False) -> RuntimeChoice:
    """Decides what a graph runs in. Blocking: seconds when it is loaded for the first time.

    Args:
        graph: its .onnx file.
        runtime: where it shall run.
        make_check: what a precision must agree on.
        several: whether more than one session will be open at a time: they are to share their weights.

    Raises:
        UnavailableError: the file cannot be read, or the device that was asked for cannot run it.
    """
    several = several and runtime.device.is_processor
    files = CompiledFiles(graph, runtime.cache_folder, Int8Files.find(graph, runtime.int8_folder))
    if runtime.device is Device.AUTO and not openvino.is_installed():
        return _in_onnxruntime(graph, files, runtime, several, "no other runtime is installed")
    if runtime.device is not Device.AUTO and runtime.device not in OPENVINO_DEVICES:
        return _in_onnxruntime(graph, files, runtime, several)
    record = files.path("json", *_conditions(runtime))
    verdict = _read_verdict(files, record)
    if verdict is None:
        verdict = _Comparison(graph, runtime, files).verdict(make_check)
        files.note(record, asdict(verdict))
        _remove_losers(files, verdict)
    precision = verdict.precision
    if precision is None:
        return _in_onnxruntime(graph, files, runtime, several, verdict.reason, record)
    files.remove_others({record, source_path(files, precision)})
    records = Records(files, (openvino.version(), openvino.processor_name(), precision.value))
    open_one = partial(_open_openvino, graph, files, runtime, precision)
    return RuntimeChoice(open_one, partial(open_one, 1), verdict.reason, records=records)


class _Comparison:
    """One graph in onnxruntime's fp32 against OpenVINO's precisions."""

    def __init__(self, graph: Path, runtime: RuntimeSettings, files: CompiledFiles) -> None:
        self._graph = graph
        self._runtime = runtime
        self._files = files
        self._may_refuse = runtime.device is Device.AUTO

    def verdict(self, make_check: MakeCheck) -> RuntimeVerdict:
        """Runs and compares. Raises UnavailableError: nothing that was asked for can run it rightly."""
        exact = OnnxSession(self._graph, replace(self._runtime, device=Device.CPU))
        try:
            check = make_check(exact.inputs)
            if check is None:
                reason = "not compared: the shapes of its inputs are not known"
                return RuntimeVerdict(None if self._may_refuse else Precision.FP32, reason)
            return self._compare(exact, check)
        finally:
            exact.close()
            return_memory()  # two runtimes' worth of weights and arenas

    def _compare(self, exact: ModelSession, check: SelfCheck) -> RuntimeVerdict:
        shapes = check.shapes if self._runtime.device.compiles_per_shape else None
        faults: list[str] = []
        for precision in self._precisions(faults):
            try:
                judged = self._check_of(precision, check)
                session = open_source(self._graph, self._files, self._runtime, precision, 1, shapes=shapes)
            except UnavailableError as error:
                if not self._may_refuse:
                    raise
                faults.append(error.message)
                continue
            try:
                agreement = judged.compare(judged.run(exact), judged.run(session))
                if agreement.fault:
                    faults.append(f"{precision.value}: {agreement.fault}")
                    continue
                speed = self._times_as_fast(exact, session, check)
            finally:
                session.close()
            if self._may_refuse and speed < WORTHWHILE_SPEED:
                faults.append(f"{precision.value}: {speed:.2f} x as fast")
                continue
            self._tell(faults)
            outcome = "same result" if check.judge else f"cosine {agreement.cosine:.4f}"
            refused = "" if self._runtime.precision is Precision.AUTO else "".join(f"; {fault}" for fault in faults)
            return RuntimeVerdict(precision, f"{speed:.1f} x as fast as onnxruntime, {outcome}{refused}")
        self._tell(faults)
        if not self._may_refuse:
            raise UnavailableError(f"OpenVINO cannot run {self._graph} rightly: {'; '.join(faults)}")
        return RuntimeVerdict(None, f"OpenVINO not taken: {'; '.join(faults)}")

    def _precisions(self, faults: list[str]) -> Iterator[Precision]:
        """What to try, the fastest first."""
        wanted, fast = self._runtime.precision, openvino.fast_precision(self._runtime.device)
        int8, able = self._files.int8, self._runtime.device.is_processor and multiplies_bytes()
        if wanted is Precision.AUTO:
            measured = able and int8 is not None and int8.comes_with_service
            wanted = Precision.INT8 if measured and fast is Precision.FP32 else fast
        if wanted is Precision.INT8:
            fault = (int8.fault(self._graph) if int8 else NO_VERSION) if able else "needs a processor with VNNI"
        else:
            fault = "" if wanted in (fast, Precision.FP32) else "this device does not compute in it"
        if fault:
            faults.append(f"{wanted.value}: {fault}")
        elif wanted is not Precision.FP32:
            yield wanted
        yield Precision.FP32

    def _check_of(self, precision: Precision, check: SelfCheck) -> SelfCheck:
        """What is compared: where no judge knows better, int8 on the inputs that are kept beside its files."""
        int8 = self._files.int8 if precision is Precision.INT8 and check.judge is None else None
        return (int8 and int8.own_check()) or check

    def _times_as_fast(self, exact: ModelSession, session: ModelSession, check: SelfCheck) -> float:
        """How many times the speed of onnxruntime. On a processor by its own time, since others may keep it busy."""
        clock = time.process_time if self._runtime.device.is_processor else time.perf_counter
        feeds, seconds = check.feeds[0], dict.fromkeys((exact, session), float("inf"))
        for _ in range(TIMED_RUNS):
            for one in seconds:
                started = clock()
                one.run(feeds)
                seconds[one] = min(seconds[one], clock() - started)
        return seconds[exact] / max(seconds[session], 1e-9)

    def _tell(self, faults: list[str]) -> None:
        if faults:
            log.warning("not taken", graph=str(self._graph), reasons=faults)


def _conditions(runtime: RuntimeSettings) -> tuple[str, ...]:
    """All that a verdict depends on beside the graph."""
    versions = (onnxruntime.version(), openvino.version(), openvino.processor_name())
    return (*versions, runtime.device.value, runtime.precision.value)


def _read_verdict(files: CompiledFiles, record: Path) -> RuntimeVerdict | None:
    noted = files.noted(record) or {}
    try:
        return RuntimeVerdict(Precision(noted["precision"]) if noted["precision"] else None, noted["reason"])
    except (KeyError, ValueError):
        return None


def _in_onnxruntime(
    graph: Path, files: CompiledFiles, runtime: RuntimeSettings, several: bool, reason: str = "", *used: Path
) -> RuntimeChoice:
    source = _prepacked(graph, files) if several and onnxruntime.can_prepack() else graph
    files.remove_others({source, *used})

    def open_one(threads: int) -> ModelSession:
        session = OnnxSession(source, runtime, threads)
        # The file of packed weights holds the others too, of which nothing is read.
        session.memory_bytes = size_with_external_data(graph)
        return GuardedSession(session)

    records = Records(files, (onnxruntime.version(), processor()))
    return RuntimeChoice(
        open_one,
        lambda shapes: GuardedSession(OnnxSession(graph, runtime, shapes=shapes)),
        reason,
        shares_weights=source != graph,
        records=records,
    )


def _prepacked(graph: Path, files: CompiledFiles) -> Path:
    """The graph with weights that sessions share, made first when it is not there; itself where that cannot be kept."""
    source = _prepacked_path(files)
    if not source.exists():
        if not files.make(source, partial(onnxruntime.prepack, graph), ".bin"):
            return graph
        return_memory()
    return source


def _open_openvino(
    graph: Path,
    files: CompiledFiles,
    runtime: RuntimeSettings,
    precision: Precision,
    threads: int,
    shapes: StaticShapes | None = None,
) -> ModelSession:
    def open_exact() -> ModelSession:
        return OnnxSession(graph, replace(runtime, device=Device.CPU))

    if not runtime.device.is_processor:
        session = open_source(graph, files, runtime, precision, threads, shapes=shapes)
    else:
        session = open_kept(graph, files, runtime, precision, threads)
    return GuardedSession(session, None if precision is Precision.FP32 else open_exact)


def _remove_losers(files: CompiledFiles, verdict: RuntimeVerdict) -> None:
    """Deletes the files of what was compared and is not run."""
    winner = _prepacked_path(files) if verdict.precision is None else source_path(files, verdict.precision)
    for path in {_prepacked_path(files), *(source_path(files, precision) for precision in Precision)} - {winner}:
        files.remove(path)


def _prepacked_path(files: CompiledFiles) -> Path:
    return files.path("onnx", onnxruntime.version(), processor())
