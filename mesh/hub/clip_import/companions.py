"""The small files beside a Chinese-CLIP model's two graphs, in Immich's layout."""

import json
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

CONTEXT_LENGTH = 52
"""Tokens per text of every Chinese-CLIP model, [CLS] and [SEP] included."""

VOCABULARY_SIZE = 21128
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def write_companions(
    folder: Path, *, dimension: int, image_size: int, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> None:
    """Writes `config.json`, `visual/preprocess_cfg.json` and the tokenizer's two files below the model's folder.

    Args:
        dimension: length of the embeddings.
        image_size: width and height of the visual graph's input, in pixels.
        mean: of each channel, on a scale of 0 to 1.
        std: deviation of each channel, likewise.
    """
    _write(
        folder / "config.json",
        {
            "embed_dim": dimension,
            "vision_cfg": {"image_size": image_size},
            "text_cfg": {"context_length": CONTEXT_LENGTH, "vocab_size": VOCABULARY_SIZE},
        },
    )
    _write(
        folder / "visual/preprocess_cfg.json",
        {
            "size": [image_size, image_size],
            "mode": "RGB",
            "mean": list(mean),
            "std": list(std),
            "interpolation": "bicubic",
            # cn-clip squeezes a photo into the square: it neither crops nor pads.
            "resize_mode": "squash",
            "fill_color": 0,
        },
    )
    _write(
        folder / "textual/tokenizer_config.json",
        {"pad_token": "[PAD]", "unk_token": "[UNK]", "model_max_length": CONTEXT_LENGTH},
    )
    shutil.copyfile(str(files("mesh.hub.clip_import") / "tokenizer.json"), folder / "textual/tokenizer.json")


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
