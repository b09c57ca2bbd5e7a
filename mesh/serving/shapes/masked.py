"""A graph that padding has no say in: the picture stands in the corner of a larger input, and its outputs there are
those of the picture alone.

What mixes pixels is given zeros in place of padding (convolutions, as beyond the border of a picture) or leaves it out
(means, attention). A second input says where the picture ends. Graphs with operators that are not known to keep pixels
apart are refused; what is written is run against the original before it is used (`graphs`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mesh.serving.shapes.growth import COLUMNS, ROWS, Growth, UnmaskableGraphError
from mesh.serving.shapes.operators import ALONG, APART, NEVER_NEGATIVE, PASSING, attributes_of

if TYPE_CHECKING:
    import onnx

MASK = "immich_mesh_picture"
"""The second input: float32, (batch, 1, rows, columns) in steps of the graph's granularity, 1 for picture, else 0."""
FAR_BELOW = 1e4
"""Subtracted from padding before a maximum or a softmax; within the range of half precision."""
LEAST_OPSET = 11
"""Of `Resize` as it is used here."""


def mask(model: "onnx.ModelProto", growth: Mapping[str, Growth], granularity: tuple[int, int]) -> None:
    """Writes a graph anew, with the input `MASK`.

    Args:
        model: the graph; it is changed.
        growth: of its tensors.
        granularity: pixels of rows and of columns that one step of the mask stands for; 0 for a side that is fixed.

    Raises:
        UnmaskableGraphError: an operator would let padding have a say.
    """
    import onnx

    masker = _Masker(model, growth, granularity)
    for node in model.graph.node:
        masker.write(node)
    del model.graph.node[:]
    model.graph.node.extend(masker.written)
    del model.graph.value_info[:]  # what somebody inferred of the original
    sides = [name if step else 1 for name, step in zip(("mask_rows", "mask_columns"), granularity, strict=True)]
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(MASK, onnx.TensorProto.FLOAT, ["mask_batch", 1, *sides])
    )


class _Masker:
    def __init__(self, model: "onnx.ModelProto", growth: Mapping[str, Growth], granularity: tuple[int, int]) -> None:
        self._graph = model.graph
        self._growth = growth
        self._granularity = granularity
        self._opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        if self._opset < LEAST_OPSET:
            raise UnmaskableGraphError(f"its operators are of version {self._opset}")
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made: dict[tuple[object, ...], str] = {}
        self._masked_softmaxes: set[str] = set()
        self.written: list[onnx.NodeProto] = []

    def write(self, node: "onnx.NodeProto") -> None:
        """The node, after whatever it needs to leave padding out."""
        kind = node.op_type
        grows = [name for name in node.input if self._steps(name)]
        if not grows or kind in APART:
            pass
        elif kind in ALONG:
            if set(self._axes(node)) & set(self._steps(node.input[0])):
                raise self._refused(node)
        elif kind in ("Conv", "MaxPool", "AveragePool", "ConvTranspose"):
            self._write_window(node)
        elif kind in ("GlobalAveragePool", "ReduceMean"):
            if self._write_mean(node):
                return
        elif kind == "Softmax":
            self._write_softmax(node)
        elif kind == "MatMul":
            self._check_product(node)
        elif kind == "Resize":
            self._check_resize(node)
        else:
            raise self._refused(node)
        self.written.append(node)

    def _write_window(self, node: "onnx.NodeProto") -> None:
        """Windows that hold picture and padding see zeros in its place, or nothing that a maximum could be."""
        source, attributes = node.input[0], attributes_of(node)
        steps = self._of_picture(node)
        kernel = attributes.get("kernel_shape") or [2, 2]
        strides = attributes.get("strides") or [1] * len(kernel)
        if all(kernel[axis - 2] == 1 for axis in steps):
            return
        whole = all(kernel[axis - 2] == strides[axis - 2] for axis in steps)
        if node.op_type != "Conv" and whole and not any(attributes.get("pads") or ()):
            return
        if node.op_type in ("AveragePool", "ConvTranspose"):
            raise self._refused(node)
        masked = self._masked(source)
        if node.op_type == "MaxPool" and not self._is_never_negative(source):
            masked = self._added(masked, self._far_below(source), node)
        node.input[0] = masked

    def _write_mean(self, node: "onnx.NodeProto") -> bool:
        """A mean over all pixels, of the picture's alone; returns whether there was one to write."""
        import onnx

        source = node.input[0]
        steps = self._steps(source)
        axes = (2, 3) if node.op_type == "GlobalAveragePool" else self._axes(node)
        if not set(axes) & set(steps):
            return False
        steps = self._of_picture(node)
        if not set(steps) <= set(axes) or not set(axes) <= {2, 3}:
            raise self._refused(node)
        mean, name = onnx.NodeProto(), node.output[0]
        mean.CopyFrom(node)
        mean.name = f"{name}_of_all"
        mean.input[0], mean.output[0] = self._masked(source), f"{name}_of_all"
        share = onnx.NodeProto()
        share.CopyFrom(mean)
        share.name = f"{name}_share"
        share.input[0], share.output[0] = self._mask_of(source), f"{name}_share"
        self.written += [mean, share, onnx.helper.make_node("Div", [mean.output[0], share.output[0]], [name])]
        return True

    def _write_softmax(self, node: "onnx.NodeProto") -> None:
        source = node.input[0]
        steps, rank = self._steps(source), self._rank(source)
        axis = attributes_of(node).get("axis", -1 if self._opset >= 13 else 1) % rank
        along = range(axis, rank) if self._opset < 13 else (axis,)
        if not set(along) & set(steps):
            return
        if rank != 4 or axis != 3 or steps[3][0] != COLUMNS or any(side != COLUMNS for side, _ in steps.values()):
            raise self._refused(node)
        node.input[0] = self._added(source, self._far_below(source, {3: steps[3]}), node)
        self._masked_softmaxes.add(node.output[0])

    def _check_product(self, node: "onnx.NodeProto") -> None:
        """A sum over pixels is one over the picture's where a softmax has given the others nothing."""
        left, right = node.input
        summed = self._rank(left) - 1 in self._steps(left) or max(0, self._rank(right) - 2) in self._steps(right)
        while summed and left not in self._masked_softmaxes:
            maker = self._makers.get(left)
            if maker is None or maker.op_type not in PASSING:
                raise self._refused(node)
            left = maker.input[0]

    def _check_resize(self, node: "onnx.NodeProto") -> None:
        attributes = attributes_of(node)
        nearest = attributes.get("mode", b"nearest") == b"nearest"
        corner = attributes.get("coordinate_transformation_mode", b"half_pixel") == b"asymmetric"
        if not (nearest and corner and attributes.get("nearest_mode") == b"floor"):
            raise self._refused(node)

    def _masked(self, name: str) -> str:
        """The tensor with zeros in place of padding."""
        return self._once(("masked", name), "Mul", [name, self._mask_of(name)])

    def _mask_of(self, name: str) -> str:
        """The mask in the steps of a tensor of shape (batch, channels, rows, columns)."""
        return self._mask_in(self._growth[name].steps, self._growth[name].dtype)

    def _mask_in(self, steps: Mapping[int, tuple[int, int]], dtype: str) -> str:
        finer = {ROWS: 1, COLUMNS: 1}
        for side, step in steps.values():
            if step == 0 or self._granularity[side] % step:
                raise UnmaskableGraphError("an axis of it does not grow in whole steps")
            finer[side] = self._granularity[side] // step
        mask = MASK
        if set(finer.values()) != {1}:
            scales = self._constant(f"scales {finer[ROWS]} {finer[COLUMNS]}", [1, 1, finer[ROWS], finer[COLUMNS]])
            nothing = self._constant("no region", [])
            mask = self._once(
                ("finer", *finer.values()),
                "Resize",
                [MASK, nothing, scales],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        if dtype == "float32":
            return mask
        return self._once(("cast", mask, dtype), "Cast", [mask], to=_onnx_type(dtype))

    def _far_below(self, name: str, steps: Mapping[int, tuple[int, int]] | None = None) -> str:
        """0 for the picture, far below it for padding."""
        dtype = self._growth[name].dtype
        mask = self._mask_in(steps or self._growth[name].steps, dtype)
        one, much = self._constant(f"one {dtype}", [1], dtype), self._constant(f"much {dtype}", [FAR_BELOW], dtype)
        padding = self._once(("padding", mask), "Sub", [mask, one])
        return self._once(("far below", mask), "Mul", [padding, much])

    def _added(self, name: str, other: str, node: "onnx.NodeProto") -> str:
        return self._once(("added", name, node.output[0]), "Add", [name, other])

    def _once(self, key: tuple[object, ...], kind: str, inputs: list[str], **attributes: Any) -> str:
        import onnx

        if key not in self._made:
            self._made[key] = "_".join([MASK, *(str(part) for part in key)]).replace(" ", "_")
            self.written.append(onnx.helper.make_node(kind, inputs, [self._made[key]], **attributes))
        return self._made[key]

    def _constant(self, key: str, values: list[float], dtype: str = "float32") -> str:
        import onnx

        name = f"{MASK}_{key}".replace(" ", "_")
        if name not in self._constants:
            tensor = onnx.numpy_helper.from_array(np.array(values, dtype), name)
            self._constants[name] = tensor
            self._graph.initializer.append(tensor)
        return name

    def _steps(self, name: str) -> Mapping[int, tuple[int, int]]:
        growth = self._growth.get(name)
        return growth.steps if growth else {}

    def _of_picture(self, node: "onnx.NodeProto") -> Mapping[int, tuple[int, int]]:
        """How the first input grows, which must be (batch, channels, rows, columns)."""
        steps = self._steps(node.input[0])
        places = {ROWS: 2, COLUMNS: 3}
        if self._rank(node.input[0]) != 4 or any(places[side] != axis for axis, (side, _) in steps.items()):
            raise self._refused(node)
        return steps

    def _rank(self, name: str) -> int:
        if name in self._growth:
            return self._growth[name].rank
        return len(self._constants[name].dims) if name in self._constants else 0

    def _axes(self, node: "onnx.NodeProto") -> tuple[int, ...]:
        """Along which axes the node works."""
        import onnx

        attributes, rank = attributes_of(node), self._rank(node.input[0])
        axes = attributes.get("axes", attributes.get("axis"))
        if axes is None and len(node.input) > 1 and node.op_type.startswith("Reduce"):
            if node.input[1] not in self._constants:
                raise self._refused(node)
            axes = onnx.numpy_helper.to_array(self._constants[node.input[1]]).tolist()
        if node.op_type == "LayerNormalization":
            return tuple(range((-1 if axes is None else axes) % rank, rank))
        if axes is None:
            return (0,) if node.op_type == "ArgMax" else tuple(range(rank))
        return tuple(axis % rank for axis in (axes if isinstance(axes, list) else [axes]))

    def _is_never_negative(self, name: str) -> bool:
        maker = self._makers.get(name)
        while maker is not None and maker.op_type in PASSING:
            maker = self._makers.get(maker.input[0])
        return maker is not None and maker.op_type in NEVER_NEGATIVE

    def _refused(self, node: "onnx.NodeProto") -> UnmaskableGraphError:
        return UnmaskableGraphError(f"padding would have a say in its {node.op_type} {node.output[0]}")


def _onnx_type(dtype: str) -> int:
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
