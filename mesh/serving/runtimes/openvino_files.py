"""The files that OpenVINO's sessions are opened from: its own form of a graph, and what it compiled of that."""

from pathlib import Path

import structlog

from mesh.core.errors import UnavailableError
from mesh.core.settings import Precision
from mesh.serving.runtimes import openvino
from mesh.serving.runtimes.compiled import CompiledFiles
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import RuntimeSettings, StaticShapes, first_line

log = structlog.get_logger()


def open_kept(
    graph: Path, files: CompiledFiles, runtime: RuntimeSettings, precision: Precision, threads: int
) -> OpenVinoSession:
    """A session on the processor as it was compiled by an earlier one, else kept for the next."""
    versions = (openvino.version(), openvino.processor_name(), precision.value)
    kept = files.path("blob", *versions, str(runtime.cores), str(threads))
    session = open_source(graph, files, runtime, precision, threads, files.stored(kept))
    if session.was_compiled and source_path(files, precision).exists():
        try:
            files.store(kept, session.export())
        except RuntimeError as error:
            log.info("compiled at each start", graph=str(graph), reason=first_line(error))
    return session


def open_source(
    graph: Path,
    files: CompiledFiles,
    runtime: RuntimeSettings,
    precision: Precision,
    threads: int,
    compiled: bytes | None = None,
    shapes: StaticShapes | None = None,
) -> OpenVinoSession:
    """A session of OpenVINO's own file of the graph, made first when it is not there or damaged."""
    source = source_path(files, precision)
    if precision is Precision.INT8:
        return OpenVinoSession(source, runtime, precision, threads, compiled, shapes)
    if source.exists():
        try:
            return OpenVinoSession(source, runtime, precision, threads, compiled, shapes)
        except UnavailableError as error:
            log.warning("made again", file=str(source), reason=error.message)
            source.unlink(missing_ok=True)
    if not files.make(source, lambda target: openvino.convert(graph, target, precision), ".bin"):
        source = graph
    return OpenVinoSession(source, runtime, precision, threads, shapes=shapes)


def source_path(files: CompiledFiles, precision: Precision) -> Path:
    """Where OpenVINO's own form of the graph lies."""
    if precision is Precision.INT8 and files.int8 is not None:
        return files.int8.graph
    return files.path("xml", openvino.version(), "fp32" if precision is Precision.FP32 else "half")
