"""An export is finished when it answers like torch: every row of mixed batches, and every token of mixed strings.

Why a naive text export looks wrong (most likely the 0.07 that was seen): cn-clip's loader returns the model in training
mode, where BERT drops a tenth of its values at random. torch's exporter switches to evaluation mode for the graph it
writes and back again, so the graph is right and the torch vectors it is compared with are not (measured on ViT-B-16,
random weights: see docs/models.md).
Both sides here are in evaluation mode, and texts of all lengths are compared in one batch.
"""

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from tokenizers import Tokenizer

from mesh.core.errors import MeshError
from mesh.hub.clip_export import cn_clip
from mesh.hub.clip_export.towers import ImageTower, TextTower
from mesh.hub.clip_import.companions import CONTEXT_LENGTH

LEAST_COSINE = 0.9999
LEAST_COSINE_FP16 = 0.999
"""Half precision rounds each weight to 11 bits."""

STRINGS = 3000

# fmt: off
_FRAGMENTS = (
    "一只狗", "沙滩上的日落", "微信截图", "合同", "發票", "香港", "東京タワー", "カフェ", "ひらがな", "서울", "a dog",
    "on the beach", "IMG_2041.JPG", "naïve café", "ÅNGSTRÖM", "Straße", "ΟΔΟΣ", "İstanbul", "１２３", "ＡＢＣ",
    "「引号」", "“双引号”", "‘单引号’", '"quotes"', "it's", "don't", "e-mail@x.y", "3.14", "50%", "$9", "№5", "½", "ﬁ",
    "😀", "🤣", "👨‍👩‍👧", "🏳️‍🌈", "❤️", "☕️", "🇨🇳", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "##ing", "ﷺ", "𠮷野家",
    "\u200b", "\u3000", "\t", "\n", "\r\n", "\x00", "\ufffd", "\ue000", "！？。，", "…", "——", "·",
)
# fmt: on

_BLOCKS = ((0x20, 0x2FF), (0x370, 0x4FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF))
"""Latin, Greek and Cyrillic, kana, Chinese, full-width, emoji."""

Vectors = npt.NDArray[np.float32]


class NotEqualError(MeshError):
    """The export does not answer like the original; nothing of it is kept."""


def verify_images(module: ImageTower, graph: Path, least_cosine: float) -> float:
    """The smallest cosine over noise, flat and gradient images, in one batch.
    Raises NotEqualError below `least_cosine`."""
    size = module.example().shape[-1]
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-2, 2, size).expand(3, size, size)
    images = torch.stack([torch.randn(3, size, size, generator=generator), torch.zeros(3, size, size), ramp])
    return _compare(module, graph, images, least_cosine)


def verify_texts(module: TextTower, graph: Path, least_cosine: float) -> float:
    """The smallest cosine over texts from empty to too long, in one batch.
    Raises NotEqualError below `least_cosine`."""
    texts = ["", "狗", "一只狗在沙滩上奔跑", "a dog on the beach, 2024", "我" * 30, "长" * 200]
    return _compare(module, graph, cn_clip.tokenize(texts).to(torch.int32), least_cosine)


def verify_tokenizer(tokenizer: Tokenizer, strings: int = STRINGS) -> int:
    """Compares ids with cn-clip's own tokenizer; the number of strings compared.
    Raises NotEqualError with the first other.

    The strings mix Chinese, English, kana, emoji, full-width forms, quotes, control and private-use characters; the
    longest has 10,000 characters.
    """
    padded = Tokenizer.from_str(tokenizer.to_str())
    padded.enable_truncation(CONTEXT_LENGTH)
    padded.enable_padding(length=CONTEXT_LENGTH, pad_id=0, pad_token="[PAD]")  # noqa: S106 - a token of the vocabulary
    texts = mixed_strings(strings)
    expected = cn_clip.tokenize(texts).numpy()
    given = np.array([encoding.ids for encoding in padded.encode_batch(texts)])
    different = np.flatnonzero((expected != given).any(axis=1))
    if different.size:
        raise NotEqualError(f"the tokenizer gives other ids than cn-clip's for {texts[different[0]][:100]!r}")
    return len(texts)


def mixed_strings(count: int) -> list[str]:
    """Always the same strings, of every length from 0 to 10,000 characters."""
    choose = random.Random(0)  # noqa: S311 - not for secrets
    fixed = ["", " ", "我" * 10_000, "x" * 10_000, "a b " * 2_500, "“" * 300, "😀" * 300]
    made = ["".join(_pieces(choose)) for _ in range(count - len(fixed))]
    return [*fixed, *made]


def _pieces(choose: random.Random) -> list[str]:
    pieces = []
    for _ in range(choose.randint(1, 12)):
        letter = chr(choose.randint(*choose.choice(_BLOCKS)))
        pieces.append(choose.choice([choose.choice(_FRAGMENTS), letter, letter.upper()]) + choose.choice(["", "", " "]))
    return pieces


def _compare(module: ImageTower | TextTower, graph: Path, batch: torch.Tensor, least_cosine: float) -> float:
    with torch.no_grad():
        expected: Vectors = module(batch).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    given: Vectors = session.run(None, {module.input_name: batch.numpy()})[0]
    if given.shape != expected.shape:
        raise NotEqualError(f"{graph} answers with shape {given.shape} instead of {expected.shape}")
    lengths = np.linalg.norm(given, axis=1)
    cosines = (given * expected).sum(axis=1) / lengths
    if not (cosines > least_cosine).all() or not np.allclose(lengths, 1, atol=1e-3):
        rows = ", ".join(f"{cosine:.5f}" for cosine in cosines)
        raise NotEqualError(f"{graph} differs from torch: cosines {rows}, at least {least_cosine} is needed")
    return float(cosines.min())
