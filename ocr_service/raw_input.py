"""Graphs that take a picture's bytes and scale, order and normalise them themselves, as Immich's next models do
(revision `v2`): uint8, (batch, rows, columns, 3), RGB. What this service prepares for the others is turned back into
bytes for them.
"""

import numpy as np
from numpy.typing import NDArray

from mesh.serving.runtimes.session import TensorInfo

_HALF = 127.5
_ROUND = 0.49
"""Rounds each value to the byte that it was made of, and the padding, which lies between two, down to 127."""


def takes_bytes(graph_input: TensorInfo) -> bool:
    """Whether the graph wants the picture itself."""
    return graph_input.dtype == "uint8" and len(graph_input.shape) == 4 and graph_input.shape[3] == 3


def as_wanted(blob: NDArray[np.float32], graph_input: TensorInfo) -> NDArray[np.generic]:
    """What to feed a graph.

    Args:
        blob: shape (batch, 3, rows, columns), BGR, values of -1 to 1.
        graph_input: what it takes.
    """
    if not takes_bytes(graph_input):
        return blob.astype(graph_input.dtype, copy=False)
    pixels = (blob * _HALF + (_HALF + _ROUND)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)[..., ::-1])
