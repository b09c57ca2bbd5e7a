"""Networks of true size with random weights, written without torch: the same work as the real ones, no real answers.

CLIP: cn-clip's ViT-B-16 and RoBERTa-wwm-ext-base. Faces: SCRFD-10GF (det_10g.onnx) and ArcFace's IResNet-50
(w600k_r50.onnx). The detector's answer comes from marker colours (`tests.builders.faces`); what its network computes
is added to it, so small that it changes nothing, so that no optimiser leaves the work out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.builders.faces import CROP_SIZE, EMBEDDING_LENGTH, STRIDES, add_marker_outputs
from tests.builders.graph import FLOAT, INT64, Graph

_PER_ANCHOR = 1 + 4 + 10
_ANCHORS = 2


@dataclass(frozen=True)
class Transformer:
    """Sizes of a transformer."""

    width: int
    layers: int
    heads: int
    length: int


VIT_B_16 = Transformer(width=768, layers=12, heads=12, length=197)
ROBERTA_BASE = Transformer(width=768, layers=12, heads=12, length=52)
CLIP_DIMENSION = 512
IMAGE_SIZE = 224
PATCH = 16
VOCABULARY = 21128


class Network(Graph):
    """A graph whose weights are random, scaled so that values neither vanish nor explode."""

    def __init__(self, seed: int) -> None:
        super().__init__(opset=17)
        self._random = np.random.default_rng(seed)

    def random(self, *shape: int, scale: float = 0.02) -> str:
        """Random weights."""
        return self.weight(self._random.standard_normal(shape, np.float32) * np.float32(scale))

    def linear(self, x: str, given: int, wanted: int) -> str:
        """x @ weights + bias, along the last axis."""
        return self.op("Add", self.op("MatMul", x, self.random(given, wanted, scale=given**-0.5)), self.random(wanted))

    def layer_norm(self, x: str, width: int) -> str:
        """Layer normalisation."""
        return self.op("LayerNormalization", x, self._ones(width), self.random(width), axis=-1, epsilon=1e-5)

    def attention(self, x: str, size: Transformer, mask: str | None = None) -> str:
        """Multi-head self-attention with its output projection."""
        width, heads = size.width, size.heads
        parts = []
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            split = self.weight([0, size.length, heads, width // heads])
            parts.append(self.op("Transpose", self.op("Reshape", self.linear(x, width, width), split), perm=order))
        scores = self.op("Mul", self.op("MatMul", parts[0], parts[1]), self.weight([(width // heads) ** -0.5]))
        if mask:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), parts[2])
        joined = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", joined, self.weight([0, size.length, width])), width, width)

    def conv(self, x: str, given: int, wanted: int, size: int = 3, stride: int = 1) -> str:
        """A convolution with bias and padding, its batch normalisation merged into it."""
        scale = (given * size * size) ** -0.5
        pads = [size // 2] * 4
        weights = self.random(wanted, given, size, size, scale=scale)
        return self.op("Conv", x, weights, self.random(wanted), strides=[stride, stride], pads=pads)

    def finish(self, features: str, given: int) -> None:
        """Projects features [batch, given] and normalises them: the output of both CLIP towers."""
        vectors = self.op("MatMul", features, self.random(given, CLIP_DIMENSION, scale=given**-0.5))
        length = self.op("ReduceL2", vectors, axes=[1], keepdims=1)
        self.output(self.op("Div", vectors, length), "embedding", ["batch", CLIP_DIMENSION])

    def _ones(self, width: int) -> str:
        return self.weight(np.ones(width, np.float32))


def clip_visual() -> Network:
    """image float32 [batch, 3, 224, 224] -> embedding; 86 million weights."""
    net = Network(seed=1)
    size = VIT_B_16
    image = net.input("image", ["batch", 3, IMAGE_SIZE, IMAGE_SIZE], FLOAT)
    patches = net.op("Conv", image, net.random(size.width, 3, PATCH, PATCH), strides=[PATCH, PATCH])
    flat = net.op("Reshape", patches, net.weight([0, size.width, size.length - 1]))
    tokens = net.op("Transpose", flat, perm=[0, 2, 1])
    first = net.op("Mul", net.op("Slice", tokens, net.weight([0]), net.weight([1]), net.weight([1])), net.weight([0.0]))
    tokens = net.op("Concat", net.op("Add", first, net.random(1, 1, size.width)), tokens, axis=1)
    x = net.layer_norm(net.op("Add", tokens, net.random(size.length, size.width)), size.width)
    for _ in range(size.layers):
        x = net.op("Add", x, net.attention(net.layer_norm(x, size.width), size))
        wide = net.linear(net.layer_norm(x, size.width), size.width, 4 * size.width)
        quick_gelu = net.op("Mul", wide, net.op("Sigmoid", net.op("Mul", wide, net.weight([1.702]))))
        x = net.op("Add", x, net.linear(quick_gelu, 4 * size.width, size.width))
    net.finish(net.layer_norm(_first_token(net, x), size.width), size.width)
    return net


def clip_textual() -> Network:
    """text int64 [batch, 52] -> embedding; 102 million weights."""
    net = Network(seed=2)
    size = ROBERTA_BASE
    text = net.input("text", ["batch", size.length], INT64)
    padding = net.op("Cast", net.op("Equal", text, net.weight([0])), to=FLOAT)
    mask = net.op("Unsqueeze", net.op("Mul", padding, net.weight([-10000.0])), net.weight([1, 2]))
    embedded = net.op("Gather", net.random(VOCABULARY, size.width), text, axis=0)
    x = net.layer_norm(net.op("Add", embedded, net.random(size.length, size.width)), size.width)
    for _ in range(size.layers):
        x = net.layer_norm(net.op("Add", x, net.attention(x, size, mask)), size.width)
        wide = net.linear(x, size.width, 4 * size.width)
        erf = net.op("Erf", net.op("Div", wide, net.weight([2**0.5])))
        gelu = net.op("Mul", net.op("Mul", wide, net.op("Add", erf, net.weight([1.0]))), net.weight([0.5]))
        x = net.layer_norm(net.op("Add", x, net.linear(gelu, 4 * size.width, size.width)), size.width)
    net.finish(_first_token(net, x), size.width)
    return net


def face_detector() -> Network:
    """SCRFD-10GF on input.1 float32 [1, 3, H, W]: 13 thousand million multiplications at 640 x 640."""
    net = Network(seed=3)
    photo = net.input("input.1", [1, 3, "height", "width"], FLOAT)
    x = net.op("Relu", net.conv(photo, 3, 28, stride=2))
    x = net.op("Relu", net.conv(x, 28, 28))
    x = net.op("Relu", net.conv(x, 28, 56))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels: list[str] = []
    given = 56
    for stage, (planes, blocks) in enumerate(((56, 3), (88, 4), (88, 2), (224, 3))):
        for block in range(blocks):
            x = _basic_block(net, x, given, planes, stride=2 if stage and not block else 1)
            given = planes
        if stage:
            levels.append(net.conv(x, planes, 56, size=1))
    heads = {stride: _head(net, level) for stride, level in zip(STRIDES, _pyramid(net, levels), strict=True)}
    add_marker_outputs(net, photo, extra=heads)
    return net


def face_recogniser() -> Network:
    """IResNet-50 on input.1 float32 [batch, 3, 112, 112] -> 683 [batch, 512]; 44 million weights."""
    net = Network(seed=4)
    crop = net.input("input.1", ["batch", 3, CROP_SIZE, CROP_SIZE], FLOAT)
    x = _prelu(net, net.conv(crop, 3, 64), 64)
    given = 64
    for planes, blocks in ((64, 3), (128, 4), (256, 14), (512, 3)):
        for block in range(blocks):
            stride = 1 if block else 2
            short = x if block else net.conv(x, given, planes, size=1, stride=2)
            scale, shift, mean, variance = _statistics(net, given)
            inner = net.op("BatchNormalization", x, scale, shift, mean, variance)
            inner = _prelu(net, net.conv(inner, given, planes), planes)
            x = net.op("Add", net.conv(inner, planes, planes, stride=stride), short)
            given = planes
    flat = net.op("Flatten", net.op("BatchNormalization", x, *_statistics(net, given)))
    net.output(net.linear(flat, given * 49, EMBEDDING_LENGTH), "683", ["batch", EMBEDDING_LENGTH])
    return net


def _first_token(net: Network, x: str) -> str:
    return net.op("Gather", x, net.weight(np.array(0, np.int64)), axis=1)


def _basic_block(net: Network, x: str, given: int, planes: int, stride: int) -> str:
    inner = net.conv(net.op("Relu", net.conv(x, given, planes, stride=stride)), planes, planes)
    short = x if given == planes and stride == 1 else net.conv(x, given, planes, size=1, stride=stride)
    return net.op("Relu", net.op("Mul", net.op("Add", inner, short), net.weight([0.7])))


def _pyramid(net: Network, levels: list[str]) -> list[str]:
    """The path aggregation network: down from coarse to fine and up again, 56 channels."""
    fine, middle, coarse = levels
    double = net.weight([1.0, 1.0, 2.0, 2.0])
    middle = net.op("Add", middle, net.op("Resize", coarse, "", double, mode="nearest"))
    fine = net.op("Add", fine, net.op("Resize", middle, "", double, mode="nearest"))
    fine, middle, coarse = (net.conv(level, 56, 56) for level in (fine, middle, coarse))
    middle = net.op("Add", middle, net.conv(fine, 56, 56, stride=2))
    coarse = net.op("Add", coarse, net.conv(middle, 56, 56, stride=2))
    return [fine, net.conv(middle, 56, 56), net.conv(coarse, 56, 56)]


def _head(net: Network, x: str) -> str:
    """Three convolutions and the three predictions of one level, as one number too small to matter."""
    given = 56
    for _ in range(3):
        x = net.op("Relu", net.conv(x, given, 80))
        given = 80
    predictions = net.op("Sigmoid", net.conv(x, 80, _ANCHORS * _PER_ANCHOR))
    return net.op("Mul", net.op("ReduceMean", predictions, keepdims=0), net.weight([1e-6]))


def _prelu(net: Network, x: str, width: int) -> str:
    return net.op("PRelu", x, net.weight(np.full((width, 1, 1), 0.25, np.float32)))


def _statistics(net: Network, width: int) -> tuple[str, str, str, str]:
    ones: npt.NDArray[np.float32] = np.ones(width, np.float32)
    return net.weight(ones * 0.7), net.weight(ones * 0), net.weight(ones * 0), net.weight(ones)
