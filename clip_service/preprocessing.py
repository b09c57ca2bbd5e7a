"""From a photo to a CLIP model's input: resized, cropped and normalised exactly as the model was trained.

Each model says in `preprocess_cfg.json` how. Resizing is Pillow's, as in open_clip and Immich: OpenCV's does not filter
when it shrinks, which moves embeddings.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from mesh.core.errors import UnavailableError
from mesh.serving.images import Pixels

DECODE_MARGIN = 2
"""A JPEG is decoded reduced as long as its short side keeps this many times the model's: half size for a preview of
1440 pixels and a model of 224. What the model gets has a cosine over 0.9997 to the full decode then, measured on
photographs and on noise of their spectrum (at 1 it was 0.997): `tests/unit/clip_service/test_reduced_decode.py`."""


_WEIGHT_BYTES = 64
"""Pillow's weights for each pixel along a side: eight bytes for every pixel of the result that it has a part in, which
are six with Lanczos, and some more."""


class ResizeMode(StrEnum):
    """How a photo is fitted to the model's square, in open_clip's words."""

    SHORTEST = "shortest"
    """The short side is fitted; what the long side has more is cropped, half on each end."""
    LONGEST = "longest"
    """The long side is fitted; the rest is filled."""
    SQUASH = "squash"
    """Both sides are fitted, whatever becomes of the proportions."""


@dataclass(frozen=True)
class Preprocessing:
    """What `preprocess_cfg.json` says.

    Attributes:
        size: side of the model's square input in pixels.
        mode: how the photo is fitted to it.
        resampling: Pillow's filter.
        fill: grey of the border, 0 to 255, for `longest`.
        scale: factor per channel (R, G, B) that makes 0..255 the model's range; shape (3, 1, 1).
        offset: what is then added per channel; shape (3, 1, 1).
    """

    size: int
    mode: ResizeMode
    resampling: PIL.Image.Resampling
    fill: int
    scale: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    @classmethod
    def read(cls, file: Path) -> "Preprocessing":
        """Raises UnavailableError when the file is missing, damaged, or asks for what nobody knows."""
        try:
            return cls._of(json.loads(file.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnavailableError(f"cannot use {file}: {error!r}") from error

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> "Preprocessing":
        sides = raw["size"] if isinstance(raw["size"], list) else [raw["size"]]
        if len(set(sides)) != 1:
            raise ValueError(f"the input must be a square, not {sides}")
        mean, std = (np.array(raw[name], np.float64).reshape(3, 1, 1) for name in ("mean", "std"))
        return cls(
            size=int(sides[0]),
            mode=ResizeMode(raw.get("resize_mode", ResizeMode.SHORTEST)),
            resampling=PIL.Image.Resampling[raw.get("interpolation", "bicubic").upper()],
            fill=int(raw.get("fill_color", 0)),
            scale=(1 / (255 * std)).astype(np.float32),
            offset=(-mean / std).astype(np.float32),
        )

    @property
    def min_short_side(self) -> int:
        """Short side in pixels that a reduced decode must keep."""
        return self.size * DECODE_MARGIN

    def working_bytes(self, width: int, height: int, divisor: int) -> int:
        """Memory that resizing takes beside a photo of this size, decoded at 1/`divisor` of it.

        Pillow's copy has a word for each pixel and a pointer for each row; its filter has weights for each pixel of a
        side that is shrunk as a whole.
        """
        columns, rows = -(-width // divisor), -(-height // divisor)
        weights = 0 if self.mode is ResizeMode.SHORTEST else _WEIGHT_BYTES * (columns + rows)
        return rows * (4 * columns + 8) + 4 * self.size * max(rows, columns) + weights

    def __call__(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """The model's input, float32 of shape (1, 3, size, size), of an RGB photo of shape (rows, columns, 3)."""
        fitted = self.fit(pixels)
        result = fitted.transpose(2, 0, 1).astype(np.float32, order="C")
        result *= self.scale
        result += self.offset
        return result[np.newaxis]

    def fit(self, pixels: Pixels) -> Pixels:
        """The part of an RGB photo that the model sees, not normalised: uint8 of shape (size, size, 3)."""
        return np.asarray(self._fit(PIL.Image.fromarray(pixels)))

    def _fit(self, image: PIL.Image.Image) -> PIL.Image.Image:
        match self.mode:
            case ResizeMode.SQUASH:
                return image.resize((self.size, self.size), self.resampling)
            case ResizeMode.LONGEST:
                return self._pad(image)
            case ResizeMode.SHORTEST:
                return self._crop(image)

    def _pad(self, image: PIL.Image.Image) -> PIL.Image.Image:
        """As Pillow's `ImageOps.pad`, which makes nothing of a side that would become less than a pixel."""
        longest = max(image.size)
        width, height = (max(1, round(side / longest * self.size)) for side in image.size)
        canvas = PIL.Image.new("RGB", (self.size, self.size), (self.fill,) * 3)
        fitted = image.resize((width, height), self.resampling)
        canvas.paste(fitted, (round((self.size - width) / 2), round((self.size - height) / 2)))
        return canvas

    def _crop(self, image: PIL.Image.Image) -> PIL.Image.Image:
        """Only what the crop keeps is resized: a panorama costs no more than a square.

        Sizes are cut to whole pixels as open_clip and Immich cut them.
        """
        width, height = image.size
        if width < height:
            fitted = (self.size, int(height / width * self.size))
        else:
            fitted = (int(width / height * self.size), self.size)
        left, top = (int(side / 2 - self.size / 2) for side in fitted)
        across, down = width / fitted[0], height / fitted[1]
        box = (left * across, top * down, (left + self.size) * across, (top + self.size) * down)
        return image.resize((self.size, self.size), self.resampling, box=box)
