"""A model's output as the mesh hands it out: one vector of unit length."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mesh.serving.runtimes.session import Array

Embedding = NDArray[np.float32]
"""Shape (dimension,), L2 norm 1."""


def embedding_of(outputs: Sequence[Array]) -> Embedding:
    """The first output of a graph for one item, (1, dimension) or (dimension,), scaled to unit length.

    Raises:
        RuntimeError: the numbers are not finite, or all zero; such a vector would spoil a search index for good.
    """
    vector = np.asarray(outputs[0], np.float32).reshape(-1)
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0.0:
        raise RuntimeError(f"the model gave no direction: its output has norm {norm}")
    return vector / np.float32(norm)
