"""What ONNX's operators do with pixels: which keep them apart."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

APART = frozenset(
    {
        *(
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Pow",
            "Sqrt",
            "Neg",
            "Abs",
            "Exp",
            "Log",
            "Reciprocal",
            "Max",
            "Min",
            "Floor",
            "Ceil",
            "Round",
        ),
        *(
            "Relu",
            "LeakyRelu",
            "PRelu",
            "Elu",
            "Gelu",
            "Erf",
            "HardSigmoid",
            "HardSwish",
            "Sigmoid",
            "Softplus",
            "Tanh",
            "Clip",
        ),
        *("Equal", "Greater", "Less", "Where", "BatchNormalization", "Dropout"),
        *(
            "Cast",
            "Constant",
            "ConstantOfShape",
            "Expand",
            "Gather",
            "Identity",
            "Reshape",
            "Shape",
            "Slice",
            "Split",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
        ),
    }
)
"""Operators that compute each place from itself alone."""
ALONG = frozenset({"ArgMax", "Concat", "LayerNormalization", "ReduceMax", "ReduceMin", "ReduceSum"})
"""Operators that do so unless they work along an axis that grows."""
NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax"})
PASSING = frozenset({"Identity", "Dropout", "Cast"})


def attributes_of(node: "onnx.NodeProto") -> dict[str, Any]:
    """The node's attributes by their names."""
    import onnx

    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
