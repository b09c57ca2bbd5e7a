"""A graph as it is written, run on one thread of the processor: to look into it, and to hold others against it."""

from collections.abc import Sequence
from pathlib import Path

from mesh.core.errors import UnavailableError
from mesh.serving.runtimes.session import Array, Feeds, first_line


class ReferenceRun:
    """A graph in onnxruntime, in fp32, its operators neither joined nor moved.

    Args:
        graph: an .onnx file, or what would be in one.

    Raises:
        UnavailableError: it cannot be read.
    """

    def __init__(self, graph: Path | bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        source = graph if isinstance(graph, bytes) else str(graph)
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime raises classes of its own, derived from Exception alone, for every kind of bad file.
            raise UnavailableError(f"cannot read the model: {first_line(error)}") from error

    def __call__(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> list[Array]:
        """These outputs, or all of the graph's. Blocking. Raises UnavailableError: it takes no such inputs."""
        try:
            found: list[Array] = self._session.run(outputs, dict(feeds))
        except Exception as error:
            raise UnavailableError(f"the model cannot be run: {first_line(error)}") from error
        return found
