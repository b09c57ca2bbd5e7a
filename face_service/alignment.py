"""From five landmarks to the upright crop that a recogniser was trained on.

ArcFace's recognisers expect eyes, nose and mouth at fixed places (Deng et al., "ArcFace", 2019, and InsightFace's
`face_align`). The similarity transform that brings the landmarks closest to those places in the least-squares sense has
a closed form in the plane: with points as complex numbers, turning and scaling is multiplication by one number.
"""

import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from mesh.serving.images.transform import warp_affine

TEMPLATE_SIZE = 112

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""Left eye, right eye, nose, left and right corner of the mouth, in a crop of 112 x 112 pixels."""

Landmarks = NDArray[np.float32]
"""Shape (5, 2): x and y in pixels of the photo, in the template's order."""


def similarity(landmarks: Landmarks, size: int = TEMPLATE_SIZE) -> NDArray[np.float64] | None:
    """The transform from the photo to an upright crop of `size` x `size` pixels, shape (2, 3).

    None when all landmarks are one point, or none at all (not finite): no transform is closest.
    """
    if not np.isfinite(landmarks).all():
        return None
    source = landmarks[:, 0].astype(np.float64) + 1j * landmarks[:, 1]
    template = TEMPLATE * (size / TEMPLATE_SIZE)
    target = template[:, 0] + 1j * template[:, 1]
    centred = source - source.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-6:
        return None
    turn = np.vdot(centred, target - target.mean()) / spread
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def crop(pixels: Pixels, transform: NDArray[np.float64], size: int = TEMPLATE_SIZE) -> Pixels:
    """The upright face, uint8 of shape (size, size, 3); black where it reaches beyond the photo."""
    return warp_affine(pixels, transform, (size, size))
