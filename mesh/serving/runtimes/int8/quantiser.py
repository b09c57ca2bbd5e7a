"""Makes the int8 version of a graph with NNCF (extra `quantise`), from inputs that its service fed it.

Post-training quantisation: weights symmetric, what runs through not (`mixed`), means corrected. What stands nearest to
the graph's inputs and outputs is computed in fp32: few of its multiplications, and most of what eight bits cost.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import openvino
from mesh.serving.runtimes.int8.files import Int8Files, Manifest, sha256
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import Feeds, RuntimeSettings, first_line

if TYPE_CHECKING:
    from openvino import Model, Node

WEIGHTED = frozenset(
    {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul"}
)
"""OpenVINO's operators that are faster in eight bits."""
LEAST_INPUTS = 20
"""Ranges that fewer show are not to be relied on."""


def require() -> None:
    """Raises UnavailableError: what makes int8 versions is not installed."""
    if find_spec("nncf") is None or not openvino.is_installed():
        raise UnavailableError(
            "int8 versions are made by NNCF and OpenVINO: install the extras `quantise` and `openvino`"
        )


def quantise(
    graph: Path, inputs: Sequence[Feeds], files: Int8Files, learned_from: str, held_out: Sequence[Feeds] = ()
) -> Manifest:
    """Writes the int8 version of a graph, whole or not at all. Blocking: minutes.

    Args:
        graph: its .onnx file.
        inputs: what it learns from.
        files: where it goes; one that is there is replaced.
        learned_from: the photos that the inputs came from, for the manifest.
        held_out: what its cosine is measured on, now and when it is loaded; none for graphs that a judge knows.

    Raises:
        UnavailableError: too few inputs, or the graph cannot be read or quantised.
        OSError: the files cannot be written.
    """
    if len(inputs) < LEAST_INPUTS:
        raise UnavailableError(
            f"{graph} ran {len(inputs)} times on these photos, and {LEAST_INPUTS} are needed: give more photos"
        )
    files.graph.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=files.graph.parent, prefix=".making-") as folder:
        made = Int8Files(Path(folder) / files.stem.name)
        _write(graph, inputs, made.graph)
        if held_out:
            made.write_inputs(held_out)
        manifest = Manifest(
            source_sha256=sha256(graph),
            xml_sha256=sha256(made.graph),
            bin_sha256=sha256(made.weights),
            made_by=f"NNCF {version('nncf')}, OpenVINO {openvino.version()}",
            learned_from=f"{len(inputs)} inputs of {learned_from}",
            cosine=_cosine(graph, made) if held_out else None,
        )
        made.write_manifest(manifest)
        files.manifest_path.unlink(missing_ok=True)  # until the new files are there
        for file in (made.weights, made.graph, *([made.inputs_path] if held_out else []), made.manifest_path):
            file.replace(files.graph.with_name(file.name))
    return manifest


def _write(graph: Path, inputs: Sequence[Feeds], target: Path) -> None:
    os.environ["NNCF_CI"] = "1"  # its word for "report nothing to Google Analytics"
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    from openvino import convert_model, save_model

    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset([dict(feeds) for feeds in inputs])
    try:
        # Conversion joins what belongs together: eight bits within a GELU cost accuracy, and its one fast kernel.
        model = convert_model(str(graph))
        with redirect_stdout(sys.stderr):  # its progress
            quantised = nncf.quantize(
                model,
                data,
                preset=nncf.QuantizationPreset.MIXED,
                target_device=nncf.TargetDevice.CPU,
                model_type=nncf.ModelType.TRANSFORMER if _attends(model) else None,
                subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(names=sorted(_ends(model))),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    # Halved ranges are for processors without VNNI, which run no int8 here.
                    overflow_fix=nncf.OverflowFix.DISABLE,
                    # All that was seen: what is clipped is the strongest ink.
                    activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                ),
            )
            # What stays in fp32 keeps its weights in bytes: they are half of a recogniser of many characters.
            quantised = nncf.compress_weights(quantised, mode=nncf.CompressWeightsMode.INT8_SYM)
    except (RuntimeError, nncf.ValidationError) as error:
        raise UnavailableError(f"cannot quantise {graph}: {first_line(error)}") from error
    _name_by_place(quantised)
    save_model(quantised, str(target), compress_to_fp16=True)


def _name_by_place(model: "Model") -> None:
    """OpenVINO counts what has no name through all that this process made: the same graph would never come twice."""
    for place, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(rf"{node.get_type_name()}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


def _attends(model: "Model") -> bool:
    """Whether it is a transformer, whose ranges differ too much from channel to channel to be taken as they are."""
    return any(node.get_type_name() == "ScaledDotProductAttention" for node in model.get_ops())


def _ends(model: "Model") -> set[str]:
    """Names of the weighted operators that no other one stands before, or none after."""
    first = (name for port in model.inputs for name in _nearest(port.get_node(), _consumers))
    last = (name for result in model.get_results() for name in _nearest(result, _producers))
    return {*first, *last}


def _nearest(start: "Node", steps: "Callable[[Node], Iterator[Node]]") -> Iterator[str]:
    """The weighted operators that are met first in one direction."""
    waiting, seen = [start], {start.get_friendly_name()}
    while waiting:
        for node in steps(waiting.pop()):
            name = node.get_friendly_name()
            if name in seen or node.get_type_name() == "ShapeOf":  # sizes, no numbers of the picture
                continue
            seen.add(name)
            if node.get_type_name() in WEIGHTED:
                yield name
            else:
                waiting.append(node)


def _consumers(node: "Node") -> Iterator["Node"]:
    return (port.get_node() for output in node.outputs() for port in output.get_target_inputs())


def _producers(node: "Node") -> Iterator["Node"]:
    return (port.get_node() for port in node.input_values())


def _cosine(graph: Path, made: Int8Files) -> float:
    """The lowest between fp32's outputs and the version's on the inputs that it keeps."""
    check = made.own_check()
    assert check is not None
    runtime = RuntimeSettings(device=Device.OPENVINO, cores=1)
    exact, session = OnnxSession(graph, runtime), OpenVinoSession(made.graph, runtime, Precision.INT8)
    try:
        return check.compare(check.run(exact), check.run(session)).cosine
    finally:
        exact.close()
        session.close()
